"""What can be wrong with a command's options, found in a moment: before anything is loaded, built or started."""

from __future__ import annotations

import argparse
from pathlib import Path

from occ_core.command_line import UsageError
from occ_core.output_folders import check_addable, check_file, check_replaceable
from occworld.preflight import check_checkpoint
from tokyo_city.world import CITY
from tokyo_occworld.compare import COMPARISON
from tokyo_occworld.demo import DEMO
from tokyo_sim.bringup import SHIPPED, Arguments, world_file
from tokyo_sim.preflight import check_bringup, check_port

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


def check_up(args: Arguments, city_comes: bool = False) -> None:
    """Of `tokyo up`. city_comes: it need not be there yet."""
    if args.predict and args.predict != SHIPPED:
        check_checkpoint(Path(args.predict))
    check_bringup(args, city_comes)


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
