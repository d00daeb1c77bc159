#!/usr/bin/env bash
# A rosbag2 SQLite file whose recorder was killed has its last transactions in a write-ahead log (.db3-wal) beside it, which
# SQLite reads as part of the database. rosbags opens the file as immutable and leaves the log out: messages are missing,
# without a word.
# Exits 0 while that is so: sqlite3 reads 100 messages, rosbags fewer.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 rosbags==0.11.9
cat > "$work/read.py" <<'PY'
import shutil
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path

from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

work = Path(sys.argv[1])
types = get_typestore(Stores.ROS2_JAZZY)
name = "std_msgs/msg/String"
String = types.types[name]
message = lambda number: bytes(types.serialize_cdr(String(data=f"message {number}"), name))  # noqa: E731
with Writer(work / "bag", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
    connection = writer.add_connection("/words", name, typestore=types)
    for number in range(50):
        writer.write(connection, number * 10**8, message(number))
bag = next((work / "bag").glob("*.db3"))
# What a recorder that goes on, in the journal mode that rosbag2's profile for resilience sets, has done when it is killed.
database = sqlite3.connect(bag)
database.execute("PRAGMA journal_mode=WAL")
database.execute("PRAGMA wal_autocheckpoint=0")
for number in range(50, 100):
    database.execute("INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)", (number * 10**8, message(number)))
database.commit()
killed = work / "killed"
killed.mkdir()
for file in (work / "bag").iterdir():
    shutil.copy(file, killed)
database.close()
copy = work / "copy"
shutil.copytree(killed, copy)
rows = sqlite3.connect(next(copy.glob("*.db3"))).execute("SELECT count(*) FROM messages").fetchone()[0]
with AnyReader([killed], default_typestore=types) as reader:
    read = sum(1 for _ in reader.messages())
print(f"rosbags {version('rosbags')}, SQLite {sqlite3.sqlite_version}")
print(f"{', '.join(sorted(f.name for f in killed.iterdir()))}: SQLite has {rows} messages, rosbags {read}")
sys.exit(0 if rows == 100 > read else 1)
PY
"$work/venv/bin/python" "$work/read.py" "$work"
