"""`tokyo`: import a city, run the system, record, look at sessions.

What takes a moment is imported where it is needed, so that Ctrl-C is looked after from the start.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from occ_core.command_line import run_command

if TYPE_CHECKING:
    from tokyo_city.plateau.meshcodes import DegreeBox

Handler = Callable[[argparse.Namespace], int]
_SHOWN = 10  # skipped objects and other problems


class _Parser(argparse.ArgumentParser):
    """argparse prints the usage before an error; a sentence, the nearest option and a pointer to --help say more."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:
        from tokyo_sim.bringup import nearest

        known, unknown = super().parse_known_args(args, namespace)
        for word in unknown:
            if word.startswith("-"):
                name = word.split("=")[0]
                near = nearest(name, self._option_string_actions)
                self.error(f"there is no option {name}" + (f", {near} is the nearest" if near else ""))
        return known, unknown

    def error(self, message: str) -> None:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _Version(argparse.Action):
    """Looked up only where it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from occ_core.session import installed_versions

        print(f"{parser.prog} {installed_versions('tokyo_occworld')['tokyo_occworld']}")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: exit code 0, 1 for work that failed, 2 for bad usage, 130 after Ctrl-C, 141 before `| head`."""
    run_command("tokyo", lambda: _run(list(sys.argv[1:] if arguments is None else arguments)), _expected_errors)


def _run(arguments: list[str]) -> int:
    from tokyo_occworld.cli.sessions import with_default_verb

    parser = _parser()
    if not arguments:
        parser.print_help()
        return 0
    args = parser.parse_args(with_default_verb(arguments))
    return args.handler(args)


def _expected_errors() -> tuple[type[Exception], ...]:
    from occ_core.parallel import ParallelError
    from occ_core.session import SessionError
    from tokyo_city.download.web import DownloadProblem
    from tokyo_city.plateau.model import ImportProblem

    return DownloadProblem, ImportProblem, ParallelError, SessionError, ValueError


