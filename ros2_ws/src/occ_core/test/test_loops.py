"""Loops that count no references: the same numbers, nothing counted, and nothing made inside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from processes import PATIENCE_S

from occ_core.loops import arithmetic, compiled, loop


@compiled(cache=False, inline="always")
def bit(words, row, level):
    """Whether a bit is set."""
    return (words[row, level >> 6] >> np.uint64(level & 63)) & np.uint64(1)


def total(words, others, rows):
    """Set bits of rows, of others where a row is negative."""
    count = 0
    for row in rows:
        for level in range(64 * words.shape[1]):
            if row >= 0:
                count += bit(words, row, level)
            else:
                count += bit(others, -row, level)
    return count


def test_a_helper_that_is_handed_arrays_costs_no_count():
    compiled = loop(cache=False)(total)
    words = np.arange(8, dtype=np.uint64).reshape(4, 2)
    assert compiled(words, words, np.array([1, 2, -3])) == sum(int(n).bit_count() for n in range(2, 8))
    (text,) = compiled.inspect_llvm().values()
    assert "call void @NRT_incref" not in text and "call void @NRT_decref" not in text


def test_a_loop_that_makes_an_array_does_not_compile():
    @loop(cache=False)
    def made(n):
        return np.zeros(n)

    with pytest.raises(numba.TypingError):
        made(3)


def test_sums_may_be_in_any_order():
    @arithmetic(cache=False)
    def summed(values):
        out = 0.0
        for value in values:
            out += value
        return out

    values = np.random.default_rng(1).random(1000)
    assert summed(values) == pytest.approx(values.sum(), rel=1e-12)


FILES = {
    "numbers_of": "STEP = 3\n",
    "helper": """
from enum import IntEnum
from occ_core.loops import compiled
from numbers_of import STEP
class Kind(IntEnum):
    ROAD = 20
@compiled(inline="always")
def add(n):
    return n + STEP
""",
    "caller": """
from occ_core.loops import arithmetic, compiled
from helper import Kind, add
@arithmetic
def outer(n):
    return inner(n) + Kind.ROAD
@compiled
def inner(n):
    return add(n)
""",
    "run": """
import helper, caller
print(caller.outer(1), *(sum(loop.stats.cache_hits.values()) for loop in (caller.outer, caller.inner)))
""",
}
CHANGES = [("numbers_of", "3", "4", 25), ("helper", "n + STEP", "n - STEP", 17), ("helper", "20", "200", 197)]


def result(folder: Path) -> list[int]:
    """What the loops in a folder give, in a process of their own, and how often each was found compiled."""
    environment = os.environ | {"PYTHONHASHSEED": "random", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "run.py"], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def test_a_loop_is_compiled_again_where_what_it_calls_or_a_number_that_it_uses_has_changed(tmp_path):
    for name, text in FILES.items():
        (tmp_path / f"{name}.py").write_text(text)
    assert result(tmp_path) == [24, 0, 0]
    assert result(tmp_path)[0] == 24 and result(tmp_path)[1] == 1
    for name, old, new, now in CHANGES:
        path = tmp_path / f"{name}.py"
        path.write_text(path.read_text().replace(old, new))
        assert result(tmp_path)[:2] == [now, 0], f"{name}: {old} to {new}"
        assert result(tmp_path)[:2] == [now, 1]


SLOW_DISK = """
import sys, time
import numpy as np
from numba.core.caching import IndexDataCacheFile as File
index, data, kind = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
save_index, save_data = File._save_index, File._save_data
File._save_index = lambda *of: (time.sleep(index), save_index(*of))
File._save_data = lambda *of: (time.sleep(data), save_data(*of))
from sums import total
values = np.array([1, 2, 3], kind)
print(total(values), sum(total.stats.cache_hits.values()))
"""
SUMS = """
from occ_core.loops import compiled
@compiled
def total(values):
    return values.sum()
"""


def totals(folder: Path, *each: str) -> list[list[str]]:
    """What processes print that begin together. each: seconds of writing the index, and the code; type of numbers."""
    at_once = [
        subprocess.Popen([sys.executable, "slow.py", *of.split()], cwd=folder, stdout=subprocess.PIPE, text=True)
        for of in each
    ]
    return [process.communicate(timeout=PATIENCE_S)[0].split() for process in at_once]


def test_processes_that_need_a_loop_at_once_compile_it_once_and_keep_it_for_the_right_types(tmp_path):
    (tmp_path / "sums.py").write_text(SUMS)
    (tmp_path / "slow.py").write_text(SLOW_DISK)
    same = totals(tmp_path, "0.5 0.5 int32", "0.5 0.5 int32")
    assert sorted(same) == [["6", "0"], ["6", "1"]]
    # Without a lock the second writes its code where the first has said that its own is.
    assert totals(tmp_path, "2 0 int64", "1 3 float64") == [["6", "0"], ["6.0", "0"]]
    assert totals(tmp_path, "0 0 int64", "0 0 float64") == [["6", "1"], ["6.0", "1"]]
    assert list(tmp_path.rglob("*.lock")) == []
