"""What can be wrong with a bring-up, found before anything is started: for `tokyo up` and `ros2 launch`."""

from __future__ import annotations

import math
from pathlib import Path

from occ_core.command_line import UsageError
from occ_core.grid import named_grid
from occ_core.output_folders import SESSIONS, check_addable, check_new
from occ_core.ports import free_port
from tokyo_sim.bringup import SHIPPED, Arguments, world_file
from tokyo_sim.load import refuse_too_many


def check_port(port: int) -> None:
    """UsageError for a port of 127.0.0.1 that is none, or that somebody has; 0 is any that is free."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: 1024 to 65535, or 0 for any that is free")
    try:
        free_port(port)
    except OSError as error:
        raise UsageError(f"--port {port} can't be had ({error.strerror}): name another, or 0 for any") from error


def check_bringup(args: Arguments, city_comes: bool = False) -> None:
    """UsageError, OSError or ValueError in a sentence. city_comes: the city need not be there yet."""
    if not (math.isfinite(args.duration) and args.duration >= 0):
        raise UsageError(f"--duration {args.duration:g}: seconds, 0 for ever")
    refuse_too_many(args)
    named_grid(args.grid)
    for option, wanted in (("--record", args.record), ("--predict", args.predict), ("--view", args.view)):
        if wanted and not args.robots:
            raise UsageError(f"{option} needs a robot, and --drones and --rovers are 0")
    check_places(args.places, args.robots)
    if args.predict and args.predict != SHIPPED and not Path(args.predict).exists():
        raise FileNotFoundError(f"no checkpoint {args.predict}")
    if args.view:
        check_port(args.port)
    if args.bag:
        check_new(Path(args.bag), "a bag")
    if args.record:
        check_addable(Path(args.output), SESSIONS)
    if not city_comes:
        world_file(args.city)


def check_places(text: str, robots: list[str]) -> None:
    """UsageError for an entry of `--places` that is none or lacks its yaw, and for a robot that there is not."""
    if not text:
        return
    from tokyo_sim.engine.start_poses import check_names, parse_start_poses

    try:
        check_names(parse_start_poses(text), robots)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if short := [entry for entry in text.split() if entry.count(",") < 2]:
        raise UsageError(f"--places {short[0]}: the yaw is missing; NAME:X,Y,YAW is wanted, metres and radians in map")
