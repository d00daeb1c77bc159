"""Raw messages become a bag that any reader of rosbag2 opens; what could not be kept is counted."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest
from drive import EPOCH_NS, Drive
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import Reader

from occ_recorder.bags import writing
from occ_recorder.bags.definitions import Definitions
from occ_recorder.bags.reading import BagError
from occ_recorder.bags.writing import BagWriter, TopicHeader

STRING = "std_msgs/msg/String"
_FOREVER = QosTime(9223372036, 854775807)
LATCHED = Qos(
    QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, _FOREVER, _FOREVER,
    QosLiveliness.AUTOMATIC, _FOREVER, False,
)  # fmt: skip


def nothing_installed(package: str) -> str:
    raise LookupError(package)


DEFINITIONS = Definitions(nothing_installed)


def header(name: str, kind: str = STRING, qos: tuple[Qos, ...] = ()) -> TopicHeader:
    return TopicHeader(name, kind, *DEFINITIONS.of(kind), qos)


def text(words: str) -> bytes:
    drive = Drive()
    return bytes(drive.store.serialize_cdr(drive.make(STRING, data=words), STRING))


def test_messages_come_back_in_order_with_definitions_and_quality_of_service(tmp_path):
    drive = Drive()
    writer = BagWriter(tmp_path / "bag")
    writer.begin(header("/words", qos=(LATCHED,)))
    writer.begin(header("/silent"))
    for k in range(100):
        writer.add("/words", EPOCH_NS + k, text(f"word {k}"))
    for one in drive.messages(0.5):
        if one.topic not in ("/words",):
            writer.begin(header(one.topic, one.type))
            writer.add(one.topic, EPOCH_NS + 1000, bytes(drive.store.serialize_cdr(one.content, one.type)))
    writer.close()
    with AnyReader([tmp_path / "bag"]) as reader:  # checks every definition against its hash
        words = [c for c in reader.connections if c.topic == "/words"]
        got = [reader.deserialize(data, connection.msgtype).data for connection, _, data in reader.messages(words)]
        assert got == [f"word {k}" for k in range(100)]
        assert words[0].ext.offered_qos_profiles == [LATCHED]
        assert "/silent" in reader.topics and reader.topics["/silent"].msgcount == 0
        assert reader.message_count == 100 + len(drive.messages(0.5))


def test_a_queue_that_is_full_costs_messages_that_are_counted_and_said_in_the_bag(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "QUEUE_BYTES", 1000)
    go_on = Event()
    monkeypatch.setattr(
        BagWriter, "_connect", lambda self, t, real=BagWriter._connect: (go_on.wait(), real(self, t))[1]
    )
    writer = BagWriter(tmp_path / "bag")
    writer.begin(header("/words"))
    message = text("x" * 91)
    writer.add("/words", EPOCH_NS, message)
    while writer._queue.qsize():
        time.sleep(0.001)
    for k in range(25):  # ten of a hundred bytes fit
        writer.add("/words", EPOCH_NS + k, message)
    assert len(message) == 100 and writer.dropped == {"/words": 15}
    go_on.set()
    writer.close()
    with Reader(tmp_path / "bag") as reader:
        assert reader.message_count == 11 == writer.written["/words"]
    assert "dropped /words: '15'" in (tmp_path / "bag/metadata.yaml").read_text()


def test_a_folder_that_is_there_is_not_written_over(tmp_path):
    (tmp_path / "bag").mkdir()
    with pytest.raises(BagError, match="exists already"):
        BagWriter(tmp_path / "bag")
    (tmp_path / "file").write_text("")
    with pytest.raises(BagError, match="can't write a bag"):
        BagWriter(tmp_path / "file" / "bag")


FULL = """
import resource, sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_bags_writing import BagWriter, EPOCH_NS, BagError, header, text
# The system refuses every byte of a file behind 300 kB, as a full disk does.
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
writer = BagWriter(Path(sys.argv[1]))
writer.begin(header("/words"))
for k in range(400):
    writer.add("/words", EPOCH_NS + k, text(f"{k}" + "x" * 5000))
    time.sleep(0.005)
try:
    writer.close()
except BagError as error:
    print(error, writer.written["/words"], writer.dropped["/words"])
"""


def test_a_full_disk_is_said_and_what_was_written_is_whole(tmp_path):
    if not hasattr(resource, "RLIMIT_FSIZE"):
        pytest.skip("no limit of file sizes here")
    command = [sys.executable, "-c", FULL, str(tmp_path / "bag"), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "the disk refuses" in done.stdout and "what was written is whole" in done.stdout, done.stderr
    from occ_recorder.bags.reading import Bag

    with Bag(tmp_path / "bag") as bag:
        numbers = [int(message.content.data.rstrip("x")) for message in bag.messages({"/words"})]
        assert any("not finished" in problem for problem in bag.problems)
    assert numbers == list(range(len(numbers))) and len(numbers) * 5000 < 300_000


def test_a_type_that_is_not_known_is_read_from_its_package_or_refused(tmp_path):
    share = tmp_path / "share/own_msgs/msg"
    share.mkdir(parents=True)
    (share / "Track.msg").write_text("std_msgs/Header header\nown_msgs/Box[] boxes\nuint32 MANY=3\n")
    (share / "Box.msg").write_text("geometry_msgs/Point centre\nfloat64[3] size\n")
    for package, names in (("std_msgs", {"Header": "builtin_interfaces/Time stamp\nstring frame_id"}),
                           ("geometry_msgs", {"Point": "float64 x\nfloat64 y\nfloat64 z"}),
                           ("builtin_interfaces", {"Time": "int32 sec\nuint32 nanosec"})):  # fmt: skip
        for name, content in names.items():
            folder = tmp_path / "share" / package / "msg"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.msg").write_text(content)
    definitions = Definitions(lambda package: str(tmp_path / "share" / package))
    definition, digest = definitions.of("own_msgs/msg/Track")
    assert "MSG: own_msgs/Box" in definition and digest.startswith("RIHS01_")
    assert definitions.of("own_msgs/msg/Track", digest)[1] == digest
    with pytest.raises(LookupError, match=r"own_msgs/msg/Lost.*not installed"):
        definitions.of("own_msgs/msg/Lost")
    with pytest.raises(LookupError, match="RIHS01_other"):
        DEFINITIONS.of(STRING, "RIHS01_other")
