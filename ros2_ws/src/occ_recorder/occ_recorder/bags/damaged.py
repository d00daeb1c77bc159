"""A database of a bag whose end is missing, as after a kill or a copy that broke off: what is whole in it is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import quote

from occ_recorder.bags.bag_topic import BagTopic

_FORMATS = {"ros2msg": "msg", "ros2idl": "idl"}
_UNKNOWN = -1  # how many messages: counting them would run into the gap


class MendedSqlite:
    """A rosbag2 database whose pages are not all there: messages in the order of their rows, up to the first gap.

    count is 0 and lasted None: what is missing would tell them. sqlite3.Error where not even its topics can be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.topics: list[BagTopic] = []
        self.problems: list[str] = []
        self.count, self.lasted = 0, None
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Read the topics."""
        database = sqlite3.connect(f"file:{quote(str(self._path))}?immutable=1", uri=True)
        database.execute("PRAGMA writable_schema=ON")  # Without it SQLite refuses a file shorter than its header says.
        self._database = database
        definitions = self._definitions()
        for number, name, kind, serialization in database.execute(
            "SELECT id, name, type, serialization_format FROM topics ORDER BY id"
        ):
            form, text = definitions.get(kind, ("", ""))
            self.topics.append(BagTopic(number, name, kind, _UNKNOWN, serialization, form, text))

    def _definitions(self) -> dict[str, tuple[str, str]]:
        """By type: format and text."""
        assert self._database
        try:
            rows = self._database.execute(
                "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            ).fetchall()
        except sqlite3.Error:
            return {}  # Humble's databases have none.
        return {kind: (_FORMATS[encoding], text) for kind, encoding, text in rows if encoding in _FORMATS}

    def messages(self, topics: Collection[BagTopic], since: int = 0) -> Iterator[tuple[BagTopic, int, bytes]]:
        """(topic, nanoseconds, data); sqlite3.Error at the first page that is missing."""
        assert self._database
        wanted = {topic.number: topic for topic in topics}
        for topic, stamp, data in self._database.execute("SELECT topic_id, timestamp, data FROM messages NOT INDEXED"):
            if topic in wanted and stamp >= since:
                yield wanted[topic], stamp, data

    def close(self) -> None:
        """Close the file."""
        if self._database:
            self._database.close()
