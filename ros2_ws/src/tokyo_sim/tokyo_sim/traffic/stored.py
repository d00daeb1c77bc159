"""A city's lane graph, made once and kept in the city's folder: laying it takes seconds for each square kilometre."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import shapely

from occ_core.citymap import CityMap
from tokyo_sim.traffic.junctions import Section
from tokyo_sim.traffic.lane import Lane
from tokyo_sim.traffic.lane_graph import LaneGraph
from tokyo_sim.traffic.lanes import street_network
from tokyo_sim.traffic.movements import Movement
from tokyo_sim.traffic.road_rasters import RoadRasters

LANES_FILE = "lanes.npz"
_FORMAT = 1  # a change of the rules by which lanes are laid makes what was kept stale

Row = TypeVar("Row", Lane, Movement, Section)


def lane_graph(folder: Path, city: CityMap) -> LaneGraph:
    """The lane graph of an imported city: read from its folder, or laid and kept there where it can be written.

    What was kept for another mesh, or is damaged, is laid anew.
    """
    path, stamp = Path(folder) / LANES_FILE, _stamp(city)
    try:
        with np.load(path, allow_pickle=False) as data:
            if str(data["stamp"]) == stamp:
                return _unpacked(data, city)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        pass  # laid below
    graph = LaneGraph.of(city, street_network(city))
    with suppress(OSError):  # a folder that can't be written costs time only
        beside = path.with_name(f".{os.getpid()}.{LANES_FILE}")
        _save(beside, chain([("stamp", np.array(stamp))], _packed(graph)))
        os.replace(beside, path)
    return graph


def lay_lanes(folder: Path) -> tuple[int, int]:
    """Lay an imported city's lane graph, or find it laid: how many lanes there are, and streets."""
    graph = lane_graph(folder, CityMap.load(folder, surface=False))
    return len(graph.lanes), len(graph.sections)


def _save(path: Path, arrays: Iterable[tuple[str, np.ndarray]]) -> None:
    """As `np.savez_compressed`, an array at a time: no more than one is held."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _stamp(city: CityMap) -> str:
    digest = hashlib.blake2b(str(_FORMAT).encode(), digest_size=16)
    for array in (city.vertices, city.faces, city.classes):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _packed(graph: LaneGraph) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays that a graph is kept as, and their names."""
    yield from _columns("lane", Lane, graph.lanes)
    yield from _columns("movement", Movement, graph.movements)
    yield from _columns("section", Section, graph.sections)
    yield "conflicts", np.array([entry for row in graph.conflicts for entry in row], dtype=np.int64)
    yield "conflict_counts", np.array([len(row) for row in graph.conflicts], dtype=np.int64)


def _unpacked(data: Any, city: CityMap) -> LaneGraph:
    sections = _rows("section", Section, data)
    conflicts = _parts(data["conflicts"], data["conflict_counts"])
    return LaneGraph(
        _rows("lane", Lane, data), _rows("movement", Movement, data), [row.tolist() for row in conflicts], sections,
        RoadRasters.of(city, [section.line for section in sections]) if sections else None,
    )  # fmt: skip


def _columns(prefix: str, kind: type[Row], rows: list[Row]) -> Iterator[tuple[str, np.ndarray]]:
    """An array per field; lines one after the other with their counts of points, areas as WKB."""
    for field in fields(kind):
        name = f"{prefix}.{field.name}"
        values: list[Any] = [getattr(row, field.name) for row in rows]
        if field.name == "line":
            yield name, np.concatenate([*values, np.zeros((0, 2))])
            yield f"{name}.counts", np.array([len(line) for line in values], dtype=np.int64)
        elif field.name == "swept":
            wkb = [shapely.to_wkb(area) for area in values]
            yield name, np.frombuffer(b"".join(wkb), dtype=np.uint8)
            yield f"{name}.counts", np.array([len(area) for area in wkb], dtype=np.int64)
        else:
            yield name, np.array(values)


def _rows(prefix: str, kind: type[Row], data: Any) -> list[Row]:
    columns: list[list[Any]] = []
    for field in fields(kind):
        name = f"{prefix}.{field.name}"
        if field.name == "line":
            columns.append(_parts(data[name], data[f"{name}.counts"]))
        elif field.name == "swept":
            columns.append([shapely.from_wkb(part.tobytes()) for part in _parts(data[name], data[f"{name}.counts"])])
        else:
            columns.append([tuple(v) if isinstance(v, list) else v for v in data[name].tolist()])
    return [kind(*row) for row in zip(*columns, strict=True)]


def _parts(array: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    return np.split(array, np.cumsum(counts)[:-1]) if len(counts) else []
