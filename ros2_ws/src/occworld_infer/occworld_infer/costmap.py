"""A forecast as maps for planners: the heights that a robot takes up, seen from above, on a lattice of map. No ROS.

Follows: nav_msgs/OccupancyGrid (rows along y, cells from 0 to 100, -1 unknown) and REP 105. The lattice never turns and
its cells stay where they are, since Nav2's static layer takes no turned origin and warns of one between two cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.classes import NAMES
from occ_core.frame import Frame
from occ_core.grid import VoxelGrid
from occ_core.loops import compiled
from occworld import motion as motions
from occworld.forecaster import Forecast
from occworld.scene import ForecastFrame

UNKNOWN = -1.0
"""In place of a probability: nothing was seen there."""
_TOUCH_M = 1e-6  # a band that ends where a level begins does not touch it


@dataclass(frozen=True)
class Body:
    """What of the world can touch a robot.

    min_height, max_height: metres above the ground, of a robot that drives; one that is higher than max_height flies,
    and takes up as much about its own altitude. radius: metres. passable: names of classes that a robot drives over;
    to one that flies everything is in the way.
    """

    min_height: float
    max_height: float
    radius: float
    passable: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.min_height < self.max_height:
            raise ValueError(f"min_height {self.min_height:g} m is not below max_height {self.max_height:g} m")
        if unknown := sorted(set(self.passable) - set(NAMES[1:])):
            raise ValueError(f"parameter 'passable': no class {', '.join(unknown)}; there are {', '.join(NAMES[1:])}")

    def band(self, altitude: float) -> Band:
        """The heights of the robot whose base_link is so high above its footprint, metres."""
        if altitude <= self.max_height:
            return Band(self.min_height, self.max_height, False, np.isin(NAMES, self.passable))
        half = (self.max_height - self.min_height) / 2
        return Band(altitude - half, altitude + half, True, np.zeros(len(NAMES), bool))


@dataclass(frozen=True)
class Band:
    """low, high: metres above the footprint of now. flies: it stays at this height, whatever the ground does.

    passable: (classes,) bool, which are not in the way.
    """

    low: float
    high: float
    flies: bool
    passable: np.ndarray

    def levels(self, grid: VoxelGrid, ground: float = 0.0) -> slice:
        """Levels of a grid that the band touches. ground: of that grid's footprint above the one of now, metres.

        Of a footprint that the robot drives to, the band is above the ground there.
        """
        down = grid.lower[2] + (ground if self.flies else 0.0)
        first = int(np.floor((self.low - down + _TOUCH_M) / grid.voxel[2]))
        last = int(np.ceil((self.high - down - _TOUCH_M) / grid.voxel[2]))
        return slice(min(max(first, 0), grid.shape[2]), min(max(last, 0), grid.shape[2]))


@dataclass(frozen=True)
class Sight:
    """What a frame says of a robot's heights. footprint: (4,) x y z yaw in map. seen, blocked: bool (X, Y) columns
    that LiDAR has seen into, and that something is in."""

    stamp: float
    footprint: np.ndarray
    band: Band
    seen: np.ndarray
    blocked: np.ndarray

    @classmethod
    def of(cls, grid: VoxelGrid, frame: Frame, body: Body) -> Sight:
        """Of a frame, whose dense grids are not kept."""
        footprint = motions.from_pose(frame.state.footprint)
        band = body.band(float(frame.state.base_link.position[2] - footprint[2]))
        levels = band.levels(grid)
        classes = frame.occupancy.classes[:, :, levels]
        blocked = ((classes > 0) & ~band.passable[classes]).any(axis=2)
        return cls(frame.state.stamp, footprint, band, frame.occupancy.observed[:, :, levels].any(axis=2), blocked)


@dataclass(frozen=True)
class Lattice:
    """lower: (2,) metres in map, the lower corner of the first cell. cell: metres. size: cells along x, and along y."""

    lower: np.ndarray
    cell: float
    size: int

    @classmethod
    def around(cls, grid: VoxelGrid, x: float, y: float) -> Lattice:
        """About a robot: all that its grid reaches, however it is turned. Cells are whole multiples of their size."""
        cell = min(grid.voxel[:2])
        reach = np.hypot(*np.maximum(np.abs(grid.lower[:2]), np.abs(grid.upper[:2])))
        half = int(np.ceil(reach / cell))
        middle = np.floor(np.array([x, y]) / cell)
        return cls((middle - half) * cell, cell, 2 * half + 1)

    def cells(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows and columns (n,) int64 of points (n, 2) in map, and (n,) bool, which of them lie in the lattice."""
        place = np.floor((points - self.lower) / self.cell).astype(np.int64)
        inside = ((place >= 0) & (place < self.size)).all(axis=1)
        place = np.where(inside[:, None], place, 0)
        return place[:, 1], place[:, 0], inside


