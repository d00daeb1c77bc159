"""PLATEAU to triangles: beside a straightforward reader of the same file, and how memory grows with the city."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import mapbox_earcut
import numpy as np
from lxml import etree

from bench.pairs import Row, paired, table
from tokyo_city.plateau.projection import to_degrees, to_metres
from tokyo_city.plateau.sources import TileSource
from tokyo_city.plateau.tile import read_tile

_GML = "{http://www.opengis.net/gml}"
_EPSG = 6677
_TILE_M = 1000.0
REAL = Path(__file__).resolve().parents[2] / "shared/data/plateau/osaka"
_TOKYO = "from tokyo_occworld.cli.main import main; main()"
_PARSE = """
import sys
from multiprocessing import Pool
from lxml import etree
def parse(path):
    etree.parse(path)
with Pool() as pool:
    pool.map(parse, sys.argv[1:], chunksize=1)
"""
# Peak resident memory of the importing process itself; one process, so that a tile is all that there is to hold.
# (`ru_maxrss` would begin at what the process that starts this one has.)
_IMPORT = """
import re, sys
from pathlib import Path
from tokyo_city.world.city import Options, import_city
report = import_city(Path(sys.argv[1]), Path(sys.argv[2]), Options(workers=1))
peak = re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]
print(sum(report.triangles.values()), peak)
"""


def straightforward(path: Path) -> int:
    """Parse the file whole and triangulate polygon by polygon; how many triangles, of every level of detail."""
    triangles = 0
    for polygon in etree.parse(str(path)).iter(f"{_GML}Polygon"):
        rings = [
            np.array(ring.text.split(), dtype=float).reshape(-1, 3)[:-1] for ring in polygon.iter(f"{_GML}posList")
        ]
        points = to_metres(np.concatenate(rings), _EPSG)
        spokes = points - points[0]
        normal = np.cross(spokes[1:-1], spokes[2:]).sum(axis=0)
        plane = np.delete(spokes, np.abs(normal).argmax(), axis=1)
        ends = np.cumsum([len(ring) for ring in rings]).astype(np.uint32)
        triangles += len(mapbox_earcut.triangulate_float64(np.ascontiguousarray(plane), ends)) // 3
    return triangles


def parse(path: Path) -> None:
    """The XML and its numbers, nothing else."""
    for element in etree.parse(str(path)).iter(f"{_GML}posList"):
        np.array(element.text.split(), dtype=float)


def rates(path: Path) -> str:
    """Reading and triangulating one tile beside the parse of it, and triangles a second beside the simple reader."""
    source = TileSource(path, path.parent.name)
    ours, bare = paired(lambda: read_tile(source), lambda: parse(path), 3)
    _, simple = paired(lambda: None, lambda: straightforward(path), 2)
    rows = [
        Row("import of the building tile", ours, bare, "XML parse"),
        Row("import of the building tile", ours, simple, "earcut face by face, every LOD"),
    ]
    counts = len(read_tile(source).triangles), straightforward(path)
    speed = [f"{count / seconds / 1e3:.0f}" for count, seconds in zip(counts, (ours, simple), strict=True)]
    return (
        f"{table(rows)}\n\n{speed[0]} thousand triangles a second ({counts[0]}), face by face {speed[1]} ({counts[1]})."
    )


def replicated(path: Path, folder: Path, count: int) -> None:
    """The tile side by side with itself, a kilometre apart, each copy in a file of its own."""
    text = path.read_text(encoding="utf-8")
    for number in range(count):
        offset = np.array([_TILE_M * (number % 4), _TILE_M * (number // 4), 0.0])

        def moved(match: re.Match, offset: np.ndarray = offset) -> str:
            points = to_metres(np.array(match[1].split(), dtype=float).reshape(-1, 3), _EPSG) + offset
            return ">" + " ".join(f"{value:.9f}" for value in to_degrees(points, _EPSG).ravel()) + "</gml:posList>"

        copy = folder / "bldg" / f"{53394600 + number}_bldg_6697_op.gml"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(re.sub(r">([^<>]*)</gml:posList>", moved, text), encoding="utf-8")


def memory(path: Path, counts: tuple[int, ...] = (1, 4, 16)) -> str:
    """Peak memory of importing cities of so many tiles, each in a process of its own."""
    lines = ["| tiles | triangles | peak memory, MB |", "|---|---|---|"]
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            replicated(path, Path(folder) / "udx", count)
            command = [sys.executable, "-c", _IMPORT, f"{folder}/udx", f"{folder}/city"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            triangles, kilobytes = map(int, done.stdout.split()[-2:])
            lines.append(f"| {count} | {triangles} | {kilobytes / 1024:.0f} |")
    return "\n".join(lines)


@dataclass(frozen=True)
class Run:
    """What a command and its children took: seconds, and megabytes of the largest process. words: what it printed."""

    wall: float
    cpu: float
    peak: float
    words: str


def measured(command: list[str]) -> Run:
    """Run a command as a process of its own. CalledProcessError where it fails."""
    watched = (
        "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_maxrss); sys.exit(code)"
    )
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", watched, *command], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    words, _, peak = done.stdout.strip().rpartition("\n")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, int(peak) / 1024, words)


def command(sources: dict[str, Path]) -> str:
    """`tokyo city` as a user runs it, a process with its default options, beside lxml on all cores for the same files.

    The peak is of the largest process. Compiled code is made by a run before.
    """
    lines = [
        f"`tokyo city` on {len(os.sched_getaffinity(0))} cores:\n",
        "| source | MB | wall, s | CPU, s | triangles | triangles a second | peak memory, MB | lxml on all cores, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for number, (name, source) in enumerate(sources.items()):
        files = sorted(source.rglob("*.gml"))
        with tempfile.TemporaryDirectory() as folder:
            tokyo = [sys.executable, "-c", _TOKYO, "city", str(source), "--out"]
            if not number:
                measured([*tokyo, f"{folder}/warm"])
            ours = measured([*tokyo, f"{folder}/city"])
            bare = measured([sys.executable, "-c", _PARSE, *map(str, files)])
        found = re.search(r"(\d+) triangles", ours.words)
        triangles = int(found[1]) if found else 0
        size = sum(file.stat().st_size for file in files) / 1e6
        lines.append(
            f"| {name} | {size:.1f} | {ours.wall:.1f} | {ours.cpu:.1f} | {triangles} | {triangles / ours.wall:.0f} | "
            f"{ours.peak:.0f} | {bare.wall:.2f} |"
        )
    return "\n".join(lines)


def run(udx: Path, city: Path) -> str:
    """The tables. udx: the sample city's CityGML; city: the same imported. Real squares where they are at hand."""
    path = next((udx / "bldg").glob("*.gml"))
    sources = {"the sample city": udx}
    if REAL.is_dir():
        sources |= {f"Osaka, {name}": REAL / name / "udx" for name in ("test", "train")}
    return f"{command(sources)}\n\n{rates(path)}\n\n{memory(path)}"
