"""Traffic: a step of 0.1 s beside the step of the physics that it goes with, and what the lane graph costs once."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from bench.pairs import Row, paired, table
from tokyo_sim.engine.simulator import Fleet, Simulator
from tokyo_sim.traffic.lane_graph import LaneGraph
from tokyo_sim.traffic.lanes import street_network
from tokyo_sim.traffic.stored import lane_graph
from tokyo_sim.traffic.traffic import Traffic
from tokyo_sim.traffic.walkways import Walkways

_STEP_S = 0.1


def step(simulator: Simulator, actors: int) -> Row:
    """Every actor moved and reported, beside physics of one drone and one rover for the same time."""
    city = simulator.city
    traffic = Traffic(city, LaneGraph.of(city, street_network(city)), actors, np.random.default_rng(1))
    robots = np.array([simulator.motion(number).pose.position for number in (0, 1)])

    def move() -> None:
        traffic.step(_STEP_S, robots)
        traffic.actors()

    for _ in range(100):
        move()
    return Row(f"0.1 s of {actors} actors", *paired(move, lambda: simulator.step(_STEP_S), 100), "physics, two robots")


def moving_alone(simulator: Simulator, actors: int) -> str:
    """Milliseconds of the step without the report of poses, sizes and velocities."""
    city = simulator.city
    traffic = Traffic(city, LaneGraph.of(city, street_network(city)), actors, np.random.default_rng(1))
    times = []
    for _ in range(300):
        began = time.perf_counter()
        traffic.step(_STEP_S, np.zeros((0, 2)))
        times.append(time.perf_counter() - began)
    return f"| {actors} | {1e3 * float(np.median(times[100:])):.2f} |"


def run(udx: Path, city: Path) -> str:
    """The tables. udx: the sample city's CityGML; city: the same imported."""
    simulator = Simulator(city, Fleet(1, 1, 0, cameras=False), seed=1)
    rows = [step(simulator, actors) for actors in (30, 100, 300)]
    streets = street_network(simulator.city)
    began = time.perf_counter()
    graph = LaneGraph.of(simulator.city, streets)
    laid = time.perf_counter()
    ways = Walkways.of(graph)
    walked = time.perf_counter()
    lane_graph(city, simulator.city)
    read = time.perf_counter()
    once = (
        f"{len(graph.lanes)} lanes and {len(graph.movements)} movements are laid in {laid - began:.1f} s, "
        f"read back in {read - walked:.2f} s; {len(ways.ways)} walkways in {walked - laid:.1f} s."
    )
    alone = "\n".join(moving_alone(simulator, actors) for actors in (30, 100, 300))
    return f"{table(rows)}\n\n| actors | step alone, ms |\n|---|---|\n{alone}\n\n{once}"
