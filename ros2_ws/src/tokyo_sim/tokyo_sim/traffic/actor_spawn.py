"""Where traffic starts: on lanes and walkways, apart from each other."""

from __future__ import annotations

import numpy as np

from tokyo_sim.traffic.actor_types import LARGEST, SMALLEST, VEHICLES, WALKER, ActorType
from tokyo_sim.traffic.shapes import along
from tokyo_sim.traffic.tables import Roads, Ways
from tokyo_sim.traffic.vehicles import Vehicles, choose_exit, pose_at
from tokyo_sim.traffic.walking import Walkers

_TRIES = 40
_APART_M, _WALKERS_APART_M, _FROM_ROBOTS_M = 4.0, 1.2, 8.0
_DENSEST = 0.14  # vehicles stand on so much of the length of their lanes at most, or junctions would choke


def kinds_of(actors: int, roads: Roads, rng: np.random.Generator) -> list[int]:
    """What the vehicles among so many actors are, as indices into VEHICLES; only what fits on some lane."""
    shares = np.array([kind.share for kind in VEHICLES] + [WALKER.share])
    drawn = rng.choice(len(shares), size=actors, p=shares / shares.sum())
    usable = int(np.bitwise_or.reduce(roads.kinds[: roads.lanes], initial=0))
    return [int(kind) for kind in drawn if kind < len(VEHICLES) and usable >> int(kind) & 1]


def place_vehicles(
    roads: Roads, kinds: list[int], clear: np.ndarray, rng: np.random.Generator
) -> tuple[Vehicles, list[int]]:
    """Vehicles on random lanes, and their kinds; those that find no room are left out. clear: (n, 2) metres in map."""
    taken: dict[int, list[tuple[float, float]]] = {}
    rows, placed = [], []
    for kind in kinds:
        length, width = rng.uniform(SMALLEST, LARGEST) * np.array(VEHICLES[kind].size[:2])
        lanes = np.flatnonzero(roads.kinds[: roads.lanes] >> kind & 1)
        weight = roads.length[lanes] / roads.length[lanes].sum()
        standing = sum(other for lane in lanes for _, other in taken.get(int(lane), []))
        if standing + length > max(_DENSEST * roads.length[lanes].sum(), length):
            continue
        for _ in range(_TRIES):
            lane = int(lanes[rng.choice(len(lanes), p=weight)])
            at = float(rng.uniform(length / 2 + 0.5, roads.length[lane] - length / 2 - 0.5))
            others = taken.setdefault(lane, [])
            apart = all(abs(at - there) > (length + other) / 2 + _APART_M for there, other in others)
            pose = np.array(pose_at(roads, -1, lane, -1, at, length))
            if apart and (np.linalg.norm(clear - pose[:2], axis=1) > _FROM_ROBOTS_M).all():
                others.append((at, length))
                after = choose_exit(roads, lane, kind, rng.random())
                cruise = VEHICLES[kind].speed * rng.uniform(0.8, 1.15)
                rows.append((lane, after, at, length, width, cruise, kind, *pose))
                placed.append(kind)
                break
    table = np.array(rows, dtype=np.float64).reshape(-1, 10)
    whole = table[:, [0, 1, 6]].astype(np.int64)
    n = len(table)
    vehicles = Vehicles(
        segment=whole[:, 0].copy(),
        before=np.full(n, -1),
        after=whole[:, 1].copy(),
        at=table[:, 2].copy(),
        speed=0.5 * table[:, 5],
        reserved=np.full(n, -1),
        waited=np.zeros(n),
        blocked=np.zeros(n, dtype=bool),
        length=table[:, 3].copy(),
        width=table[:, 4].copy(),
        cruise=table[:, 5].copy(),
        kind=whole[:, 2].copy(),
        pose=table[:, 7:].copy(),
    )
    return vehicles, placed


def place_walkers(ways: Ways, count: int, clear: np.ndarray, rng: np.random.Generator) -> Walkers:
    """Walkers along random walkways, not on crossings. ValueError where there is no room for so many."""
    beside = np.flatnonzero(ways.link < 0)
    if count and not len(beside):
        raise ValueError(f"{count} walkers find no street that is long enough to walk along: use fewer actors")
    way, at, pose = np.zeros(count, np.int64), np.zeros(count), np.zeros((count, 3))
    for number in range(count):
        for _ in range(10 * _TRIES):
            way[number] = rng.choice(beside, p=ways.length[beside] / ways.length[beside].sum())
            at[number] = rng.uniform(0, ways.hold[way[number]])
            here = along(ways.points, ways.first, ways.length, way[number], at[number])
            ahead = along(ways.points, ways.first, ways.length, way[number], at[number] + 0.5)
            pose[number] = *here, np.arctan2(ahead[1] - here[1], ahead[0] - here[0])
            if (np.linalg.norm(pose[:number, :2] - here, axis=1) > _WALKERS_APART_M).all() and (
                np.linalg.norm(clear - here, axis=1) > _WALKERS_APART_M
            ).all():
                break
        else:
            raise ValueError(f"there is no room for {count} walkers beside the streets: use fewer actors")
    return Walkers(
        way=way,
        at=at,
        next_way=np.full(count, -1),
        waited=np.zeros(count),
        cruise=WALKER.speed * rng.uniform(0.7, 1.2, count),
        pose=pose,
        velocity=np.zeros((count, 2)),
    )


def sizes_of(kinds: list[ActorType], rng: np.random.Generator, vehicles: Vehicles) -> np.ndarray:
    """(n, 3) length, width, height of vehicles as they were placed, and of the walkers after them."""
    scale = rng.uniform(SMALLEST, LARGEST, len(kinds))
    sizes = scale[:, None] * np.array([kind.size for kind in kinds]).reshape(-1, 3)
    sizes[: len(vehicles.length), 0], sizes[: len(vehicles.length), 1] = vehicles.length, vehicles.width
    return sizes
