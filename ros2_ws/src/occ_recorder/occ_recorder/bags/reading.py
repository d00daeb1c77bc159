"""A rosbag2 to read without ROS: its topics, and its messages decoded, whatever wrote it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from heapq import merge
from itertools import chain, pairwise
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import yaml
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from occ_recorder.bags.bag_topic import CDR, DAMAGE, ROS1, BagTopic, sentence
from occ_recorder.bags.livox import LIVOX, livox_cloud
from occ_recorder.bags.storage import ENDINGS, BagFile

DISTROS = ("humble", "iron", "jazzy", "kilted", "lyrical")
_BAGS_TO_NAME = 3
_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's where there is one: ten times as fast


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
            why = "; ".join(self._problems) or _others(self.path)
            raise BagError(f"{self.path} is not a bag that can be read: {why}")
        self._types = _Types(distro or str(metadata.get("ros_distro") or ""), bool(distro))

    def _metadata(self) -> dict:
        """What metadata.yaml says; {} with a problem noted where there is none that can be used."""
        if not self.path.is_dir():
            return {}
        try:
            content = yaml.load((self.path / "metadata.yaml").read_text(), _YAML)
            return dict(content["rosbag2_bagfile_information"])
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
        found = [path for path in self.path.iterdir() if path.name.endswith(ENDINGS)]
        if len(found) > 1 and all(path.suffix == ".bag" for path in found):
            raise BagError(f"{self.path} holds {_named(found)} of ROS 1: name one, or all, each is a bag of its own")
        by_number = sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)] + [0])
        names = [Path(str(name)).name for name in metadata.get("relative_file_paths") or ()]
        listed = [self.path / name for name in names]
        if missing := [path.name for path in listed if not path.exists()]:
            self._problems.append(f"{self.path}: {', '.join(missing)} of metadata.yaml is missing")
        return [path for path in listed if path.exists()] or by_number

    def _topics(self) -> list[BagTopic]:
        return [topic for file in self._files for topic in file.topics]

    def _name(self, topic: str) -> str:
        return self._remap.get(topic, topic)

    @property
    def topics(self) -> dict[str, str]:
        """Type of each topic that has messages, such as sensor_msgs/msg/Image, by its name after remapping."""
        return {self._name(t.name): t.type for t in self._topics() if t.count and t.encoding in (CDR, ROS1)}

    @property
    def foreign(self) -> dict[str, str]:
        """Topics whose messages are not ROS's, by name: what they are, such as `protobuf foxglove.PointCloud`."""
        others = [topic for topic in self._topics() if topic.count and topic.encoding not in (CDR, ROS1)]
        return {self._name(topic.name): f"{topic.encoding or 'bare'} {topic.type}".strip() for topic in others}

    @property
    def counts(self) -> dict[str, int]:
        """Messages of each topic, as far as the files say."""
        found: dict[str, int] = {}
        for topic in self._topics():
            found[self._name(topic.name)] = found.get(self._name(topic.name), 0) + max(topic.count, 0)
        return {name: count for name, count in found.items() if name in self.topics}

    @property
    def count(self) -> int:
        """Messages of all topics, as far as the files say."""
        return sum(file.count for file in self._files)

    @property
    def lasted(self) -> tuple[int, int] | None:
        """Log times of the first and the last message, nanoseconds since 1970; None for a bag without messages."""
        spans = [span for file in self._files if (span := file.lasted)]
        return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None

    def messages(self, topics: Collection[str], since: int = 0) -> Iterator[BagMessage]:
        """The messages of some topics, named after remapping, in log order.

        since: log time, nanoseconds; what was recorded before is passed over. What can't be decoded is counted in
        `problems`.
        """
        failed: dict[str, tuple[int, str]] = {}
        readable = (CDR, ROS1)
        streams = []
        for file in self._files:
            wanted = [t for t in file.topics if self._name(t.name) in topics and t.encoding in readable]
            streams.append(file.messages(wanted, since))
        together = merge(*streams, key=itemgetter(1)) if self._overlap() else chain.from_iterable(streams)
        for topic, logged, data in together:
            name = self._name(topic.name)
            try:
                content = self._types.decode(data, topic)
            except DAMAGE as error:
                failed[name] = failed.get(name, (0, ""))[0] + 1, sentence(error)
                continue
            yield BagMessage(name, logged, content)
        self._problems += [f"{topic}: {n} messages can't be decoded ({why})" for topic, (n, why) in failed.items()]

    def _overlap(self) -> bool:
        """Whether a file begins before one that is listed ahead of it ends."""
        spans = [span for file in self._files if (span := file.lasted)]
        return any(before[1] > after[0] for before, after in pairwise(spans))

    @property
    def problems(self) -> list[str]:
        """Sentences about what was wrong, as far as it has been read."""
        of_files = [problem for file in self._files for problem in file.problems]
        return list(dict.fromkeys(self._problems + self._types.problems + of_files))

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in self._files:
            file.close()
        self._scratch.cleanup()


