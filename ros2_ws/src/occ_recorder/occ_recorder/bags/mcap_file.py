"""One MCAP file, read by its records and not by what its summary promises: cut, unindexed and damaged ones too.

The records are walked from header to header, which costs a seek each. Summary and message indexes save work where they
agree with what was found, and are done without where they do not. Source: MCAP specification, https://mcap.dev/spec.
"""

from __future__ import annotations

import io
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mcap.data_stream import ReadDataStream
from mcap.exceptions import EndOfFile
from mcap.opcode import Opcode
from mcap.reader import SeekingReader
from mcap.records import Channel, Chunk, McapRecord, Message, Schema, Statistics
from mcap.stream_reader import CRCValidationError, StreamReader, get_chunk_data_stream
from mcap.summary import Summary
from zlib_ng import zlib_ng

from occ_recorder.bags.bag_topic import CDR, DAMAGE, ROS1, BagTopic, sentence

_MAGIC = b"\x89MCAP0\r\n"
_RECORD, _TIMES, _INDEX = struct.Struct("<BQ"), struct.Struct("<QQ"), struct.Struct("<HI")
_MESSAGE = struct.Struct("<HIQ")  # channel, sequence, log time
_MESSAGE_HEAD = _MESSAGE.size + 8  # and when it was published
_COMPRESSIONS = ("", "none", "lz4", "zstd")
_LOOSE_BYTES = 1 << 20  # of messages outside of chunks that are read at once
_FORMATS = {"ros2msg": "msg", "ros1msg": "msg", "ros2idl": "idl", "omgidl": "idl"}


@dataclass
class _Span:
    """A chunk, or messages outside of chunks that follow each other.

    offset, length: bytes. first, last: log times, ns. counts: messages by channel, as its message indexes say.
    """

    offset: int
    length: int
    first: int
    last: int
    chunk: bool
    counts: Counter[int] = field(default_factory=Counter)


class _Message(NamedTuple):
    """channel: its number. logged: ns. data: as serialized, a part of its chunk, which it keeps in memory."""

    channel: int
    logged: int
    data: memoryview


