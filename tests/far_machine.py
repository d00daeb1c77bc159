"""A machine to deploy to: an sshd on this one, with keys of its own and a folder for what is sent there."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processes import PATIENCE_S

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
MISSING = [name for name in ("ssh", "ssh-keygen", "rsync", "tmux") if shutil.which(name) is None] + ["sshd"] * (
    not SSHD
)


@dataclass(frozen=True)
class FarMachine:
    """config: of ssh, leads to port and known hosts. key: lets `user` in. folder: free for a test, has a space."""

    address: str
    port: int
    user: str
    key: Path
    config: Path
    known_hosts: Path
    folder: Path
    tmux_folder: Path

    @property
    def options(self) -> list[str]:
        """What a user would give to get in."""
        return ["--user", self.user, "--key", str(self.key), "--ssh-config", str(self.config)]

    def tmux(self, *arguments: str) -> subprocess.CompletedProcess:
        """Ask the tmux over there."""
        environment = os.environ | {"TMUX_TMPDIR": str(self.tmux_folder)}
        return subprocess.run(["tmux", *arguments], env=environment, capture_output=True, text=True)


def make_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@contextmanager
def far_machine(folder: Path) -> Iterator[FarMachine]:
    """Run it. Nothing of the user's own ssh is read or written; its tmux has a socket of its own."""
    keys = folder / "my keys"
    keys.mkdir(parents=True)
    key, host_key = make_key(keys / "cloud key"), make_key(folder / "host_key")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tmux_folder = Path(tempfile.mkdtemp(prefix="tmux"))  # a socket's path has to be short
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    known_hosts = folder / "known_hosts"
    (folder / "authorized_keys").write_text(key.with_name("cloud key.pub").read_text())
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nAuthorizedKeysFile {folder}/authorized_keys\n"
        "UsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPidFile none\n"
        f"PermitRootLogin prohibit-password\nSetEnv TMUX_TMPDIR={tmux_folder} PATH={os.environ['PATH']}\n"
    )
    config = folder / "ssh_config"
    config.write_text(f"Port {port}\nUserKnownHostsFile {known_hosts}\nIdentityAgent none\nLogLevel INFO\n")
    with open(folder / "sshd.log", "wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        _wait_for(port, server, folder / "sshd.log")
        place = folder / "over there"
        place.mkdir()
        user = pwd.getpwuid(os.getuid()).pw_name
        machine = FarMachine("127.0.0.1", port, user, key, config, known_hosts, place, tmux_folder)
        yield machine
        machine.tmux("kill-server")
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(tmux_folder)


def _wait_for(port: int, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("sshd does not listen")