def _parser() -> argparse.ArgumentParser:
    from tokyo_occworld.cli import bags
    from tokyo_occworld.cli.doctor import add_doctor
    from tokyo_occworld.cli.download import add_download
    from tokyo_occworld.cli.export import add_export
    from tokyo_occworld.cli.sessions import add_verbs
    from tokyo_occworld.cli.view import add_view

    parser = _Parser(prog="tokyo", description="Real Tokyo in a simulator, and what its streets look like in 3 s.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version, and stop")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=_Parser)

    city = verbs.add_parser("city", help="import PLATEAU tiles, or the generated sample city, into an SDF world")
    city.add_argument(
        "source", nargs="?", type=Path,
        help="CityGML or OBJ file, udx folder, or a zip with one; left out: the sample city",
    )  # fmt: skip
    city.add_argument("--out", type=Path, default=Path("out/city"), help="folder to write (default: %(default)s)")
    city.add_argument("--seed", type=int, default=7, help="seed of the sample city (default: %(default)s)")
    city.add_argument("--bbox", default="", help="south,west,north,east in degrees: import only what is in there")
    city.add_argument("--mesh", nargs="+", default=[], metavar="CODE", help="import only these standard grid squares")
    city.add_argument("--workers", type=int, default=None, help="processes (default: one per core)")
    city.add_argument(
        "--engine", choices=("local", "ray", "dask"), default="local",
        help="where they run: this machine, or the cluster of RAY_ADDRESS or DASK_SCHEDULER_ADDRESS",
    )  # fmt: skip
    city.add_argument(
        "--collision", choices=("prisms", "decimated"), default="prisms",
        help="what buildings collide as; the embedded engine takes a decimated building as its hull",
    )  # fmt: skip
    city.add_argument(
        "--target-faces", type=int, default=10_000, help="of a decimated collision mesh, per km2 (default: %(default)s)"
    )
    city.set_defaults(handler=_city)

    add_download(verbs.add_parser("download", help="PLATEAU's city models, and OccWorld's published weights"), _Parser)

    up = verbs.add_parser("up", help="start the simulator, missions, and what else is asked for")
    _add_bringup_options(up)
    up.add_argument("--check", action="store_true", help="look at the options, not at the city, and start nothing")
    up.add_argument(
        "--domain", default="", metavar="ID",
        help="ROS domain; auto: the first that nobody is in (default: ROS_DOMAIN_ID, else 0)",
    )  # fmt: skip
    up.add_argument(
        "--full-rig", action="store_true", help="six images of 1600 x 900, 10 a second, whatever this machine carries"
    )
    up.set_defaults(handler=_up)

    record = verbs.add_parser("record", help="record sessions of robots that are running already")
    record.add_argument("--robots", nargs="+", help="namespaces (default: rover_0; of --bag: all)")
    record.add_argument("--city", default="", help="folder of the imported city, for labels")
    record.add_argument("--output", default="data/tokyo_gazebo", help="folder of sessions (default: %(default)s)")
    record.add_argument("--no-cameras", action="store_true", help="record without images")
    record.add_argument("--grid", default="tokyo", help=bags.GRID_HELP)
    record.add_argument(
        "--lockstep", action="store_true",
        help="the embedded simulator waits for this recorder too; for a system that was started with --lockstep",
    )  # fmt: skip
    bags.add_record_options(record)
    record.set_defaults(handler=_record)

    bags.add_bag2sessions(verbs)

    add_view(verbs)

    add_verbs(verbs.add_parser("sessions", help="recorded sessions: info, check, view, merge, split"), _Parser)

    compare = verbs.add_parser("compare", help="compare a recorded session with the embedded engine at the same poses")
    compare.add_argument("session", type=Path, help="folder of one recorded session")
    compare.add_argument("--city", type=Path, required=True, help="folder of the imported city that it was recorded in")
    compare.add_argument("--out", type=Path, default=Path("out/compare"), help="folder to write (default: %(default)s)")
    compare.add_argument("--frames", type=int, default=5, help="how many, spread evenly (default: %(default)s)")
    compare.set_defaults(handler=_compare)

    demo = verbs.add_parser("demo", help="the whole loop: city, recording, training, evaluation, live forecast, report")
    demo.add_argument("--out", type=Path, default=Path("out/demo"), help="folder (default: %(default)s)")
    demo.add_argument("--city-source", type=Path, default=None, help="a udx folder instead of the sample city")
    demo.add_argument("--seed", type=int, default=7, help="of everything random (default: %(default)s)")
    demo.add_argument("--steps", type=int, default=340, help="of training, both stages (default: %(default)s)")
    demo.add_argument("--drives", type=int, default=6, help="recorded drives of both robots (default: %(default)s)")
    demo.add_argument("--drive-seconds", type=float, default=22.0, help="simulated time of each (default: %(default)s)")
    demo.set_defaults(handler=_demo)

    add_export(verbs)
    add_doctor(verbs)
    return parser


def _add_bringup_options(parser: argparse.ArgumentParser) -> None:
    """One option per field of `bringup.Arguments`, dashes for underscores."""
    from dataclasses import fields

    from tokyo_sim.bringup import Arguments

    for spec in fields(Arguments):
        name, argument = f"--{spec.name.replace('_', '-')}", spec.metadata["argument"]
        text = f"{argument.help} (default: {spec.default})"
        if isinstance(spec.default, bool):
            parser.add_argument(name, action=argparse.BooleanOptionalAction, default=spec.default, help=text)
        else:
            alone = {"nargs": "?", "const": argument.bare} if argument.bare else {}
            parser.add_argument(
                name,
                type=type(spec.default),
                default=spec.default,
                choices=argument.choices or None,
                help=text,
                **alone,
            )


