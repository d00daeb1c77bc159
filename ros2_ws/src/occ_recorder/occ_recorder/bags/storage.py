"""One file of a bag: opened with rosbags, mended first where it is cut; damage inside is stepped over."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import sys
from collections.abc import Collection, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import apsw
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.rosbag2.storage_mcap import ChunkInfo, McapReader, msgsrc
from rosbags.serde import SerdeError

from occ_recorder.bags.damaged import MendedMcap, MendedSqlite

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# What rosbags and the readers below it raise for bytes that are cut, flipped or foreign.
DAMAGE = (
    ReaderError, SerdeError, OSError, EOFError, ValueError, KeyError, TypeError, AssertionError, RuntimeError,
    OverflowError, MemoryError, struct.error, zstd.ZstdError, sqlite3.Error, apsw.Error,
)  # fmt: skip


class BagFile:
    """problems: sentences about what was wrong, as it is found. lasted: log times in ns, (first, last)."""

    def __init__(self, path: Path, scratch: Path) -> None:
        """Open a .mcap or .db3 file, or one of them compressed (.zstd) by way of the folder `scratch`.

        ValueError with the reason where nothing in it can be read.
        """
        self.name, self.problems = path.name, list[str]()
        if path.suffix in (".zstd", ".zst"):
            path = self._decompressed(path, scratch)
        if path.suffix not in (".mcap", ".db3"):
            raise ValueError(f"{self.name} is neither .mcap nor .db3")
        try:
            self._reader = self._open(self._merged(path, scratch))
        except DAMAGE as error:
            raise ValueError(f"{self.name} can't be read: {sentence(error)}") from error

    def _decompressed(self, path: Path, scratch: Path) -> Path:
        out = scratch / path.stem
        with open(path, "rb") as raw, zstd.open(raw, "rb") as source, open(out, "wb") as target:
            try:
                shutil.copyfileobj(source, target, 1 << 20)
            except DAMAGE as error:
                self.problems.append(
                    f"{self.name}: its compression breaks off ({sentence(error)}); what came before is read"
                )
        return out

    def _merged(self, path: Path, scratch: Path) -> Path:
        """A copy of a database with the log that a killed recorder left beside it; rosbags would pass that over."""
        log = path.with_name(f"{path.name}-wal")
        if path.suffix != ".db3" or not log.is_file() or not log.stat().st_size:
            return path
        for file in (path, log):
            shutil.copy(file, scratch / file.name)
        with closing(sqlite3.connect(scratch / path.name)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.problems.append(f"{self.name}: the recording was not finished; what is in {log.name} is read too")
        return scratch / path.name

    def _open(self, path: Path) -> McapReader | MendedSqlite:
        if path.stat().st_size == 0:
            raise ValueError("it is empty")
        try:
            reader = Reader(path)
            reader.open()
            return reader.storage
        except DAMAGE as error:
            first = error
        if path.suffix == ".mcap":
            mended = MendedMcap(path)
            reader = Reader(mended)
            reader.open()
            self.problems.append(f"{self.name}: {_unfinished(mended.lost)}; what is whole is read")
            return reader.storage
        database = MendedSqlite(path)
        try:
            database.open()
        except DAMAGE:
            raise first from None
        self.problems.append(f"{self.name}: {sentence(first)}; what is whole is read")
        return database

    @property
    def connections(self) -> list[Connection]:
        """Its topics."""
        return self._reader.connections

    @property
    def count(self) -> int:
        """How many messages it says that it has; 0 where it can't say."""
        return self._reader.metadata.message_count

    @property
    def lasted(self) -> tuple[int, int] | None:
        """Log times of its first and last message, nanoseconds; None where it has none, or can't say."""
        metadata = self._reader.metadata
        return (metadata.start_time, metadata.end_time - 1) if metadata.message_count else None

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """(connection, log time in ns, CDR bytes) in log order; where a file has no index, in the order of writing."""
        start, more = 0, bool(connections)
        while more:
            try:
                for connection, stamp, data in self._read(connections, start):
                    start = stamp
                    yield connection, stamp, zstd.decompress(data) if data[:4] == _ZSTD_MAGIC else data
                return
            except DAMAGE as error:
                more = self._step_over(start, error)
                start += 1

    def _read(self, connections: Collection[Connection], start: int) -> Iterator[tuple[Connection, int, bytes]]:
        reader = self._reader
        if isinstance(reader, McapReader) and not reader.chunks:
            # rosbags' `messages` refuses what was not written in order of time; the synchronizer takes it.
            return reader.messages_scan(connections, start)
        return reader.messages(connections, start)

    def _step_over(self, stamp: int, error: Exception) -> bool:
        """Take the damaged chunk out of the index; False where there is nothing to go on with."""
        reader = self._reader
        chunks = reader.chunks if isinstance(reader, McapReader) else []
        for chunk in sorted(chunks, key=lambda chunk: chunk.message_start_time):
            if chunk.message_end_time >= stamp and not _whole(chunk, reader):
                chunks.remove(chunk)
                count = sum(chunk.channel_count.values())
                self.problems.append(f"{self.name}: {count} messages are damaged and left out ({sentence(error)})")
                return True
        self.problems.append(f"{self.name}: damaged, the rest is left out ({sentence(error)})")
        return False

    def close(self) -> None:
        """Close it."""
        self._reader.close()


def _whole(chunk: ChunkInfo, reader: McapReader) -> bool:
    assert reader.bio
    everything = {connection.id: connection for connection in reader.connections}
    try:
        list(islice(msgsrc(chunk, everything, 0, 2**63 - 1, reader.bio), 2))
    except DAMAGE:
        return False
    return True


def _unfinished(lost: int) -> str:
    ending = f", its last {lost:,} bytes are cut" if lost else ""
    return f"the recording was not finished: no index{ending}"


def sentence(error: Exception) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split()).rstrip(".")
    return text or type(error).__name__
