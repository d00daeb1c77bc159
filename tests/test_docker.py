"""docker/: what the images are built of exists, and the services run commands that the workspace has.

Images themselves are built nowhere in these tests: that needs a docker daemon and the bases from their registry.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml
from dataclasses import fields
from importlib.metadata import requires
from pathlib import Path

import in_process
import pytest
import yaml
from paths import ROOT

from occ_core.topics import CLOCK, PREDICTION
from tokyo_sim.bringup import Arguments

parse = pytest.importorskip("dockerfile_parse", reason="no dockerfile-parse here: make dev")
DOCKER = ROOT / "docker"
IMAGES = sorted(DOCKER.glob("*.Dockerfile"))
PROFILES = {
    "sim": {"city", "sim"},
    "record": {"city", "sim", "record"},
    "train": {"train"},
    "live": {"city", "live"},
}
UBUNTUS = {"24.04": ("jazzy", "3.12"), "26.04": ("lyrical", "3.14")}
"""Releases that the simulation image can be made on: the ROS distro of each, and its Python."""
PIP_TO_ROSDEP = {"pillow": "pil", "pyyaml": "yaml", "scikit-image": "skimage"}
SEARCH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
HADOLINT = shutil.which("hadolint", path=SEARCH)
COMPOSE = shutil.which("docker-compose", path=SEARCH)
needs_compose = pytest.mark.skipif(COMPOSE is None, reason="no docker-compose here: make dev")


def steps(image: Path) -> list[tuple[str, str]]:
    """(instruction, its text) in order, comments left out."""
    parser = parse.DockerfileParser(path=str(image), env_replace=False)
    return [(step["instruction"], step["value"]) for step in parser.structure if step["instruction"] != "COMMENT"]


def last(image: Path, instruction: str) -> str:
    return [value for name, value in steps(image) if name == instruction][-1]


def compose(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    assert COMPOSE is not None
    known = {"PATH": os.environ["PATH"], "HOME": "/home/somebody"}
    return subprocess.run([COMPOSE, *arguments], cwd=DOCKER, env=known | environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def services() -> dict:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]


@pytest.fixture(scope="module")
def manifests() -> dict[str, set[str]]:
    """Package name -> the keys that it depends on."""
    found = {}
    for path in (ROOT / "ros2_ws/src").glob("*/package.xml"):
        root = xml.parse(path).getroot()
        found[root.findtext("name")] = {e.text for e in root.iter() if e.tag in ("depend", "exec_depend")}
    return found


def variables(path: Path) -> dict[str, str]:
    """Of a file for `docker compose --env-file`."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def listed(path: Path) -> set[str]:
    """Names of a requirements file, without versions."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return {re.split(r"[<>=!~ ;]", line)[0].lower() for line in lines if line}


def pinned(path: Path) -> dict[str, str]:
    """Versions of a requirements file, of those that hold for each Python."""
    return dict(re.findall(r"^([\w.-]+)==([\w.+-]+)$", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
class TestImages:
    def test_the_base_is_pinned_by_its_digest(self, image: Path) -> None:
        arguments = dict(value.split("=", 1) for name, value in steps(image) if name == "ARG" and "=" in value)
        bases = [value.split()[0] for name, value in steps(image) if name == "FROM"]
        for chosen in (arguments, arguments | variables(DOCKER / "lyrical.env")):
            for base in bases:
                for name, value in chosen.items():
                    base = base.replace("${" + name + "}", value)
                assert re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", base), base

    def test_it_runs_as_a_user_whose_id_can_be_chosen_and_has_a_health_check(self, image: Path) -> None:
        assert last(image, "USER") == "$UID:$GID"
        assert {"UID=1000", "GID=1000"} <= {value for name, value in steps(image) if name == "ARG"}
        assert "CMD [" in last(image, "HEALTHCHECK")

    def test_what_it_copies_or_mounts_exists_and_reaches_the_daemon(self, image: Path) -> None:
        copied = [value.split()[:-1] for name, value in steps(image) if name == "COPY"]
        sources = [word for words in copied for word in words if not word.startswith("--")]
        text = " ".join(value for name, value in steps(image) if name == "RUN")
        mounts = re.findall(r"--mount=type=bind,source=([^,\s]+)", text)
        allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
        assert mounts and sources
        assert any("${TOKYO_UBUNTU}" in source for source in sources) == (image.name == "sim.Dockerfile")
        for source in [word.replace("${TOKYO_UBUNTU}", ubuntu) for word in sources + mounts for ubuntu in UBUNTUS]:
            assert (ROOT / source).exists(), source
            assert any(source == place or source.startswith(f"{place}/") for place in allowed), source

    def test_its_entry_point_exists(self, image: Path) -> None:
        first, *rest = json.loads(last(image, "ENTRYPOINT"))
        if first == "entrypoint.sh":
            assert os.access(DOCKER / first, os.X_OK)
            assert "COPY docker/entrypoint.sh /usr/local/bin/" in image.read_text()
        else:
            assert (first, rest) == ("python", ["train.py"])
            assert (ROOT / last(image, "WORKDIR").removeprefix("/tokyo/") / rest[0]).is_file()

    @pytest.mark.skipif(HADOLINT is None, reason="no hadolint here: make dev")
    def test_hadolint_has_nothing_to_say(self, image: Path) -> None:
        result = subprocess.run([HADOLINT, str(image)], capture_output=True, text=True)
        assert result.returncode == 0, result.stdout


def rosdep_gives(manifests: dict[str, set[str]]) -> set[str]:
    """Keys that the simulation image installs through rosdep."""
    text = next(value for name, value in steps(DOCKER / "sim.Dockerfile") if "rosdep install" in value)
    assert (
        "--from-paths /manifests" in text and "COPY ros2_ws/src /manifests" in (DOCKER / "sim.Dockerfile").read_text()
    )
    skipped = set(re.search(r'--skip-keys "([^"]+)"', text)[1].split())
    keys = set.union(*manifests.values()) - set(manifests)
    assert skipped <= keys, "a skipped key that no package.xml has"
    for key in skipped:
        assert key.removeprefix("python3-").removesuffix("-pip") in listed(DOCKER / "sim.in"), key
    return keys - skipped


def rosdep_key(name: str) -> str:
    return "xacro" if name == "xacro" else f"python3-{PIP_TO_ROSDEP.get(name, name)}"


def test_every_import_of_the_workspace_comes_from_rosdep_or_pip(manifests: dict[str, set[str]]) -> None:
    given, pip = rosdep_gives(manifests), listed(DOCKER / "sim.in")
    python = {path.parent.name for path in (ROOT / "ros2_ws/src").glob("*/setup.py")}
    ours = {name.replace("_", "-") for name in python} | {"tokyo-occworld-learner"}
    wanted = {
        re.split(r"[<>=!~ ;\[(]", line)[0].lower()
        for package in ours
        for line in requires(package) or ()
        if "extra ==" not in line
    }
    assert {"scipy", "torch", "embreex"} <= wanted
    for name in sorted(wanted):
        assert name.replace("_", "-") in ours or name in pip or rosdep_key(name) in given, name


@pytest.mark.parametrize("ubuntu", UBUNTUS)
def test_the_image_s_lock_pins_what_is_asked_for_and_keeps_the_numpy_of_ros(ubuntu: str) -> None:
    pins, theirs = pinned(DOCKER / f"ubuntu-{ubuntu}.lock"), pinned(DOCKER / f"ubuntu-{ubuntu}.in")
    assert listed(DOCKER / "sim.in") | set(theirs) <= set(pins)
    assert theirs.items() <= pins.items() and theirs["numpy"].startswith({"24.04": "1.26.", "26.04": "2.3."}[ubuntu])
    ours = pinned(ROOT / "requirements.lock")
    for name in ("torch", "numba", "mujoco", "embreex", "rosbags"):
        assert pins[name] == ours[name], f"{name}: make docker/ubuntu-{ubuntu}.lock anew, as docker/sim.in says"


def test_every_release_of_ubuntu_has_its_distro_and_its_python() -> None:
    arguments = [value for name, value in steps(DOCKER / "sim.Dockerfile") if name == "ARG" and "=" in value]
    own = dict(argument.split("=", 1) for argument in arguments)
    lyrical = variables(DOCKER / "lyrical.env")
    for chosen in (own, lyrical):
        distro, python = UBUNTUS[chosen["TOKYO_UBUNTU"]]
        assert chosen["TOKYO_DISTRO"] == distro and f":{distro}-" in chosen["TOKYO_BASE"]
        assert f"lock {python} {chosen['TOKYO_UBUNTU']}" in (DOCKER / "sim.in").read_text()
    assert lyrical.keys() - own.keys() == {"TOKYO_IMAGE"}
    assert set(UBUNTUS) == {own["TOKYO_UBUNTU"], lyrical["TOKYO_UBUNTU"]}
    used = " ".join(value for name, value in steps(DOCKER / "sim.Dockerfile") if name in ("RUN", "ENV", "COPY"))
    assert not re.search(r"jazzy|noble|24\.04|python3\.\d", used), "what holds for one release only"


@needs_compose
@pytest.mark.parametrize("file", ["", "lyrical.env"])
def test_one_file_of_variables_makes_the_images_of_another_release(file: str) -> None:
    files = ("-f", "compose.yaml", "-f", "compose.display.yaml", "--profile", "record", "--profile", "live")
    shown = compose(*(["--env-file", file] if file else []), *files, "config", "--format", "json", DISPLAY=":0")
    assert shown.returncode == 0, shown.stderr
    wanted = variables(DOCKER / file) if file else {}
    image = wanted.pop("TOKYO_IMAGE", "tokyo-occworld-sim")
    configured = json.loads(shown.stdout)["services"]
    assert set(configured) == {"city", "sim", "record", "live", "rviz"}
    for name, service in configured.items():
        given = {key: value for key, value in service["build"]["args"].items() if value and key.startswith("TOKYO_")}
        assert (service["image"], given) == (image, wanted), name


@needs_compose
@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_starts_its_services_with_and_without_a_gpu(profile: str) -> None:
    for more in ([], ["-f", "compose.yaml", "-f", "compose.gpu.yaml"]):
        shown = compose(*more, "--profile", profile, "config", "--format", "json")
        assert shown.returncode == 0, shown.stderr
        configured = json.loads(shown.stdout)["services"]
        assert set(configured) == PROFILES[profile]
        reserved = {name for name, service in configured.items() if "deploy" in service}
        assert reserved == ({"sim", "live", "train"} & PROFILES[profile] if more else set())


@needs_compose
def test_a_display_adds_rviz_and_none_gets_one_sentence() -> None:
    files = ("-f", "compose.yaml", "-f", "compose.display.yaml", "--profile", "live")
    shown = compose(*files, "config", "--format", "json", DISPLAY=":0")
    assert shown.returncode == 0, shown.stderr
    configured = json.loads(shown.stdout)["services"]
    assert set(configured) == PROFILES["live"] | {"rviz"}
    for name in ("live", "rviz"):
        targets = {volume["target"] for volume in configured[name]["volumes"]}
        assert {"/tokyo/out", "/tmp/.X11-unix", "/tmp/.xauthority"} <= targets
    refused = compose(*files, "config", "-q")
    assert refused.returncode != 0 and "there is no DISPLAY" in refused.stderr


def test_no_service_is_privileged_or_makes_folders_of_root_s(services: dict) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"] and "privileged" not in service, name
        for volume in service["volumes"]:
            assert volume["bind"] == {"create_host_path": False}, f"docker would make {volume['source']}, owned by root"


def test_tokyo_has_the_verbs_and_options_of_the_services(services: dict) -> None:
    commands = {name: s["command"] for name, s in services.items() if "tokyo" in s["command"][0]}
    commands["city"] = services["city"]["command"][-1].split("exec ")[1].split()
    assert set(commands) == {"city", "record"}
    for command in commands.values():
        text = in_process.tokyo(command[1], "--help").stdout
        options = {word for word in command if word.startswith("--")}
        assert options and options <= set(re.findall(r"--[a-z-]+", text)), command


@pytest.mark.parametrize("name", ["sim", "live"])
def test_the_launch_files_have_the_arguments_that_they_are_given(services: dict, name: str) -> None:
    words = services[name]["command"]
    assert words[:2] == ["ros2", "launch"]
    file = {"city.launch.py": "ros2_ws/src/tokyo_sim/launch/city.launch.py"}
    launch_file = next(word for word in words if word.endswith(".launch.py"))
    own = re.findall(r'DeclareLaunchArgument\(\s*"(\w+)"', (ROOT / file.get(launch_file, launch_file)).read_text())
    given = dict(word.split(":=") for word in words if ":=" in word)
    defaults = {name: re.sub(r"\$\{\w+:-(\w+)\}", r"\1", value) for name, value in given.items() if name not in own}
    types = {spec.name: type(spec.default) for spec in fields(Arguments)}
    converted = {n: v == "true" if types[n] is bool else types[n](v) for n, v in defaults.items()}
    assert Arguments(**converted).robots == ["drone_0", "rover_0"]
    assert converted.get("view", False) == (name == "live")


def test_what_is_mounted_is_where_the_commands_look(services: dict) -> None:
    assert last(DOCKER / "sim.Dockerfile", "WORKDIR") == "/tokyo"
    for name in ("city", "sim", "record", "live"):
        mounted = {volume["target"] for volume in services[name]["volumes"]}
        words = " ".join(services[name]["command"])
        for place in re.findall(r"\b(?:out|data)/|\bcheckpoint\.pth", words):
            assert f"/tokyo/{place.rstrip('/')}" in mounted, (name, place)


def test_the_robots_that_are_recorded_are_those_of_the_simulation(services: dict) -> None:
    command = services["record"]["command"]
    assert {"drone_0", "rover_0"} <= set(command[command.index("--robots") :])


def test_health_checks_listen_to_topics_that_there_are(services: dict) -> None:
    assert f'"{CLOCK.name}", "{CLOCK.type}"' in last(DOCKER / "sim.Dockerfile", "HEALTHCHECK")
    assert services["live"]["healthcheck"]["test"][-2:] == [f"/rover_0/{PREDICTION.name}", PREDICTION.type]


def test_training_takes_its_arguments_and_has_its_config(services: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "learner"))
    import train

    args = train.arguments(services["train"]["command"])
    assert (ROOT / "learner" / args.config).is_file()
    mounted = {volume["target"] for volume in services["train"]["volumes"]}
    assert {"/tokyo/data", "/tokyo/work_dirs"} == mounted
    assert str(args.data_root).startswith("/tokyo/data/") and str(args.work_dir).startswith("/tokyo/work_dirs/")


def test_rviz_shows_the_overlay_that_the_workspace_installs() -> None:
    text = (DOCKER / "compose.display.yaml").read_text()
    package, file = re.search(r"/opt/tokyo/share/(\w+)/(\S+\.rviz)", text).groups()
    assert (ROOT / "ros2_ws/src" / package / file).is_file()


def test_the_entry_point_sources_the_workspace_and_becomes_the_command(tmp_path: Path) -> None:
    script = (DOCKER / "entrypoint.sh").read_text()
    setup = tmp_path / "setup.bash"
    setup.write_text('export SOURCED="$UNSET_BY_ROS yes"\n')
    moved = tmp_path / "entrypoint.sh"
    moved.write_text(script.replace("/opt/tokyo/setup.bash", str(setup)))
    command = ["bash", str(moved), "bash", "-c", 'echo "$SOURCED $1"; exit 7', "_", "two words"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (7, " yes two words\n")
    setup.unlink()
    assert subprocess.run(command, capture_output=True).returncode == 1
