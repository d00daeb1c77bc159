"""The nodes of a running system, stated once: `city.launch.py` makes launch actions of them, `tokyo up` processes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from shutil import which
from typing import Any

from occ_core.grid import GRID_HELP
from occ_core.topics import ACTORS, participant_name
from tokyo_city.world import WORLD_FILE
from tokyo_sim.engine.daylight import DEFAULT_HOUR
from tokyo_sim.gazebo.names import TRAFFIC
from tokyo_sim.resources import share

_CAMERA_RATES_OF_FRAMES = (0.0, 2.0, 10.0)  # those with an image at each frame, 0.5 s apart
_FEW_ROBOTS = 4  # whose sweeps of half a second fit into the smaller shared memory
SHIPPED = "shipped"
"""As a checkpoint: the one that comes with occworld_infer."""


@dataclass(frozen=True)
class Argument:
    """help: what a launch argument or an option of `tokyo up` means. choices: the words allowed.

    bare: what the option says when it stands without a value; '' where it needs one.
    """

    help: str
    choices: tuple[str, ...] = ()
    bare: str = ""


def _argument(default: Any, text: str, *choices: str, bare: str = "") -> Any:
    return field(default=default, metadata={"argument": Argument(text, choices, bare)})


@dataclass(frozen=True)
class Arguments:
    """Arguments of a bring-up; both front ends generate theirs from these fields."""

    city: str = _argument("out/city", "folder of an imported city (`tokyo city`)")
    drones: int = _argument(1, "number of drones")
    rovers: int = _argument(1, "number of rovers")
    actors: int = _argument(30, "number of cars, bicycles and walkers")
    places: str = _argument("", "where robots start, as NAME:X,Y,YAW NAME:X,Y,YAW ... in map; empty: at free places")
    sim: str = _argument("auto", "simulator; auto is gazebo where `gz` is on the PATH", "auto", "gazebo", "embedded")
    gui: bool = _argument(False, "open Gazebo's window")
    seed: int = _argument(1, "seed of spawn places, traffic, noise and routes")
    real_time_factor: float = _argument(
        1.0, "simulated seconds per second at most; 0: as fast as it can (embedded; Gazebo keeps 1)"
    )
    lockstep: bool = _argument(
        False,
        "the embedded simulator waits for missions, recorders and forecast: nothing is lost and a seed gives the same"
        " sessions however slow the machine is; real_time_factor is then an upper bound",
    )
    duration: float = _argument(0.0, "stop after so many simulated seconds; 0: on Ctrl-C")
    image_width: int = _argument(1600, "camera image width, pixels")
    image_height: int = _argument(900, "camera image height, pixels")
    lidar_motion_distortion: bool = _argument(False, "cast a sweep's columns one after the other, as a turning LiDAR")
    odometry_drift: float = _argument(0.0, "also publish odometry that drifts, metres per root metre; 0: none")
    camera_rate: float = _argument(10.0, "images per simulated second; 0 switches cameras off")
    hour: float = _argument(DEFAULT_HOUR, "solar time at which the sun stands, 6 to 18 (embedded; Gazebo's is of 10)")
    missions: bool = _argument(True, "let the robots drive and fly by themselves")
    drone_pattern: str = _argument("survey", "mission of the drones", "survey", "orbit", "street", "roam")
    rover_pattern: str = _argument("street", "mission of the rovers", "street", "roam")
    drone_altitude: float = _argument(30.0, "metres above ground at which drones fly")
    drone_speed: float = _argument(5.0, "metres per second")
    rover_speed: float = _argument(4.0, "metres per second")
    record: bool = _argument(False, "record sessions of every robot")
    output: str = _argument("data/tokyo_gazebo", "folder that recorded sessions go to")
    occupancy: str = _argument("accumulated", "how recorded grids are made", "lidar", "accumulated", "ground_truth")
    grid: str = _argument("tokyo", f"{GRID_HELP}; a checkpoint must be made for it")
    session_seconds: float = _argument(0.0, "start a new session after so many seconds; 0: never")
    bag: str = _argument("", "bag to write all topics to, a folder that is not there yet; empty: none")
    predict: str = _argument(
        "", f"checkpoint to forecast with; {SHIPPED}: the one that comes with it; empty: no forecast", bare=SHIPPED
    )
    colour_by: str = _argument("horizon", "what the colours of the forecast in RViz say", "horizon", "class")
    view: bool = _argument(False, "serve a page to look at, on 127.0.0.1")
    port: int = _argument(8080, "of the page")
    device: str = _argument("auto", "where the forecast is computed", "auto", "cpu", "cuda")

    force: bool = _argument(False, "start more robots than this machine carries")

    def __post_init__(self) -> None:
        for name in fields(self):
            choices, value = name.metadata["argument"].choices, getattr(self, name.name)
            if choices and value not in choices:
                raise ValueError(f"{name.name} is '{value}', one of {', '.join(choices)} is wanted")
        if min(self.drones, self.rovers, self.actors) < 0:
            raise ValueError("drones, rovers and actors can't be negative")
        if self.lockstep and self.record and self.camera_rate not in _CAMERA_RATES_OF_FRAMES:
            raise ValueError(
                f"camera_rate is {self.camera_rate:g}: in lock step a recorded frame, each half second, waits for its"
                " images: 2 or 10, or 0 without cameras"
            )
        for name in ("lockstep", "real_time_factor", "lidar_motion_distortion", "odometry_drift", "hour"):
            if self.simulator == "gazebo" and getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise ValueError(f"{name} is for the embedded engine, Gazebo has its own: leave it, or sim embedded")

    @property
    def robots(self) -> list[str]:
        """Namespaces, drones first."""
        return [f"drone_{i}" for i in range(self.drones)] + [f"rover_{i}" for i in range(self.rovers)]

    @property
    def simulator(self) -> str:
        """`gazebo` or `embedded`, with `auto` decided."""
        return self.sim if self.sim != "auto" else ("gazebo" if which("gz") else "embedded")


@dataclass(frozen=True)
class NodeSpec:
    """One node. executable: its console script; module: the same thing for `python -m`, '' for another's package.

    remappings: topics by other names. arguments: on its command line, before ROS's. once: it ends when its work is
    done, which is no failure. ends_all: it too, and then everything has done its work. bulky: it publishes images, or
    the sweeps of many robots.
    """

    package: str
    executable: str
    module: str
    name: str
    namespace: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    remappings: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    once: bool = False
    ends_all: bool = False
    bulky: bool = False

    @property
    def label(self) -> str:
        """What messages call it."""
        return f"{self.namespace}/{self.name}"

    @property
    def full_name(self) -> str:
        """Its name in the ROS graph."""
        return f"/{self.namespace}/{self.name}" if self.namespace else f"/{self.name}"


def nearest(name: str, valid: Iterable[str]) -> str:
    """The valid name that is most like another; '' where none is."""
    return next(iter(get_close_matches(name, list(valid), n=1)), "")


def world_file(city: str) -> Path:
    """The SDF world of an imported city. FileNotFoundError that says what to do."""
    path = Path(city).resolve() / WORLD_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{city} is no imported city, it has no {WORLD_FILE}: make one with `tokyo city`")
    return path


def environment(bulky: bool = False) -> dict[str, str]:
    """What a node's process needs to have set; what the user has set instead stays. bulky: as of `NodeSpec`."""
    return {
        # Shared memory large enough for what it publishes.
        "FASTDDS_DEFAULT_PROFILES_FILE": str(share("config", "fastdds.xml" if bulky else "fastdds_small.xml")),
        # Waiting threads that spin take the cores from the other nodes.
        "OMP_WAIT_POLICY": "passive",
        # So do those of NumPy and SciPy: beside busy processes, 4 x 4 matrices took 8 ms instead of 0.01.
        "OPENBLAS_NUM_THREADS": "1",
        # MuJoCo draws nothing here, and looking for what it would draw with takes a moment.
        "MUJOCO_GL": "disable",
        # Of glibc's heaps each thread would get its own, and what one has freed another can't use: two heaps instead of
        # sixteen are 0.9 GB instead of 1.4 for the forecast, and no slower.
        "MALLOC_ARENA_MAX": "2",
    }


