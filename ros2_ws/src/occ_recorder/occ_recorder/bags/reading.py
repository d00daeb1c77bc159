"""A rosbag2 to read without ROS: its topics, and its messages decoded, whatever wrote it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import yaml
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from occ_recorder.bags.storage import DAMAGE, BagFile, sentence

DISTROS = ("humble", "iron", "jazzy", "kilted")
_ENDINGS = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd", ".mcap.zst", ".db3.zst")


class BagError(Exception):
    """A bag that can't be read or written: which, what is wrong, what to do."""


@dataclass(frozen=True)
class BagMessage:
    """A decoded message. logged: nanoseconds since 1970, when it was recorded."""

    topic: str
    logged: int
    content: Any


class Bag:
    """A bag's folder, or one of its files.

    remap: what a topic was named in the bag, and is named from here on. distro: whose message definitions to use,
    instead of those that the bag carries. Use as a context manager.
    """

    def __init__(self, path: Path, remap: dict[str, str] | None = None, distro: str = "") -> None:
        """BagError where nothing can be read."""
        self.path, self._remap = Path(path), remap or {}
        self._problems: list[str] = []
        if not self.path.exists():
            raise BagError(f"no bag {self.path}")
        metadata = self._metadata()
        self._scratch = TemporaryDirectory(prefix="tokyo_bag_")
        self._files: list[BagFile] = []
        for file in self._listed(metadata):
            try:
                self._files.append(BagFile(file, Path(self._scratch.name)))
            except ValueError as error:
                self._problems.append(str(error))
        if not self._files:
            self._scratch.cleanup()
            raise BagError(
                f"{self.path} is not a bag that can be read: {'; '.join(self._problems) or 'no .mcap, no .db3'}"
            )
        self._types = _Types(self._connections(), distro or str(metadata.get("ros_distro") or ""), bool(distro))
        self._problems += self._types.problems

    def _metadata(self) -> dict:
        """What metadata.yaml says; {} with a problem noted where there is none that can be used."""
        if not self.path.is_dir():
            return {}
        try:
            return dict(yaml.safe_load((self.path / "metadata.yaml").read_text())["rosbag2_bagfile_information"])
        except FileNotFoundError:
            if any(self.path.glob("*.mcap*")) or any(self.path.glob("*.db3*")):
                self._problems.append(
                    f"{self.path}: metadata.yaml is missing, its files are read in the order of their names"
                )
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            self._problems.append(f"{self.path}: metadata.yaml can't be used ({sentence(error)})")
        return {}

    def _listed(self, metadata: dict) -> list[Path]:
        if not self.path.is_dir():
            return [self.path]
        found = [path for path in self.path.iterdir() if path.name.endswith(_ENDINGS)]
        by_number = sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)] + [0])
        names = [Path(str(name)).name for name in metadata.get("relative_file_paths") or ()]
        listed = [self.path / name for name in names]
        if missing := [path.name for path in listed if not path.exists()]:
            self._problems.append(f"{self.path}: {', '.join(missing)} of metadata.yaml is missing")
        return [path for path in listed if path.exists()] or by_number

    def _connections(self) -> list[Connection]:
        return [connection for file in self._files for connection in file.connections]

    def _name(self, topic: str) -> str:
        return self._remap.get(topic, topic)

    @property
    def topics(self) -> dict[str, str]:
        """Type of each topic that has messages, such as sensor_msgs/msg/Image, by its name after remapping."""
        return {self._name(c.topic): c.msgtype for c in self._connections() if c.msgcount}

    @property
    def count(self) -> int:
        """Messages of all topics, as far as the files say."""
        return sum(file.count for file in self._files)

    @property
    def lasted(self) -> tuple[int, int] | None:
        """Log times of the first and the last message, nanoseconds since 1970; None for a bag without messages."""
        spans = [span for file in self._files if (span := file.lasted)]
        return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """The messages of some topics, named after remapping, in log order file by file.

        What can't be decoded is counted in `problems`.
        """
        failed: dict[str, tuple[int, str]] = {}
        for file in self._files:
            wanted = [c for c in file.connections if self._name(c.topic) in topics]
            for connection, logged, data in file.messages(wanted):
                topic = self._name(connection.topic)
                try:
                    content = self._types.decode(data, connection.msgtype)
                except DAMAGE as error:
                    failed[topic] = failed.get(topic, (0, ""))[0] + 1, sentence(error)
                    continue
                yield BagMessage(topic, logged, content)
        self._problems += [f"{topic}: {n} messages can't be decoded ({why})" for topic, (n, why) in failed.items()]

    @property
    def problems(self) -> list[str]:
        """Sentences about what was wrong, as far as it has been read."""
        return list(dict.fromkeys(self._problems + [problem for file in self._files for problem in file.problems]))

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in self._files:
            file.close()
        self._scratch.cleanup()


class _Types:
    """Decodes by the definitions that a bag carries; types without one, or all where it is named, by a distro's."""

    def __init__(self, connections: list[Connection], distro: str, named: bool) -> None:
        self.problems: list[str] = []
        self._carried = get_typestore(Stores.EMPTY)
        carried = set() if named else {c.msgtype for c in connections if self._register(c)}
        if named and distro not in DISTROS:
            raise BagError(f"no distro '{distro}': {', '.join(DISTROS)} are known")
        if distro not in DISTROS:
            distro = DISTROS[0]
            if any(connection.msgtype not in carried for connection in connections):
                self.problems.append(
                    f"the bag carries no message definitions, those of {distro} are used (--ros-distro)"
                )
        self._distro = get_typestore(Stores(f"ros2_{distro}"))
        self._stores: dict[str, Typestore] = dict.fromkeys(carried, self._carried)

    def _register(self, connection: Connection) -> bool:
        definition = connection.msgdef
        try:
            if definition.format is MessageDefinitionFormat.MSG:
                self._carried.register(get_types_from_msg(definition.data, connection.msgtype))
            elif definition.format is MessageDefinitionFormat.IDL:
                for part in definition.data.split("=" * 80 + "\n"):
                    if part.strip():
                        text = part.split("\n", 1)[1] if part.startswith("IDL: ") else part
                        self._carried.register(get_types_from_idl(text))
            else:
                return False
        except (TypesysError, *DAMAGE) as error:
            self.problems.append(f"the definition of {connection.msgtype} can't be used ({sentence(error)})")
            return False
        return connection.msgtype in self._carried.fielddefs

    def decode(self, data: bytes, kind: str) -> Any:
        return self._stores.get(kind, self._distro).deserialize_cdr(memoryview(data), kind)