@dataclass(frozen=True)
class ForecastMaps:
    """A forecast made at `stamp`. height: of the robot's band in map, metres. now: float32 (rows, columns), 1 where
    something is, 0, or UNKNOWN. ahead: float32 (steps, rows, columns), probability that something is there, or UNKNOWN.
    """

    stamp: float
    horizons_s: tuple[float, ...]
    lattice: Lattice
    height: float
    now: np.ndarray
    ahead: np.ndarray

    @property
    def most_probable(self) -> np.ndarray:
        """float32 (rows, columns): the greatest over the horizons."""
        return self.ahead.max(axis=0)


def percent(probability: np.ndarray) -> np.ndarray:
    """int8 0 to 100, -1 where unknown, as nav_msgs/OccupancyGrid has them."""
    return np.where(probability < 0, -1, np.rint(100 * probability)).astype(np.int8)


def project(grid: VoxelGrid, sight: Sight, forecast: Forecast) -> ForecastMaps:
    """The maps of a forecast. sight: of the frame that it starts from.

    Unknown is what nobody has seen, unless the forecast names something there: what drives into an unseen place is in
    the way. Of a cell that several columns reach into, the greatest probability counts.
    """
    lattice, band = Lattice.around(grid, *sight.footprint[:2]), sight.band
    seen = lattice_values(lattice, grid, sight.seen.astype(np.float32), sight.footprint) > 0
    blocked = lattice_values(lattice, grid, sight.blocked.astype(np.float32), sight.footprint)
    ahead = np.empty((len(forecast.horizons_s), lattice.size, lattice.size), np.float32)
    for step, frame in enumerate(forecast.frames):
        x, y, yaw = forecast.path[step]
        rise = float(forecast.path_z[step])
        there = motions.compose(sight.footprint, np.array([x, y, rise, yaw]))
        anything, named = column_odds(frame, band.levels(grid, rise), band.passable)
        ahead[step] = np.where(seen, lattice_values(lattice, grid, anything, there), UNKNOWN)
        named = lattice_values(lattice, grid, named, there)
        np.maximum(ahead[step], named, out=ahead[step], where=named > 0)
    now = np.where(seen | (blocked > 0), np.maximum(blocked, 0), UNKNOWN)
    height = sight.footprint[2] + ((band.low + band.high) / 2 if band.flies else 0.0)
    return ForecastMaps(sight.stamp, forecast.horizons_s, lattice, float(height), now.astype(np.float32), ahead)


def column_odds(frame: ForecastFrame, levels: slice, passable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float32 (X, Y), two: the greatest probability in each column, and that of voxels which have a class.

    levels: of the band. passable: (classes,) bool, which count for nothing.
    """
    columns, level = np.divmod(frame.voxels, frame.shape[2])
    counts = (level >= levels.start) & (level < levels.stop) & ~passable[frame.labels]
    greatest = []
    for chosen in (counts, counts & (frame.labels > 0)):
        odds = np.zeros(frame.shape[:2], np.float32)
        np.maximum.at(odds.reshape(-1), columns[chosen], frame.odds[chosen].astype(np.float32))
        greatest.append(odds)
    return greatest[0], greatest[1]


def lattice_values(lattice: Lattice, grid: VoxelGrid, columns: np.ndarray, footprint: np.ndarray) -> np.ndarray:
    """Columns of a grid on a lattice: float32 (rows, columns), UNKNOWN outside of the grid.

    columns: float32 (X, Y). footprint: (4,) of the grid, x y z yaw in map. A cell has the greatest of the columns that
    reach into it: four points of each are looked up, closer together than any turned column is wide.
    """
    out = np.full((lattice.size, lattice.size), UNKNOWN, np.float32)
    _look_up(columns, np.asarray(footprint, float), np.array(grid.lower), np.array(grid.voxel), lattice.lower,
             lattice.cell, out)  # fmt: skip
    return out


@compiled
def _look_up(columns, footprint, lower, voxel, corner, cell, out):
    cosine, sine = np.cos(footprint[3]), np.sin(footprint[3])
    nx, ny = columns.shape
    for row in range(2 * out.shape[0]):
        north = corner[1] + (0.5 * row + 0.25) * cell - footprint[1]
        for column in range(2 * out.shape[1]):
            east = corner[0] + (0.5 * column + 0.25) * cell - footprint[0]
            i = int(np.floor((cosine * east + sine * north - lower[0]) / voxel[0]))
            j = int(np.floor((-sine * east + cosine * north - lower[1]) / voxel[1]))
            if 0 <= i < nx and 0 <= j < ny:
                out[row // 2, column // 2] = max(out[row // 2, column // 2], columns[i, j])