def nodes(args: Arguments) -> list[NodeSpec]:
    """The nodes of a bring-up; those of Gazebo's packages apart, see `tokyo_sim.gazebo.system`."""
    clock = {"use_sim_time": True}
    city = {"city": str(Path(args.city).resolve())}
    specs = _gazebo(args, city) if args.simulator == "gazebo" else []
    if args.missions and args.robots:
        specs.append(_missions(args, city))
    if args.record and args.robots:
        recording = {
            "robots": args.robots,
            "output": str(Path(args.output).resolve()),
            "occupancy": args.occupancy,
            "grid": args.grid,
            "session_seconds": args.session_seconds,
            "seed": args.seed,
            "cameras": args.camera_rate > 0,
            "lockstep": args.lockstep,
        }
        specs.append(recorder_node(city | clock | recording))
    if args.bag:
        specs.append(bag_node({"bag": str(Path(args.bag).resolve()), "lockstep": args.lockstep} | clock))
    if args.predict and args.robots:
        specs += _forecast(args, city | clock | {"robots": args.robots})
    if args.view and args.robots:
        specs.append(viewer_node(city | clock | {"robots": args.robots, "port": args.port, "grid": args.grid}))
    return specs if args.simulator == "gazebo" else [_simulator(args, city, specs), *specs]


