"""Whether a command of the documentation could be run: program, files and options exist. Only parsers are started."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import re
import runpy
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path
from unittest.mock import patch

import yaml
from paths import ROOT

from tokyo_sim.bringup import Arguments

PACKAGES = ROOT / "ros2_ws/src"
# Programs of others that a test can't start here, and why. Everything else is checked.
ELSEWHERE = {
    r"sudo apt(-get)? install": "needs root and a network",
    r"(sudo )?(rosdep|colcon)\b": "needs a ROS 2 installation",
    r"source \S+/setup\.bash": "needs a ROS 2 installation",
    r"ros2 (bag|topic|node|param|service|lifecycle|daemon|doctor|interface|multicast)\b": "needs ROS 2's command line",
    r"ros2 run (tf2_ros|tf2_tools|rviz2|rqt\w*|ros_gz\w*|robot_state_publisher)\b": "needs a ROS 2 installation",
    r"(gz|ign|rviz2)\b": "needs Gazebo or RViz",
    r"(pip|\S+/pip) install": "needs a network",
    r"git clone": "needs a network",
    r"(ssh|scp|rsync|tmux)\b": "needs another machine",
    r"(squeue|scancel|srun)\b": "needs a SLURM cluster",
    r"ray (start|stop|status)": "needs a cluster",
    r"(nvidia-smi|eglinfo|df|ls|grep|mkdir|fastdds|sudo sysctl)\b": "looks at a machine, or sets it up",
    r"export \w+=": "sets a variable",
}


class Undocumented(AssertionError):
    """A command of a page that could not be run: what is wrong with it."""


class _Parsed(BaseException):
    """Raised in place of a program's work, once its options were understood."""


def check(words: list[str], page: Path) -> None:
    """Undocumented where the command names a program, a file, a verb or an option that does not exist."""
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    program, rest = words[0], words[1:]
    line = " ".join(words)
    if any(re.match(pattern, line) for pattern in ELSEWHERE):
        return
    if program == "cd":
        _file(rest[0], page)
    elif program == "make":
        _make(rest)
    elif program == "tokyo":
        parse(lambda: runpy.run_module("tokyo_occworld.cli.main", run_name="__main__"), program, rest)
    elif program in ("python", "python3") and rest[0] == "-m":
        _module(rest[1], rest[2:], page)
    elif program in ("python", "python3"):
        _script(rest[0], rest[1:], page)
    elif program == "torchrun":
        number = next(i for i, word in enumerate(rest) if word.endswith(".py"))
        _script(rest[number], rest[number + 1 :], page)
    elif program.startswith(("scripts/", "./scripts/")):
        _shell_script(program, rest, page)
    elif program == "sbatch":
        _file(next(word for word in rest if word.endswith(".sbatch")), page)
    elif rest[:1] == ["launch"] and program == "ros2":
        _launch(rest[1:], page)
    elif rest[:1] == ["run"] and program == "ros2":
        _run(rest[1], rest[2], rest[3:])
    elif line.startswith("docker compose"):
        _compose(rest[1:], page)
    elif line.startswith("docker build"):
        _file(rest[rest.index("-f") + 1], page)
    else:
        raise Undocumented(f"nothing tells how to check `{line}`: run it in a test, or add a rule")


def parse(program, name: str, arguments: list[str]) -> None:
    """Run a Python program as far as its command line is understood."""
    understood = argparse.ArgumentParser.parse_args

    def stop(self, args=None, namespace=None):
        self.allow_abbrev = False
        understood(self, args, namespace)
        raise _Parsed

    said = io.StringIO()
    with patch.object(argparse.ArgumentParser, "parse_args", stop), patch.object(sys, "argv", [name, *arguments]):
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                program()
        except _Parsed:
            return
        except SystemExit as end:
            if "--help" in arguments and end.code == 0:
                return
            raise Undocumented(f"{name} {' '.join(arguments)}: {said.getvalue().strip()[-300:]}") from end
    raise Undocumented(f"{name} does not read a command line with argparse")


def _file(name: str, page: Path) -> Path:
    """A file or folder, seen from the checkout or, on pages of the learner, from its folder."""
    roots = [ROOT, ROOT / "learner"] if "learner" in str(page.relative_to(ROOT)) else [ROOT]
    for root in roots:
        if (root / name).exists():
            return root / name
    raise Undocumented(f"there is no {name}")


def _script(name: str, arguments: list[str], page: Path) -> None:
    path = _file(name, page)
    for config in (word for word in arguments if re.fullmatch(r"(learner/)?config/\w+\.py", word)):
        folder = Path(str(path).removesuffix(name))
        if not (folder / config).is_file():
            raise Undocumented(f"there is no {config} in the folder from which {name} is found")
    parse(lambda: runpy.run_path(str(path), run_name="__main__"), name, arguments)


