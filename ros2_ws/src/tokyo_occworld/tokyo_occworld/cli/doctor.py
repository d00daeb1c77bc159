"""`tokyo doctor`: what is there of all that a run needs, what is missing, and the command that mends it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from occ_core.ports import free_port

PYTHONS = (3, 10), (3, 13)
"""First and last minor version that the lock has wheels for."""
SHARED_MEMORY = Path("/dev/shm")
SEGMENT_MB = 128  # of fastdds.xml
RUN_MB = SEGMENT_MB + 5 * 32  # and missions, recorder, forecast, overlay, page with fastdds_small.xml
_PAGE_PORT = 8080
_PATIENCE_S = 30.0
_MAKE = "make setup"
_APT_GL = "apt install libegl1 libgl1 libgl1-mesa-dri"
_APT_COMPILER = "apt install cmake gcc g++ make"
_BUILD = f"scripts/build_messages.sh {sys.prefix}"
_OPENGL = (
    "import moderngl; context = moderngl.create_standalone_context(backend='egl');"
    "print(context.info['GL_RENDERER'], '· OpenGL', context.version_code / 100)"
)


class State(Enum):
    """OK; OPTIONAL: something can't be done, the rest can; NEEDED: nothing runs without it."""

    OK = "ok"
    OPTIONAL = "missing"
    NEEDED = "BROKEN"


@dataclass(frozen=True)
class Finding:
    """subject: what was looked at. text: what is there, or what can't be done. remedy: a command, or '' for nothing."""

    subject: str
    state: State
    text: str
    remedy: str = ""


