"""scripts/deploy_to_lambda.sh: over a real ssh, to a folder that has a space in its name, as most things here."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from far_machine import MISSING, FarMachine, far_machine, make_key
from paths import ROOT
from processes import PATIENCE_S

SCRIPT = "scripts/deploy_to_lambda.sh"
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"no {', '.join(MISSING)} here: apt install openssh-server openssh-client rsync tmux"
)


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarMachine]:
    with far_machine(tmp_path_factory.mktemp("far")) as machine:
        yield machine


@pytest.fixture
def there(far: FarMachine, tmp_path: Path) -> Path:
    """A folder over there that does not exist yet."""
    return far.folder / tmp_path.name / "tokyo occworld"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout in small: the real script, and stand-ins that write down what they are asked."""
    root = tmp_path / "my project"
    (root / "scripts").mkdir(parents=True)
    shutil.copy2(ROOT / SCRIPT, root / SCRIPT)
    shutil.copy2(ROOT / ".gitignore", root / ".gitignore")
    stand_in(root / "scripts/lambda_setup.sh", 'cd "$(dirname "$0")/.." && echo "$@" >> setups && mkdir -p .venv/bin')
    stand_in(root / "scripts/run_training.sh", 'printf "<%s>" "$@" | tee work_dirs/asked; cat work_dirs/hold || exit 3')
    for ignored in (".git/config", ".venv/pyvenv.cfg", "out/city.json", "learner/__pycache__/a.pyc"):
        write(root / ignored, "not for the cloud")
    write(root / "learner/train.py", "print('train')")
    return root


