"""The street network of a city: centre lines and widths, from the carriageway surfaces alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.faces_by_square import FacesBySquare
from occ_core.loops import compiled
from tokyo_sim.raster import Raster
from tokyo_sim.traffic.skeleton import skeleton

if TYPE_CHECKING:
    import networkx as nx

_CELL_M = 0.5
_MARGIN_M = 2.0
_SQUARE_M = 128.0  # in which roads are looked up
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
    import networkx as nx  # takes a moment to load, and lanes are laid once

    roads = FacesBySquare.of(city.vertices, city.faces[city.classes == Semantic.ROAD], _SQUARE_M)
    if not len(roads.faces):
        return StreetNetwork(nx.MultiGraph())
    raster = Raster.covering(city.vertices[np.unique(roads.faces)], _CELL_M, margin=_MARGIN_M)
    graph = _contract(*skeleton(roads, raster), raster)
    _prune(graph)
    return StreetNetwork(graph)


def _neighbours(cells: np.ndarray) -> np.ndarray:
    """(c, 8) int32 numbers of the neighbours of sorted cells (c, 2), ascending, -1 for none."""
    width = int(cells[:, 1].max()) + 3
    key = (cells[:, 0].astype(np.int64) + 1) * width + cells[:, 1] + 1

    def number(step: int) -> np.ndarray:
        at = np.minimum(np.searchsorted(key, key + step), len(key) - 1)
        return np.where(key[at] == key + step, at, -1).astype(np.int32)

    straight = {(i, j): number(i * width + j) for i, j in ((-1, 0), (0, -1), (0, 1), (1, 0))}
    out = np.empty((len(cells), 8), dtype=np.int32)
    for slot, (i, j) in enumerate(((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))):
        if i and j:
            # A diagonal step beside a straight one would close a triangle at every corner.
            corner = (straight[i, 0] >= 0) | (straight[0, j] >= 0)
            out[:, slot] = np.where(corner, -1, number(i * width + j))
        else:
            out[:, slot] = straight[i, j]
    return out


def _contract(cells: np.ndarray, squares: np.ndarray, raster: Raster) -> nx.MultiGraph:
    """Chains of sorted cells (c, 2) become edges between junctions and dead ends. squares: (c,) of `skeleton`."""
    import networkx as nx

    graph = nx.MultiGraph()
    if not len(cells):
        return graph
    nodes, chains, ends = _chains(_neighbours(cells))
    number = dict(zip(nodes.tolist(), range(len(nodes)), strict=True))
    for index, xy in enumerate(raster.xy(cells[nodes])):
        graph.add_node(index, xy=xy)
    for chain in np.split(chains, ends[:-1]) if len(ends) else []:
        width = 2 * float(np.median(np.sqrt(squares[chain]) * raster.cell))
        start, end = number[int(chain[0])], number[int(chain[-1])]
        graph.add_edge(start, end, start=start, line=_smooth(raster.xy(cells[chain])), width=width)
    return graph


@compiled
def _chains(beside):
    """Nodes, and the chains of cells from node to node, one after the other, with where each ends.

    beside: (c, 8) neighbours of cells, -1 for none. A node has one neighbour or more than two; a ring without any gets
    one of its own, its first cell, where it starts and ends. A cell alone is nothing.
    """
    count = len(beside)
    degree = np.zeros(count, dtype=np.int8)
    for k in range(count):
        for slot in range(8):
            degree[k] += beside[k, slot] >= 0
    node = (degree != 2) & (degree != 0)
    # A node is in the chains of all its neighbours, any other cell in one; a ring begins and ends with the same.
    chains, size = np.empty(2 * count + 8 * np.sum(node) + 2, dtype=np.int32), 0
    nodes, ends = [0] * 0, [0] * 0
    done = np.zeros(beside.shape, dtype=np.bool_)
    seen = node.copy()
    for rings in range(2):
        for first in range(count):
            if rings and (seen[first] or degree[first] == 0):
                continue
            if not rings and not node[first]:
                continue
            node[first] = True
            nodes.append(first)
            for slot in range(8):
                if beside[first, slot] < 0 or done[first, slot]:
                    continue
                before, here = first, beside[first, slot]
                done[first, slot] = True
                chains[size], chains[size + 1] = first, here
                size += 2
                while not node[here]:
                    seen[here] = True
                    onward = -1
                    for other in range(8):
                        if beside[here, other] >= 0 and beside[here, other] != before:
                            onward = beside[here, other]
                            break
                    before, here = here, onward
                    chains[size] = here
                    size += 1
                for other in range(8):
                    if beside[here, other] == before:
                        done[here, other] = True
                ends.append(size)
    return np.array(nodes), chains[:size], np.array(ends)


def _smooth(line: np.ndarray) -> np.ndarray:
    """Remove the staircase of pixels and resample; end points stay."""
    if len(line) > 5:
        from scipy.ndimage import uniform_filter1d

        ends = line[[0, -1]]
        line = uniform_filter1d(line, size=min(15, len(line) // 2), axis=0, mode="nearest")
        line = np.concatenate([ends[:1], line[1:-1], ends[1:]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, length[-1], max(int(length[-1] / _STEP_M), 1) + 1)
    return np.column_stack([np.interp(at, length, line[:, axis]) for axis in (0, 1)])


def _prune(graph: nx.MultiGraph) -> None:
    """Drop short spurs, then islands that are not part of the largest network."""
    import networkx as nx

    for node in [n for n, degree in graph.degree() if degree == 1]:
        edge = next(iter(graph.edges(node, keys=True, data=True)), None)
        if edge is not None and len(edge[3]["line"]) * _STEP_M < _SPUR_M:
            graph.remove_node(node)
    if graph.number_of_nodes():
        largest = max(nx.connected_components(graph), key=lambda part: (len(part), -min(part)))
        graph.remove_nodes_from([node for node in graph if node not in largest])
