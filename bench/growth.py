"""How costs grow with robots, with actors and with the size of a city: curves, and the exponent of each.

`python -m bench.growth --squares ../shared/data/plateau/osaka/train/udx --out docs/pictures/growth.png` draws them. CPU
seconds of this process with all of its threads, medians. Cities: the sample city in sizes, and squares of a real one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tqdm import tqdm

from bench.forecasting import pasts
from bench.live import checkpoint_in
from occ_core.session import Session
from occworld.forecaster import Forecaster
from tokyo_city.plateau.sources import Region
from tokyo_city.sample_city import write_sample_city
from tokyo_city.world.city import Options, import_city
from tokyo_occworld.collecting import Collection, collect
from tokyo_sim.engine.simulator import Fleet, Simulator

ROBOTS, ACTORS = (1, 2, 4, 8, 16), (10, 30, 100, 300)
KM2 = (0.3, 1.0, 4.0)
"""Of sample cities, which are no larger."""
SQUARES = (1, 3, 10)
_TICK_S = 0.1  # of a LiDAR's revolution
_UNDER_WAY_S = 2.0  # before anything is timed


@dataclass(frozen=True)
class Curve:
    """cost: CPU seconds at each of `sizes`. of: what they count, such as robots."""

    what: str
    of: str
    sizes: tuple[float, ...]
    cost: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """Of the power law through all points, by least squares of logarithms: 1 where twice as much costs twice."""
        return float(np.polyfit(np.log(self.sizes), np.log(self.cost), 1)[0])

    @property
    def steepest(self) -> float:
        """The exponent between the last two points, where what does not grow is least of the cost."""
        (size, other), (cost, last) = self.sizes[-2:], self.cost[-2:]
        return float(np.log(last / cost) / np.log(other / size))


def spent(work: Callable[[], object], repeats: int) -> float:
    """Median CPU seconds of some work, after once without measuring."""
    work()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return float(np.median(times))


@dataclass(frozen=True)
class Ticks:
    """Of a simulator without cameras, CPU seconds of 0.1 s: a sweep of every robot, traffic, physics with IMUs."""

    sweeps: float
    traffic: float
    physics: float

    @classmethod
    def of(cls, city: Path, drones: int, rovers: int, actors: int) -> Ticks:
        """Robots that drive on at 3 m/s."""
        simulator = Simulator(city, Fleet(drones, rovers, actors, cameras=False), seed=1)
        robots = range(len(simulator.robots))
        for number in robots:
            simulator.command(number, np.array([3.0, 0, 0]), np.zeros(3))

        def physics() -> None:
            for _ in range(10):
                simulator.step(_TICK_S / 10)
                for number in robots:
                    simulator.imu(number)

        for _ in range(round(_UNDER_WAY_S / _TICK_S)):
            physics(), simulator.step_traffic(_TICK_S)
        return cls(
            spent(lambda: [simulator.sweep(number) for number in robots], 7),
            spent(lambda: simulator.step_traffic(_TICK_S), 15),
            spent(physics, 15),
        )


def by_robots(city: Path, sizes: Sequence[int]) -> list[Curve]:
    """Half of them drones, 30 actors; and a forecast for each of them, from drives in the same city."""
    ticks = [Ticks.of(city, size - size // 2, size // 2, 30) for size in tqdm(sizes, desc="robots", leave=False)]
    with tempfile.TemporaryDirectory() as folder:
        forecaster = Forecaster.load(checkpoint_in(Path(folder))[0])
        drives = collect(city, Path(folder) / "drives", Collection(sessions=2, frames=8, seed=3))
        starts = [pasts(Session.open(drive.folder), forecaster.history)[-1] for drive in drives]
        forecasts = []
        for size in tqdm(sizes, desc="forecasts", leave=False):
            waiting = [starts[number % len(starts)] for number in range(size)]
            forecasts.append(spent(lambda waiting=waiting: list(forecaster.batch(waiting)), 3))
    return [
        Curve("sweeps of all", "robots", tuple(sizes), tuple(tick.sweeps for tick in ticks)),
        Curve("0.1 s of physics, IMUs", "robots", tuple(sizes), tuple(tick.physics for tick in ticks)),
        Curve("forecasts of all", "robots", tuple(sizes), tuple(forecasts)),
    ]


def by_actors(city: Path, sizes: Sequence[int]) -> list[Curve]:
    """Beside a drone and a rover."""
    ticks = [Ticks.of(city, 1, 1, size) for size in tqdm(sizes, desc="actors", leave=False)]
    return [
        Curve("sweeps of both robots", "actors", tuple(sizes), tuple(tick.sweeps for tick in ticks)),
        Curve("0.1 s of traffic", "actors", tuple(sizes), tuple(tick.traffic for tick in ticks)),
    ]


def by_area(cities: dict[float, Path], of: str) -> list[Curve]:
    """A drone, a rover and 30 actors. cities: imported, by their sizes. of: what those are."""
    sizes, ticks, starts = tuple(cities), [], []
    for city in tqdm(cities.values(), desc="areas", leave=False):
        ticks.append(Ticks.of(city, 1, 1, 30))  # lays lanes and walkways, where nobody has
        began = time.process_time()
        Simulator(city, Fleet(1, 1, 30, cameras=False), seed=1)
        starts.append(time.process_time() - began)
    return [
        Curve("start of the simulator", of, sizes, tuple(starts)),
        Curve("sweeps of both robots", of, sizes, tuple(tick.sweeps for tick in ticks)),
        Curve("0.1 s of traffic", of, sizes, tuple(tick.traffic for tick in ticks)),
        Curve("0.1 s of physics, IMUs", of, sizes, tuple(tick.physics for tick in ticks)),
    ]


def table(curves: Sequence[Curve]) -> str:
    """Markdown: a row for each curve."""
    lines = ["| what | grows with | CPU ms | exponent | between the last two |", "|---|---|---|---|---|"]
    for curve in curves:
        costs = ", ".join(f"{size:g}: {1e3 * cost:.3g}" for size, cost in zip(curve.sizes, curve.cost, strict=True))
        lines.append(f"| {curve.what} | {curve.of} | {costs} | {curve.exponent:.2f} | {curve.steepest:.2f} |")
    return "\n".join(lines)


def picture(curves: Sequence[Curve], path: Path) -> None:
    """A PNG: a pane for each of robots, actors and km2, both axes logarithmic; dotted: in proportion."""
    kinds = list(dict.fromkeys(curve.of for curve in curves))
    figure = Figure(figsize=(4 * len(kinds), 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, kind in zip(figure.subplots(1, len(kinds)), kinds, strict=True):
        for number, curve in enumerate(curve for curve in curves if curve.of == kind):
            cost = 1e3 * np.array(curve.cost)
            label = f"{curve.what}: {curve.exponent:.2f}"
            axis.loglog(curve.sizes, cost, color=f"C{number}", marker=".", label=label)
            axis.loglog(curve.sizes, cost[0] * np.array(curve.sizes) / curve.sizes[0], ":", color=f"C{number}", lw=0.8)
        sizes = next(curve.sizes for curve in curves if curve.of == kind)
        axis.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axis.minorticks_off()
        axis.set(xlabel=kind.replace("km2", "km²"), ylabel="CPU ms")
        axis.grid(alpha=0.3, which="both")
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=100)


def sample_cities(folder: Path) -> dict[float, Path]:
    """By km2; those that are in the folder already are taken as they are."""
    cities = {}
    for km2 in KM2:
        cities[km2] = folder / f"sample_{km2:g}"
        if not cities[km2].is_dir():
            udx = write_sample_city(folder / f"citygml_{km2:g}", seed=7, size_m=1e3 * km2**0.5)
            import_city(udx, cities[km2])
    return cities


def real_cities(udx: Path, folder: Path) -> dict[float, Path]:
    """By how many of its grid squares, of 1 km2 each, in the order of their codes."""
    codes, cities = sorted({path.name[:8] for path in (udx / "bldg").glob("*.gml")}), {}
    for count in SQUARES:
        cities[float(count)] = folder / f"squares_{count}"
        if not cities[count].is_dir():
            import_city(udx, cities[count], Options(region=Region.of(None, tuple(codes[:count]))))
    return cities


def run(udx: Path, city: Path) -> str:
    """The table. udx: the sample city's CityGML; city: the same imported."""
    with tempfile.TemporaryDirectory() as folder:
        areas = by_area(sample_cities(Path(folder)), "km2")
    return table([*by_robots(city, ROBOTS), *by_actors(city, ACTORS), *areas])


def main() -> None:
    """Print the table and draw the curves."""
    parser = argparse.ArgumentParser(prog="bench.growth", description=__doc__)
    parser.add_argument("--squares", type=Path, metavar="UDX", help="PLATEAU folder of a city, ten squares or more")
    parser.add_argument("--cities", type=Path, default=Path("out/growth"), help="where they are kept: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("out/growth.png"), help="picture (default: %(default)s)")
    args = parser.parse_args()
    cities = sample_cities(args.cities)
    curves = [*by_robots(cities[KM2[0]], ROBOTS), *by_actors(cities[KM2[0]], ACTORS), *by_area(cities, "km2")]
    if args.squares:
        curves += by_area(real_cities(args.squares, args.cities), "real squares")
    picture(curves, args.out)
    print(table(curves))


if __name__ == "__main__":
    main()