class _Types:
    """Decodes by the definition that a topic carries; where it has none, or a distro is named, by the distro's.

    A definition is looked at when a message of its topic is read: what nobody wants is not complained of.
    """

    def __init__(self, distro: str, named: bool) -> None:
        if named and distro not in DISTROS:
            raise BagError(f"no distro '{distro}': {', '.join(DISTROS)} are known")
        self._assumed = distro not in DISTROS
        self._distro = DISTROS[0] if self._assumed else distro
        self._named = named
        self._of_distro = get_typestore(Stores(f"ros2_{self._distro}"))
        self._stores: dict[tuple[str, str], Typestore] = {}
        self._lacking: dict[str, str] = {}

    @property
    def problems(self) -> list[str]:
        """Sentences about definitions, of the types that have been read."""
        bad = [f"the definition of {kind} can't be used ({why})" for kind, why in self._lacking.items() if why]
        if not self._assumed or not self._lacking:
            return bad
        theirs = f"those of {self._distro} are used (--ros-distro)"
        if len(self._lacking) == len({kind for kind, _ in self._stores}):
            return [*bad, f"the bag carries no message definitions, {theirs}"]
        return [*bad, f"the bag carries no definition of {', '.join(self._lacking)}, {theirs}"]

    def decode(self, data: bytes | memoryview, topic: BagTopic) -> Any:
        key = topic.type, topic.definition
        store = self._stores.get(key)
        if store is None:
            store = self._stores[key] = self._store(topic)
        if topic.type in LIVOX:
            return livox_cloud(data, topic.encoding == ROS1)
        if topic.type not in store.fielddefs:
            raise ValueError(f"the bag carries no definition of {topic.type}, and {self._distro} has none")
        if topic.encoding == ROS1:
            return store.deserialize_ros1(data, topic.type)
        return store.deserialize_cdr(memoryview(data), topic.type)

    def _store(self, topic: BagTopic) -> Typestore:
        if self._named and topic.encoding != ROS1:
            return self._of_distro
        store, why = _store_of(topic.type, topic.form, topic.definition)
        if store is not None:
            return store
        if topic.type not in LIVOX:
            self._lacking[topic.type] = why
        return self._of_distro


@lru_cache(maxsize=256)
def _store_of(kind: str, form: str, definition: str) -> tuple[Typestore | None, str]:
    """What decodes a type by the definition that a bag carries; None, and why, where that can't be used, '' for none.

    Each type in a store of its own: two bags' definitions of what it is made of may differ. The next bag has mostly the
    same ones, and to make code of one takes as long as to decode some hundred messages.
    """
    store = get_typestore(Stores.EMPTY)
    try:
        if form == "msg":
            store.register(get_types_from_msg(definition, kind))
        elif form == "idl":
            for part in definition.split("=" * 80 + "\n"):
                if part.strip():
                    text = part.split("\n", 1)[1] if part.startswith("IDL: ") else part
                    store.register(get_types_from_idl(text))
        if kind in store.fielddefs:
            store.generate_msgdef(kind)  # fails where it is made of types that nobody defines
            return store, ""
    except (TypesysError, *DAMAGE) as error:
        return None, sentence(error)
    return None, ""


def _named(paths: list[Path]) -> str:
    """How many bags, and the first of them by name."""
    names = ", ".join(str(path) for path in sorted(paths)[:_BAGS_TO_NAME])
    return f"{len(paths)} bag{'s' if len(paths) > 1 else ''} ({names}{', ...' if len(paths) > _BAGS_TO_NAME else ''})"


def _others(path: Path) -> str:
    """What a folder without a bag's files has instead."""
    inside = [one for one in path.iterdir() if one.is_dir() and any(f.name.endswith(ENDINGS) for f in one.iterdir())]
    if inside:
        return f"it is a folder of {_named(inside)}: name them, such as `tokyo bag2sessions {path}/*`"
    return "no .mcap, no .db3, no .bag in it"
