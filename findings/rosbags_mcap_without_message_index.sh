#!/usr/bin/env bash
# rosbags reads nothing of an MCAP whose chunks carry no MessageIndex records, and says nothing: the reader of the mcap package,
# and the file's own statistics, have all of its messages. The MCAP specification makes MessageIndex records optional.
# Exits 0 while that is so: mcap 100 messages, rosbags fewer, and neither an exception nor a warning from rosbags.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 rosbags==0.11.9 mcap==1.6.0
cat > "$work/read.py" <<'PY'
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

from mcap.reader import make_reader
from mcap.writer import IndexType, Writer
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

warnings.simplefilter("error")
types = get_typestore(Stores.ROS2_JAZZY)
name = "std_msgs/msg/String"
String = types.types[name]
counts = {}
for label, indexes in (("with", IndexType.ALL), ("without", IndexType.ALL & ~IndexType.MESSAGE)):
    path = Path(sys.argv[1], f"{label}.mcap")
    with path.open("wb") as stream:
        writer = Writer(stream, chunk_size=1000, index_types=indexes)
        writer.start(profile="ros2", library="")
        schema = writer.register_schema(name, "ros2msg", b"string data\n")
        channel = writer.register_channel("/words", "cdr", schema)
        for number in range(100):
            data = bytes(types.serialize_cdr(String(data=f"message {number}"), name))
            writer.add_message(channel, log_time=number * 10**8, publish_time=number * 10**8, data=data)
        writer.finish()
    with path.open("rb") as stream:
        by_mcap = sum(1 for _ in make_reader(stream).iter_messages())
    with AnyReader([path], default_typestore=types) as reader:
        counts[label] = by_mcap, sum(1 for _ in reader.messages()), reader.message_count
print(f"rosbags {version('rosbags')}, mcap {version('mcap')}")
for label, (by_mcap, by_rosbags, said) in counts.items():
    print(f"{label} MessageIndex: mcap reads {by_mcap}, rosbags {by_rosbags} of the {said} that it says are there")
sys.exit(0 if counts["with"] == (100, 100, 100) and counts["without"][0] == 100 > counts["without"][1] else 1)
PY
"$work/venv/bin/python" "$work/read.py" "$work"
