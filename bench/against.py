"""Benches of another commit beside those of this one: `make bench AGAINST=<commit>`.

The other commit is checked out in a temporary worktree with an environment of its own: the libraries of this one, its
own packages. Each bench runs as a process, in turn in the old tree and in the new, so that a drifting machine hits both
alike. Rows are matched by bench, heading and name.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
_NUMBER = re.compile(r"(?:(\d+) min )?(-?\d+(?:\.\d+)?)( ?[a-zA-Z%/]*)")


@dataclass(frozen=True)
class Cell:
    """A figure of a bench's table. row: the first cell of its line and those of text; column: its heading."""

    bench: str
    row: str
    column: str


def figures(bench: str, text: str) -> dict[Cell, float]:
    """The numeric cells of all Markdown tables in the output of a bench; minutes and seconds become seconds."""
    found: dict[Cell, float] = {}
    heading: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            heading = []
            continue
        cells = [cell.strip().strip("*") for cell in line.strip().strip("|").split("|")]
        if not heading:
            # The second "ms" of a row is its baseline's.
            heading = [cell + " again" * cells[:place].count(cell) for place, cell in enumerate(cells)]
        elif not set(line) <= set("|-: "):
            matches = [None, *(_NUMBER.fullmatch(cell) for cell in cells[1:])]
            name = ", ".join(cell for cell, match in zip(cells, matches, strict=True) if cell and not match)
            for column, match in zip(heading, matches, strict=True):
                if match:
                    seconds = 60 * float(match[1] or 0) + float(match[2])
                    found[Cell(bench, name, column)] = seconds
    return found


def table(old: list[dict[Cell, float]], new: list[dict[Cell, float]]) -> str:
    """Medians over the runs of each, and new / old; figures that only one of them has are named below the table."""
    before, after = (
        {
            cell: median(run[cell] for run in runs if cell in run)
            for cell in dict.fromkeys(c for run in runs for c in run)
        }
        for runs in (old, new)
    )
    lines = ["| bench | what | figure | old | new | new / old |", "|---|---|---|---|---|---|"]
    for cell in (cell for cell in after if cell in before):
        ratio = f"{after[cell] / before[cell]:.2f}" if before[cell] else ""
        lines.append(f"| {cell.bench} | {cell.row} | {cell.column} | {before[cell]:g} | {after[cell]:g} | {ratio} |")
    for only, cells in (("old", set(before) - set(after)), ("new", set(after) - set(before))):
        if cells:
            lines += ["", f"Only in the {only} one: " + "; ".join(sorted({f"{c.bench}: {c.row}" for c in cells}))]
    return "\n".join(lines)


@contextmanager
def checkout(commit: str) -> Iterator[tuple[Path, Path]]:
    """(folder, its Python) of a commit's tree with its packages installed, while the context lasts.

    ValueError where the repository has no such commit or its packages can't be installed.
    """
    with tempfile.TemporaryDirectory(prefix="tokyo_bench_") as temporary:
        tree = Path(temporary) / "tree"
        added = subprocess.run(
            ["git", "worktree", "add", "--detach", str(tree), commit], cwd=ROOT, capture_output=True, text=True
        )
        if added.returncode:
            raise ValueError(f"AGAINST={commit}: {added.stderr.strip().splitlines()[-1]}")
        try:
            yield tree, _environment(tree, Path(temporary) / "venv")
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)


def _environment(tree: Path, folder: Path) -> Path:
    """A virtual environment with this one's libraries and the packages of a tree. Returns its Python."""
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    libraries = sysconfig.get_paths()["purelib"]
    own = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    # A path in a .pth file is added as it is: the .pth files in it, with our editable packages, are not read again.
    packages = sorted(path.parent for path in tree.glob("ros2_ws/src/*/setup.py"))
    sources = [str(path) for path in (*packages, tree / "learner")]
    Path(own, "old_tree.pth").write_text("\n".join([*sources, libraries]) + "\n")
    bootstrapper = Path(libraries, "ros_wheels_bootstrapper.pth")
    if bootstrapper.exists():
        Path(own, "z_ros_wheels.pth").write_text(bootstrapper.read_text())
    for command, target in _console_scripts(packages):
        script = folder / "bin" / command
        module, function = target.split(":")
        script.write_text(f"#!{python}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
        script.chmod(0o755)
    return python


def _console_scripts(packages: list[Path]) -> Iterator[tuple[str, str]]:
    """(command, module:function) of the packages' entry points."""
    for package in packages:
        yield from re.findall(r'"(\w+) = ([\w.]+:\w+)"', (package / "setup.py").read_text())


def environment(python: Path) -> dict[str, str]:
    """This process's environment, with commands and packages of a Python's own virtual environment."""
    return os.environ | {
        "PATH": f"{python.parent}:{os.environ['PATH']}", "VIRTUAL_ENV": str(python.parent.parent), "PYTHONPATH": "",
    }  # fmt: skip


def run_bench(tree: Path, python: Path, bench: str) -> str:
    """What `python -m bench NAME` prints in a tree. RuntimeError with its last words where it fails."""
    done = subprocess.run(
        [str(python), "-m", "bench", bench], cwd=tree, env=environment(python), capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"bench {bench} in {tree}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def compare(commit: str, benches: list[str], repeats: int) -> str:
    """The table of these benches in another commit and in this tree, each run `repeats` times in turn."""
    old: list[dict[Cell, float]] = [{} for _ in range(repeats)]
    new: list[dict[Cell, float]] = [{} for _ in range(repeats)]
    failures = []
    with checkout(commit) as (tree, python):
        for bench in benches:
            for number in range(repeats):
                for runs, place, interpreter in ((old, tree, python), (new, ROOT, Path(sys.executable))):
                    try:
                        runs[number] |= figures(bench, run_bench(place, interpreter, bench))
                    except RuntimeError as error:
                        failures.append(str(error))
    return "\n\n".join([table(old, new), *dict.fromkeys(failures)])
