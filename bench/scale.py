"""What a square kilometre and a frame cost in core seconds and bytes, and from that whole cities: docs/scale.md."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

from occ_core.citymap import CityMap

_FRAMES, _MORE_FRAMES = 4, 24
# A process of its own, so that its CPU time, all threads and children included, is that of the work. The system's share
# counts, too: much of recording is writing.
_RUN = """
import os, sys
from pathlib import Path
from tokyo_occworld.collecting import Collection, collect
from tokyo_city.world.city import Options, import_city
what, source, out, *numbers = sys.argv[1:]
if what == "import":
    import_city(Path(source), Path(out), Options(workers=1))
else:
    frames, width, height = map(int, numbers)
    collect(Path(source), Path(out), Collection(2, frames, image_size=(width, height) if width else None))
print(sum(os.times()[:4]))
"""


@dataclass(frozen=True)
class Measured:
    """On the sample city, with one process. Core seconds count every thread; MB are 10^6 bytes."""

    triangles: float  # thousands, of a km2
    import_s: float  # core seconds, of a km2
    city_mb: float  # of a km2: world, meshes, and the tiles that are kept for the next import
    drive_s: float  # core seconds before the first frame of a drive: city, physics, streets, three seconds to warm up
    frame_s: float  # core seconds, of a frame
    frame_mb: float  # of a frame: LiDAR, occupancy, pose
    image_s: float  # core seconds, of the six images of a frame, OpenGL in software
    image_mb: float  # of the six images of a frame


@dataclass(frozen=True)
class Extent:
    """name: in the table. km2: of streets and buildings."""

    name: str
    km2: float


@dataclass(frozen=True)
class Plan:
    """frames: of each of the two robots in a drive; drives: of a km2. core_hour, gb_month: US dollars."""

    frames: int = 500
    drives: float = 1.0
    core_hour: float = 0.05
    gb_month: float = 0.023


EXTENTS = (Extent("one ward, 12 km2", 12.0), Extent("23 wards", 627.53), Extent("250 cities of 100 km2", 25_000.0))


def measure(udx: Path) -> Measured:
    """On a city's CityGML; several minutes of a core."""
    with tempfile.TemporaryDirectory() as folder:
        city = Path(folder) / "city"
        import_s = _core_seconds("import", udx, city)
        mesh = CityMap.load(city)
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        km2 = float((high[0] - low[0]) * (high[1] - low[1])) / 1e6
        city_mb = _megabytes(city) + _megabytes(city.with_name(".city.tiles"))
        _core_seconds("record", city, Path(folder) / "warm", 1, 0, 0)  # the street network is kept from now on
        few, few_mb = _recorded(city, Path(folder) / "few", _FRAMES, (0, 0))
        more, more_mb = _recorded(city, Path(folder) / "more", _MORE_FRAMES, (0, 0))
        seen, seen_mb = _recorded(city, Path(folder) / "seen", _FRAMES, (1600, 900))
    frame_s, frame_mb = (more - few) / (2 * (_MORE_FRAMES - _FRAMES)), more_mb / (2 * _MORE_FRAMES)
    return Measured(
        triangles=len(mesh.faces) / 1e3 / km2,
        import_s=import_s / km2,
        city_mb=city_mb / km2,
        drive_s=few - 2 * _FRAMES * frame_s,
        frame_s=frame_s,
        frame_mb=frame_mb,
        image_s=(seen - few) / (2 * _FRAMES),
        image_mb=(seen_mb - few_mb) / (2 * _FRAMES),
    )


def measured_table(measured: Measured) -> str:
    """Markdown: a row per figure, by its name."""
    lines = ["| figure | value |", "|---|---|"]
    return "\n".join(
        [*lines, *(f"| `{spec.name}` | {getattr(measured, spec.name):.3g} |" for spec in fields(measured))]
    )


def scale_table(measured: Measured, plan: Plan, images: bool) -> str:
    """Markdown: a column per extent. images: six cameras, too."""
    frame_s = measured.frame_s + images * measured.image_s
    frame_mb = measured.frame_mb + images * measured.image_mb
    rows: list[list[str]] = [[""], ["million triangles"], ["import, core hours"], ["city, GB"], ["frames, million"]]
    rows += [["recording, core hours"], ["sessions, GB"], ["both on 64 cores, hours"]]
    rows += [["cores, $"], ["storage, $ a month"]]
    for extent in EXTENTS:
        drives = plan.drives * extent.km2
        frames = 2 * plan.frames * drives
        imported = extent.km2 * measured.import_s / 3600
        recorded = (drives * measured.drive_s + frames * frame_s) / 3600
        gigabytes = extent.km2 * measured.city_mb / 1e3, frames * frame_mb / 1e3
        hours = imported + recorded
        column: list[str | float] = [
            extent.name, extent.km2 * measured.triangles / 1e3, imported, gigabytes[0], frames / 1e6, recorded,
            gigabytes[1], hours / 64, hours * plan.core_hour, sum(gigabytes) * plan.gb_month,
        ]  # fmt: skip
        for row, value in zip(rows, column, strict=True):
            row.append(value if isinstance(value, str) else _number(value))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def run(udx: Path, city: Path) -> str:
    """The tables, from what is measured now. city: not used, the import is measured."""
    measured = measure(udx)
    tables = [scale_table(measured, Plan(), images) for images in (False, True)]
    return "\n\n".join([measured_table(measured), "LiDAR only:", tables[0], "And six cameras:", tables[1]])


def _number(value: float) -> str:
    """Two digits that mean something; these are estimates."""
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def _core_seconds(*arguments: object) -> float:
    command = [sys.executable, "-c", _RUN, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return float(done.stdout.split()[-1])


def _recorded(city: Path, out: Path, frames: int, size: tuple[int, int]) -> tuple[float, float]:
    return _core_seconds("record", city, out, frames, *size), _megabytes(out)


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
