"""Files from servers that break off, lie, change their minds or go away: whole or not at all."""

from __future__ import annotations

import io
import json
import multiprocessing
import shutil
import ssl
import subprocess
import threading
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import odd_server as odd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokyo_city.download.archive import check_zip
from tokyo_city.download.checksum import Checksum
from tokyo_city.download.files import download
from tokyo_city.download.manifest import Manifest, check_folder, manifest_of
from tokyo_city.download.transfer import transfer
from tokyo_city.download.web import DownloadProblem, RetryPolicy, Web

PATIENCE = RetryPolicy(attempts=3, wait_s=0.001, silence_s=30.0)
NOISE = np.random.default_rng(1).bytes(300_000)


def zip_of(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)  # The same bytes whenever and wherever it is made.
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return file.getvalue()


CITY = zip_of({"udx/bldg/53394611_bldg_6697_op.gml": NOISE, "codelists/Building_usage.xml": b"<a/>"})


@pytest.fixture
def server():
    with odd.serving() as running:
        running.files["/city.zip"] = CITY
        yield running


def fetched(server: odd.OddServer, folder: Path, name: str = "city.zip", **options: object) -> Path:
    return download(Web(PATIENCE), f"{server.url}/{name}", folder / name, check_zip, **options)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


RECOVERING = {
    "as it should be": [odd.whole],
    "breaks off twice": [odd.drops(0.4), odd.drops(0.5), odd.whole],
    "breaks off at once": [odd.drops(0.0), odd.whole],
    "breaks off and then ignores ranges": [odd.drops(0.5), odd.ignores_range],
    "has a weak ETag": [odd.drops(0.5, ETag='W/"weak"'), odd.whole],
    "has no ETag and a date": [
        odd.drops(0.5, ETag="", Last_Modified="Sat, 01 Nov 2025 00:00:00 GMT"), odd.ignores_range,
    ],
    "sends another part than was asked for": [odd.drops(0.5), odd.another_part, odd.whole],
    "sends the rest of another file": [odd.drops(0.5), odd.part_of_another_file, odd.whole],
    "is busy and recovers": [odd.status(500), odd.status(503), odd.whole],
    "is busy in the middle": [odd.drops(0.5), odd.status(502), odd.whole],
    "asks to come again": [odd.status(429, Retry_After=0), odd.whole],
    "hangs up without a word": [odd.hangs_up, odd.whole],
    "redirects": [odd.redirects("/moved.zip")],
    "promises too much once": [odd.says_length(+9), odd.ignores_range],
}  # fmt: skip


@pytest.mark.parametrize("answers", RECOVERING.values(), ids=RECOVERING)
def test_a_file_comes_whole_from_a_server_that(server, tmp_path, answers):
    server.script["/city.zip"] = list(answers)
    server.files["/moved.zip"] = CITY
    assert fetched(server, tmp_path).read_bytes() == CITY
    assert names(tmp_path) == {"city.zip", "city.zip.manifest.json"}
    assert check_folder(tmp_path) == (1, [])


def endless(path: str) -> list[odd.Answer]:
    return [odd.redirects(path)]


HOPELESS = {
    "404 Not Found": [odd.status(404)],
    "403": [odd.status(403)],
    "503 .* after several tries": [odd.status(503)],
    "leads nowhere": endless("/city.zip"),
    "does not say how long": [odd.says_nothing_of_length],
    "packed": [odd.packed],
    r"150116 of|connection broke": [odd.drops_and_ignores_range],
    "no whole zip": [odd.says_length(-2000)],
    "connection broke": [odd.says_length(+2000)],
    "can't be reached": [odd.hangs_up],
    "answers 206 to a plain request": [odd.another_part],
}


@pytest.mark.parametrize(("sentence", "answers"), HOPELESS.items(), ids=HOPELESS)
def test_nothing_is_taken_for_whole_and_a_sentence_says_why(server, tmp_path, sentence, answers):
    server.script["/city.zip"] = list(answers)
    with pytest.raises(DownloadProblem, match=sentence) as problem:
        fetched(server, tmp_path)
    assert not (tmp_path / "city.zip").exists() and not (tmp_path / "city.zip.manifest.json").exists()
    assert str(problem.value).count("\n") == 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            [odd.drops(0.3), odd.drops(0.9), odd.ignores_range, odd.another_part, odd.part_of_another_file,
             odd.status(500), odd.hangs_up, odd.says_length(-9), odd.says_length(+9), odd.says_nothing_of_length]
        ),
        max_size=5,
    ),
    st.binary(min_size=1, max_size=5000),
)  # fmt: skip
def test_whatever_a_server_does_a_file_is_right_or_absent(server, tmp_path, answers, content):
    path = tmp_path / "city.zip"
    for left in tmp_path.iterdir():
        left.unlink()
    server.files["/city.zip"] = zip_of({"a": content})
    server.script["/city.zip"] = [*answers, odd.whole]
    try:
        fetched(server, tmp_path)
    except DownloadProblem:
        assert not path.exists()
    else:
        assert path.read_bytes() == server.files["/city.zip"]


