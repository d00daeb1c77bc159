"""`tokyo doctor`: what it says of this machine, and of machines on which something is missing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from paths import TOKYO
from processes import PATIENCE_S

from tokyo_occworld.cli import doctor
from tokyo_occworld.cli.doctor import State, findings, table

Usage = namedtuple("Usage", "total used free")
MB = 1 << 20
LOOKED_AT = {
    "Python", "Python packages", "rclpy", "Shared memory", "ROS domain", "Discovery", "OpenGL", "Compiler",
    "/tf", "Typed forecast", "Page", "Machine", "GPU", "ROS 2", "Gazebo",
}  # fmt: skip


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [TOKYO, "doctor", *arguments], env=os.environ | environment, capture_output=True, text=True, timeout=PATIENCE_S
    )


def test_here_where_the_tests_run_a_simulation_can_run_and_it_fits_on_a_screen() -> None:
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("A simulation can run")
    assert len(done.stdout.splitlines()) <= 30 and done.stderr == ""
    assert {line[8:25].strip() for line in done.stdout.splitlines()[:-1]} - {""} == LOOKED_AT


def test_what_nothing_runs_without_is_exit_code_1_and_named_in_the_last_line() -> None:
    done = run(RMW_IMPLEMENTATION="rmw_zenoh_cpp", ROS_DOMAIN_ID="500", ROS_AUTOMATIC_DISCOVERY_RANGE="OFF")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "Nothing can run before this is mended: rclpy, ROS domain, Discovery."
    for remedy in ("unset RMW_IMPLEMENTATION", "unset ROS_DOMAIN_ID", "export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST"):
        assert f"→ {remedy}" in done.stdout


def test_what_only_some_of_it_needs_is_said_with_its_command_and_exit_code_0(tmp_path: Path) -> None:
    nothing = tmp_path / "bin"
    nothing.mkdir()
    done = run(PATH=str(nothing), __EGL_VENDOR_LIBRARY_FILENAMES=str(tmp_path / "none.json"), ROS_DISTRO="")
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "no camera images",
        "apt install libegl1",
        "no ros2, RViz",
        "no `gz` on the PATH",
        "none (no nvidia-smi)",
    ):
        assert words in done.stdout


def test_bad_usage_is_exit_code_2() -> None:
    done = run("--prot", "1")
    assert done.returncode == 2 and "--port is the nearest" in done.stderr


@pytest.mark.parametrize(
    ("total", "free", "state", "words"),
    [
        (2000, 1900, State.OK, ""),
        (64, 60, State.NEEDED, "--shm-size=2g"),  # docker's default
        (256, 250, State.OPTIONAL, "size=2g"),
        (8000, 20, State.NEEDED, "rm /dev/shm/fastdds_*"),  # left by processes that were killed
    ],
)
def test_shared_memory_must_hold_the_segments(
    monkeypatch: pytest.MonkeyPatch, total: int, free: int, state: State, words: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(total * MB, (total - free) * MB, free * MB))
    found = doctor.shared_memory()
    assert found.state is state and words in found.remedy
    assert doctor.shared_memory(Path("/nowhere")).state is State.NEEDED


@pytest.mark.parametrize(("version", "state"), [((3, 9), State.NEEDED), ((3, 11), State.OK), ((3, 14), State.NEEDED)])
def test_pythons_without_wheels_are_refused(version: tuple[int, int], state: State) -> None:
    assert doctor.python(version).state is state


def test_the_pythons_are_those_of_the_makefile() -> None:
    text = (Path(__file__).parents[1] / "Makefile").read_text()
    assert f"{doctor.PYTHONS[0]} <= sys.version_info[:2] <= {doctor.PYTHONS[1]}" in text


def test_a_package_that_is_missing_is_named() -> None:
    found = doctor.packages(["numpy", "none_such"])
    assert found.state is State.NEEDED and found.text == "without none_such" and found.remedy == "make setup"


def test_a_port_that_somebody_has_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert doctor.page(port).state is State.OPTIONAL and str(port) in doctor.page(port).text
    assert doctor.page(70000).state is State.OPTIONAL


def test_a_driver_that_ends_its_process_ends_nothing_here() -> None:
    assert doctor.opengl("import os; os.abort()").state is State.OPTIONAL
    found = doctor.opengl("print('a renderer')")
    assert found.state is State.OK and found.text == "a renderer"


def test_a_domain_in_which_somebody_is_is_named() -> None:
    program = (
        "import rclpy, sys; rclpy.init(); n = rclpy.create_node('n'); print('here', flush=True); sys.stdin.readline()"
    )
    other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "here\n"
        found = doctor.domain()
        assert (
            found.state is State.OPTIONAL
            and os.environ["ROS_DOMAIN_ID"] in found.text
            and "--domain auto" in found.remedy
        )
    finally:
        other.kill()
        other.wait()


def test_without_a_compiler_the_packages_that_bring_one_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.compiler(["sh"]).state is State.OK
    found = doctor.compiler(["sh", "no-such-compiler"])
    assert found.state is State.OPTIONAL and "no-such-compiler" in found.text and "sh," not in found.text
    assert found.remedy == "apt install cmake gcc g++ make"


def test_messages_that_are_not_built_are_named_with_what_builds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "occ_msgs", None)
    monkeypatch.setitem(sys.modules, "occ_msgs.msg", None)
    for found in (doctor.transforms(), doctor.typed_forecasts()):
        assert found.state is State.OPTIONAL and found.remedy.startswith("scripts/build_messages.sh ")
    assert "occ_msgs is not built here" in doctor.typed_forecasts().text


@pytest.mark.parametrize(
    ("output", "code", "state", "words"),
    [
        ("NVIDIA H200, 143771 MiB", 0, State.OK, "H200"),
        ("Failed to initialize NVML: Driver/library version mismatch", 18, State.OPTIONAL, "NVML"),
    ],
)
def test_a_gpu_is_named_and_a_broken_driver_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: str, code: int, state: State, words: str
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{output}'\nexit {code}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(doctor, "version", lambda name: "2.13.0")
    found = doctor.gpu()
    assert found.state is state and words in found.text
    monkeypatch.setattr(doctor, "version", lambda name: "2.13.0+cpu")
    if code == 0:
        assert "torch==2.13.0" in doctor.gpu().remedy


def test_every_finding_that_is_not_ok_says_why_and_all_of_them_fit_a_line() -> None:
    found = findings(0)
    assert all(finding.text for finding in found)
    assert max(map(len, table(found).splitlines())) <= 180
