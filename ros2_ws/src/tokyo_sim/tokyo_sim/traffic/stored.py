"""A city's lane graph and walkways, made once and kept in its folder: laying them takes seconds a square kilometre."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
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
from tokyo_sim.traffic.walkways import Walkway, Walkways

LANES_FILE, WALKWAYS_FILE = "lanes.npz", "walkways.npz"
_FORMAT = 2  # a change of the rules by which lanes and walkways are laid makes what was kept stale

Row = TypeVar("Row", Lane, Movement, Section, Walkway)
Laid = TypeVar("Laid", LaneGraph, Walkways)


def lane_graph(folder: Path, city: CityMap) -> LaneGraph:
    """The lane graph of an imported city: read from its folder, or laid and kept there where it can be written.

    What was kept for another mesh, or is damaged, is laid anew.
    """
    return _kept(
        Path(folder) / LANES_FILE, city, lambda data: _unpacked(data, city),
        lambda: LaneGraph.of(city, street_network(city)), _packed,
    )  # fmt: skip


def walkways(folder: Path, city: CityMap, graph: LaneGraph) -> Walkways:
    """The walkways beside an imported city's lane graph, read or laid as that is."""
    return _kept(
        Path(folder) / WALKWAYS_FILE, city, _unpacked_walkways, lambda: Walkways.of(graph), _packed_walkways
    )  # fmt: skip


def _kept(
    path: Path,
    city: CityMap,
    unpack: Callable[[Any], Laid],
    lay: Callable[[], Laid],
    pack: Callable[[Laid], Iterator[tuple[str, np.ndarray]]],
) -> Laid:
    stamp = _stamp(city)
    try:
        with np.load(path, allow_pickle=False) as data:
            if str(data["stamp"]) == stamp:
                return unpack(data)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        pass  # laid below
    laid = lay()
    with suppress(OSError):  # a folder that can't be written costs time only
        beside = path.with_name(f".{os.getpid()}.{path.name}")
        _save(beside, chain([("stamp", np.array(stamp))], pack(laid)))
        os.replace(beside, path)
    return laid


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
    yield from _lists("conflicts", graph.conflicts)


def _unpacked(data: Any, city: CityMap) -> LaneGraph:
    sections = _rows("section", Section, data)
    return LaneGraph(
        _rows("lane", Lane, data), _rows("movement", Movement, data), _listed("conflicts", data), sections,
        RoadRasters.of(city, [section.line for section in sections]) if sections else None,
    )  # fmt: skip


def _packed_walkways(laid: Walkways) -> Iterator[tuple[str, np.ndarray]]:
    yield from _columns("way", Walkway, laid.ways)
    yield from _lists("onward", laid.onward)
    yield from _lists("crossed", laid.crossed)
    yield "mask.shape", np.array(laid.mask.shape)
    yield "mask", np.packbits(laid.mask)


def _unpacked_walkways(data: Any) -> Walkways:
    shape = data["mask.shape"]
    mask = np.unpackbits(data["mask"], count=int(np.prod(shape))).astype(bool).reshape(shape)
    return Walkways(_rows("way", Walkway, data), _listed("onward", data), _listed("crossed", data), mask)


def _lists(name: str, rows: list[list[int]]) -> Iterator[tuple[str, np.ndarray]]:
    yield name, np.array([entry for row in rows for entry in row], dtype=np.int64)
    yield f"{name}.counts", np.array([len(row) for row in rows], dtype=np.int64)


def _listed(name: str, data: Any) -> list[list[int]]:
    return [row.tolist() for row in _parts(data[name], data[f"{name}.counts"])]


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