def stand_in(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def deploy(project: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess:
    command = [str(project / SCRIPT), *map(str, arguments)]
    return subprocess.run(
        command, cwd=project.parent, env=os.environ | environment, capture_output=True, text=True, timeout=PATIENCE_S
    )


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def sent_bytes(output: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"sent ([\d,]+) bytes", output)]


def assert_refused(result: subprocess.CompletedProcess, *words: str) -> None:
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("deploy_to_lambda.sh: "), result.stderr
    assert all(word in result.stderr for word in words), result.stderr


def test_the_project_goes_over_without_what_git_ignores_and_a_change_by_itself(
    far: FarMachine, project: Path, there: Path
) -> None:
    write(project / "data/tokyo_gazebo/session.json", "{}")
    write(project / "learner/big.py", b"# " + np.random.default_rng(1).bytes(300_000).hex().encode())
    first = deploy(project, far.address, *far.options, "--dir", there)
    assert first.returncode == 0, first.stderr
    scripts = {SCRIPT, "scripts/lambda_setup.sh", "scripts/run_training.sh"}
    assert files(there) == {".gitignore", "learner/train.py", "learner/big.py", *scripts}
    write(project / "learner/train.py", "print('changed')")
    write(there / "results.txt", "made over there")
    second = deploy(project, far.address, *far.options, "--dir", there)
    assert (there / "learner/train.py").read_text() == "print('changed')"
    assert (there / "results.txt").exists(), "what is over there stays"
    assert sent_bytes(second.stdout)[0] < 10_000 < sent_bytes(first.stdout)[0]


def test_this_repository_itself_goes_over_whole(far: FarMachine, there: Path) -> None:
    result = deploy(ROOT, far.address, *far.options, "--dir", there)
    assert result.returncode == 0, result.stderr
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert set(tracked.splitlines()) <= files(there)
    assert not (there / ".git").exists() and not (there / ".venv").exists()


def test_data_and_models_go_over_when_asked(far: FarMachine, project: Path, there: Path) -> None:
    write(project / "data/tokyo_gazebo/drone 0/session.json", "{}")
    models = {"pretrained/a.pth", "data/pretrained/occworld/latest.pth", "work_dirs/tokyo/best.pth"}
    for model in models:
        write(project / model, model)
    first = deploy(project, far.address, *far.options, "--dir", there, "--upload-models")
    assert first.returncode == 0, first.stderr
    assert {name for name in files(there) if name.endswith(".pth")} == models
    assert not (there / "data/tokyo_gazebo").exists()
    write(project / "data/plateau/13101.zip", "gigabytes")
    second = deploy(project, far.address, *far.options, "--dir", there, "--upload-data")
    assert second.returncode == 0, second.stderr
    assert not (there / "data/plateau").exists()
    assert (there / "data/tokyo_gazebo/drone 0/session.json").read_text() == "{}"


def test_an_upload_that_was_killed_goes_on_where_it_stopped(
    far: FarMachine, project: Path, there: Path, tmp_path: Path
) -> None:
    sweeps = np.random.default_rng(2).bytes(24_000_000)
    write(project / "data/tokyo_gazebo/lidar.npy", sweeps)
    (tmp_path / "slow").mkdir()
    stand_in(tmp_path / "slow/rsync", f'exec {shutil.which("rsync")} --bwlimit=6000 "$@"')
    command = [str(project / SCRIPT), far.address, *far.options, "--dir", str(there), "--upload-data"]
    slow = os.environ | {"PATH": f"{tmp_path / 'slow'}:{os.environ['PATH']}"}
    upload = subprocess.Popen(command, env=slow, stdout=subprocess.DEVNULL, start_new_session=True)
    arriving = there / "data/tokyo_gazebo"
    until(lambda: any(path.stat().st_size > 10_000_000 for path in arriving.glob(".lidar.npy.*")))
    os.killpg(upload.pid, signal.SIGKILL)
    upload.wait()
    until(lambda: (arriving / ".rsync-partial/lidar.npy").exists())
    assert not (arriving / "lidar.npy").exists(), "half a file must not look whole"

    result = deploy(project, far.address, *far.options, "--dir", there, "--upload-data")
    assert result.returncode == 0, result.stderr
    assert (arriving / "lidar.npy").read_bytes() == sweeps
    assert sent_bytes(result.stdout)[-1] < 17_000_000, "it began anew"
    assert files(arriving) == {"lidar.npy"}


def test_training_runs_once_with_its_options_and_its_checkpoints_can_be_fetched(
    far: FarMachine, project: Path, there: Path, tmp_path: Path
) -> None:
    write(project / "data/tokyo_gazebo/session.json", "{}")
    write(project / "work_dirs/tokyo/old.pth", b"old")
    (there / "work_dirs").mkdir(parents=True)
    hold = there / "work_dirs/hold"
    os.mkfifo(hold)
    start = (far.address, *far.options, "--dir", there, "--upload-data", "--start-train", "--")
    options = ("--work-dir", "work_dirs/my run", "--lr", "$HOME; 'x'")
    started = deploy(project, *start, *options)
    assert started.returncode == 0, started.stderr
    assert (there / "setups").read_text() == "--minimal\n"
    assert (there / "work_dirs/asked").read_text() == "".join(f"<{word}>" for word in options)

    assert_refused(deploy(project, *start), "training runs on 127.0.0.1 already", "tmux attach -t tokyo-train")
    assert far.tmux("has-session", "-t", "=tokyo-train").returncode == 0, "the first one goes on"
    hold.write_text("3 epochs\n")
    log = there / "work_dirs/train.log"
    until(lambda: "training ended with exit code 0" in log.read_text())
    assert "3 epochs" in log.read_text()

    hold.unlink()
    write(there / "work_dirs/my run/best.pth", b"trained")
    fetch = next(line for line in started.stdout.splitlines() if line.strip().startswith("rsync "))
    assert "before you terminate" in started.stdout.lower()
    subprocess.run(["bash", "-c", fetch], cwd=tmp_path, check=True, timeout=PATIENCE_S)
    assert (project / "work_dirs/my run/best.pth").read_bytes() == b"trained"
    assert (project / "work_dirs/tokyo/old.pth").exists()


def test_training_that_ends_at_once_is_told_with_its_last_words(far: FarMachine, project: Path, there: Path) -> None:
    write(project / "data/tokyo_gazebo/session.json", "{}")
    result = deploy(project, far.address, *far.options, "--dir", there, "--upload-data", "--start-train")
    assert_refused(result, "ended at once", "work_dirs/train.log", "exit code 3")


def test_without_sessions_over_there_training_is_not_started(far: FarMachine, project: Path, there: Path) -> None:
    result = deploy(project, far.address, *far.options, "--dir", there, "--start-train")
    assert_refused(result, "no sessions", "--upload-data", "--generate-data")
    assert far.tmux("has-session", "-t", "=tokyo-train").returncode != 0


def test_the_real_training_runs_over_there_and_says_what_is_wrong(far: FarMachine, there: Path) -> None:
    there.mkdir(parents=True)
    (there / ".venv").symlink_to(sys.prefix)
    arguments = ("--start-train", "--", "--quick", "--data-root", "no sessions here")
    deploy(ROOT, far.address, *far.options, "--dir", there, *arguments)
    log = there / "work_dirs/train.log"
    until(lambda: log.exists() and "training ended with exit code" in log.read_text())
    assert "exit code 2" in log.read_text() and "no sessions here" in log.read_text()


def test_a_wrong_key_a_closed_port_an_unknown_name_and_a_changed_host_key(
    far: FarMachine, project: Path, tmp_path: Path
) -> None:
    wrong = make_key(tmp_path / "another key")
    refused = deploy(project, far.address, *far.options, "--key", wrong)
    assert_refused(refused, "127.0.0.1 does not let", far.user, str(wrong))
    unreachable = tmp_path / "closed"
    unreachable.write_text(far.config.read_text().replace(f"Port {far.port}", "Port 1"))
    assert_refused(
        deploy(project, far.address, *far.options, "--ssh-config", unreachable), "can't be reached", "refused"
    )
    assert_refused(deploy(project, "no-such-host.invalid", *far.options), "no-such-host.invalid can't be reached")
    known = tmp_path / "known"
    known.write_text(f"[{far.address}]:{far.port} {wrong.with_suffix('.pub').read_text()}")
    changed = tmp_path / "changed"
    changed.write_text(far.config.read_text().replace(str(far.known_hosts), str(known)))
    assert_refused(
        deploy(project, far.address, *far.options, "--ssh-config", changed), "another host key", "ssh-keygen -R"
    )


def test_a_folder_that_can_t_be_made_is_named(far: FarMachine, project: Path) -> None:
    assert_refused(deploy(project, far.address, *far.options, "--dir", "/proc/tokyo"), "can't write to /proc/tokyo")


def test_a_full_disk_is_told_and_the_upload_goes_on_when_there_is_room(
    far: FarMachine, project: Path, tmp_path: Path
) -> None:
    disk = far.folder / "small disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        write(project / "data/tokyo_gazebo/lidar.npy", np.random.default_rng(3).bytes(6_000_000))
        arguments = (far.address, *far.options, "--dir", disk / "tokyo", "--upload-data")
        assert_refused(deploy(project, *arguments), "the disk of 127.0.0.1 is full", "goes on where it stopped")
        assert not (disk / "tokyo/data/tokyo_gazebo/lidar.npy").exists()
        subprocess.run(["mount", "-o", "remount,size=30m", str(disk)], check=True)
        assert deploy(project, *arguments).returncode == 0
        assert (disk / "tokyo/data/tokyo_gazebo/lidar.npy").stat().st_size == 6_000_000
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["IP", "missing"]),
        (["1.2.3.4", "5.6.7.8"], ["one IP", "5.6.7.8"]),
        (["1.2.3.4", "--kye", "x"], ["unknown option --kye"]),
        (["1.2.3.4", "--key"], ["--key needs a value"]),
        (["1.2.3.4", "--key", "/no/such key"], ["/no/such key can't be read"]),
        (["1.2.3.4", "--upload-data"], ["no", "data to upload"]),
        (["1.2.3.4", "--upload-models"], ["no models", "pretrained", "work_dirs"]),
        (["1.2.3.4", "--", "--epochs", "3"], ["options after --", "--start-train"]),
    ],
)
def test_bad_usage_gets_one_sentence(project: Path, arguments: list[str], words: list[str]) -> None:
    assert_refused(deploy(project, *arguments), *words)


def test_the_help_names_every_option_that_is_taken() -> None:
    text = subprocess.run([ROOT / SCRIPT, "--help"], check=True, capture_output=True, text=True).stdout
    code = (ROOT / SCRIPT).read_text()
    cases = code[code.index("while (($#))") : code.index('training=("$@")')]
    assert set(re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE)) == set(re.findall(r"--[a-z-]+", cases))
