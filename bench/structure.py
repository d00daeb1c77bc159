"""How the code is cut up, and what its programs load: `python -m bench.structure [--against COMMIT]`."""

from __future__ import annotations

import argparse
import ast
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.against import ROOT, checkout, environment

_SMALL = 40  # lines
# What a person starts, and what starts with it.
_PROGRAMS = {
    "`tokyo --help`": ("-m", "tokyo_occworld.cli.main", "--help"),
    "`train.py --help`": ("learner/train.py", "--help"),
    "training, imports": ("-c", "import occworld.trainer"),
    "recorder node, imports": ("-c", "import occ_recorder.nodes.recorder"),
    "simulator node, imports": ("-c", "import tokyo_sim.nodes.simulator"),
    "inference node, imports": ("-c", "import occworld_infer.nodes.inference"),
}


@dataclass(frozen=True)
class Module:
    """A Python file of a package, without tests. lines: all of them. imports: packages of ours that it names."""

    package: str
    path: Path
    lines: int
    imports: frozenset[str]


def packages(tree: Path) -> dict[str, Path]:
    """Import name to folder, of every package of a tree."""
    found = {init.parent.name: init.parent for init in tree.glob("ros2_ws/src/*/*/__init__.py")}
    found |= {init.parent.name: init.parent for init in tree.glob("learner/*/__init__.py")}
    return {name: folder for name, folder in sorted(found.items()) if name not in ("test", "tests", "launch")}


def modules(tree: Path) -> list[Module]:
    """Every module of a tree's packages, and the learner's scripts."""
    ours = packages(tree)
    files = [(name, path) for name, folder in ours.items() for path in sorted(folder.rglob("*.py"))]
    files += [("learner", path) for path in sorted(tree.glob("learner/*.py")) if path.name != "setup.py"]
    return [_module(name, path, set(ours)) for name, path in files]


def _module(package: str, path: Path, ours: set[str]) -> Module:
    lines = len(path.read_text().splitlines())
    return Module(package, path, lines, frozenset((imported(path) & ours) - {package}))


def imported(path: Path) -> set[str]:
    """Top-level names of all that a module imports, wherever in the module."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def both_ways(found: list[Module]) -> list[tuple[str, str]]:
    """Pairs of packages that import each other, directly or by others."""
    above: dict[str, set[str]] = {module.package: set() for module in found}
    for module in found:
        above[module.package] |= module.imports
    for through in above:
        for name in above:
            if through in above[name]:
                above[name] |= above[through]
    return [(a, b) for a in above for b in above[a] if a < b and a in above.get(b, ())]


def figures(tree: Path) -> Iterator[tuple[str, str]]:
    """(what, figure) of a tree."""
    found = [module for module in modules(tree) if module.lines]
    lines, names = Counter[str](), Counter(m.path.name for m in found if m.path.name not in ("__init__.py", "main.py"))
    for module in found:
        lines[module.package] += module.lines
    largest, most = lines.most_common(1)[0]
    yield "packages", f"{len(lines)}"
    yield "modules that are not empty", f"{len(found)}"
    yield "median lines", f"{median(module.lines for module in found):.0f}"
    small = [m for m in found if m.lines < _SMALL and m.path.name != "__init__.py"]
    yield f"under {_SMALL} lines, without `__init__.py`", f"{len(small)}"
    yield "share of the largest package", f"{largest}, {100 * most / sum(lines.values()):.0f}%"
    yield "pairs of packages that import each other", f"{len(both_ways(found))}"
    yield "names that more than one file has", f"{sum(count > 1 for count in names.values())}"


def seconds(tree: Path, python: Path, command: tuple[str, ...]) -> float:
    """CPU seconds of a program, the least of three."""
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([str(python), *command], cwd=tree, env=environment(python), capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


def rows(tree: Path, python: Path) -> dict[str, str]:
    """All figures of a tree."""
    found = dict(figures(tree))
    for name, command in _PROGRAMS.items():
        try:
            found[name + ", CPU s"] = f"{seconds(tree, python, command):.2f}"
        except subprocess.CalledProcessError:
            found[name + ", CPU s"] = "is not there"
    return found


def main() -> None:
    """Print a table as Markdown."""
    parser = argparse.ArgumentParser(prog="bench.structure", description=__doc__)
    parser.add_argument("--against", default="", metavar="COMMIT", help="beside that commit")
    args = parser.parse_args()
    now = rows(ROOT, Path(sys.executable))
    then = {}
    if args.against:
        with checkout(args.against) as (tree, python):
            then = rows(tree, python)
    print("| | before | now |\n|---|---|---|")
    for name, figure in now.items():
        print(f"| {name} | {then.get(name, '')} | {figure} |")


if __name__ == "__main__":
    main()
