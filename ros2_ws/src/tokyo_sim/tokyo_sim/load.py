"""How many robots a machine carries, so that 400 are refused before they are started.

Measured by CPU time and proportional memory of all processes of `tokyo up`, in the sample city with 30 actors on an AMD
EPYC, images rendered by the processor. Simulated time waits for its processors: too few make it slow and nothing else.
But who watches does not wait, nor do DDS's leases. So the limit is where a simulated second takes ten, or memory ends.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from tokyo_sim.bringup import Arguments

SLOWEST = 0.1
"""Simulated seconds per second that a machine has to manage."""
MOST_OF_A_KIND = 100
"""Robots of one kind that the simulator's parameters allow."""
RIGS = ((1600, 900, 10.0), (1600, 900, 2.0), (800, 450, 2.0), (480, 270, 2.0))
"""Images from the full rig to the lightest: width, height, and how many a second. Frames need two a second."""
_SHARE = 0.5  # of the free cores: the page, RViz and the middleware want some, too
_FULL_PIXELS = 6 * 1600 * 900
_FULL_RATE_HZ = 10.0


@dataclass(frozen=True)
class Cost:
    """cores: processor seconds per simulated second. memory: MB."""

    cores: float
    memory: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cores + other.cores, self.memory + other.memory)

    def __mul__(self, times: float) -> Cost:
        return Cost(self.cores * times, self.memory * times)


NOBODY = Cost(0.2, 650)
"""Simulator, traffic and missions without a robot."""
ROBOT = Cost(0.25, 5)
"""Physics, LiDAR, IMU, odometry and mission of one."""
CAMERAS = Cost(2.6, 40)
"""Six images of 1600 x 900, ten times a second, of one robot."""
RENDERER = Cost(0.0, 270)
"""What renders them, once."""
RECORDER = Cost(0.0, 300)
"""The node that records, once."""
RECORDING = Cost(0.25, 70)
"""One robot's sessions."""
FORECAST = Cost(0.25, 50)
"""One robot's forecast and markers."""
FORECASTER = Cost(0.0, 850)
"""The model and its markers, once."""


@dataclass(frozen=True)
class Machine:
    """cores: that this process may use. memory: MB that are free or can be made free."""

    cores: int
    memory: float

    @classmethod
    def this(cls) -> Machine:
        """The one that this runs on."""
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return cls(len(os.sched_getaffinity(0)), int(lines["MemAvailable"].split()[0]) / 1024)


def cost(args: Arguments) -> Cost:
    """What a bring-up takes at real time."""
    return _fixed(args) + _each(args) * len(args.robots)


def _fixed(args: Arguments) -> Cost:
    found = NOBODY + RENDERER if args.camera_rate > 0 else NOBODY
    found += RECORDER if args.record else Cost(0, 0)
    return found + FORECASTER if args.predict else found


def _each(args: Arguments) -> Cost:
    images = args.camera_rate / _FULL_RATE_HZ * 6 * args.image_width * args.image_height / _FULL_PIXELS
    found = ROBOT + CAMERAS * images
    if args.record:
        found += RECORDING
    return found + FORECAST if args.predict else found


def free_cores() -> float:
    """What the last minute's load leaves of this machine, a quarter of it at least."""
    cores = len(os.sched_getaffinity(0))
    return max(cores - os.getloadavg()[0], cores / 4)


def suited(args: Arguments, cores: float) -> Arguments:
    """With images that so many free cores carry at real time. What the user has said of images stays.

    Only live, in the embedded engine: in lock step nothing is lost however slow it is, and Gazebo has its own renderer.
    """
    given = (args.image_width, args.image_height, args.camera_rate) != RIGS[0]
    if given or args.lockstep or args.simulator != "embedded" or not args.robots:
        return args
    for width, height, rate in RIGS:
        lighter = replace(args, image_width=width, image_height=height, camera_rate=rate)
        if cost(lighter).cores <= _SHARE * cores:
            break
    return lighter


def capacity(args: Arguments, machine: Machine) -> int:
    """Robots of this bring-up that a machine carries."""
    fixed, each = _fixed(args), _each(args)
    by_cores = (machine.cores / SLOWEST - fixed.cores) / each.cores
    by_memory = (machine.memory - fixed.memory) / each.memory
    return max(0, int(min(by_cores, by_memory)))


def refuse_too_many(args: Arguments, machine: Machine | None = None) -> None:
    """ValueError that says how many robots this machine carries, unless `args.force`."""
    if max(args.drones, args.rovers) > MOST_OF_A_KIND:
        asked = f"{args.drones} drones and {args.rovers} rovers"
        raise ValueError(f"{asked}: at most {MOST_OF_A_KIND} of each can be simulated")
    machine = machine or Machine.this()
    most = capacity(args, machine)
    if args.force or len(args.robots) <= max(most, 2):
        return
    wanted = cost(args)
    raise ValueError(
        f"{len(args.robots)} robots would take {wanted.cores:.0f} cores to keep real time and "
        f"{wanted.memory / 1000:.1f} GB; with {machine.cores} cores and {machine.memory / 1000:.1f} GB free this "
        f"machine carries {most}: fewer robots, --camera-rate 0, smaller images, or --force (force:=true)"
    )
