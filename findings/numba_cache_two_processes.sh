#!/usr/bin/env bash
# numba: what one process keeps with cache=True can be read by later ones for arguments of another type. Two processes
# that compile one function at the same moment, one for int64 and one for float64, may choose the same file for their
# code: each numbers its own by the index that it has read, and writes index and code one after the other. The index
# then names for integers a file that holds the code for floats. No error: a third process that sums the integers
# 1, 2, 3 gets 3e-323, their bits added as floats.
# The moment is short, so here each process waits at its writes, as a slow disk makes it wait.
# Exits 0 while that is so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numba==0.68.1 numpy==2.4.6
cat > "$work/sums.py" <<'PY'
import numba


@numba.njit(cache=True)
def total(values):
    return values.sum()
PY
cat > "$work/slow.py" <<'PY'
"""Usage: slow.py INDEX CODE TYPE: seconds that a write of the index and one of the code wait, and the numbers' type."""
import sys
import time

import numpy as np
from numba.core.caching import IndexDataCacheFile

index, code, kind = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
for name, seconds in (("_save_index", index), ("_save_data", code)):
    write = getattr(IndexDataCacheFile, name)
    setattr(IndexDataCacheFile, name, lambda *of, write=write, seconds=seconds: (time.sleep(seconds), write(*of)))
from sums import total

print(total(np.array([1, 2, 3], kind)))
PY
cd "$work"
said=$(venv/bin/python slow.py 4 0 int64 & venv/bin/python slow.py 2 5 float64 & wait)
echo "two processes at once:" $said
later=$(venv/bin/python slow.py 0 0 int64)
echo "a third, integers: $later"
venv/bin/python -c "import numba; print('numba', numba.__version__)"
[[ $(sort <<< "$said" | tr '\n' ' ') == "6 6.0 " && $later == 3e-323 ]]
