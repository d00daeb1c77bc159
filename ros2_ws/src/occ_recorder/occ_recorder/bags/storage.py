"""One file of a bag, whatever its format; what is compressed as a whole is unpacked, what a kill left is merged."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag1 import Reader as Ros1Reader
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.storage_sqlite3 import Sqlite3Reader

from occ_recorder.bags.bag_topic import CDR, DAMAGE, ROS1, BagTopic, sentence, zstd
from occ_recorder.bags.damaged import MendedSqlite
from occ_recorder.bags.mcap_file import McapFile

ENDINGS = (".mcap", ".db3", ".bag", ".mcap.zstd", ".db3.zstd", ".mcap.zst", ".db3.zst")
"""Of the files that bags are."""
_KINDS = (".mcap", ".db3", ".bag")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_LFS_POINTER = b"version https://git-lfs"
_FORMATS = {MessageDefinitionFormat.MSG: "msg", MessageDefinitionFormat.IDL: "idl"}


class _Format(Protocol):
    """What a file of each format gives."""

    problems: list[str]
    topics: list[BagTopic]
    count: int
    lasted: tuple[int, int] | None

    def messages(
        self, topics: Collection[BagTopic], since: int = 0
    ) -> Iterator[tuple[BagTopic, int, bytes | memoryview]]: ...

    def close(self) -> None: ...


class BagFile:
    """topics: what it has. count: how many messages it says that it has; 0 where it can't say.

    lasted: log times of its first and last message, nanoseconds; None where it has none, or can't say.
    """

    def __init__(self, path: Path, scratch: Path) -> None:
        """Open a .mcap, .db3 or .bag file, or one of them compressed (.zstd) by way of the folder `scratch`.

        ValueError with the reason where nothing in it can be read.
        """
        self.name, self._problems = path.name, list[str]()
        try:
            _refuse_pointer(path)
            if path.suffix in (".zstd", ".zst"):
                path = self._decompressed(path, scratch)
        except OSError as error:
            raise ValueError(f"{self.name} can't be read: {sentence(error)}") from error
        if path.suffix not in _KINDS:
            raise ValueError(f"{self.name} is neither .mcap nor .db3 nor .bag")
        try:
            if path.stat().st_size == 0:
                raise ValueError("it is empty")
            self._format = self._open(path, scratch)
        except DAMAGE as error:
            raise ValueError(f"{self.name} can't be read: {sentence(error)}") from error
        self.topics, self.count, self.lasted = self._format.topics, self._format.count, self._format.lasted

    def _decompressed(self, path: Path, scratch: Path) -> Path:
        out = scratch / path.stem
        with open(path, "rb") as raw, zstd.open(raw, "rb") as source, open(out, "wb") as target:
            try:
                shutil.copyfileobj(source, target, 1 << 20)
            except DAMAGE as error:
                self._problems.append(
                    f"{self.name}: its compression breaks off ({sentence(error)}); what came before is read"
                )
        return out

    def _open(self, path: Path, scratch: Path) -> _Format:
        if path.suffix == ".mcap":
            return McapFile(path)
        if path.suffix == ".bag":
            return _RosbagsFile(_opened_ros1(path), ROS1, self.name)
        path = self._merged(path, scratch)
        try:
            reader = Reader(_plainly_named(path, scratch))
            reader.open()
            return _RosbagsFile(reader.storage, CDR, self.name)
        except DAMAGE as error:
            database = MendedSqlite(path)
            try:
                database.open()
            except DAMAGE:
                raise error from None
            self._problems.append(f"{self.name}: {sentence(error)}; what is whole is read")
            return database

    def _merged(self, path: Path, scratch: Path) -> Path:
        """A copy of a database with the log that a killed recorder left beside it; rosbags would pass that over."""
        log = path.with_name(f"{path.name}-wal")
        if not log.is_file() or not log.stat().st_size:
            return path
        for file in (path, log):
            shutil.copy(file, scratch / file.name)
        with closing(sqlite3.connect(scratch / path.name)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._problems.append(f"{self.name}: the recording was not finished; what is in {log.name} is read too")
        return scratch / path.name

    def messages(
        self, topics: Collection[BagTopic], since: int = 0
    ) -> Iterator[tuple[BagTopic, int, bytes | memoryview]]:
        """(topic, log time in ns, serialized message) in log order; damage inside is said in `problems`.

        since: nanoseconds, before which nothing is wanted.
        """
        if not topics or (self.lasted and self.lasted[1] < since):
            return
        try:
            for topic, stamp, data in self._format.messages(topics, since):
                yield topic, stamp, zstd.decompress(data) if data[:4] == _ZSTD_MAGIC else data
        except DAMAGE as error:
            self._problems.append(f"{self.name}: damaged, the rest is left out ({sentence(error)})")

    @property
    def problems(self) -> list[str]:
        """Sentences about what was wrong, as far as it has been read."""
        return self._problems + self._format.problems

    def close(self) -> None:
        """Close it."""
        self._format.close()


class _RosbagsFile:
    """A database of ROS 2, or a bag of ROS 1, by the reader that rosbags has for it."""

    def __init__(self, reader: Ros1Reader | Sqlite3Reader, encoding: str, name: str) -> None:
        self._reader, self.problems = reader, list[str]()
        self._connections = {connection.id: connection for connection in reader.connections}
        self.topics = [_topic(connection, encoding) for connection in reader.connections]
        said = reader if isinstance(reader, Ros1Reader) else reader.metadata
        self.count, first, end = said.message_count, said.start_time, said.end_time
        self.lasted = (first, end - 1) if self.count else None

    def messages(self, topics: Collection[BagTopic], since: int = 0) -> Iterator[tuple[BagTopic, int, bytes]]:
        wanted = {topic.number: topic for topic in topics}
        connections = [self._connections[number] for number in wanted]
        for connection, stamp, data in self._reader.messages(connections, since or None):
            yield wanted[connection.id], stamp, data

    def close(self) -> None:
        self._reader.close()


def _topic(connection: Connection, encoding: str) -> BagTopic:
    said = getattr(connection.ext, "serialization_format", "") or encoding
    form, text = _FORMATS.get(connection.msgdef.format, ""), connection.msgdef.data
    kind = connection.msgtype
    return BagTopic(connection.id, connection.topic, kind, connection.msgcount, said, form, text)


def _opened_ros1(path: Path) -> Ros1Reader:
    reader = Ros1Reader(path)
    try:
        reader.open()
    except DAMAGE as error:
        raise ValueError(
            f"it is a bag of ROS 1, and damaged or not finished ({sentence(error)}): `rosbag reindex` of a ROS 1"
            " installation mends most of them"
        ) from error
    return reader


def _plainly_named(path: Path, scratch: Path) -> Path:
    """A link to a file whose path is no good within a URI, as SQLite is given it: `#`, `?` and `%` mean something."""
    if not any(letter in str(path.absolute()) for letter in "#?%"):
        return path
    link = scratch / f"link_{len(list(scratch.iterdir()))}{path.suffix}"
    link.symlink_to(path.absolute())
    return link


def _refuse_pointer(path: Path) -> None:
    with open(path, "rb") as file:
        start = file.read(300)
    if start.startswith(_LFS_POINTER):
        raise ValueError(f"{path.name} is not the file but Git LFS's pointer to it: fetch it with `git lfs pull`")
