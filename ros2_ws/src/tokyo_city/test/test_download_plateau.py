"""From a ward's name or a mesh code to tiles on the disk, by a catalogue that answers as CKAN does."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import odd_server as odd
import pytest

from tokyo_city.download.archive import check_zip
from tokyo_city.download.catalogue import Catalogue
from tokyo_city.download.manifest import check_folder
from tokyo_city.download.plateau import DownloadRequest, archives, download_plateau
from tokyo_city.download.wards import WARDS, find_ward
from tokyo_city.download.web import DownloadProblem, RetryPolicy, Web
from tokyo_city.download.weights import download_weights
from tokyo_city.plateau.model import ImportProblem
from tokyo_city.plateau.sources import Region, find_sources
from tokyo_occworld.cli.main import main

PATIENCE = RetryPolicy(attempts=3, wait_s=0.001)
TOP = "13101_chiyoda-ku_pref_2025_citygml_1_op"
NOISE = np.random.default_rng(2).bytes(200_000)
CITY = {
    f"{TOP}/udx/bldg/53394611_bldg_6697_op.gml": b"<station/>" + NOISE,
    f"{TOP}/udx/bldg/53394611_bldg_6697_appearance/roof.jpg": NOISE[:5000],
    f"{TOP}/udx/bldg/53394612_bldg_6697_op.gml": b"<east/>",
    f"{TOP}/udx/tran/533946_tran_6697_op.gml": b"<roads of ten kilometres/>",
    f"{TOP}/udx/fld/53394611_fld_6697_op.gml": b"<flood/>",
    f"{TOP}/codelists/Building_usage.xml": b"<codes/>",
    f"{TOP}/README.md": b"text",
}


def zip_of(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def web() -> Web:
    return Web(PATIENCE)


@pytest.fixture
def site():
    """A catalogue with a few data sets, and the server of their files in one."""
    with odd.serving() as server:
        yield Site(server)


class Site:
    def __init__(self, server: odd.OddServer) -> None:
        self.server, self.names = server, ["a-bus-timetable", "plateau-14100-yokohama-shi-2024"]

    def add(self, dataset: str, *files: tuple[str, bytes], **fields: object) -> None:
        self.names.append(dataset)
        resources = [
            {"name": name, "format": "ZIP", "url": f"{self.server.url}/{name}", "size": None, "hash": "", **fields}
            for name, _ in files
        ]
        for name, content in files:
            self.server.files[f"/{name}"] = content
        self._answer(f"package_show?id={dataset}", {"name": dataset, "license_id": "plateau", "resources": resources})
        self._answer("package_list", self.names)

    def _answer(self, call: str, result: object) -> None:
        self.server.files[f"/ckan/api/3/action/{call}"] = json.dumps({"success": True, "result": result}).encode()

    @property
    def root(self) -> str:
        return f"{self.server.url}/ckan"


def chosen(web: Web, site: Site, *areas: str, dataset: str = "", year: int | None = None) -> list[str]:
    wanted = DownloadRequest.of(list(areas), [], dataset, year)
    return [archive.file_name for archive in archives(web, Catalogue(web, site.root), wanted)]


@pytest.mark.parametrize("word", ["chiyoda", "Chiyoda-ku", "千代田", "千代田区", "13101", " CHIYODA "])
def test_a_ward_goes_by_many_names(word):
    assert find_ward(word).code == "13101"


def test_there_are_23_wards():
    assert [ward.code for ward in WARDS] == [str(13101 + number) for number in range(23)]


@pytest.mark.parametrize(("word", "sentence"), [("chioda", "chiyoda is the nearest"), ("osaka", "there are|nearest")])
def test_what_is_no_ward_is_told_the_nearest(word, sentence):
    with pytest.raises(ValueError, match=f"'{word}'.*({sentence})"):
        find_ward(word)


def test_a_ward_is_its_newest_data_set_with_buildings_and_roads(site, web):
    whole, houses = zip_of(CITY), zip_of({"udx/bldg/53394611_bldg_6697_op.gml": b"<a/>"})
    trees = zip_of({"udx/veg/53394611_veg_6697_op.gml": b"<a/>"})
    site.add("plateau-13106-taito-ku-2022", ("13106_taito-ku_2022_citygml_1_op.zip", whole))
    site.add("plateau-13106-taito-ku-2023", ("13106_taito-ku_2023_citygml_1_op.zip", houses))
    site.add("plateau-13106-taito-ku-2024", ("13106_taito-ku_2024_citygml_1_op.zip", trees))
    site.add("plateau-13106-taito-ku-2025", ("13106_taito-ku_2025_3dtiles_mvt_1_op.zip", whole))
    assert chosen(web, site, "taito") == ["13106_taito-ku_2022_citygml_1_op.zip"]
    assert chosen(web, site, "taito", year=2023) == ["13106_taito-ku_2023_citygml_1_op.zip"]
    for year, sentence in ((2021, "there are 2022, 2023, 2024, 2025"), (2024, "no data set of taito has buildings")):
        with pytest.raises(DownloadProblem, match=sentence):
            chosen(web, site, "taito", year=year)
    with pytest.raises(DownloadProblem, match="no data set of taito has buildings"):
        chosen(web, site, "taito", year=2025)
    with pytest.raises(DownloadProblem, match="has no CityGML zip"):
        chosen(web, site, dataset="plateau-13106-taito-ku-2025")
    site.server.script["/13106_taito-ku_2024_citygml_1_op.zip"] = [odd.status(503)]
    with pytest.raises(DownloadProblem, match="503"):  # a server that is down is no reason to take older data
        chosen(web, site, "taito")
    with pytest.raises(DownloadProblem, match=r"no data set of kita \(13117\)"):
        chosen(web, site, "kita")


def test_of_one_data_set_the_newest_version_is_taken(site, web):
    names = ["2020_citygml_3_2_op.zip", "2020_citygml_10_1_op.zip", "2020_citygml_4_2_op.zip", "2020_obj_3_op.zip"]
    site.add("plateau-tokyo23ku", *((f"13100_tokyo23-ku_{name}", b"") for name in names))
    assert chosen(web, site, "all") == ["13100_tokyo23-ku_2020_citygml_10_1_op.zip"]


def test_two_wards_are_two_archives_that_the_importer_takes_from_their_folder(site, web, tmp_path):
    for code, name in (("13101", "chiyoda"), ("13102", "chuo")):
        site.add(f"plateau-{code}-{name}-ku-2025", (f"{code}_{name}-ku_pref_2025_citygml_1_op.zip", zip_of(CITY)))
    found = archives(web, Catalogue(web, site.root), DownloadRequest.of(["chiyoda", "chuo"], [], "", None))
    paths = download_plateau(web, found, (), tmp_path)
    assert [path.name for path in paths] == [archive.file_name for archive in found]
    tiles, refused = find_sources(tmp_path, Region())
    assert len(tiles) == 6 and not refused and check_folder(tmp_path) == (2, [])


def test_a_hash_in_the_catalogue_is_heeded_where_it_is_one(site, web, tmp_path):
    name = "13101_chiyoda-ku_pref_2025_citygml_1_op.zip"
    site.add("plateau-13101-chiyoda-ku-2025", (name, zip_of(CITY)), hash="md5:" + "0" * 32)
    found = archives(web, Catalogue(web, site.root), DownloadRequest.of(["chiyoda"], [], "", None))
    with pytest.raises(DownloadProblem, match="the md5 of what came is"):
        download_plateau(web, found, (), tmp_path)
    site.add("plateau-13101-chiyoda-ku-2025", (name, zip_of(CITY)), hash="see the documentation")
    assert archives(web, Catalogue(web, site.root), DownloadRequest.of(["chiyoda"], [], "", None))[0].checksum is None


@pytest.fixture
def station(site, web):
    """The archive with the square of Tokyo station in it."""
    site.add("plateau-tokyo23ku", (f"{TOP}.zip", zip_of(CITY)))
    return archives(web, Catalogue(web, site.root), DownloadRequest.of([], ["53394611"], "", None))


def present(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_mesh_code_brings_its_tiles_textures_and_code_lists_only(site, station, web, tmp_path):
    (folder,) = download_plateau(web, station, ("53394611",), tmp_path)
    kept = {name.removeprefix(f"{TOP}/"): content for name, content in CITY.items()}
    wanted = {name for name in kept if "fld" not in name and "README" not in name and "53394612" not in name}
    assert present(folder) == wanted
    assert all((folder / name).read_bytes() == kept[name] for name in wanted)
    assert check_folder(tmp_path) == (len(wanted), [])
    assert all(site.server.seen[f"/{TOP}.zip"]), "every request asks for a range"
    tiles = find_sources(tmp_path, Region())[0]
    assert {tile.name for tile in tiles} == {"533946_tran_6697_op", "53394611_bldg_6697_op"}


def test_tiles_beside_an_archive_with_tiles_are_not_mixed(station, web, tmp_path):
    download_plateau(web, station, ("53394611",), tmp_path)
    (tmp_path / "pictures.zip").write_bytes(zip_of({"roof.jpg": b"a"}))
    assert len(find_sources(tmp_path, Region())[0]) == 2
    download_plateau(web, station, (), tmp_path)
    with pytest.raises(ImportProblem, match=f"has tiles, and {TOP}.zip has some, too"):
        find_sources(tmp_path, Region())


def test_tiles_that_are_there_are_not_downloaded_again_and_damaged_ones_are(site, station, web, tmp_path):
    (folder,) = download_plateau(web, station, ("53394611",), tmp_path)
    roof = folder / "udx/bldg/53394611_bldg_6697_appearance/roof.jpg"
    before = (folder / "udx/bldg/53394611_bldg_6697_op.gml").stat().st_mtime_ns
    roof.write_bytes(bytes(5000))
    download_plateau(web, station, ("53394611",), tmp_path)
    assert roof.read_bytes() == NOISE[:5000]
    assert (folder / "udx/bldg/53394611_bldg_6697_op.gml").stat().st_mtime_ns == before


@pytest.mark.parametrize("answers", [
    [odd.drops(0.5), odd.whole], [odd.hangs_up, odd.whole], [odd.whole, odd.status(503), odd.drops(0.2), odd.whole],
])  # fmt: skip
def test_tiles_come_whole_over_connections_that_break(site, station, web, tmp_path, answers):
    site.server.script[f"/{TOP}.zip"] = list(answers)
    (folder,) = download_plateau(web, station, ("53394611",), tmp_path)
    assert (folder / "udx/bldg/53394611_bldg_6697_op.gml").read_bytes() == b"<station/>" + NOISE


@pytest.mark.parametrize(("answers", "sentence"), [
    ([odd.ignores_range], "whole files only"),
    ([odd.status(404)], "404"),
    ([odd.another_part], "another part"),
    ([odd.drops(0.5)], "broke off several times"),
    ([odd.whole, odd.part_of_another_file], "was changed while it was read|another part"),
])  # fmt: skip
def test_tiles_that_can_not_be_had_are_a_sentence_and_no_file(site, station, web, tmp_path, answers, sentence):
    site.server.script[f"/{TOP}.zip"] = list(answers)
    with pytest.raises(DownloadProblem, match=sentence):
        download_plateau(web, station, ("53394611",), tmp_path)
    assert not present(tmp_path)


def test_damage_within_a_remote_archive_leaves_no_tile_of_it(site, station, web, tmp_path):
    damaged = bytearray(site.server.files[f"/{TOP}.zip"])
    damaged[3000:3100] = bytes(100)
    site.server.files[f"/{TOP}.zip"] = bytes(damaged)
    with pytest.raises(DownloadProblem, match=r"53394611_bldg_6697_op.gml' can't be unpacked"):
        download_plateau(web, station, ("53394611",), tmp_path)
    assert not [name for name in present(tmp_path) if name.endswith(".gml")]


def test_a_square_that_an_archive_does_not_have_is_a_sentence(station, web, tmp_path):
    with pytest.raises(DownloadProblem, match="no tile in the region"):
        download_plateau(web, station, ("64413325",), tmp_path)


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


HARMFUL = [
    ("leads out", [("../evil.gml", b"a")]),
    ("leads out", [("/etc/evil.gml", b"a")]),
    ("leads out", [("C:\\evil.gml", b"a")]),
    ("symbolic link", [(link("udx/bldg/1_bldg.gml"), b"/etc/passwd")]),
    ("would unpack to 60000000 bytes", [("udx/bldg/1_bldg.gml", bytes(60_000_000))]),
    ("used twice", [("udx/bldg/1_bldg.gml", b"a"), ("udx/bldg/1_bldg.gml", b"b")]),
]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("sentence", "members"), HARMFUL)
def test_an_archive_made_to_do_harm_is_not_taken(tmp_path, sentence, members):
    path = tmp_path / "city.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("udx/bldg/0_bldg.gml", b"good")
        for name, content in members:
            archive.writestr(name, content, zipfile.ZIP_DEFLATED)
    with pytest.raises(DownloadProblem, match=sentence):
        check_zip(path)


def test_members_that_share_their_bytes_are_not_taken(tmp_path):
    with zipfile.ZipFile(tmp_path / "city.zip", "w") as archive:
        archive.writestr("udx/bldg/1_bldg.gml", NOISE)
        other = copy.copy(archive.infolist()[0])  # a second entry in the table of contents for the same bytes
        other.filename = "udx/bldg/2_bldg.gml"
        archive.filelist.append(other)
    with pytest.raises(DownloadProblem, match="lies within"):
        check_zip(tmp_path / "city.zip")


@pytest.mark.parametrize("start", [b"", b"<!doctype html>", b"7z\xbc\xaf\x27\x1c", b"PK\x03\x04"])
def test_what_is_no_zip_is_said_to_be_none(tmp_path, start):
    path = tmp_path / "city.zip"
    path.write_bytes(start)
    with pytest.raises(DownloadProblem, match=r"city\.zip is no whole zip.*" + ("web page" if b"<" in start else "")):
        check_zip(path)


CHECKPOINT = zip_of({"archive/data.pkl": b"weights", "archive/version": b"3"})


def test_published_weights_come_whole(site, web, tmp_path):
    site.server.files["/latest.pth?p=1&dl=1"] = CHECKPOINT
    path = download_weights(web, f"{site.server.url}/latest.pth?p=1&dl=1", tmp_path, None)
    assert path.name == "latest.pth" and path.read_bytes() == CHECKPOINT and check_folder(tmp_path) == (1, [])


@pytest.mark.parametrize(("body", "sentence"), [
    (b"<html>log in</html>", "a web page and no checkpoint"),
    (b"\x80\x02pickle", "can be checked.*--sha256"),
    (CHECKPOINT[:-30], "no checkpoint that can be checked"),
])  # fmt: skip
def test_what_is_no_checkpoint_is_not_kept_and_it_is_said_where_one_is(site, web, tmp_path, body, sentence):
    site.server.files["/latest.pth"] = body
    with pytest.raises(DownloadProblem, match=f"{sentence}.*--models-url|{sentence}"):
        download_weights(web, f"{site.server.url}/latest.pth", tmp_path, None)
    assert not list(tmp_path.iterdir())


BAD_USAGE = [
    ["plateau"], ["plateau", "--area", "osaka"], ["plateau", "--area", "all", "chuo"], ["plateau", "--mesh", "12"],
    ["plateau", "--area", "chuo", "--dataset", "x"], ["plateau", "--mesh", "53394611", "--year", "2022"], ["nothing"],
    ["models", "--sha256", "xyz"], ["models", "--models-url", "nothing"], ["check", "/nowhere"], ["plateau", "--aera"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", BAD_USAGE, ids=" ".join)
def test_bad_usage_gets_one_sentence_and_exit_code_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["download", *arguments])
    assert ended.value.code == 2 and len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_command_says_what_it_would_download_downloads_it_and_checks_it(site, tmp_path, capsys):
    site.add("plateau-13101-chiyoda-ku-2025", (f"{TOP}.zip", zip_of(CITY)))
    arguments = ["download", "plateau", "--area", "chiyoda", "--catalogue", site.root, "--output", str(tmp_path / "p")]
    for more, expected in (["--dry-run"], ""), ([], f"{tmp_path}/p/{TOP}.zip\n"):
        with pytest.raises(SystemExit, match="0"):
            main([*arguments, *more])
        out, err = capsys.readouterr()
        assert out == expected and "plateau-13101-chiyoda-ku-2025: http" in err
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="2"):
        main([*arguments[:-1], str(tmp_path / "file/below")])
    error = capsys.readouterr().err  # before anybody was asked for anything
    assert len(error.strip().splitlines()) == 1 and "file/below: Not a directory" in error
    for change, code in (b"", 0), (b"x", 1):
        with open(tmp_path / f"p/{TOP}.zip", "ab") as file:
            file.write(change)
        with pytest.raises(SystemExit, match=str(code)):
            main(["download", "check", str(tmp_path / "p")])
