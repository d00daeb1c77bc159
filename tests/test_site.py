"""The documentation as a site: every page is in it, every link leads somewhere, modules speak for themselves."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

pytest.importorskip("mkdocs", reason="no mkdocs here: make dev")
SCRIPT = ROOT / "scripts/build_docs.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run([sys.executable, SCRIPT, "--out", out], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("build_docs", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_of_the_repository_is_in_it(site: Path, script) -> None:
    for page in script.pages():
        made = page.with_name("index.html") if page.name == "README.md" else page.with_suffix(".html")
        assert (site / made).is_file(), f"{page} is not in the site"


def test_modules_are_there_in_their_own_words(site: Path, script) -> None:
    for package in script.API:
        assert len(script.modules(package)) > 5
        for module in script.modules(package):
            assert (site / f"api/{module}.html").is_file()
    assert "axis-aligned grid of boxes" in (site / "api/occ_core.grid.html").read_text()
    assert "What of the world can touch a robot" in (site / "api/occworld_infer.costmap.html").read_text()


def test_a_link_and_an_anchor_that_lead_nowhere_end_the_build(
    site: Path, script, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    sources = ROOT / "out/site_sources"
    page = sources / "docs/tour.md"
    page.write_text(page.read_text() + "\n[x](nowhere.md) [y](learner.md#no-such-heading)\n")
    shutil.rmtree(sources / "api")  # most of the time that a build takes
    try:
        assert script.build(tmp_path) == 1
    finally:
        script.lay_out(sources)
    told = capsys.readouterr().err
    assert "nowhere.md" in told and "no-such-heading" in told
