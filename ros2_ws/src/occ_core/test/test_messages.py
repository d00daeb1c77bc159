"""Other people's messages are read by their attributes: any field order, number type, padding and byte order."""

from __future__ import annotations

import io
import struct
import zlib
from types import SimpleNamespace as Message

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from occ_core.messages import cloud_points, from_cloud, from_compressed_image, from_image, from_odometry

CODES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}


def header() -> Message:
    return Message(stamp=Message(sec=3, nanosec=500_000_000), frame_id="lidar")


@st.composite
def clouds(draw) -> tuple[Message, np.ndarray, bool]:
    """A cloud, the (n, 3) values that are in it, and whether it has intensity."""
    names = draw(st.permutations(["x", "y", "z", *draw(st.sets(st.sampled_from(["intensity", "ring", "time"])))]))
    kinds = {name: draw(st.sampled_from(["f4", "f8", "i2", "u1"])) for name in names}
    big, height = draw(st.booleans()), draw(st.integers(1, 4))
    width, row_padding = draw(st.integers(0, 9)), draw(st.integers(0, 5))
    offsets, at, fields = [], 0, []
    for name in names:
        at += draw(st.integers(0, 7))  # unaligned on purpose
        offsets.append(at)
        fields.append(Message(name=name, offset=at, datatype=CODES[kinds[name]], count=draw(st.sampled_from([1, 0]))))
        at += np.dtype(kinds[name]).itemsize
    step = at + draw(st.integers(0, 6))
    order = ">" if big else "<"
    dtype = np.dtype(
        {"names": names, "formats": [order + kinds[n] for n in names], "offsets": offsets, "itemsize": step}
    )
    points = np.zeros(height * width, dtype)
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 120, (height * width, 3))
    for axis, name in enumerate("xyz"):
        points[name] = values[:, axis]
    if "intensity" in names:
        points["intensity"] = 11
    rows = np.full((height, width * step + row_padding), 0xAB, np.uint8)
    rows[:, : width * step] = np.frombuffer(points.tobytes(), np.uint8).reshape(height, width * step)
    fields.append(Message(name="", offset=0, datatype=2, count=step))  # padding as PCL writes it
    message = Message(
        header=header(), height=height, width=width, fields=fields, is_bigendian=big, point_step=step,
        row_step=width * step + row_padding, data=rows.ravel(), is_dense=False,
    )  # fmt: skip
    return message, values, "intensity" in names


@given(clouds())
def test_any_cloud_with_x_y_and_z_is_read(case):
    message, values, has_intensity = case
    points = cloud_points(message)
    assert points.dtype == np.float32 and points.shape == (len(values), 4)
    assert (points[:, :3] == values).all() and (points[:, 3] == (11 if has_intensity else 0)).all()


def cloud(names: str = "xyz", **changes) -> Message:
    fields = [Message(name=n, offset=4 * k, datatype=7, count=1) for k, n in enumerate(names)]
    size = 4 * len(names)
    values = dict(
        header=header(), height=1, width=2, fields=fields, is_bigendian=False, point_step=size, row_step=2 * size,
        data=np.zeros(2 * size, np.uint8), is_dense=True,
    )  # fmt: skip
    return Message(**(values | changes))


@pytest.mark.parametrize(
    "changes", [dict(width=0), dict(height=0), dict(width=0, point_step=0, fields=[], data=np.zeros(0, np.uint8))]
)
def test_a_cloud_of_no_points_has_none(changes):
    assert cloud_points(cloud(**changes)).shape == (0, 4)


@pytest.mark.parametrize(
    "message, words",
    [
        (cloud("xy"), "missing: z"), (cloud("x_y"), "missing: z"), (cloud("xyzz"), "missing: z"),
        (cloud(width=3), "36"),
        (cloud(height=2, row_step=10), "rows of 10"), (cloud(point_step=8), "itemsize"),
        (cloud(fields=[]), "no fields"),
        (cloud(fields=[], width=2**32 - 1, height=2**32 - 1, point_step=0), "points of no bytes"),
        (cloud(fields=[Message(name="x", offset=0, datatype=99, count=1)]), "datatype"),
    ],
)  # fmt: skip
def test_a_cloud_that_can_not_be_read_is_refused_in_words(message, words):
    with pytest.raises(ValueError, match=words):
        cloud_points(message)


def test_row_step_of_a_single_row_may_be_left_at_zero():
    assert len(from_cloud(cloud(row_step=0))) == 2


def test_sick_s_i_is_the_intensity():
    data = np.arange(8, dtype=np.float32).view(np.uint8)
    assert cloud_points(cloud("xyzi", data=data))[:, 3].tolist() == [3, 7]


def organised(row_step: int, padding: int = 0) -> Message:
    """Three rows of two points whose x are 0 to 5."""
    values = np.zeros((3, 2, 3), np.float32)
    values[..., 0] = np.arange(6).reshape(3, 2)
    rows = np.pad(values.reshape(3, -1).view(np.uint8), ((0, 0), (0, padding)), constant_values=0xAB)
    return cloud(height=3, width=2, row_step=row_step, data=rows.ravel())