def _module(name: str, arguments: list[str], page: Path) -> None:
    if name == "pytest":
        for word in arguments:
            if word.startswith("tests/"):
                _file(word.split("::")[0], page)
    elif "--ros-args" in arguments:
        _parameters(name, arguments)
    elif name == "tensorboard.main":
        importlib.import_module(name)
    elif name == "bench":
        for part in arguments:
            _file(f"bench/{part}.py", page)
    else:
        parse(lambda: runpy.run_module(name, run_name="__main__", alter_sys=True), name, arguments)


def _make(arguments: list[str]) -> None:
    done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise Undocumented(f"make {' '.join(arguments)}: {done.stderr.strip()}")
    text = (ROOT / "Makefile").read_text()
    for variable in (word.split("=")[0] for word in arguments if "=" in word):
        if f"$({variable})" not in text:
            raise Undocumented(f"the Makefile does not read {variable}")
    for part in (word.removeprefix("BENCH=") for word in arguments if word.startswith("BENCH=")):
        _file(f"bench/{part}.py", ROOT / "README.md")


@cache
def _help(path: Path) -> str:
    done = subprocess.run([str(path), "--help"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise Undocumented(f"{path.name} --help ends with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _shell_script(name: str, arguments: list[str], page: Path) -> None:
    path = _file(name, page)
    if path.suffix == ".py":
        return _script(name, arguments, page)
    text = _help(path)
    if "--" in arguments and "run_training.sh" in text:
        end = arguments.index("--")
        _shell_script("scripts/run_training.sh", arguments[end + 1 :], page)
        arguments = arguments[:end]
    if "every option of `tokyo up`" in text.lower():
        module = "tokyo_occworld.cli.main"
        return parse(lambda: runpy.run_module(module, run_name="__main__"), "tokyo", ["up", *arguments])
    for option in (word.split("=")[0] for word in arguments if word.startswith("--")):
        if not re.search(rf"{option}\b", text):
            raise Undocumented(f"{name} has no {option}")


def _launch(words: list[str], page: Path) -> None:
    """`ros2 launch FILE ...` or `ros2 launch PACKAGE FILE ...`; arguments are those that the file declares."""
    packaged = not words[0].endswith(".py")
    path = PACKAGES / words[0] / "launch" / words[1] if packaged else _file(words[0], page)
    if not path.is_file():
        raise Undocumented(f"there is no launch file {path.relative_to(ROOT)}")
    known = {field.name for field in fields(Arguments)}
    known |= set(re.findall(r"""DeclareLaunchArgument\(\s*["'](\w+)""", path.read_text()))
    for name in (word.split(":=")[0] for word in words if ":=" in word):
        if name not in known:
            raise Undocumented(f"{path.name} has no argument {name}")


def _run(package: str, executable: str, arguments: list[str]) -> None:
    """`ros2 run` of one of our packages: its console script, and the parameters of its node."""
    setup = PACKAGES / package / "setup.py"
    found = re.search(rf'"{executable} = ([\w.]+):main"', setup.read_text()) if setup.is_file() else None
    if found is None:
        raise Undocumented(f"ros2 run {package} {executable}: there is no such executable")
    if "--ros-args" in arguments:
        _parameters(found[1], arguments)


def _parameters(module: str, arguments: list[str]) -> None:
    """Each `-p name:=value` is in the node's table, and a YAML value of the type of its default."""
    table = {p.name: p.default for p in importlib.import_module(module).PARAMETERS} | {"use_sim_time": False}
    for flag, word in zip(arguments, arguments[1:], strict=False):
        name, _, text = word.partition(":=")
        if flag == "-p" and name not in table:
            raise Undocumented(f"{module} has no parameter {name}")
        if flag == "-p" and not isinstance(yaml.safe_load(text), type(table[name])):
            raise Undocumented(f"{module}: {name} is a {type(table[name]).__name__}, not {text}")
        if flag == "-r" and not re.fullmatch(r"[\w/~]+:=[\w/]+", word):
            raise Undocumented(f"{module}: {word} is no remapping")


def _compose(words: list[str], page: Path) -> None:
    """`docker compose` with files and profiles that exist; the files are seen from docker/, too."""
    files = [word for flag, word in zip(words, words[1:], strict=False) if flag in ("-f", "--file")]
    paths = [_file(name if (ROOT / name).exists() else f"docker/{name}", page) for name in files or ["compose.yaml"]]
    services = [service for path in paths for service in yaml.safe_load(path.read_text())["services"].values()]
    profiles = {profile for service in services for profile in service.get("profiles", [])}
    for flag, word in zip(words, words[1:], strict=False):
        if flag == "--profile" and word not in profiles:
            raise Undocumented(f"compose has no profile {word}, only {', '.join(sorted(profiles))}")
