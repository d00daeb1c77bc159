"""The guide's data script from top to bottom, with a catalogue and an archive on loopback in place of the internet."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from paths import PLATEAU, ROOT

from occ_core.session import find_sessions
from tokyo_city.sample_city import write_sample_city

SCRIPT = str(ROOT / "scripts/download_and_prepare_data.sh")
NAME = "13101_chiyoda-ku_pref_2025_citygml_1_op"


class Files(SimpleHTTPRequestHandler):
    """A folder's files, and answers of the catalogue by their query."""

    def send_head(self):
        self.path = self.path.replace("package_show?id=", "package_show/")
        return self.part() if "Range" in self.headers else super().send_head()

    def part(self) -> io.BytesIO:
        """Python's own server knows no ranges; the table of contents of an archive is asked for by one."""
        body = Path(self.translate_path(self.path)).read_bytes()
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(body)), len(body) - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{end}/{len(body)}")
        self.send_header("Content-Length", str(end - start + 1))
        self.end_headers()
        return io.BytesIO(body[start : end + 1])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory):
    """The address of a server with the smallest sample city as a ward's archive, and something like weights."""
    folder = tmp_path_factory.mktemp("site")
    udx = write_sample_city(folder / "citygml", seed=3, size_m=320.0)
    with zipfile.ZipFile(folder / f"{NAME}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(udx.rglob("*.*")):
            archive.write(path, f"{NAME}/udx/{path.relative_to(udx)}")
    with zipfile.ZipFile(folder / "latest.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"weights")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder)))
    url = f"http://127.0.0.1:{server.server_port}"
    actions = folder / "ckan/api/3/action"
    (actions / "package_show").mkdir(parents=True)
    dataset = "plateau-13101-chiyoda-ku-2025"
    resources = [{"name": "CityGML", "format": "ZIP", "url": f"{url}/{NAME}.zip", "hash": "", "size": None}]
    answers = {"package_list": [dataset], f"package_show/{dataset}": {"name": dataset, "resources": resources}}
    for call, result in answers.items():
        (actions / call).write_text(json.dumps({"success": True, "result": result}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("PYTHON", None)  # as of `make test PYTHON=python3.13`: what the script would take in its place
    return subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, env=environment)


@pytest.mark.slow
def test_everything_from_the_catalogue_to_sessions(site: str, tmp_path: Path) -> None:
    where = ["--catalogue", f"{site}/ckan", "--output", str(tmp_path)]
    small = ["--frames", "3", "--sessions", "2"]
    done = run("--all", "--area", "chiyoda", *where, *small, "--models-url", f"{site}/latest.pth")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"plateau/{NAME}.zip.manifest.json").is_file()
    assert (tmp_path / "pretrained/occworld/latest.pth").is_file()
    assert (tmp_path / "city/city.json").is_file()
    sessions = find_sessions(tmp_path / "tokyo_gazebo")
    assert sorted(session.info.agent for session in sessions) == ["drone_0", "rover_0"]
    assert all(len(session) == 3 and len(session.points(3)) > 1000 for session in sessions)

    again = run("--generate-data", "--skip-convert", *where, "--frames", "1", "--sessions", "1")
    assert again.returncode == 0, again.stderr
    assert len(find_sessions(tmp_path / "tokyo_gazebo")) == 3


@pytest.mark.parametrize("arguments", [
    ["--alll"], ["--area"], ["--output", "--all"], ["--frames", "0"], ["--sessions", "many"],
    ["--plateau", "--area", "osaka"], ["--plateau", "--mesh", "1"], ["--generate-data", "--output", "/nowhere"],
    ["--plateau", "--skip-plateau", "--output", "/nowhere"],
])  # fmt: skip
def test_bad_usage_gets_one_sentence_and_exit_code_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.skipif(not PLATEAU.is_dir(), reason=f"no PLATEAU sample data in {PLATEAU}: set PLATEAU_DATA")
def test_real_tiles_come_by_their_mesh_code_and_are_imported(tmp_path: Path) -> None:
    from tokyo_city.download.catalogue import Archive
    from tokyo_city.download.plateau import download_plateau
    from tokyo_city.download.web import Web
    from tokyo_city.world.city import Options, import_city

    haneda = PLATEAU / "haneda"
    name = "13100_tokyo23-ku_2020_citygml_4_2_op.zip"
    with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(haneda.rglob("*.*")):
            archive.write(path, f"{Path(name).stem}/{path.relative_to(haneda)}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        there = Archive("plateau-tokyo23ku", f"http://127.0.0.1:{server.server_port}/{name}", None)
        (folder,) = download_plateau(Web(), [there], ("53392642",), tmp_path / "plateau")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    kept = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert all((folder / path).read_bytes() == (haneda / path).read_bytes() for path in kept)
    assert Path("udx/bldg/53392642_bldg_6697_op2.gml") in kept and not any("533925" in str(path) for path in kept)
    report = import_city(tmp_path / "plateau", tmp_path / "city", Options(workers=1))
    beside = import_city(haneda / "udx/bldg", tmp_path / "beside", Options(workers=1))
    assert report.objects == beside.objects > 0 and report.triangles == beside.triangles and not report.problems


def test_the_help_names_every_option() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for option in ("--all", "--plateau", "--models", "--generate-data", "--skip-plateau", "--skip-convert", "--output"):
        assert option in shown.stdout


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck here: apt install shellcheck")
def test_shellcheck_has_nothing_to_say() -> None:
    subprocess.run(["shellcheck", SCRIPT], check=True)
