"""What README and docs name exists: commands, options, files, links."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT, TOKYO

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "ros2_ws/src").glob("*/README.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_make_has_the_targets_that_the_readme_names() -> None:
    text = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^make (\w+)", text, re.MULTILINE))
    assert {"demo", "test"} <= targets
    for target in targets:
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_every_tokyo_command_in_the_readme_has_its_verb_and_options() -> None:
    commands = re.findall(r"^tokyo (\w+)(.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(commands) >= 3
    for verb, rest in commands:
        help_text = subprocess.run([TOKYO, verb, "--help"], check=True, capture_output=True, text=True).stdout
        for option in re.findall(r"--[a-z-]+", rest.split("#")[0]):
            assert option in help_text, f"tokyo {verb} has no {option}"


def test_every_script_in_the_readme_takes_its_options() -> None:
    scripts = re.findall(r"^(?:python )?(scripts/\S+)(.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(scripts) >= 3
    for script, rest in scripts:
        command = [sys.executable, script] if script.endswith(".py") else [f"./{script}"]
        shown = subprocess.run([*command, "--help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for option in re.findall(r"--[a-z-]+", rest.split("#")[0]):
            assert option in shown, f"{script} has no {option}"


def test_the_rooms_of_the_map_exist() -> None:
    text = (ROOT / "README.md").read_text()
    for room in re.findall(r"^\| `([\w/]+)` \|", text, re.MULTILINE):
        assert (ROOT / room).is_dir(), room


@pytest.mark.parametrize(
    "arguments", [["upp"], ["up", "--drones", "x"], ["city", "/nowhere"], ["sessions", "/nowhere"]]
)
def test_bad_usage_gets_one_sentence_and_exit_code_2(arguments: list[str]) -> None:
    result = subprocess.run([TOKYO, *arguments], capture_output=True, text=True)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stderr.startswith("tokyo")
