"""The street network of a city: centre lines and widths, from the carriageway surfaces alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import networkx as nx
import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.spatial import cKDTree

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from tokyo_sim.raster import Raster, closed, dilated, groups_apart, thinned

_CELL_M = 0.5
_MARGIN_M = 2.0
_APART_M = 16.0  # roads with more between them are drawn in rasters of their own
_STEP_M = 2.0  # spacing of centre-line points
_SPUR_M = 12.0  # dead ends shorter than this are corners of the carriageway, not streets


@dataclass(frozen=True)
class StreetNetwork:
    """graph: nodes are junctions and dead ends with `xy` (2,) metres in map; edges carry `line` (n, 2) from the
    node `start` on, and `width`, the median width of the carriageway, metres."""

    graph: nx.MultiGraph

    @cached_property
    def edges(self) -> list[tuple[int, int, int]]:
        """All streets as (node, node, key), sorted."""
        return sorted(self.graph.edges(keys=True))

    def line(self, edge: tuple[int, int, int], start: int) -> np.ndarray:
        """Centre line of a street, (n, 2) metres, walked from one of its nodes."""
        data = self.graph.edges[edge]
        return data["line"] if data["start"] == start else data["line"][::-1]

    def width(self, edge: tuple[int, int, int]) -> float:
        """Width of a street's carriageway, metres."""
        return self.graph.edges[edge]["width"]


def street_network(city: CityMap) -> StreetNetwork:
    """The network of a city's carriageways; an empty one where it has no roads."""
    roads = city.triangles[city.classes == Semantic.ROAD]
    if not len(roads):
        return StreetNetwork(nx.MultiGraph())
    raster = Raster.covering(roads, _CELL_M, margin=_MARGIN_M)
    half_width: dict[tuple[int, int], float] = {}
    for group in groups_apart(roads, _APART_M):
        half_width |= _half_widths(group, raster)
    graph = _contract(_pixel_graph(set(half_width)), raster, half_width)
    _prune(graph)
    return StreetNetwork(graph)


def _half_widths(roads: np.ndarray, whole: Raster) -> dict[tuple[int, int], float]:
    """Cells of the skeleton of roads (n, 3, 3): metres from each one's point to the nearest cell outside the roads.

    In a raster of their own: the squares of a city may lie kilometres apart. whole: the one that cells are counted in.
    """
    raster = Raster.covering(roads, _CELL_M, margin=_MARGIN_M)
    # Neighbouring surfaces leave slits of a raster cell between them.
    mask = closed(raster.covered(roads), iterations=2)
    cells = np.argwhere(thinned(mask))
    wide = np.pad(mask, 1)
    beside = np.argwhere(dilated(dilated(wide)) & ~wide) - 1
    if not len(beside) or not len(cells):
        return {}
    distance, _ = cKDTree(beside).query(cells)
    cells += np.round((raster.lower - whole.lower) / _CELL_M).astype(int)
    return {(i, j): d for (i, j), d in zip(cells.tolist(), (distance * _CELL_M).tolist(), strict=True)}


def _pixel_graph(cells: set[tuple[int, int]]) -> nx.Graph:
    graph = nx.Graph()
    for i, j in sorted(cells):
        for di, dj in ((0, 1), (1, 0), (1, 1), (1, -1)):
            # A diagonal step beside a straight one would close a triangle at every corner.
            corner = di and dj and ((i + di, j) in cells or (i, j + dj) in cells)
            if (i + di, j + dj) in cells and not corner:
                graph.add_edge((i, j), (i + di, j + dj))
    return graph


def _contract(pixels: nx.Graph, raster: Raster, half_width: dict[tuple[int, int], float]) -> nx.MultiGraph:
    """Chains of pixels become edges between junctions and dead ends."""
    nodes = sorted(pixel for pixel, degree in pixels.degree() if degree != 2)
    # A ring without a junction gets a node of its own, where it starts and ends.
    rings = (part for part in nx.connected_components(pixels) if not part & set(nodes))
    nodes += sorted(min(ring) for ring in rings)
    number = {pixel: index for index, pixel in enumerate(nodes)}
    graph = nx.MultiGraph()
    for pixel in nodes:
        graph.add_node(number[pixel], xy=raster.xy(np.array(pixel)))
    done = set()
    for pixel in nodes:
        for neighbour in sorted(pixels[pixel]):
            if (pixel, neighbour) in done:
                continue
            chain = [pixel, neighbour]
            while chain[-1] not in number:
                chain.append(next(p for p in sorted(pixels[chain[-1]]) if p != chain[-2]))
            done |= {(chain[0], chain[1]), (chain[-1], chain[-2])}
            cells = np.array(chain)
            width = 2 * float(np.median([half_width[cell] for cell in chain]))
            line = _smooth(raster.xy(cells))
            start, end = number[chain[0]], number[chain[-1]]
            graph.add_edge(start, end, start=start, line=line, width=width)
    return graph


def _smooth(line: np.ndarray) -> np.ndarray:
    """Remove the staircase of pixels and resample; end points stay."""
    if len(line) > 5:
        ends = line[[0, -1]]
        line = uniform_filter1d(line, size=min(15, len(line) // 2), axis=0, mode="nearest")
        line = np.concatenate([ends[:1], line[1:-1], ends[1:]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, length[-1], max(int(length[-1] / _STEP_M), 1) + 1)
    return np.column_stack([np.interp(at, length, line[:, axis]) for axis in (0, 1)])


def _prune(graph: nx.MultiGraph) -> None:
    """Drop short spurs, then islands that are not part of the largest network."""
    for node in [n for n, degree in graph.degree() if degree == 1]:
        edge = next(iter(graph.edges(node, keys=True, data=True)), None)
        if edge is not None and len(edge[3]["line"]) * _STEP_M < _SPUR_M:
            graph.remove_node(node)
    if graph.number_of_nodes():
        largest = max(nx.connected_components(graph), key=lambda part: (len(part), -min(part)))
        graph.remove_nodes_from([node for node in graph if node not in largest])
