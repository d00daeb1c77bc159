"""Each case of a bag that was once read wrongly or refused has a test that holds it; docs/bags.md lists them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from scene import EPOCH, Car, misses, seen

HERE = Path(__file__).parent
PAGE = HERE.parents[3] / "docs" / "bags.md"
# As the folders of example bags are numbered, NN_name.
NUMBERED = {1, 2, 4, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 20}
TENTHS = [k / 10 for k in range(21)]


def rows() -> list[tuple[str, str, str]]:
    """(case, file, test) of the table."""
    table = PAGE.read_text().split("### Bags as people record them")[1].split("\n### ")[0]
    return re.findall(r"^\| (.+?) \| .+ \| `(test_\w+\.py)::(test_\w+)` \|$", table, re.MULTILINE)


def test_every_numbered_case_is_in_the_table() -> None:
    numbers = [int(case.split()[0]) for case, _, _ in rows() if case[:2].isdigit()]
    assert len(rows()) > len(NUMBERED) and sorted(numbers) == sorted(NUMBERED)


@pytest.mark.parametrize("case, file, test", rows())
def test_a_case_has_the_test_that_its_row_names(case: str, file: str, test: str) -> None:
    functions = {node.name for node in ast.parse((HERE / file).read_text()).body if isinstance(node, ast.FunctionDef)}
    assert test in functions, f"{case}: {file} has no {test}"


def organised(car: Car, t: float):
    """Sixteen rows, the last of them filled up with NaN, and a row_step of 0."""
    points = seen(t)
    width = -(-len(points) // 16)
    cloud = car.cloud(t, np.vstack([points, np.full((16 * width - len(points), 3), np.nan)]))
    cloud.height, cloud.width, cloud.row_step = 16, width, 0
    return cloud


def unknown_type(car: Car, t: float):
    cloud = car.cloud(t, seen(t), intensity=np.ones(len(seen(t)), "<f4"))
    cloud.fields[3].datatype = 0
    return cloud


def behind_the_point(car: Car, t: float):
    cloud = car.cloud(t, seen(t))
    cloud.fields.append(car.drive.make("sensor_msgs/msg/PointField", name="ring", offset=12, datatype=4, count=1))
    return cloud


def big_endian(car: Car, t: float):
    points = np.zeros(len(seen(t)), [(axis, ">f4") for axis in "xyz"])
    for axis, column in zip("xyz", seen(t).T, strict=True):
        points[axis] = column
    return car.drive.cloud(EPOCH + t, "lidar", points, is_bigendian=True)


def big_endian_doubles_in_another_order(car: Car, t: float):
    kinds = [("ring", ">u2"), ("z", ">f8"), ("y", ">f4"), ("x", ">f8"), ("t", ">u4")]
    points = np.zeros(len(seen(t)), kinds)
    for axis, column in zip("xyz", seen(t).T, strict=True):
        points[axis] = column
    return car.drive.cloud(EPOCH + t, "lidar", points, is_bigendian=True)


LAYOUTS = [organised, unknown_type, behind_the_point, big_endian, big_endian_doubles_in_another_order]


@pytest.mark.parametrize("make", LAYOUTS, ids=lambda make: make.__name__)
def test_clouds_as_some_drivers_lay_them_out_are_read(tmp_path: Path, make) -> None:
    car = Car().say_odometry(2.0)
    report, session = car.say_clouds(TENTHS, lambda t: make(car, t)).sessions(tmp_path)
    assert misses(session, TENTHS) == [] and len(session) == 5 and report.problems == []
