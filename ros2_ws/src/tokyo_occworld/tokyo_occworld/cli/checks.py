"""What can be wrong with a command's options, found in a moment: before anything is loaded, built or started."""

from __future__ import annotations

import argparse
import math
import socket
from pathlib import Path

from occ_core.command_line import UsageError
from occ_core.output_folders import SESSIONS, check_addable, check_file, check_new, check_replaceable
from occworld.preflight import check_checkpoint
from tokyo_city.world import CITY
from tokyo_occworld.compare import COMPARISON
from tokyo_occworld.demo import DEMO
from tokyo_sim.bringup import SHIPPED, Arguments, world_file
from tokyo_sim.load import refuse_too_many

RRD = b"RRF"  # and a number of its version
PNG = b"\x89PNG\r\n\x1a\n"


def check_input(path: Path, what: str) -> None:
    """FileNotFoundError where there is nothing to read."""
    if not Path(path).exists():
        raise FileNotFoundError(f"no {what.removeprefix('a ')} {path}")


def check_city(folder: str | Path) -> None:
    """FileNotFoundError for a folder, where one is named, that holds no imported city."""
    if folder:
        world_file(str(folder))


def check_port(port: int) -> None:
    """UsageError for a port of 127.0.0.1 that is none, or that somebody has; 0 is any that is free."""
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port}: 1024 to 65535, or 0 for any that is free")
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(f"--port {port} can't be had ({error.strerror}): name another, or 0 for any") from error


def check_city_options(args: argparse.Namespace) -> None:
    """Of `tokyo city`."""
    if args.source is None and (args.mesh or args.bbox):
        option = "--mesh" if args.mesh else "--bbox"
        raise UsageError(f"{option} goes with a path of PLATEAU files; without a path the sample city is made, whole")
    if args.source is not None:
        check_input(args.source, "a file or folder")
    for name, least in (("workers", 1), ("target_faces", 12)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise UsageError(f"--{name.replace('_', '-')} {value}: at least {least} is needed")
    check_replaceable(args.out, CITY)


def check_bringup(args: Arguments, duration: float, city_comes: bool = False) -> None:
    """Of `tokyo up`. city_comes: it need not be there yet."""
    if not (math.isfinite(duration) and duration >= 0):
        raise UsageError(f"--duration {duration:g}: seconds, 0 for ever")
    refuse_too_many(args)
    for option, wanted in (("--record", args.record), ("--predict", args.predict), ("--view", args.view)):
        if wanted and not args.robots:
            raise UsageError(f"{option} needs a robot, and --drones and --rovers are 0")
    check_places(args.places, args.robots)
    if args.predict and args.predict != SHIPPED:
        check_checkpoint(Path(args.predict))
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


def check_comparison(args: argparse.Namespace) -> None:
    """Of `tokyo compare`."""
    if not (args.session / "session.json").is_file():
        raise FileNotFoundError(f"no session in {args.session}: session.json is missing")
    check_city(args.city)
    if args.frames < 1:
        raise UsageError(f"--frames is {args.frames}, at least one is needed")
    check_replaceable(args.out, COMPARISON)


def check_demo(args: argparse.Namespace) -> None:
    """Of `tokyo demo`."""
    if args.city_source is not None:
        check_input(args.city_source, "a file or folder")
    check_addable(args.out, DEMO)


def check_export(args: argparse.Namespace) -> None:
    """Of `tokyo export`."""
    for path in args.session:
        check_input(path, "a session")
    if args.frames is not None and args.frames < 1:
        raise UsageError(f"--frames is {args.frames}, at least one is needed")
    if args.checkpoint is not None:
        check_checkpoint(args.checkpoint)
    check_file(args.rerun, RRD, "a file of rerun's")


def check_view(args: argparse.Namespace) -> None:
    """Of `tokyo view`."""
    check_port(args.port)
    for path in args.recording:
        check_input(path, "a recording")
    if args.checkpoint is not None:
        check_checkpoint(args.checkpoint)
    if args.screenshot is not None:
        check_file(args.screenshot, PNG, "a PNG")
    if args.city:
        check_input(Path(args.city), "a city")