@pytest.mark.parametrize(
    "row_step, padding", [(24, 0), (0, 0), (2, 0), (72, 0), (27, 3), (0, 3), (2, 3)]
)  # fmt: skip
def test_organised_clouds_are_read_whatever_their_driver_leaves_in_row_step(row_step, padding):
    assert cloud_points(organised(row_step, padding))[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "odd",
    [
        Message(name="ring", offset=12, datatype=4, count=1), Message(name="rgb", offset=0, datatype=0, count=1),
        Message(name="time", offset=8, datatype=8, count=1), Message(name="normal", offset=0, datatype=7, count=9),
        Message(name="intensity", offset=12, datatype=7, count=1), Message(name="tag", offset=4, datatype=255, count=1),
    ],
)  # fmt: skip
def test_fields_that_nobody_needs_may_be_of_no_type_or_lie_behind_the_point(odd):
    fields = [Message(name=n, offset=4 * k, datatype=7, count=1) for k, n in enumerate("xyz")]
    points = cloud_points(cloud(fields=[*fields, odd], data=np.arange(6, dtype=np.float32).view(np.uint8)))
    assert points.tolist() == [[0, 1, 2, 0], [3, 4, 5, 0]]


def image(encoding: str, pixels: np.ndarray, padding: int = 0) -> Message:
    rows = pixels.reshape(len(pixels), -1)
    data = np.pad(rows, ((0, 0), (0, padding)))
    return Message(
        height=rows.shape[0], width=pixels.shape[1], encoding=encoding, step=data.shape[1], data=data.ravel()
    )


def test_images_of_every_encoding_that_is_read_are_the_same_picture():
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    alpha = np.full((5, 7, 1), 255, np.uint8)
    for encoding, pixels in (
        ("rgb8", rgb), ("bgr8", rgb[..., ::-1]), ("8UC3", rgb[..., ::-1]), ("rgba8", np.dstack([rgb, alpha])),
        ("bgra8", np.dstack([rgb[..., ::-1], alpha])),
    ):  # fmt: skip
        for padding in (0, 3):
            assert (from_image(image(encoding, pixels, padding)) == rgb).all(), encoding
    grey = from_image(image("mono8", rgb[..., :1]))
    assert grey.shape == (5, 7, 3) and (grey == rgb[..., :1]).all()
    with pytest.raises(ValueError, match="bayer_rggb8"):
        from_image(image("bayer_rggb8", rgb[..., :1]))
    with pytest.raises(ValueError, match="rows of"):
        from_image(image("rgba8", rgb))


def test_compressed_pictures_are_read_and_jpegs_kept():
    rgb = np.full((8, 16, 3), (10, 200, 30), np.uint8)
    for kind in ("jpeg", "png", "webp"):
        buffer = io.BytesIO()
        Image.fromarray(rgb).save(buffer, kind)
        got = from_compressed_image(Message(format=kind, data=np.frombuffer(buffer.getvalue(), np.uint8)))
        assert (got == buffer.getvalue()) if kind == "jpeg" else np.abs(got.astype(int) - rgb).max() < 6
    for bad in (b"", b"\xff\xd8\xff cut", b"hello"):
        with pytest.raises(ValueError, match="can't be read"):
            from_compressed_image(Message(format="jpeg", data=np.frombuffer(bad, np.uint8)))
    depth = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(depth, "png")
    with pytest.raises(ValueError, match="I;16, not 8-bit"):
        from_compressed_image(Message(format="16UC1; png", data=depth.getvalue()))


@pytest.mark.parametrize("twist", [np.nan, np.inf])
def test_odometry_with_velocities_that_are_no_numbers_says_so_and_keeps_its_pose(twist):
    zero, odd = Message(x=0.0, y=0.0, z=0.0), Message(x=twist, y=0.0, z=0.0)
    pose = Message(position=zero, orientation=Message(x=0.0, y=0.0, z=0.0, w=1.0))
    for linear, angular in ((odd, zero), (zero, odd)):
        message = Message(
            header=header(), pose=Message(pose=pose), twist=Message(twist=Message(linear=linear, angular=angular))
        )
        assert not from_odometry(message).measured and not from_odometry(message).pose.position.any()


def png(width: int, height: int, body: bytes = b"") -> bytes:
    """A PNG that says so of itself, with whatever pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [header, b"IDAT" + (body or zlib.compress(b"")), b"IEND"]
    parts = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    "data, words",
    [
        (png(60_000, 60_000), "is refused: Image size .3600000000 pixels. exceeds limit"),
        (png(4, 4), "can't be read"),
        (png(4, 4, b"no zlib stream"), "can't be read"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "can't be read"),
        (b"", "can't be read"),
    ],
)
def test_a_compressed_image_that_is_a_bomb_or_broken_is_refused_in_words(data, words):
    with pytest.raises(ValueError, match=words):
        from_compressed_image(Message(format="png", data=data))
