"""`make bench AGAINST=<commit>`: figures are read out of tables, matched and divided; another commit really runs."""

from __future__ import annotations

import subprocess

import pytest
from paths import ROOT

from bench.against import Cell, checkout, figures, table

OLD = """## importing

| what | ms | beside | ms | ratio |
|---|---|---|---|---|
| tile | 200.0 | lxml | 50 | 0.25 |
| only old | 1 | x | 2 | 2 |

| robots | p50 | each |
|---|---|---|
| 1 | 421 ms | 1.85 Hz |
| whole demo | 9 min 3 s | |
"""


def test_figures_of_all_tables_are_read() -> None:
    found = figures("importing", OLD)
    assert found[Cell("importing", "tile, lxml", "ratio")] == 0.25
    assert found[Cell("importing", "1", "p50")] == 421
    assert found[Cell("importing", "whole demo", "p50")] == 543


def test_old_and_new_stand_side_by_side_as_medians() -> None:
    new = [figures("importing", OLD.replace("200.0", value).replace("only old", "only new")) for value in ("40", "60")]
    text = table([figures("importing", OLD)] * 2, new)
    assert "| importing | tile, lxml | ms | 200 | 50 | 0.25 |" in text
    assert "| importing | tile, lxml | ms again | 50 | 50 | 1.00 |" in text
    assert "| importing | whole demo | p50 | 543 | 543 | 1.00 |" in text
    assert "Only in the old one: importing: only old, x" in text
    assert "Only in the new one: importing: only new, x" in text


def test_a_commit_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="AGAINST=no-such-commit"), checkout("no-such-commit"):
        pass


def test_another_commit_runs_with_its_own_packages() -> None:
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True).returncode:
        pytest.skip("not a git checkout")
    with checkout("HEAD") as (tree, python):
        program = "import occ_core, bench, rclpy, sys; print(occ_core.__file__)"
        out = subprocess.run([str(python), "-c", program], cwd=tree, capture_output=True, text=True, check=True).stdout
        assert out.startswith(str(tree))
        help_text = subprocess.run(
            [str(python.with_name("tokyo")), "--help"], capture_output=True, text=True, check=True
        )
        assert "city" in help_text.stdout
    assert not tree.exists()
