"""Training straight from a bag: converted once, and again when the bag or the way of converting has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import train as training_command
from drive import Drive, write_bag

from occ_core.session import find_sessions
from occ_recorder.bags.cache import cached_sessions
from occ_recorder.bags.config import GroundSource
from occ_recorder.bags.convert import Conversion
from occ_recorder.bags.reading import BagError

CONSTANT = Conversion(ground=GroundSource.CONSTANT, cameras=False)


def made(folder: Path) -> list[int]:
    """When each session was begun."""
    return [(session.folder / "session.json").stat().st_mtime_ns for session in find_sessions(folder)]


def test_a_bag_is_converted_once_whatever_its_name_and_date(tmp_path):
    bag, cache = write_bag(tmp_path / "bag", Drive(), Drive().messages(1.0)), tmp_path / "cache"
    folder = cached_sessions([bag], cache, CONSTANT)
    before = made(folder)
    assert cached_sessions([bag], cache, CONSTANT) == folder and made(folder) == before
    os.utime(bag / "bag.mcap")
    shutil.copytree(bag, tmp_path / "copied")
    assert cached_sessions([bag], cache, CONSTANT) == folder
    assert cached_sessions([tmp_path / "copied"], cache, CONSTANT) == folder and made(folder) == before


def test_another_content_or_another_way_of_converting_is_another_folder(tmp_path):
    bag, cache = write_bag(tmp_path / "bag", Drive(), Drive().messages(1.0)), tmp_path / "cache"
    first = cached_sessions([bag], cache, CONSTANT)
    second = cached_sessions([bag], cache, Conversion(ground=GroundSource.TAKEOFF, cameras=False))
    shutil.rmtree(bag)
    write_bag(bag, Drive(), Drive().messages(2.0))
    third = cached_sessions([bag], cache, CONSTANT)
    assert len({first, second, third}) == 3
    assert [len(find_sessions(folder)[0]) for folder in (first, second, third)] == [3, 3, 5]


def test_a_conversion_that_broke_off_is_not_taken_for_whole(tmp_path):
    bag, cache = write_bag(tmp_path / "bag", Drive(), Drive().messages(1.0)), tmp_path / "cache"
    folder = cached_sessions([bag], cache, CONSTANT)
    folder.rename(folder.with_name(f".{folder.name}.part"))
    (session,) = find_sessions(cached_sessions([bag], cache, CONSTANT))
    assert len(session) == 3


CONVERT = """
import sys
from pathlib import Path
from occ_recorder.bags import cache
from occ_recorder.bags.config import GroundSource
from occ_recorder.bags.convert import Conversion
convert = cache.convert
def counted(*arguments):
    print("converting", flush=True)
    return convert(*arguments)
cache.convert = counted
conversion = Conversion(ground=GroundSource.CONSTANT, cameras=False)
print(cache.cached_sessions([Path(sys.argv[1])], Path(sys.argv[2]), conversion))
"""


def test_of_processes_that_want_the_same_bag_one_converts_and_the_others_wait_even_if_it_is_killed(tmp_path):
    bag, cache = write_bag(tmp_path / "bag", Drive(), Drive().messages(20.0)), tmp_path / "cache"
    command = [sys.executable, "-c", CONVERT, str(bag), str(cache)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "converting\n"
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first.kill()
    first.wait()
    said = [other.communicate(timeout=300)[0].splitlines() for other in others]
    assert [other.returncode for other in others] == [0, 0]
    assert sorted(len(lines) for lines in said) == [1, 2], "one converts, one finds it done"
    assert said[0][-1] == said[1][-1]
    assert len(find_sessions(Path(said[0][-1]))[0]) == 41
    assert not [path for path in cache.iterdir() if path.name.startswith(".")]


def test_several_bags_are_one_data_set(tmp_path):
    bags = [write_bag(tmp_path / f"bag{k}", Drive(), Drive().messages(1.0 + k)) for k in range(2)]
    folder = cached_sessions(bags, tmp_path / "cache", CONSTANT)
    assert sorted(len(session) for session in find_sessions(folder)) == [3, 5]
    assert cached_sessions(bags[::-1], tmp_path / "cache", CONSTANT) == folder


def test_a_bag_without_frames_is_said_and_not_kept(tmp_path):
    messages = [one for one in Drive().messages(1.0) if "odom" not in one.topic or one.stamp > 0.9]
    bag = write_bag(tmp_path / "bag", Drive(), messages[:-5])
    for _ in range(2):
        with pytest.raises(BagError, match="no frame came of it.*no odometry"):
            cached_sessions([bag], tmp_path / "cache", CONSTANT)


TINY = """
data = dict(val_fraction=0.5)
model = dict(architecture="fast", class_dim=4, base_channel=8, num_codes=16, code_dim=8, embed_dim=8, num_layers=1,
             num_heads=2, temporal_attn_layers=1, pose_hidden=8, pose_layers=1, column_dim=8, voxel_hidden=8,
             flow_channel=4)
evaluation = dict(windows=1)
training = dict(max_epochs=1, tokenizer_epochs=1, voxel_samples=256, column_samples=64)
"""


def train(folder: Path, *arguments: str) -> int:
    (folder / "tiny.py").write_text(TINY)
    places = ["--config", str(folder / "tiny.py"), "--work-dir", str(folder / "work")]
    return training_command.main([*places, "--bag-cache", str(folder / "cache"), *arguments])


def test_train_py_trains_on_a_bag(tmp_path):
    bag = write_bag(tmp_path / "bag", Drive(), Drive().messages(10.9))
    assert train(tmp_path, "--bag", str(bag), "--bag-session-seconds", "5.5") == 0
    assert (tmp_path / "work/best.pth").is_file()


def test_train_py_says_what_is_wrong_with_a_bag_in_a_sentence(tmp_path, capsys):
    (tmp_path / "bag.mcap").write_text("no")
    for arguments, words in (
        (["--bag", str(tmp_path / "bag.mcap")], "bag.mcap is not a bag"),
        (["--bag", str(tmp_path / "nowhere")], "no bag"),
        (["--bag", "x", "--data-root", "y"], "--data-root"),
        (["--bag", "x", "--bag-config", str(tmp_path / "none.yaml")], "none.yaml"),
        (["--bag", "x", "--bag-city", str(tmp_path)], "no bag x"),
    ):
        assert train(tmp_path, *arguments) == 2
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1 and words in said, said
