"""A topic of a bag's file, whatever the format, and what readers of any format raise for bytes that are no good."""

from __future__ import annotations

import sqlite3
import struct
import sys
from dataclasses import dataclass

import apsw
import zstandard
from mcap.exceptions import McapError
from rosbags.rosbag1 import ReaderError as Ros1Error
from rosbags.rosbag2 import ReaderError
from rosbags.serde import SerdeError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CDR, ROS1 = "cdr", "ros1"
"""How messages of ROS 2 and of ROS 1 are serialized; everything else can't be read here."""
# What the libraries raise for bytes that are cut, flipped or foreign.
DAMAGE = (
    ReaderError, Ros1Error, SerdeError, OSError, EOFError, ValueError, KeyError, TypeError, AssertionError, IndexError,
    RuntimeError, OverflowError, MemoryError, struct.error, zstd.ZstdError, zstandard.ZstdError, McapError,
    sqlite3.Error, apsw.Error,
)  # fmt: skip


@dataclass(frozen=True)
class BagTopic:
    """number: of the channel in its file. type: such as sensor_msgs/msg/Imu. count: messages, -1 where nobody says.

    encoding: CDR, ROS1, or what somebody else's is called. form: of the definition that the file carries, `msg` or
    `idl`, '' where it carries none that could be read. definition: its text.
    """

    number: int
    name: str
    type: str
    count: int
    encoding: str
    form: str
    definition: str


def sentence(error: Exception) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__
