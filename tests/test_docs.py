"""What README and docs name exists: links, anchors, commands and their options, files, code."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import dry_runs
import in_process
import pytest
import yaml
from pages import blocks, commands
from paths import ROOT, TOKYO

from tokyo_occworld.demo.tour import LARGEST

_OUTSIDE = {"out", "data", "work_dirs", "build", "install", "log", "node_modules"}
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in _OUTSIDE for part in page.relative_to(ROOT).parts[:-1])
)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=name)


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "") for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@each_page
def test_links_pictures_and_anchors_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"https?:|mailto:", target):
            file, _, anchor = target.partition("#")
            there = page.parent / file if file else page
            assert there.exists(), f"{name(page)} links to {target}"
            if anchor:
                assert anchor in anchors(there), f"{name(page)} links to {target}: that page has no such heading"


def test_the_tour_s_pictures_are_those_that_its_command_draws_and_small() -> None:
    shown = set(re.findall(r"pictures/(tour_\w+\.\w+)", (ROOT / "docs/tour.md").read_text()))
    assert shown == {path.name for path in (ROOT / "docs/pictures").glob("tour_*")}
    assert all((ROOT / "docs/pictures" / picture).stat().st_size <= LARGEST for picture in shown)


@each_page
def test_every_command_could_be_run(page: Path) -> None:
    wrong = []
    for command in commands(page):
        try:
            dry_runs.check(command.words, page)
        except dry_runs.Undocumented as problem:
            wrong.append(f"{name(page)}:{command.line}: {problem}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "command",
    [
        "tokyo upp", "tokyo up --drone 1", "tokyo up --drones many", "tokyo sessions info --thorough out",
        "python learner/train.py --config learner/config/demo_tokyo.py --work-dir x --epoch 3",
        "python learner/train.py --config config/demo_tokyo.py --work-dir x", "python learner/tarin.py --help",
        "torchrun --nproc-per-node 2 learner/train.py --config config/demo_tokyo.py", "python -m occworld.config_page",
        "scripts/run_training.sh --fast", "scripts/launch_occworld_simulation.sh --drone 1", "scripts/none_such.sh",
        "make everything", "make demo TOWN=here", "make bench BENCH=flying",
        "ros2 launch tokyo_sim city.launch.py drone:=1",
        "ros2 launch tokyo_sim town.launch.py", "ros2 run occworld_infer forecast", "cd nowhere", "frobnicate now",
        "ros2 run occworld_infer inference --ros-args -p chekpoint:=x", "docker compose --profile flight up",
        "ros2 run occworld_infer inference --ros-args -p ground_height:=low", "python -m bench flying",
    ],
)  # fmt: skip
def test_a_command_that_could_not_be_run_is_found(command: str) -> None:
    with pytest.raises(dry_runs.Undocumented):
        dry_runs.check(shlex.split(command), ROOT / "README.md")


def test_the_readme_has_the_commands_that_people_come_for() -> None:
    found = {" ".join(command.words[:2]) for command in commands(ROOT / "README.md")}
    assert {"make demo", "make test", "tokyo city", "tokyo up", "tokyo bag2sessions"} <= found


@cache
def help_of(*verbs: str) -> str:
    done = in_process.tokyo(*verbs, "--help")
    return done.stdout if done.returncode == 0 else ""


@each_page
def test_verbs_and_options_named_in_a_sentence_exist(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for inline in re.findall(r"`(tokyo [a-z0-9]+[^`]*)`", text):
        words = inline.split()
        sub = words[2:3] if words[1] == "sessions" and words[2:] and re.fullmatch(r"[a-z]+", words[2]) else []
        shown = help_of(words[1], *sub)
        assert shown, f"{name(page)}: `{inline}`: there is no such verb"
        for option in re.findall(r"--[a-z-]+", inline):
            assert re.search(rf"{option}\b", shown), f"{name(page)}: `{inline}`: there is no {option}"


@each_page
def test_python_and_yaml_in_a_page_is_python_and_yaml(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.body, f"{name(page)}:{block.line}", "exec")
        elif block.language == "yaml":
            yaml.safe_load(block.body)


@cache
def said_by_our_programs() -> tuple[str, ...]:
    """Every string in the Python sources; of f-strings, the parts between the values."""
    sources = [path for part in ("ros2_ws/src", "learner") for path in (ROOT / part).rglob("*.py")]
    trees = [ast.parse(path.read_text()) for path in sources if "test" not in path.parts]
    nodes = (node for tree in trees for node in ast.walk(tree))
    return tuple(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


@pytest.mark.parametrize("page", ["docs/troubleshooting.md", "docs/training_guide.md"])
def test_our_programs_say_what_is_quoted(page: str) -> None:
    """In `text` blocks, with … for what varies."""
    quoted = [line for block in blocks(ROOT / page) if block.language == "text" for line in block.body.split("\n")]
    parts = [part.strip() for line in quoted for part in line.split("…")]
    assert sum(len(part) > 15 for part in parts) >= 5
    for part in parts:
        # A long sentence may be put together of several constants.
        pieces = [part] if any(part in text for text in said_by_our_programs()) else re.split(r"(?<=[.:]) ", part)
        for piece in pieces:
            assert any(piece in text for text in said_by_our_programs()), f"{page}: nothing here says `{piece}`"


def test_settings_named_in_a_sentence_exist() -> None:
    reference = (ROOT / "docs/configuration.md").read_text()
    known = set(re.findall(r"^\| `([\w.]+)` \|", reference, re.MULTILINE))
    sections = "|".join(sorted({setting.split(".")[0] for setting in known if "." in setting}))
    named = 0
    for page in PAGES:
        for setting in re.findall(rf"`((?:{sections})\.(?!safetensors)\w+)(?: = [^`]*)?`", page.read_text()):
            named += 1
            assert setting in known, f"{name(page)}: there is no setting {setting}"
    assert named > 20


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
