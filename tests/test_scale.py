"""docs/scale.md: its tables follow from its measured figures, and its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields, replace

import pytest
from paths import ROOT, TOKYO

from bench.scale import EXTENTS, Measured, Plan, scale_table

PAGE = (ROOT / "docs/scale.md").read_text(encoding="utf-8")


def stated() -> Measured:
    """The figures of the page's first table."""
    found = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+)", PAGE, re.MULTILINE))
    assert found.keys() == {spec.name for spec in fields(Measured)}
    return Measured(**{name: float(value) for name, value in found.items()})


@pytest.mark.parametrize("images", [False, True], ids=["lidar", "cameras"])
def test_the_tables_are_what_the_measured_figures_give(images: bool) -> None:
    assert scale_table(stated(), Plan(), images) in PAGE


def test_what_a_city_costs_grows_with_its_area_and_its_price() -> None:
    cells = {
        rate: [row.split(" | ") for row in scale_table(stated(), Plan(core_hour=rate), False).splitlines()]
        for rate in (0.05, 0.1)
    }
    dollars = {rate: next(row for row in rows if "| cores, $" in row[0]) for rate, rows in cells.items()}
    numbers = {rate: [float(cell.strip(" |").replace(",", "")) for cell in row[1:]] for rate, row in dollars.items()}
    assert numbers[0.05] == sorted(numbers[0.05]) and len(numbers[0.05]) == len(EXTENTS)
    assert numbers[0.1] == pytest.approx([2 * value for value in numbers[0.05]], rel=0.05)
    dearer = replace(stated(), frame_s=10 * stated().frame_s)
    assert scale_table(dearer, Plan(), False) != scale_table(stated(), Plan(), False)


def test_the_commands_of_the_page_have_their_options() -> None:
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", " ")
    shown = {
        command: subprocess.run([*call, "--help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for command, call in {
            "tokyo download plateau": [TOKYO, "download", "plateau"],
            "tokyo city": [TOKYO, "city"],
            "plateau_to_occworld.py": [sys.executable, "scripts/plateau_to_occworld.py"],
        }.items()
    }
    for command, text in shown.items():
        lines = [line for line in blocks.splitlines() if command in line]
        assert lines, f"the page does not name {command}"
        for option in re.findall(r"--[a-z-]+", " ".join(line.split(command, 1)[1] for line in lines)):
            assert option in text, f"{command} has no {option}"
    for script in re.findall(r"\S+\.sbatch", blocks):
        assert (ROOT / script).is_file(), script
