"""Ports of this machine that a server may have."""

from __future__ import annotations

import socket


def free_port(port: int) -> int:
    """A port of 127.0.0.1, or any that is free where it is 0.

    OSError where somebody has it, OverflowError for a number that is none.
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(("127.0.0.1", port))
        return int(trial.getsockname()[1])
