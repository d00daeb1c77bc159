#!/usr/bin/env bash
# trimesh's OBJ reader cuts a polygon into a fan about its first corner. For one that is not convex (roofs and road areas of city models) the
# fan reaches outside: an L of 3 square metres becomes 4, or stays 3, depending on which corner is written first. Nothing is said.
# Exits 0 while the area depends on the first corner.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 trimesh==5.2.0
cat > "$work/areas.py" <<'PY'
import io
import sys

import trimesh

CORNERS = [(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)]
areas = []
for first in range(len(CORNERS)):
    ring = CORNERS[first:] + CORNERS[:first]
    text = "".join(f"v {x} {y} 0\n" for x, y in ring) + "f 1 2 3 4 5 6\n"
    areas.append(float(trimesh.load(io.BytesIO(text.encode()), file_type="obj", force="mesh").area))
print(f"trimesh {trimesh.__version__}: an L of area 3, by the corner that it begins with: {areas}")
sys.exit(0 if min(areas) == 3.0 and max(areas) == 4.0 else 1)
PY
"$work/venv/bin/python" "$work/areas.py"
