"""Bag files whose end is missing, as after a kill or a copy that broke off: what is whole in them is read."""

from __future__ import annotations

import io
import sqlite3
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2.metadata import ReaderMetadata

_MAGIC = b"\x89MCAP0\r\n"
# An MCAP file may end with a footer that points to no summary; readers then scan it (MCAP spec, Footer).
_FOOTER = b"\x02" + struct.pack("<QQQI", 20, 0, 0, 0) + _MAGIC
_RECORD = struct.Struct("<BQ")
_DATA_END, _FOOTER_OP = 0x0F, 0x02


class MendedMcap:
    """An MCAP file as far as its records are whole, with the footer that it lacks: a path as rosbags reads them.

    lost: bytes behind the last whole record. ValueError where the file does not begin as MCAP.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.suffix = path, path.suffix
        self.whole = _end_of_whole_records(path)
        self.lost = path.stat().st_size - self.whole

    def __str__(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        """As of a path."""
        return True

    def is_dir(self) -> bool:
        """As of a path."""
        return False

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """The mended bytes, to read."""
        return io.BufferedReader(_Mended(self._path, self.whole), 1 << 20)


class _Mended(io.RawIOBase):
    """The first `whole` bytes of a file, and a footer."""

    def __init__(self, path: Path, whole: int) -> None:
        self._file, self._whole, self._at = open(path, "rb", buffering=0), whole, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._whole + len(_FOOTER)}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        if self._at < self._whole:
            self._file.seek(self._at)
            data = self._file.read(min(len(buffer), self._whole - self._at))
        else:
            start = self._at - self._whole
            data = _FOOTER[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _end_of_whole_records(path: Path) -> int:
    size = path.stat().st_size
    with open(path, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("it does not begin as an MCAP file does")
        end = file.tell()
        while len(head := file.read(_RECORD.size)) == _RECORD.size:
            kind, length = _RECORD.unpack(head)
            after = end + _RECORD.size + length
            # Behind the data come summary and footer; a summary that was cut is of no use.
            if kind in (_DATA_END, _FOOTER_OP) or after > size or kind == 0:
                break
            end = file.seek(after)
    return end


class MendedSqlite:
    """A rosbag2 database whose pages are not all there: messages in the order of their rows, up to the first gap.

    Has what rosbags' readers of one file have. sqlite3.Error where not even its topics can be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.connections: list[Connection] = []
        self.metadata = ReaderMetadata(0, 0, 0, 0, None, None, None, None)
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Read the topics."""
        database = sqlite3.connect(f"file:{self._path}?immutable=1", uri=True)
        database.execute("PRAGMA writable_schema=ON")  # Without it SQLite refuses a file shorter than its header says.
        self._database = database
        definitions = self._definitions()
        for number, name, kind, serialization in database.execute(
            "SELECT id, name, type, serialization_format FROM topics ORDER BY id"
        ):
            ext = ConnectionExtRosbag2(serialization, [])
            self.connections.append(
                Connection(number, name, kind, definitions.get(kind, _NONE), "", _UNKNOWN, ext, self)
            )

    def _definitions(self) -> dict[str, MessageDefinition]:
        assert self._database
        formats = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}
        try:
            rows = self._database.execute(
                "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            ).fetchall()
        except sqlite3.Error:
            return {}  # Humble's databases have none.
        return {
            kind: MessageDefinition(formats[encoding], text) for kind, encoding, text in rows if encoding in formats
        }

    def messages(self, connections: Collection[Connection], start: int = 0) -> Iterator[tuple[Connection, int, bytes]]:
        """(connection, nanoseconds, data) from `start` on; sqlite3.Error at the first page that is missing."""
        assert self._database
        wanted = {connection.id: connection for connection in connections}
        for topic, stamp, data in self._database.execute("SELECT topic_id, timestamp, data FROM messages NOT INDEXED"):
            if topic in wanted and stamp >= start:
                yield wanted[topic], stamp, data

    def close(self) -> None:
        """Close the file."""
        if self._database:
            self._database.close()


_UNKNOWN = -1  # how many messages: counting them would run into the gap
_NONE = MessageDefinition(MessageDefinitionFormat.NONE, "")