def viewer_node(parameters: dict[str, Any]) -> NodeSpec:
    """The browser view with these parameters."""
    return NodeSpec("occworld_infer", "viewer", "occworld_infer.nodes.viewer", "viewer", "", parameters)


def recorder_node(parameters: dict[str, Any]) -> NodeSpec:
    """The recorder with these parameters."""
    return NodeSpec("occ_recorder", "recorder", "occ_recorder.nodes.recorder", "recorder", "", parameters)


def bag_node(parameters: dict[str, Any]) -> NodeSpec:
    """The recorder of bags with these parameters."""
    return NodeSpec("occ_recorder", "bag_recorder", "occ_recorder.nodes.bag", "bag_recorder", "", parameters)


def _forecast(args: Arguments, common: dict[str, Any]) -> list[NodeSpec]:
    """The forecast, and its markers for RViz. The node's own default checkpoint is the shipped one."""
    checkpoint = "" if args.predict == SHIPPED else str(Path(args.predict).resolve())
    predicting = {"checkpoint": checkpoint, "device": args.device, "lockstep": args.lockstep, "grid": args.grid}
    colouring = {"colour_by": args.colour_by, "grid": args.grid}
    package, module = "occworld_infer", "occworld_infer.nodes"
    return [
        NodeSpec(package, "inference", f"{module}.inference", "inference", "", common | predicting),
        NodeSpec(package, "overlay", f"{module}.overlay", "overlay", "", common | colouring),
    ]


def _simulator(args: Arguments, city: dict[str, str], others: list[NodeSpec]) -> NodeSpec:
    """The embedded simulator; others: the nodes beside it, of which it waits for those in lock step."""
    names = (
        "drones", "rovers", "actors", "drone_altitude", "places", "seed", "real_time_factor", "image_width",
        "image_height", "lidar_motion_distortion", "odometry_drift", "camera_rate",
        "hour", "duration", "lockstep",
    )  # fmt: skip
    values = {name: getattr(args, name) for name in names}
    # In lock step a bag holds every image, also of the time in which the simulator has not heard of it yet.
    values["images_on_demand"] = not (args.lockstep and args.bag)
    values["lockstep_nodes"] = [
        participant_name(spec.full_name, robot)
        for spec in others
        if spec.parameters.get("lockstep")
        for robot in (spec.parameters["robots"] if spec.executable == "mission" else [""])
    ] or [""]
    return NodeSpec(
        "tokyo_sim", "simulator", "tokyo_sim.nodes.simulator", "simulator", "", city | values,
        ends_all=args.duration > 0, bulky=sensors_are_bulky(args),
    )  # fmt: skip


def sensors_are_bulky(args: Arguments) -> bool:
    """Does what publishes all sensors need the larger shared memory?"""
    return args.camera_rate > 0 or len(args.robots) > _FEW_ROBOTS


def _gazebo(args: Arguments, city: dict[str, str]) -> list[NodeSpec]:
    """What completes Gazebo's topics, and the traffic in it."""
    names = ("drones", "rovers", "image_width", "image_height")
    values = {name: getattr(args, name) for name in names}
    values |= {"traffic": args.actors > 0, "cameras": args.camera_rate > 0}
    module = "tokyo_sim.nodes.gazebo_adapter"
    specs = [NodeSpec("tokyo_sim", "gazebo_adapter", module, "gazebo_adapter", "", city | values)]
    if args.actors:
        moving = city | {"actors": args.actors, "seed": args.seed, "use_sim_time": True}
        specs.append(
            NodeSpec(
                "tokyo_sim", "gazebo_traffic", "tokyo_sim.nodes.gazebo_traffic", "gazebo_traffic", "", moving,
                {ACTORS.name: TRAFFIC.name},
            )
        )  # fmt: skip
    return specs


def _missions(args: Arguments, city: dict[str, str]) -> NodeSpec:
    drone = {
        "vehicle": "drone",
        "pattern": args.drone_pattern,
        "speed": args.drone_speed,
        "altitude": args.drone_altitude,
    }
    rover = {"vehicle": "rover", "pattern": args.rover_pattern, "speed": args.rover_speed}
    missions = {
        robot: (drone if robot.startswith("drone_") else rover) | {"seed": args.seed + number}
        for number, robot in enumerate(args.robots)
    }
    return mission_node(city | {"use_sim_time": True, "lockstep": args.lockstep}, missions)


def mission_node(common: dict[str, Any], missions: dict[str, dict[str, Any]]) -> NodeSpec:
    """One node that leads all robots. missions: parameters of each robot's mission by its namespace."""
    each = {f"{robot}.{name}": value for robot, values in missions.items() for name, value in values.items()}
    parameters = common | {"robots": list(missions)} | each
    return NodeSpec("tokyo_sim", "mission", "tokyo_sim.nodes.mission", "missions", "", parameters)