class McapFile:
    """problems: sentences about what was wrong, as it is found. lasted: log times in ns, (first, last)."""

    def __init__(self, path: Path) -> None:
        """ValueError where it does not begin as MCAP does."""
        self.name, self.problems = path.name, list[str]()
        self._schemas: dict[int, Schema] = {}
        self._channels: dict[int, Channel] = {}
        self._file: BinaryIO = open(path, "rb")
        try:
            self._open(path.stat().st_size)
        except BaseException:
            self._file.close()
            raise

    def _open(self, size: int) -> None:
        if self._file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("it does not begin as an MCAP file does")
        self._spans, whole, ended = self._walked(size)
        self._file.seek(max(size - len(_MAGIC), 0))
        finished = self._file.read() == _MAGIC
        summary = self._summary() if finished else None
        if not finished:
            cut = f", its last {size - whole:,} bytes are cut" if size > whole and not ended else ""
            self.problems.append(f"{self.name}: the recording was not finished: no index{cut}; what is whole is read")
        elif not ended:
            beyond = self._beyond(summary, whole)
            self._spans += beyond
            rest = "what its index has behind it is read" if beyond else "what is behind it can't be found"
            self.problems.append(f"{self.name}: damaged at byte {whole:,}; {rest}")
        if summary is not None:
            self._schemas |= summary.schemas
            self._channels |= summary.channels
        statistics = summary.statistics if summary is not None and ended else None
        if statistics is None or not self._agrees(statistics):
            self._indexed = all(span.counts for span in self._spans)
            counts, self.lasted = self._scanned()
        else:
            counts = Counter(statistics.channel_message_counts)
            self._indexed = sum((span.counts for span in self._spans), Counter()) == +counts
            times = (statistics.message_start_time, statistics.message_end_time)
            self.lasted = times if statistics.message_count else None
        self.count = counts.total()
        self.topics = [topic for number in self._channels if (topic := self._topic(number, counts[number]))]

    def _walked(self, size: int) -> tuple[list[_Span], int, bool]:
        """The spans; where the last whole record ends; whether the data end there as they should."""
        spans: list[_Span] = []
        loose = False
        at = self._file.tell()
        while len(head := self._file.read(_RECORD.size)) == _RECORD.size:
            kind, length = _RECORD.unpack(head)
            after = at + _RECORD.size + length
            if kind in (Opcode.DATA_END, Opcode.FOOTER):
                return spans, at, True
            if kind == 0 or after > size:
                break
            if kind == Opcode.CHUNK and length >= _TIMES.size:
                first, last = _TIMES.unpack(self._file.read(_TIMES.size))
                spans.append(_Span(at, after - at, first, last, chunk=True))
            elif kind == Opcode.MESSAGE_INDEX and length >= _INDEX.size and spans:
                channel, entries = _INDEX.unpack(self._file.read(_INDEX.size))
                spans[-1].counts[channel] += entries // 16
            elif kind == Opcode.MESSAGE and length >= _MESSAGE.size:
                channel, _, logged = _MESSAGE.unpack(self._file.read(_MESSAGE.size))
                if not loose or spans[-1].length > _LOOSE_BYTES:
                    spans.append(_Span(at, 0, logged, logged, chunk=False))
                span = spans[-1]
                span.length, span.counts[channel] = after - span.offset, span.counts[channel] + 1
                span.first, span.last = min(span.first, logged), max(span.last, logged)
            elif kind in (Opcode.SCHEMA, Opcode.CHANNEL):
                self._file.seek(at)
                self._declare(_loose(self._file.read(after - at)))
            loose = kind == Opcode.MESSAGE
            at = self._file.seek(after)
        return spans, at, False

    def _summary(self) -> Summary | None:
        try:
            self._file.seek(0)
            return SeekingReader(self._file).get_summary()
        except DAMAGE:
            return None

    def _beyond(self, summary: Summary | None, whole: int) -> list[_Span]:
        """The chunks behind a record that hides them, as the summary knows them."""
        return [
            _Span(index.chunk_start_offset, index.chunk_length, index.message_start_time, index.message_end_time, True)
            for index in (summary.chunk_indexes if summary is not None else ())
            if index.chunk_start_offset >= whole
        ]

    def _agrees(self, statistics: Statistics) -> bool:
        """Do the statistics speak of this file, and are the channels that they count known?"""
        chunks = sum(span.chunk for span in self._spans)
        counted = {channel for channel, count in statistics.channel_message_counts.items() if count}
        complete = sum(statistics.channel_message_counts.values()) == statistics.message_count
        return chunks == statistics.chunk_count and complete and counted <= self._known()

    def _known(self) -> set[int]:
        """The channels whose names and types are known by now."""
        return {number for number, channel in self._channels.items() if channel.schema_id in {0, *self._schemas}}

    def _scanned(self) -> tuple[Counter[int], tuple[int, int] | None]:
        """Messages by channel and log times, of what has to be read to know them; channels and schemas are noted."""
        counts, times = Counter[int](), list[int]()
        for span in self._spans:
            # Index and times of a chunk with messages are believed, once its channels have been declared.
            if not span.counts or not span.counts.keys() <= self._known():
                try:
                    messages = self._messages_of(span)
                except DAMAGE:
                    continue  # It is complained of when its messages are wanted.
                span.counts = Counter(message.channel for message in messages)
            if span.counts:
                counts += span.counts
                times += [span.first, span.last]
        return counts, (min(times), max(times)) if times else None

    def _declare(self, records: list[McapRecord]) -> None:
        for record in records:
            if isinstance(record, Schema):
                self._schemas[record.id] = record
            elif isinstance(record, Channel):
                self._channels.setdefault(record.id, record)

    def _topic(self, number: int, count: int) -> BagTopic | None:
        channel = self._channels[number]
        schema = self._schemas.get(channel.schema_id)
        name, form = (schema.name, _FORMATS.get(schema.encoding, "")) if schema else ("", "")
        encoding = channel.message_encoding or (CDR if form else "")
        if encoding in (CDR, ROS1) and name.count("/") == 1:
            name = name.replace("/", "/msg/")  # as ROS 1 and some writers of ROS 2 messages name them
        text = schema.data.decode(errors="replace") if schema and form else ""
        return BagTopic(number, channel.topic, name, count, encoding, form if text.strip() else "", text)

    def messages(self, topics: Collection[BagTopic], since: int = 0) -> Iterator[tuple[BagTopic, int, memoryview]]:
        """(topic, log time in ns, data) in log order, as far as chunks that overlap in time can be held in memory.

        since: chunks that end before are passed over, and messages from before.
        """
        wanted = {topic.number: topic for topic in topics}
        waiting: list[_Message] = []
        stray = 0
        for span in sorted(self._spans, key=lambda span: span.first):
            if (self._indexed and not span.counts.keys() & wanted.keys()) or span.last < since:
                continue
            try:
                found = self._messages_of(span)
            except DAMAGE as error:
                self._left_out(span, error)
                continue
            stray += sum(message.channel not in self._channels for message in found)
            ready = [message for message in waiting if message.logged < span.first]
            yield from ((wanted[message.channel], message.logged, message.data) for message in ready)
            waiting = waiting[len(ready) :] + [
                message for message in found if message.channel in wanted and message.logged >= since
            ]
            waiting.sort(key=lambda message: message.logged)
        yield from ((wanted[message.channel], message.logged, message.data) for message in waiting)
        if stray:
            self.problems.append(f"{self.name}: {stray} messages are of topics whose names are lost, and left out")

    def _messages_of(self, span: _Span) -> list[_Message]:
        self._file.seek(span.offset)
        if not span.chunk:
            records = _loose(self._file.read(span.length))
            self._declare(records)
            return [
                _Message(record.channel_id, record.log_time, memoryview(record.data))
                for record in records
                if isinstance(record, Message)
            ]
        self._file.seek(_RECORD.size, io.SEEK_CUR)
        chunk = Chunk.read(ReadDataStream(self._file))
        if chunk.compression not in _COMPRESSIONS:
            raise ValueError(f"compression '{chunk.compression}' is not known")
        declared, messages = _taken_apart(_content(chunk))
        self._declare(declared)
        return messages

    def _left_out(self, span: _Span, error: Exception) -> None:
        count = span.counts.total()
        what = f"{count} messages are" if count else f"a chunk of {span.length:,} bytes is"
        self.problems.append(f"{self.name}: {what} damaged and left out ({sentence(error)})")

    def close(self) -> None:
        """Close it."""
        self._file.close()


