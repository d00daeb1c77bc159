"""Folders that commands write: other people's stay, the old one stands until the new one is whole, kills leave none."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from occ_core.output_folders import (
    SESSIONS,
    FolderKind,
    OutputError,
    check_addable,
    check_file,
    check_new,
    check_replaceable,
    locked,
    replaced,
)  # fmt: skip

KIND = FolderKind("an album", ("album.json",), ("album.json", "pictures", "*.png"))
HOLD = """
import sys, time
from pathlib import Path
from occ_core.output_folders import FolderKind, replaced
kind = FolderKind("an album", ("album.json",), ("album.json", "pictures", "*.png"))
with replaced(Path(sys.argv[1]), kind) as new:
    (new / "album.json").write_text("half")
    print("in", flush=True)
    time.sleep(60)
"""


def write(folder: Path, text: str) -> None:
    with replaced(folder, KIND) as new:
        (new / "album.json").write_text(text)


def content(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): p.read_text() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_new_folder_and_its_parents_are_made_and_an_old_one_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "a/b/album"
    write(folder, "one")
    (folder / "old.png").touch()
    write(folder, "two")
    assert content(tmp_path) == {"a/b/album/album.json": "two"}


@pytest.mark.parametrize("name", ["session/session.json", "notes.txt", ".git/HEAD"])
def test_what_is_not_of_the_kind_is_refused_and_stays(tmp_path: Path, name: str) -> None:
    mine = tmp_path / "data" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(OutputError, match="data is not empty and is not an album"):
        write(tmp_path / "data", "new")
    assert content(tmp_path) == {f"data/{name}": "mine"}


def test_strange_things_in_a_folder_of_the_kind_are_named_and_stay(tmp_path: Path) -> None:
    write(tmp_path / "album", "one")
    (tmp_path / "album/thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match=r"also holds thesis\.tex: move that away"):
        write(tmp_path / "album", "two")
    assert content(tmp_path) == {"album/album.json": "one", "album/thesis.tex": "mine"}


def test_work_that_fails_leaves_the_old_folder_and_no_traces(tmp_path: Path) -> None:
    write(tmp_path / "album", "one")
    for folder in (tmp_path / "album", tmp_path / "new/album"):
        with pytest.raises(RuntimeError, match="no luck"), replaced(folder, KIND) as new:
            (new / "album.json").write_text("half")
            raise RuntimeError("no luck")
    assert content(tmp_path) == {"album/album.json": "one"} and os.listdir(tmp_path) == ["album"]


def test_a_full_disk_is_a_sentence_and_an_input_that_is_not_there_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="can't write .*album: No space left on device"),
        replaced(tmp_path / "album", KIND),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError, match="source"), replaced(tmp_path / "album", KIND):
        open(tmp_path / "source")
    assert os.listdir(tmp_path) == []


def test_what_comes_into_the_folder_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is not empty"), replaced(tmp_path / "album", KIND) as new:
        (new / "album.json").write_text("new")
        (tmp_path / "album").mkdir()
        (tmp_path / "album/mine.txt").write_text("mine")
    assert content(tmp_path) == {"album/mine.txt": "mine"}


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    write(tmp_path / "far/album", "one")
    (tmp_path / "near").symlink_to(tmp_path / "far/album")
    write(tmp_path / "near", "two")
    assert (tmp_path / "near").is_symlink() and (tmp_path / "far/album/album.json").read_text() == "two"


def test_two_at_a_time_are_refused_and_a_killed_one_leaves_nothing_behind(tmp_path: Path) -> None:
    write(tmp_path / "album", "one")
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "album")], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"in\n"
    with pytest.raises(OutputError, match="is being written by another run"):
        write(tmp_path / "album", "two")
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / "album/album.json").read_text() == "one"
    write(tmp_path / "album", "two")
    assert content(tmp_path) == {"album/album.json": "two"}


def test_a_run_killed_between_the_two_renames_has_lost_nothing(tmp_path: Path) -> None:
    write(tmp_path / "album", "one")
    (tmp_path / "album").rename(tmp_path / ".album.old")
    with pytest.raises(RuntimeError), replaced(tmp_path / "album", KIND):
        raise RuntimeError
    assert content(tmp_path) == {"album/album.json": "one"}


def test_a_lock_is_waited_for_and_goes_with_its_process(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from occ_core.output_folders import locked\n"
        "with locked(Path(sys.argv[1]), ''): print('in', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    other.stdout.readline()
    with pytest.raises(OutputError, match="mine"), locked(tmp_path / "lock", "mine"):
        pass
    began = time.monotonic()
    subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {other.pid}"])
    with locked(tmp_path / "lock", "", wait=True):
        assert time.monotonic() - began > 0.3
    assert os.listdir(tmp_path) == []
    other.wait()


def test_worker_processes_do_not_keep_the_lock_of_a_killed_parent(tmp_path: Path) -> None:
    program = (
        "import os, sys, time; from pathlib import Path; from occ_core.output_folders import locked\n"
        "with locked(Path(sys.argv[1]), ''):\n"
        " worker = os.fork()\n"
        " worker or print(os.getpid(), flush=True)\n"  # only then has it let go of what it was born with
        " time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    try:
        with locked(tmp_path / "lock", "still held"):
            os.kill(worker, 0)  # it lives
    finally:
        os.kill(worker, signal.SIGKILL)


@pytest.mark.parametrize("folder", ["/proc/foo/city", "/proc/foo", "/dev/null/city"])
def test_a_place_that_can_t_be_written_is_a_sentence_that_names_it(folder: str) -> None:
    for attempt in (
        lambda: write(Path(folder), ""),
        lambda: check_addable(Path(folder), SESSIONS),
        lambda: check_replaceable(Path(folder), KIND),
    ):
        with pytest.raises(OutputError, match=r"can't write /(proc|dev).*: [A-Za-z]"):
            attempt()
    with pytest.raises(OutputError, match=f"can't write {folder}"):
        check_new(Path(folder), "a bag")
    with pytest.raises(OutputError, match=f"can't write {folder}"):
        check_file(Path(folder) / "a.png", b"\x89PNG", "a PNG")


def test_a_read_only_file_system_is_a_sentence(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    (disk / "album").mkdir(parents=True)
    (disk / "album/album.json").write_text("one")
    if subprocess.run(["mount", "--bind", disk, disk], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", disk], check=True)
        with pytest.raises(OutputError, match="disk/album: Read-only file system"):
            write(disk / "album", "two")
        with pytest.raises(OutputError, match="disk/sessions: Read-only file system"):
            check_addable(disk / "sessions", SESSIONS)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    assert content(tmp_path) == {"disk/album/album.json": "one"}


def test_a_check_makes_nothing(tmp_path: Path) -> None:
    check_addable(tmp_path / "a/b/c", SESSIONS)
    check_replaceable(tmp_path / "a/b/album", KIND)
    check_new(tmp_path / "a/bag", "a bag")
    check_file(tmp_path / "a/shot.png", b"\x89PNG", "a PNG")
    assert os.listdir(tmp_path) == []


def test_sessions_go_to_sessions_and_to_empty_folders_only(tmp_path: Path) -> None:
    (tmp_path / "empty/.cache").mkdir(parents=True)
    (tmp_path / "data/rover_0_1").mkdir(parents=True)
    (tmp_path / "data/rover_0_1/session.json").touch()
    (tmp_path / "city").mkdir()
    (tmp_path / "city/city.json").touch()
    check_addable(tmp_path / "empty", SESSIONS)
    check_addable(tmp_path / "data", SESSIONS)
    with pytest.raises(OutputError, match="city is not empty and is not a folder of sessions"):
        check_addable(tmp_path / "city", SESSIONS)


def test_a_file_of_another_kind_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    (tmp_path / "shot.png").write_bytes(b"\x89PNG and more")
    check_file(tmp_path / "shot.png", b"\x89PNG", "a PNG")
    with pytest.raises(OutputError, match=r"thesis\.tex is there and is not a PNG"):
        check_file(tmp_path / "thesis.tex", b"\x89PNG", "a PNG")
    with pytest.raises(OutputError, match="is a folder"):
        check_file(tmp_path, b"\x89PNG", "a PNG")
    with pytest.raises(OutputError, match="is there already: a bag is written to a new folder"):
        check_new(tmp_path, "a bag")