def _city(args: argparse.Namespace) -> int:
    from tokyo_occworld.cli import option_checks

    option_checks.check_city_options(args)
    from occ_core.parallel import Backend
    from tokyo_city.plateau.sources import Region
    from tokyo_city.world.city import Options, import_or_generate

    box = _box(args.bbox) if args.bbox else None
    options = Options(
        region=Region.of(box, tuple(args.mesh)),
        workers=args.workers,
        engine=Backend(args.engine),
        target_faces=args.target_faces,
        prisms=args.collision == "prisms",
    )
    report = import_or_generate(args.source, args.out, seed=args.seed, options=options)
    from occ_core.parallel import run_apart
    from tokyo_sim.traffic.stored import lay_lanes

    lanes, streets = lay_lanes(report.folder) if args.workers == 1 else run_apart(lay_lanes, report.folder)
    total = sum(report.triangles.values())
    print(f"{report.folder}: {report.objects} objects, {total} triangles, {len(report.skipped)} skipped")
    if report.without_height:
        print(f"  {report.without_height} areas have no height in the files: they lie in the ground around them")
    print(f"  {lanes} lanes on {streets} streets" if streets else "  no streets to drive on")
    for tile, gml_id, reason in report.skipped[:_SHOWN]:
        print(f"  skipped {tile} {gml_id}: {reason}")
    for problem in report.problems[:_SHOWN]:
        print(f"  {problem}")
    for unread in report.unread[:_SHOWN]:
        print(f"  not imported: {unread}")
    if max(len(report.skipped), len(report.problems), len(report.unread)) > _SHOWN:
        print(f"  all of them: {report.folder / 'city.json'}")
    for failure in report.failed:
        print(f"  not read: {failure}", file=sys.stderr)
    return 0


def _box(text: str) -> DegreeBox:
    from tokyo_city.plateau.meshcodes import DegreeBox

    try:
        south, west, north, east = map(float, text.split(","))
    except ValueError:
        raise ValueError(f"--bbox '{text}': four numbers are needed, south,west,north,east") from None
    return DegreeBox(south, west, north, east)


def _up(args: argparse.Namespace) -> int:
    from dataclasses import fields

    from tokyo_occworld.cli import option_checks
    from tokyo_sim.bringup import Arguments

    options = Arguments(**{spec.name: getattr(args, spec.name) for spec in fields(Arguments)})
    option_checks.check_up(options, args.check)
    if args.check:
        return 0
    from tokyo_occworld.cli.processes import run_until_stopped
    from tokyo_sim.load import free_cores, suited

    return run_until_stopped(options if args.full_rig else suited(options, free_cores()), args.domain)


def _record(args: argparse.Namespace) -> int:
    from occ_core.grid import named_grid
    from occ_core.output_folders import SESSIONS, check_addable
    from tokyo_occworld.cli import bags, option_checks

    if args.bag:
        return bags.record_bag(args)
    if args.topics:
        raise ValueError("--topics goes with --bag: sessions are made of the topics that they need")
    named_grid(args.grid)
    check_addable(Path(args.output), SESSIONS)
    option_checks.check_city(args.city)
    from tokyo_occworld.cli.processes import NodeProcesses
    from tokyo_sim.bringup import recorder_node

    parameters = {
        "robots": args.robots or ["rover_0"], "output": args.output, "cameras": not args.no_cameras,
        "grid": args.grid, "lockstep": args.lockstep,
    }  # fmt: skip
    with NodeProcesses([recorder_node(parameters | _city_parameter(args))]) as processes:
        return processes.wait()


def _city_parameter(args: argparse.Namespace) -> dict[str, str]:
    return {"city": str(Path(args.city).resolve()) if args.city else ""}


def _compare(args: argparse.Namespace) -> int:
    from tokyo_occworld.cli import option_checks

    option_checks.check_comparison(args)
    from tokyo_occworld.compare.run import compare_session

    comparison = compare_session(args.session, args.city, args.frames, args.out)
    print(f"{args.out}: {comparison.sentence}")
    return 0 if comparison.agrees else 1


def _demo(args: argparse.Namespace) -> int:
    from tokyo_occworld.cli import option_checks

    option_checks.check_demo(args)
    from tokyo_occworld.demo.run import DemoPlan, run_demo

    return run_demo(args.out, DemoPlan(args.city_source, args.seed, args.steps, args.drives, args.drive_seconds))


if __name__ == "__main__":
    main()