def add_doctor(verbs) -> None:
    """The verb `doctor`."""
    parser = verbs.add_parser(
        "doctor",
        help="what is there of all that a run needs, what is missing, and what mends it",
        description="Looks and changes nothing. Exit code 0 where a simulation can run, 1 where it can't.",
    )
    parser.add_argument("--port", type=int, default=_PAGE_PORT, help="of the page (default: %(default)s)")
    parser.set_defaults(handler=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Print the findings; 1 where one is needed."""
    found = findings(args.port)
    print(table(found))
    return 1 if any(finding.state is State.NEEDED for finding in found) else 0


def findings(port: int = _PAGE_PORT) -> list[Finding]:
    """All of them, in the order of their importance."""
    looks: tuple[Callable[[], Finding], ...] = (
        python, packages, middleware, shared_memory, domain, discovery_range, opengl, compiler, transforms,
        typed_forecasts, lambda: page(port), machine, gpu, ros, gazebo,
    )  # fmt: skip
    return [look() for look in looks]


def table(found: list[Finding]) -> str:
    """One line each, the remedy below what is not there, and a last line that sums up."""
    lines = []
    for finding in found:
        lines.append(f"{finding.state.value:8}{finding.subject:17}{finding.text}")
        if finding.remedy:
            lines.append(f"{'':25}→ {finding.remedy}")
    broken = [f.subject for f in found if f.state is State.NEEDED]
    missing = [f.subject for f in found if f.state is State.OPTIONAL]
    if broken:
        lines.append(f"Nothing can run before this is mended: {', '.join(broken)}.")
    else:
        rest = f"; not there: {', '.join(missing)}" if missing else ""
        lines.append(f"A simulation can run{rest}. `tokyo up --check` looks at options, `make demo` tries everything.")
    return "\n".join(lines)


def python(running: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """The interpreter."""
    first, last = (".".join(map(str, number)) for number in PYTHONS)
    text = f"{'.'.join(map(str, running))} in {sys.prefix}"
    if PYTHONS[0] <= running <= PYTHONS[1]:
        return Finding("Python", State.OK, text)
    return Finding(
        "Python", State.NEEDED, f"{text}; CPython {first} to {last} is wanted", "make PYTHON=python3.12 setup"
    )


def packages(
    wanted: Iterable[str] = ("numpy", "scipy", "numba", "mujoco", "embreex", "moderngl", "torch", "lightning", "viser"),
) -> Finding:
    """What the nodes import."""
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        return Finding("Python packages", State.NEEDED, f"without {', '.join(missing)}", _MAKE)
    return Finding("Python packages", State.OK, ", ".join(f"{n} {version(n)}" for n in ("torch", "mujoco", "numba")))


def middleware() -> Finding:
    """rclpy, and the RMW implementation that the environment asks for."""
    spec = find_spec("rclpy")
    if spec is None:
        return Finding("rclpy", State.NEEDED, "no ROS 2 for Python", f"{_MAKE}, or source ROS's setup.bash")
    asked = os.environ.get("RMW_IMPLEMENTATION", "")
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(":"), sys.prefix]
    indices = [Path(prefix, "share/ament_index/resource_index/rmw_typesupport") for prefix in prefixes if prefix]
    there = sorted({path.name for index in indices for path in index.glob("rmw_*")} - {"rmw_implementation"})
    if asked and asked not in there:
        text = f"RMW_IMPLEMENTATION is {asked}, there is {', '.join(there) or 'none'}"
        return Finding("rclpy", State.NEEDED, text, "unset RMW_IMPLEMENTATION")
    if not there:
        return Finding("rclpy", State.NEEDED, "no RMW implementation", "pip install ros-kilted-rmw-fastrtps-cpp")
    return Finding("rclpy", State.OK, f"{asked or there[0]}, {Path(spec.origin or '').parent}")


def shared_memory(folder: Path = SHARED_MEMORY) -> Finding:
    """Room for Fast DDS's segments: without it messages between processes of one machine are lost."""
    subject, remedy = "Shared memory", f"mount -o remount,size=2g {folder} (of a container: docker run --shm-size=2g)"
    if not folder.is_dir():
        return Finding(subject, State.NEEDED, f"no {folder}", remedy)
    usage = shutil.disk_usage(folder)
    total, free = usage.total >> 20, usage.free >> 20
    text = f"{free} of {total} MB of {folder} are free"
    if free < SEGMENT_MB:
        why = f"{text}, one process takes {SEGMENT_MB} MB"
        full = "fastdds shm clean, or rm /dev/shm/fastdds_* where nothing runs"
        return Finding(subject, State.NEEDED, why, full if total >= RUN_MB else remedy)
    if free < RUN_MB:
        return Finding(subject, State.OPTIONAL, f"{text}; {RUN_MB} MB hold a whole run", remedy)
    return Finding(subject, State.OK, text)


def domain() -> Finding:
    """Whether somebody of this machine is in the domain that a run would take."""
    from occ_ros.domain import VARIABLE, used_domains

    text = os.environ.get(VARIABLE, "0") or "0"
    if not text.isdecimal() or int(text) > 101:
        return Finding("ROS domain", State.NEEDED, f"{VARIABLE} is '{text}', 0 to 101 is wanted", f"unset {VARIABLE}")
    if int(text) in (used := used_domains()):
        others = f"somebody on this machine is in domain {text}"
        return Finding("ROS domain", State.OPTIONAL, others, "stop them, or tokyo up --domain auto")
    busy = f"; in use: {', '.join(map(str, sorted(used)))}" if used else ""
    return Finding("ROS domain", State.OK, f"{text}, free on this machine{busy}")


def discovery_range() -> Finding:
    """How far nodes are seen."""
    subject, name = "Discovery", "ROS_AUTOMATIC_DISCOVERY_RANGE"
    asked = os.environ.get(name, "SUBNET") or "SUBNET"
    if (older := os.environ.get("ROS_LOCALHOST_ONLY", "")) and name in os.environ:
        text = f"ROS_LOCALHOST_ONLY={older} wins over {name}={asked}"
        return Finding(subject, State.OPTIONAL, text, "unset ROS_LOCALHOST_ONLY")
    if asked not in ("LOCALHOST", "SUBNET", "OFF", "SYSTEM_DEFAULT"):
        text = f"{name} is {asked}: LOCALHOST, SUBNET, OFF or SYSTEM_DEFAULT"
        return Finding(subject, State.NEEDED, text, f"export {name}=LOCALHOST")
    if asked == "OFF":
        return Finding(subject, State.NEEDED, "OFF: nodes do not find each other", f"export {name}=LOCALHOST")
    if asked == "SUBNET" and not older:
        text = "SUBNET: other machines of your network hear the nodes, and theirs are heard"
        return Finding(subject, State.OK, text, f"to keep to yourself: export {name}=LOCALHOST")
    return Finding(subject, State.OK, f"ROS_LOCALHOST_ONLY={older}" if older else asked)


def opengl(program: str = _OPENGL) -> Finding:
    """Off screen, as cameras need it; tried by another process, since drivers may end it."""
    try:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        return Finding("OpenGL", State.OPTIONAL, f"no answer in {_PATIENCE_S:.0f} s: no camera images", _APT_GL)
    if done.returncode:
        return Finding("OpenGL", State.OPTIONAL, "none off screen (EGL): no camera images, all else runs", _APT_GL)
    return Finding("OpenGL", State.OK, done.stdout.strip())


def compiler(tools: Iterable[str] = ("cmake", "cc", "c++", "make")) -> Finding:
    """What builds messages that pip does not have."""
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    if lacking:
        text = f"no {', '.join(lacking)}: messages that pip does not have can't be built"
        return Finding("Compiler", State.OPTIONAL, text, _APT_COMPILER)
    return Finding("Compiler", State.OK, ", ".join(tools))


def transforms() -> Finding:
    """tf2_msgs."""
    if find_spec("tf2_msgs") is not None:
        return Finding("/tf", State.OK, "tf2_msgs is there")
    return Finding("/tf", State.OPTIONAL, "no tf2_msgs: no /tf", _BUILD)


def typed_forecasts() -> Finding:
    """occ_msgs."""
    from occworld_infer.forecast_message import lacking

    if why := lacking():
        return Finding("Typed forecast", State.OPTIONAL, f"{why}: forecasts are clouds and plain numbers only", _BUILD)
    return Finding("Typed forecast", State.OK, "occ_msgs is there")


def page(port: int) -> Finding:
    """The port of the page, and a browser to take pictures of it."""
    try:
        free_port(port)
    except (OSError, OverflowError) as error:
        return Finding("Page", State.OPTIONAL, f"port {port} can't be had ({error})", "tokyo up --view --port 8081")
    return Finding("Page", State.OK, f"http://127.0.0.1:{port} is free")


def machine() -> Finding:
    """Cores and memory beside what a run at its defaults takes."""
    from tokyo_sim.bringup import Arguments
    from tokyo_sim.load import Machine, cost

    here = Machine.this()
    wanted, bare = cost(Arguments(predict="x", record=True)), cost(Arguments(predict="x", record=True, camera_rate=0))
    text = f"{here.cores} cores, {here.memory / 1000:.1f} GB free; a full run takes {wanted.cores:.1f} cores"
    if here.memory < wanted.memory:
        return Finding(
            "Machine", State.OPTIONAL, f"{text} and {wanted.memory / 1000:.1f} GB", "tokyo up --camera-rate 0"
        )
    if here.cores < wanted.cores:
        slow = f"{text} to keep real time, {bare.cores:.1f} without cameras: expect {here.cores / wanted.cores:.2f} x"
        return Finding(
            "Machine", State.OK, slow, "faster: tokyo up --camera-rate 2 --image-width 800 --image-height 450"
        )
    return Finding("Machine", State.OK, text)


def gpu() -> Finding:
    """A GPU, and a PyTorch that is made for it."""
    ours = ""
    try:
        ours = version("torch")
    except PackageNotFoundError:
        pass
    if shutil.which("nvidia-smi") is None:
        return Finding("GPU", State.OPTIONAL, "none (no nvidia-smi): the CPU forecasts and trains, more slowly")
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True)
    if done.returncode or not done.stdout.strip():
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
        return Finding("GPU", State.OPTIONAL, f"nvidia-smi says: {said[0]}", "install NVIDIA's driver, and restart")
    names = "; ".join(done.stdout.strip().splitlines())
    if "+cpu" in ours:
        wanted = ours.split("+")[0]
        remedy = f"pip install --force-reinstall --no-deps torch=={wanted} (an index with CUDA builds)"
        return Finding("GPU", State.OPTIONAL, f"{names}, but torch {ours} is for CPUs", remedy)
    return Finding("GPU", State.OK, names)


def ros() -> Finding:
    """An installation of ROS 2, beside the wheels."""
    distro = os.environ.get("ROS_DISTRO", "")
    tools = [tool for tool in ("ros2", "rviz2", "colcon") if shutil.which(tool)]
    if distro and "ros2" in tools:
        return Finding("ROS 2", State.OK, f"{distro}, with {', '.join(tools)}")
    text = "no ros2, RViz and launch files; the nodes themselves run from pip's wheels"
    return Finding("ROS 2", State.OPTIONAL, text, "https://docs.ros.org, then: source /opt/ros/kilted/setup.bash")


def gazebo() -> Finding:
    """Gazebo with what joins it to ROS."""
    from tokyo_sim.gazebo.installation import GazeboMissing, require_gazebo

    try:
        require_gazebo()
    except GazeboMissing as problem:
        reason, _, remedy = str(problem).partition(": ")
        return Finding("Gazebo", State.OPTIONAL, f"{reason}; the embedded engine runs the same city", remedy)
    return Finding("Gazebo", State.OK, str(shutil.which("gz")))
