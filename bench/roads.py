"""How high the roads of real tiles lie above the ground beside them: a table.

As a program, on files beside the checkout: `python -m bench.roads`.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from bench.importing import REAL
from occ_core.citymap import CityMap
from tokyo_city.world.checks import roads_above_ground
from tokyo_city.world.city import Options, import_city


def squares(data: Path) -> dict[str, list[Path]]:
    """The files of each square of each data set that has roads, by data set and mesh code."""
    found: dict[str, list[Path]] = {}
    for road in sorted(data.rglob("*_tran_*.gml")):
        code = re.match(r"\d+", road.name)
        folder = road.parents[1]
        if code:
            name = f"{folder.parent.relative_to(data)} {code[0]}"
            found[name] = sorted(path for path in folder.rglob("*.gml") if "osaka" not in name or code[0] in path.name)
    return found


def table(data: Path) -> str:
    """A row per square: metres that its roads lie above the ground beside them."""
    lines = ["| tile | lowest, m | middle, m | highest, m | areas without height |", "|---|---|---|---|---|"]
    for name, paths in squares(data).items():
        with tempfile.TemporaryDirectory() as folder:
            for path in paths:
                place = Path(folder, "udx", path.parent.name, path.name)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(path.resolve())
            report = import_city(Path(folder, "udx"), Path(folder, "city"), Options(workers=1))
            heights = roads_above_ground(CityMap.load(report.folder))
            metres = (f"{round(height, 2) + 0.0:.2f}" for height in (heights.low, heights.middle, heights.high))
            lines.append(f"| {name} | {' | '.join(metres)} | {report.without_height} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(REAL.parent))
