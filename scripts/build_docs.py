#!/usr/bin/env python3
"""The documentation as a site: `make docs`. Every link of it is checked; a broken one ends the build."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
API = {
    "occ_core": ROOT / "ros2_ws/src/occ_core/occ_core",
    "occ_ros": ROOT / "ros2_ws/src/occ_ros/occ_ros",
    "occworld": ROOT / "learner/occworld",
    "occworld_infer": ROOT / "ros2_ws/src/occworld_infer/occworld_infer",
}
"""Packages that others import: name, and where they are."""
_OUTSIDE = {"out", "data", "work_dirs", "build", "install", "log", "node_modules"}
_LINK = re.compile(r"\]\(([^)\s#]+)[^)\s]*\)")


def pages() -> list[Path]:
    """Every page of the repository, relative to its root."""
    found = (page.relative_to(ROOT) for page in ROOT.rglob("*.md"))
    return sorted(p for p in found if not any(part.startswith(".") or part in _OUTSIDE for part in p.parts[:-1]))


def modules(package: str) -> list[str]:
    """Dotted names of its public modules."""
    folder = API[package]
    found = (path.relative_to(folder).with_suffix("") for path in sorted(folder.rglob("*.py")))
    return [".".join((package, *path.parts)) for path in found if not path.name.startswith("_")]


def lay_out(folder: Path) -> None:
    """The sources of the site: pages, what they link to, and a page for each module."""
    shutil.rmtree(folder, ignore_errors=True)
    for page in pages():
        _copy(page, folder)
        for target in _LINK.findall((ROOT / page).read_text()):
            linked = (ROOT / page.parent / target).resolve()
            if not re.match(r"https?:|mailto:", target) and linked.is_file():
                _copy(linked.relative_to(ROOT), folder)
    api = folder / "api"
    api.mkdir()
    index = ["# API", "", "The modules that other programs import, in their own words."]
    for package in API:
        index += ["", f"## {package}", ""]
        for module in modules(package):
            (api / f"{module}.md").write_text(f"# {module}\n\n::: {module}\n")
            index.append(f"- [{module}]({module}.md)")
    (api / "index.md").write_text("\n".join(index) + "\n")


def _copy(path: Path, folder: Path) -> None:
    there = folder / path
    there.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(ROOT / path, there)


def main() -> int:
    """Exit code of mkdocs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "out/site", help="folder to write (default: out/site)")
    args = parser.parse_args()
    lay_out(ROOT / "out/site_sources")
    return build(args.out)


def build(out: Path) -> int:
    """The site from its sources: 0, or 1 after what is wrong, a line each."""
    command = [sys.executable, "-m", "mkdocs", "build", "-f", str(ROOT / "mkdocs.yml"), "-d", str(out.resolve())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("INFO")]
        print("\n".join(told), file=sys.stderr)
        return 1
    print(out / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