def _loose(data: bytes) -> list[McapRecord]:
    """Whole records, one behind the other, outside of chunks."""
    records: list[McapRecord] = []
    try:
        for record in StreamReader(io.BytesIO(data), skip_magic=True, emit_chunks=True).records:
            records.append(record)
    except EndOfFile:
        pass  # There is no footer among them that would end the reading.
    return records


def _content(chunk: Chunk) -> bytes:
    """The records of a chunk. CRCValidationError where they are not what was written."""
    stream, length = get_chunk_data_stream(chunk)
    data = stream.read(length)
    # As the library checks it, which does so by zlib, several times slower.
    if chunk.uncompressed_crc and (found := zlib_ng.crc32(data)) != chunk.uncompressed_crc:
        raise CRCValidationError(expected=chunk.uncompressed_crc, actual=found, record=chunk)
    return data


def _taken_apart(data: bytes) -> tuple[list[McapRecord], list[_Message]]:
    """Schemas and channels among a chunk's records, and its messages, which are not copied.

    ValueError where they are no records.
    """
    declared: list[McapRecord] = []
    messages = []
    view, at = memoryview(data), 0
    while at < len(view):
        kind, length = _RECORD.unpack_from(view, at)
        after = at + _RECORD.size + length
        if after > len(view):
            raise ValueError("a record reaches beyond the end of its chunk")
        body = view[at + _RECORD.size : after]
        if kind == Opcode.MESSAGE:
            channel, _, logged = _MESSAGE.unpack_from(body)
            messages.append(_Message(channel, logged, body[_MESSAGE_HEAD:]))
        elif kind == Opcode.CHANNEL:
            declared.append(Channel.read(ReadDataStream(io.BytesIO(body))))
        elif kind == Opcode.SCHEMA:
            declared.append(Schema.read(ReadDataStream(io.BytesIO(body))))
        at = after
    return declared, messages