def test_what_has_come_is_gone_on_from_after_a_restart(server, tmp_path):
    server.script["/city.zip"] = [odd.drops(0.6), odd.status(404)]
    with pytest.raises(DownloadProblem, match="404"):
        fetched(server, tmp_path)
    have = (tmp_path / "city.zip.part").stat().st_size
    assert have > 0.5 * len(CITY)
    server.script["/city.zip"] = [odd.whole]
    fetched(server, tmp_path)
    assert server.seen["/city.zip"][-1] == f"bytes={have}-"


def test_a_file_that_changed_between_two_tries_is_the_new_one_from_its_beginning(server, tmp_path):
    server.script["/city.zip"] = [odd.drops(0.6), odd.status(404)]
    with pytest.raises(DownloadProblem):
        fetched(server, tmp_path)
    server.files["/city.zip"], server.script = zip_of({"a": NOISE[::-1]}), {}
    assert fetched(server, tmp_path).read_bytes() == server.files["/city.zip"]


@pytest.mark.parametrize("length", [0, 100, len(CITY), len(CITY) + 7])
def test_a_part_without_a_note_of_what_it_is_is_not_used(server, tmp_path, length):
    (tmp_path / "city.zip.part").write_bytes(bytes(length))
    assert fetched(server, tmp_path).read_bytes() == CITY


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"url": 1, "size": 2}', '{"url": "u", "size": 1, "validator": "v"}'])
def test_a_damaged_note_is_not_trusted(server, tmp_path, note):
    (tmp_path / "city.zip.part").write_bytes(bytes(100))
    (tmp_path / "city.zip.part.json").write_text(note)
    assert fetched(server, tmp_path).read_bytes() == CITY


def test_a_part_that_was_longer_than_the_file_is_not_used(server, tmp_path):
    server.script["/city.zip"] = [odd.drops(0.6), odd.status(404)]
    with pytest.raises(DownloadProblem):
        fetched(server, tmp_path)
    with open(tmp_path / "city.zip.part", "ab") as file:
        file.write(bytes(len(CITY)))
    server.script = {}
    assert fetched(server, tmp_path).read_bytes() == CITY


def test_damage_in_what_was_kept_is_found_and_the_next_try_begins_anew(server, tmp_path):
    server.script["/city.zip"] = [odd.drops(0.6), odd.status(404)]
    with pytest.raises(DownloadProblem):
        fetched(server, tmp_path)
    with open(tmp_path / "city.zip.part", "r+b") as file:
        file.seek(1000)
        file.write(bytes(100))
    server.script = {}
    with pytest.raises(DownloadProblem, match=r"no whole zip: 'udx/bldg/53394611_bldg_6697_op.gml'"):
        fetched(server, tmp_path)
    assert names(tmp_path) == set()
    assert fetched(server, tmp_path).read_bytes() == CITY


def test_silence_counts_as_a_broken_connection_and_slowness_does_not(server, tmp_path):
    release = threading.Event()
    server.script["/city.zip"] = [odd.stalls(release), odd.whole]
    web = Web(RetryPolicy(attempts=3, wait_s=0.001, silence_s=0.5))
    assert transfer(web, f"{server.url}/city.zip", tmp_path / "part").size == len(CITY)
    release.set()

    def slowly(request: odd.Request) -> None:
        rest = request.begin()
        for at in range(0, len(rest), 60_000):
            request.send(rest[at : at + 60_000])
            threading.Event().wait(0.2)

    server.script["/city.zip"] = [slowly]
    transfer(web, f"{server.url}/city.zip", tmp_path / "slow")
    assert (tmp_path / "slow").read_bytes() == CITY and server.requests("/city.zip") == 3


def test_a_second_run_asks_the_server_for_nothing(server, tmp_path):
    fetched(server, tmp_path)
    fetched(server, tmp_path)
    assert server.requests("/city.zip") == 1


def test_a_file_from_elsewhere_is_not_written_over(server, tmp_path):
    fetched(server, tmp_path)
    with odd.serving() as other:
        other.files["/city.zip"] = zip_of({"a": b"b"})
        with pytest.raises(DownloadProblem, match="is there already, from http"):
            fetched(other, tmp_path)
    assert (tmp_path / "city.zip").read_bytes() == CITY


