"""`tokyo view`: a page that shows a live run, recorded sessions or a bag."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from occ_core.grid import GRID_HELP, named_grid
from tokyo_occworld.cli.option_checks import check_view

if TYPE_CHECKING:
    from occ_core.citymap import CityMap
    from occ_core.grid import VoxelGrid
    from occ_core.session import Session
    from occworld.forecaster import Forecaster


def add_view(verbs: Any) -> None:
    """The verb `view`."""
    parser = verbs.add_parser(
        "view",
        help="serve a page that shows a live run, a recorded session or a bag",
        description="Without a path: the robots that are running now, over ROS 2. With one, no ROS is needed: a"
        " recording is played, and with --checkpoint forecast from.",
    )
    parser.add_argument(
        "recording", nargs="*", type=Path, metavar="PATH",
        help="a session, or sessions of several robots of one drive, or a bag; left out: a live run",
    )  # fmt: skip
    parser.add_argument("--checkpoint", type=Path, help="forecast from every frame of the recording with this model")
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="where it runs (default: %(default)s)"
    )
    parser.add_argument("--robots", nargs="+", default=[], help="namespaces (default: rover_0; of a recording: all)")
    parser.add_argument(
        "--city", default="", help="folder of the imported city (default: of a session, the one it was recorded in)"
    )
    parser.add_argument("--grid", default="tokyo", help=f"of a bag or a live run; {GRID_HELP}")
    parser.add_argument("--port", type=int, default=8080, help="of the page on 127.0.0.1 (default: %(default)s)")
    parser.add_argument("--screenshot", type=Path, metavar="PNG", help="write a picture of the page, and stop")
    parser.add_argument("--at", type=float, default=5.0, help="of --screenshot: seconds of the recording")
    parser.add_argument(
        "--ahead", type=float, default=1.0, help="of --screenshot: seconds ahead (default: %(default)s)"
    )
    parser.add_argument(
        "--colours", default="forecast beside truth",
        choices=("class", "horizon", "forecast against truth", "forecast beside truth"),
        help="of --screenshot (default: %(default)s)",
    )  # fmt: skip
    parser.set_defaults(handler=view)


def view(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C. ValueError for what can't be shown."""
    check_view(args)
    if not args.recording:
        return _live(args)
    from occworld_infer.viewer.recorded import RecordedView

    with ExitStack() as stack:
        if all((path / "session.json").exists() for path in args.recording):
            snapshots, robots, city = _sessions(args)
        elif len(args.recording) == 1 and not _holds_sessions(args.recording[0]):
            snapshots, robots, city = _bag(args, stack)
        else:
            _refuse(args.recording)
        if missing := set(args.robots) - set(robots):
            raise ValueError(f"no robot '{missing.pop()}' in it; there are {', '.join(robots)}")
        shown = tuple(args.robots) or robots
        chosen = (snapshot for snapshot in snapshots if snapshot.robot in shown)
        recorded = stack.enter_context(RecordedView(chosen, shown, city, args.port))
        print(f"look at {recorded.page.url}", flush=True)
        if args.screenshot:
            from occworld_infer.viewer.controls import Colouring
            from occworld_infer.viewer.screenshot import take_picture

            take_picture(recorded, args.screenshot, args.at, args.ahead, Colouring(args.colours))
            print(f"{args.screenshot}: {args.screenshot.stat().st_size / 1000:.0f} kB")
        else:
            recorded.wait()
    return 0


def _live(args: argparse.Namespace) -> int:
    for name in ("checkpoint", "screenshot"):
        if getattr(args, name):
            raise ValueError(f"--{name} goes with a recording; a live run forecasts with `tokyo up --predict`")
    from tokyo_occworld.cli.processes import NodeProcesses
    from tokyo_sim.bringup import viewer_node

    city = str(Path(args.city).resolve()) if args.city else ""
    parameters = {"robots": args.robots or ["rover_0"], "port": args.port, "city": city}
    with NodeProcesses([viewer_node(parameters)]) as processes:
        return processes.wait()


def _sessions(args: argparse.Namespace) -> tuple[Any, tuple[str, ...], CityMap | None]:
    from occ_core.session import Session
    from occworld_infer.viewer.session_snapshots import session_snapshots

    sessions = [Session.open(path) for path in args.recording]
    for session in sessions:
        if not session.numbers:
            raise ValueError(f"{session.folder}: the session has no whole frame, there is nothing to show")
    robots = tuple(session.info.agent for session in sessions)
    if len(set(robots)) < len(robots):
        raise ValueError(f"sessions of {', '.join(robots)}: one session of each robot can be shown at a time")
    forecaster = _forecaster(args, sessions[0].info.grid)
    return session_snapshots(sessions, forecaster), robots, _city_of(args.city, sessions)


def _bag(args: argparse.Namespace, stack: ExitStack) -> tuple[Any, tuple[str, ...], CityMap | None]:
    try:
        from occ_recorder.bags.drive import Conversion
        from occworld_infer.viewer.bag_snapshots import BagSnapshots
    except ModuleNotFoundError as error:
        raise ValueError(f"bags need rosbags and mcap: pip install rosbags mcap ({error})") from error
    from occ_core.citymap import CityMap

    city = CityMap.load(Path(args.city)) if args.city else None
    conversion = Conversion(robots=tuple(args.robots), city=args.city, grid=named_grid(args.grid))
    bag = BagSnapshots(args.recording[0], conversion, city, _forecaster(args, conversion.grid))
    stack.enter_context(bag)
    for problem in bag.problems:
        print(f"  {problem}", file=sys.stderr)
    return bag, bag.robots, city


def _forecaster(args: argparse.Namespace, grid: VoxelGrid) -> Forecaster | None:
    if args.checkpoint is None:
        return None
    from occworld.checkpoint_file import CheckpointError
    from occworld.forecaster import Forecaster

    try:
        return Forecaster.load(args.checkpoint, args.device, grid)
    except CheckpointError as error:
        raise ValueError(str(error)) from error


def _city_of(given: str, sessions: list[Session]) -> CityMap | None:
    """The city that was named, else the one that the first session was recorded in, where it is still there."""
    from occ_core.citymap import CityMap

    if given:
        return CityMap.load(Path(given))
    recorded = sessions[0].info.city
    if not recorded:
        return None
    try:
        return CityMap.load(Path(recorded))
    except FileNotFoundError:
        print(f"tokyo: the city {recorded} is not there any more: shown without it (--city)", file=sys.stderr)
        return None


def _holds_sessions(folder: Path) -> bool:
    return any(folder.glob("*/session.json"))


def _refuse(paths: list[Path]) -> NoReturn:
    for path in paths:
        if _holds_sessions(path):
            names = sorted(found.parent.name for found in path.glob("*/session.json"))
            raise ValueError(f"{path} holds {len(names)} sessions: name one of them, such as {path / names[0]}")
        if not (path / "session.json").exists():
            raise ValueError(f"{path} is no session, it has no session.json; a bag is shown by itself")
    raise AssertionError("every path is a session")
