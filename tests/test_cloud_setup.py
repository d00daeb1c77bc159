"""scripts/lambda_setup.sh, with stand-ins for pip, apt and Python's venv that write down what they are asked.

What pip would install can be seen in the lock; that the lock installs is what `make setup` shows in each run of CI.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from paths import ROOT

PYTHON_STAND_IN = f"""
echo "python $*" >> "$ASKED"
case "$1 $2" in
  "-m venv")
    mkdir -p "${{@: -1}}/bin"
    [[ "$*" == *--system-site-packages* ]] && system=true || system=false
    echo "include-system-site-packages = $system" > "${{@: -1}}/pyvenv.cfg"
    cp "$0" "${{@: -1}}/bin/python"
    printf '#!/bin/bash\\necho "pip $*" >> "$ASKED"\\n' > "${{@: -1}}/bin/pip"
    chmod +x "${{@: -1}}/bin/pip" ;;
  "-c "*) exec {sys.executable} "$@" ;;
esac
"""
TORCH = """
import os
__version__ = os.environ["TORCH"]
class cuda:
    is_available = staticmethod(lambda: os.environ["CUDA"] == "yes")
"""


@dataclass(frozen=True)
class Instance:
    """A machine just rented, in small. root: the project on it."""

    root: Path
    bin: Path
    asked_file: Path

    def stand_in(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    def setup(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        known = {
            "PATH": f"{self.bin}:/usr/bin:/bin", "PYTHON": "python3", "PYTHONPATH": str(self.bin),
            "ASKED": str(self.asked_file), "TORCH": "2.7.0+cu128", "CUDA": "yes", "HOME": str(self.root),
        }  # fmt: skip
        script = self.root / "scripts/lambda_setup.sh"
        return subprocess.run([str(script), *arguments], env=known | environment, capture_output=True, text=True)

    def asked(self, *programs: str) -> list[str]:
        """Command lines of these programs since the last time, paths shortened."""
        lines = self.asked_file.read_text().splitlines() if self.asked_file.exists() else []
        self.asked_file.unlink(missing_ok=True)
        return [line.replace(f"{self.root}/", "") for line in lines if line.split()[0] in programs]


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    root = tmp_path / "tokyo occworld"
    (root / "scripts").mkdir(parents=True)
    shutil.copy2(ROOT / "scripts/lambda_setup.sh", root / "scripts")
    shutil.copy2(ROOT / "requirements.lock", root)
    for package in (ROOT / "ros2_ws/src").glob("*/package.xml"):
        (root / "ros2_ws/src" / package.parent.name).mkdir(parents=True)
        if (setup := package.with_name("setup.py")).exists():
            shutil.copy2(setup, root / "ros2_ws/src" / package.parent.name)
    instance = Instance(root, tmp_path / "bin", tmp_path / "asked")
    instance.bin.mkdir()
    (instance.bin / "torch.py").write_text(TORCH)
    instance.stand_in("python3", PYTHON_STAND_IN)
    instance.stand_in("apt-get", 'echo "apt-get $*" >> "$ASKED"')
    instance.stand_in("dpkg-query", "echo installed")
    instance.stand_in("nvidia-smi", "")
    instance.stand_in("df", 'echo Filesystem; echo "/dev/vda1 1 1 99999999 1% /"')
    instance.stand_in("id", "echo 0")
    build = root / "scripts/build_messages.sh"
    build.write_text('#!/bin/bash\necho "tf2_msgs $1" >> "$ASKED"\n')
    build.chmod(0o755)
    return instance


def assert_refused(instance: Instance, result: subprocess.CompletedProcess, *words: str) -> None:
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("lambda_setup.sh: "), result.stderr
    assert all(word in result.stderr for word in words), result.stderr
    assert not (instance.root / ".venv").exists() and instance.asked("pip", "apt-get") == []


PIP = "pip install -q --disable-pip-version-check"


def test_minimal_installs_the_learner_in_the_lock_s_versions(instance: Instance) -> None:
    result = instance.setup("--minimal")
    assert result.returncode == 0 and "ready" in result.stdout, result.stderr
    assert instance.asked("pip", "apt-get", "tf2_msgs") == [
        f"{PIP} -c requirements.lock -e learner",
        f"{PIP} --no-deps -e ros2_ws/src/occ_core",
    ]


@pytest.mark.parametrize("arguments", [(), ("--full",)])
def test_full_installs_what_make_setup_does(instance: Instance, arguments: tuple[str, ...]) -> None:
    assert instance.setup(*arguments).returncode == 0
    packages = sorted(path.parent.name for path in (ROOT / "ros2_ws/src").glob("*/setup.py"))
    editable = " ".join(f"-e ros2_ws/src/{name}" for name in packages)
    assert instance.asked("pip", "apt-get", "tf2_msgs") == [
        f"{PIP} -r requirements.lock",
        "tf2_msgs .venv",
        f"{PIP} --no-deps --no-build-isolation {editable} -e learner",
    ]
    assert (instance.root / ".venv/.done").exists(), "make takes it as done"
    make = re.search(r"^PACKAGES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(make[1].split()) == set(packages)


def test_the_system_s_pytorch_is_taken_as_it_is(instance: Instance) -> None:
    assert instance.setup("--minimal", "--skip-pytorch").returncode == 0
    (venv,) = [line for line in instance.asked("python") if "-m venv" in line]
    assert "--system-site-packages" in venv
    ours, all_of_it = (
        (instance.root / p).read_text().splitlines() for p in (".venv/requirements.lock", "requirements.lock")
    )
    assert {line.split("=")[0] for line in all_of_it} - {line.split("=")[0] for line in ours} == {"torch"}


@pytest.mark.parametrize("version", ["2.3.1", "1.13.0"])
def test_a_system_pytorch_that_is_too_old_is_refused(instance: Instance, version: str) -> None:
    assert_refused(instance, instance.setup("--skip-pytorch", TORCH=version), "no PyTorch 2.4", "--skip-pytorch")


def test_without_a_system_pytorch_it_is_not_skipped(instance: Instance) -> None:
    (instance.bin / "torch.py").write_text("raise ImportError")
    assert_refused(instance, instance.setup("--skip-pytorch"), "no PyTorch 2.4")


def test_again_it_keeps_the_environment_unless_the_other_pytorch_is_wanted(instance: Instance) -> None:
    def made_anew(*arguments: str) -> bool:
        assert instance.setup("--minimal", *arguments).returncode == 0
        return any("-m venv" in line for line in instance.asked("python"))

    assert made_anew()
    assert not made_anew()
    assert made_anew("--skip-pytorch")
    assert not made_anew("--skip-pytorch")
    assert made_anew()


def test_missing_system_packages_come_from_apt(instance: Instance) -> None:
    instance.stand_in("dpkg-query", "[[ $4 == tmux || $4 == libegl1 ]] && exit 1; echo installed")
    assert instance.setup("--minimal").returncode == 0
    update, install = instance.asked("apt-get")
    assert update.endswith(" update") and install.endswith(" --no-install-recommends tmux")
    assert instance.setup("--full").returncode == 0
    assert instance.asked("apt-get")[1].endswith(" tmux libegl1")


def test_who_may_not_install_is_told_what_is_missing(instance: Instance) -> None:
    instance.stand_in("dpkg-query", "exit 1")
    instance.stand_in("id", "echo 1000")
    instance.stand_in("sudo", "exit 1")
    assert_refused(instance, instance.setup("--minimal"), "administrator", "apt-get install python3-venv rsync tmux")
    instance.stand_in("sudo", '[[ $1 == -n ]] || "$@"')
    assert instance.setup("--minimal").returncode == 0
    assert len(instance.asked("apt-get")) == 2


def test_apt_that_fails_is_not_passed_over(instance: Instance) -> None:
    instance.stand_in("dpkg-query", "exit 1")
    instance.stand_in("apt-get", "exit 100")
    assert_refused(instance, instance.setup("--minimal"), "apt-get could not install", "tmux")


def test_a_gpu_that_pytorch_does_not_see_is_an_error_and_none_a_warning(instance: Instance) -> None:
    blind = instance.setup("--minimal", CUDA="no")
    assert blind.returncode == 2 and "does not see the GPU" in blind.stderr and "--skip-pytorch" in blind.stderr
    (instance.bin / "nvidia-smi").unlink()
    if shutil.which("nvidia-smi", path="/usr/bin:/bin") is None:
        without = instance.setup("--minimal", CUDA="no")
        assert without.returncode == 0 and "no NVIDIA driver" in without.stderr


def test_too_little_disk_another_machine_and_an_old_python_are_refused_first(instance: Instance) -> None:
    instance.stand_in("df", 'echo Filesystem; echo "/dev/vda1 1 1 4194304 1% /"')
    assert_refused(instance, instance.setup("--minimal"), "4 GB free", "9 GB are needed")
    instance.stand_in("python3", "[[ $1 == -c ]] && exit 1; echo Python 3.8.10")
    assert_refused(instance, instance.setup(), "CPython 3.10 to 3.13", "Python 3.8.10", "PYTHON=")
    assert_refused(instance, instance.setup(PYTHON="python9"), "no python9")
    instance.stand_in("uname", "[[ $1 == -s ]] && echo Darwin || echo arm64")
    assert_refused(instance, instance.setup(), "x86-64 Linux", "Darwin", "arm64")


@pytest.mark.parametrize("arguments", [["--ful"], ["--full", "--minimal"], ["--minimal", "--full"]])
def test_bad_usage_gets_one_sentence(instance: Instance, arguments: list[str]) -> None:
    assert_refused(instance, instance.setup(*arguments), arguments[0])


@pytest.fixture(autouse=True)
def no_surprises_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith(("PIP_", "VIRTUAL_ENV"))]:
        monkeypatch.delenv(variable)
