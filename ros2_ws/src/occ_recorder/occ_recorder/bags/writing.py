"""Raw messages into a rosbag2 (MCAP) on a thread of its own: bounded, drops counted, whole to the last second."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Lock, Thread

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.rosbag2.storage_mcap import McapWriter

from occ_recorder.bags.reading import BagError

QUEUE_BYTES = 512 << 20  # 2 s of two full rigs at 1600 x 900
_FLUSH_S = 1.0


@dataclass(frozen=True)
class TopicHeader:
    """What a bag says of a topic. definition: text of its message; digest: RIHS01 hash of it (REP 2011)."""

    name: str
    type: str
    definition: str
    digest: str
    qos: tuple[Qos, ...] = ()


class BagWriter:
    """Writes what it is handed, in that order. problem: why it had to stop, '' while it goes on.

    A process that is killed loses the last second: chunks are closed and handed to the system that often.
    """

    def __init__(self, folder: Path) -> None:
        """BagError where the folder is there already, or can't be made."""
        try:
            # Version 8 of the metadata is read from Humble on; 9 writes qualities of service as Humble can't read them.
            self._writer = Writer(Path(folder), version=8, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except (WriterError, OSError) as error:
            raise BagError(f"can't write a bag to {folder}: {error}") from error
        self.problem = ""
        self.written: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self._topics: dict[str, TopicHeader] = {}
        self._queue: Queue[tuple[str, int, bytes] | None] = Queue()
        self._bytes, self._counting = 0, Lock()
        self._thread = Thread(target=self._work, name="write bag")
        self._thread.start()

    def begin(self, topic: TopicHeader) -> None:
        """Make a topic known, before its first message."""
        self._topics[topic.name] = topic

    def add(self, topic: str, logged: int, data: bytes) -> None:
        """Hand a CDR message over, logged in ns since 1970; never blocks. Dropped and counted where all is full."""
        with self._counting:
            full = self._bytes + len(data) > QUEUE_BYTES
            self._bytes += 0 if full else len(data)
        if full or self.problem:
            self.dropped[topic] += 1
        else:
            self._queue.put((topic, logged, data))

    def close(self) -> None:
        """Write what is queued, then index and metadata. BagError where the disk refuses; what is whole stays."""
        self._queue.put(None)
        self._thread.join()
        try:
            if not self.problem:
                for topic, count in self.dropped.items():
                    self._writer.set_custom_data(f"dropped {topic}", str(count))
                self._connect_rest()
                self._writer.close()
        except OSError as error:
            self.problem = _refused(error)
        if self.problem:
            try:
                self._writer.abort()
            except OSError:
                pass  # What is buffered can't be written either.
            raise BagError(f"{self._writer.path}: {self.problem}; what was written is whole, without an index")

    def _work(self) -> None:
        connections: dict[str, Connection] = {}
        flushed = time.monotonic()
        while True:
            try:
                item = self._queue.get(timeout=_FLUSH_S)
                if item is None:
                    return
                self._write(connections, *item)
            except Empty:
                pass  # Nothing comes: what came before is to be safe all the same.
            try:
                if not self.problem and time.monotonic() - flushed > _FLUSH_S:
                    self._flush()
                    flushed = time.monotonic()
            except OSError as error:
                self.problem = _refused(error)

    def _write(self, connections: dict[str, Connection], topic: str, logged: int, data: bytes) -> None:
        with self._counting:
            self._bytes -= len(data)
        if self.problem:
            self.dropped[topic] += 1
            return
        try:
            if topic not in connections:
                connections[topic] = self._connect(self._topics[topic])
            self._writer.write(connections[topic], logged, data)
            self.written[topic] += 1
        except (OSError, WriterError) as error:
            self.problem = _refused(error)

    def _connect(self, topic: TopicHeader) -> Connection:
        return self._writer.add_connection(
            topic.name, topic.type, msgdef=topic.definition, rihs01=topic.digest, offered_qos_profiles=topic.qos
        )

    def _connect_rest(self) -> None:
        """Topics that were there and silent are in the bag too, with no messages."""
        there = {connection.topic for connection in self._writer.connections}
        for name, topic in self._topics.items():
            if name not in there:
                self._connect(topic)

    def _flush(self) -> None:
        storage = self._writer.storage
        if isinstance(storage, McapWriter):
            if storage.chunk.msgs:
                storage.close_chunk()
            storage.bio.flush()


def _refused(error: Exception) -> str:
    return f"the disk refuses ({getattr(error, 'strerror', None) or error})"