def test_a_file_that_somebody_put_there_is_checked_and_taken(server, tmp_path):
    (tmp_path / "city.zip").write_bytes(CITY)
    fetched(server, tmp_path)
    assert server.requests("/city.zip") == 0 and manifest_of(tmp_path / "city.zip").exists()
    (tmp_path / "half.zip").write_bytes(CITY[: len(CITY) // 2])
    with pytest.raises(DownloadProblem, match="no whole zip"):
        fetched(server, tmp_path, "half.zip")


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_a_published_checksum_decides(server, tmp_path, algorithm):
    import hashlib

    digits = hashlib.new(algorithm, CITY).hexdigest()
    wrong = Checksum.parse("0" * len(digits))
    assert wrong.algorithm == algorithm
    with pytest.raises(DownloadProblem, match=f"the {algorithm} of what came is {digits}, 000"):
        fetched(server, tmp_path, checksum=wrong)
    assert names(tmp_path) == set()
    fetched(server, tmp_path, checksum=Checksum.parse(f"{algorithm}:{digits.upper()}"))
    said = Manifest.load(manifest_of(tmp_path / "city.zip"))
    assert said.files == {"city.zip": hashlib.sha256(CITY).hexdigest()} and said.url.endswith("/city.zip")


@pytest.mark.parametrize("text", ["", "abc", "g" * 32, "0" * 33, "sha256:"])
def test_what_is_no_checksum_is_said(text):
    with pytest.raises(ValueError, match="no MD5, SHA-1"):
        Checksum.parse(text)


def test_a_change_after_the_download_is_found(server, tmp_path):
    path = fetched(server, tmp_path)
    path.write_bytes(CITY + b"x")
    (count, (sentence,)) = check_folder(tmp_path)
    assert count == 1 and "city.zip has changed" in sentence
    path.unlink()
    assert "is gone" in check_folder(tmp_path)[1][0]
    with pytest.raises(DownloadProblem, match="no manifest"):
        check_folder(tmp_path / "empty")


def test_a_disk_that_is_too_small_is_said_before_the_first_byte(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**6, 10**6 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DownloadProblem, match="0.00 GB free and 0.00 GB are to come: make room"):
        fetched(server, tmp_path)
    assert (tmp_path / "city.zip.part").stat().st_size == 0


def hold(part: Path, held: threading.Event, release: threading.Event) -> None:
    with odd.serving() as slow:
        slow.files["/city.zip"] = CITY

        def wait(request: odd.Request) -> None:
            held.set()
            release.wait(60)
            odd.whole(request)

        slow.script["/city.zip"] = [wait]
        transfer(Web(PATIENCE), f"{slow.url}/city.zip", part)


def test_two_processes_do_not_write_into_one_file(server, tmp_path):
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path / "city.zip.part", held, release))
    other.start()
    try:
        assert held.wait(60)
        with pytest.raises(DownloadProblem, match="another process"):
            fetched(server, tmp_path)
    finally:
        release.set()
        other.join()
    assert other.exitcode == 0 and (tmp_path / "city.zip.part").read_bytes() == CITY


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    wanted = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2", "-nodes"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", *wanted, *files], check=True, capture_output=True)
    return folder


def test_a_redirect_from_https_to_http_is_refused(server, tmp_path, certificate, monkeypatch):
    def wrap(plain) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        plain.socket = context.wrap_socket(plain.socket, server_side=True)

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "cert.pem"))
    with odd.serving(wrap, "https") as safe:
        safe.files["/city.zip"] = safe.files["/moved.zip"] = CITY
        safe.script["/city.zip"] = [odd.redirects(f"{server.url}/city.zip")]
        with pytest.raises(DownloadProblem, match="not encrypted: refused"):
            fetched(safe, tmp_path)
        assert server.requests("/city.zip") == 0
        safe.script["/city.zip"] = [odd.redirects("/moved.zip")]
        assert fetched(safe, tmp_path).read_bytes() == CITY


@pytest.mark.parametrize("url", ["ftp://localhost/a", "file:///etc/passwd", "http://", "nothing"])
def test_an_address_that_is_none_is_a_sentence(tmp_path, url):
    with pytest.raises(DownloadProblem, match="can't be reached"):
        transfer(Web(PATIENCE), url, tmp_path / "part")


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": ', b"\xff\xfe"])
def test_an_answer_that_is_no_json_is_a_sentence(server, body):
    server.files["/api"] = body
    with pytest.raises(DownloadProblem, match="no JSON"):
        Web(PATIENCE).json(f"{server.url}/api")
    server.files["/api"] = json.dumps({"a": "x" * 1000}).encode()
    server.script["/api"] = [odd.drops(0.5)]
    with pytest.raises(DownloadProblem, match="broke off|no JSON"):
        Web(PATIENCE).json(f"{server.url}/api")
