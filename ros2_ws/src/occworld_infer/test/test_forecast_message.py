"""The typed forecast, there and back, as a process that knows only the message has it."""

from __future__ import annotations

import sys
from dataclasses import astuple
from types import SimpleNamespace

import numpy as np
import pytest

from occ_core.classes import NAMES
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occworld.forecaster import Forecast
from occworld.scene import ForecastFrame
from occworld_infer.forecast_message import Latency, forecast_message, from_forecast_message, lacking
from occworld_infer.grading import Grade
from occworld_infer.prediction import PublishedPart

if lacking():
    pytest.skip(f"{lacking()}: scripts/build_messages.sh .venv", allow_module_level=True)
occ_msgs = pytest.importorskip("occ_msgs.msg")
GRID = VoxelGrid((-4.0, -4.0, 0.0), (4.0, 4.0, 4.6), (0.5, 0.5, 1.25))
CAR, BUILDING = NAMES.index("car"), NAMES.index("building")


@pytest.fixture
def forecast() -> Forecast:
    classes, odds = np.zeros((2, *GRID.shape), np.uint8), np.zeros((2, *GRID.shape), np.float16)
    classes[:, 3, 4, 1], odds[:, 3, 4, 1] = CAR, 0.9
    classes[1, 8, 2, 2], odds[1, 8, 2, 2] = BUILDING, 0.6
    frames = tuple(ForecastFrame.of_dense(*pair) for pair in zip(classes, odds, strict=True))
    return Forecast((0.5, 1.0), frames, np.array([[1.0, 0.5, 0.3], [2.0, 1.5, 0.6]]), np.array([0.1, 0.2]))


LATENCY = Latency(0.05, 0.2, 0.3)
GRADES = (Grade(0.5, 0.75, 0.5, 0.875, 0.625, 9), Grade(1.0, 0.5, 0.25, 0.5, 0.25, 8))


def message_of(forecast: Forecast, wanted: PublishedPart | None = None):
    return forecast_message(GRID, forecast, "rover_0/base_footprint", 12.5, LATENCY, GRADES, wanted)


def test_who_has_only_the_message_knows_where_everything_will_be(forecast: Forecast) -> None:
    message = message_of(forecast)
    assert message.header.frame_id == "rover_0/base_footprint" and message.header.stamp.sec == 12
    # By the definition alone, as occ_msgs/README.md has it.
    last = message.frames[1]
    number = list(last.labels).index(BUILDING)
    shape = message.grid.shape
    index = np.array(np.unravel_index(last.numbers[number], shape))
    centre = np.array(message.grid.lower) + (index + 0.5) * np.array(message.grid.voxel)
    assert index.tolist() == [8, 2, 2] and message.class_names[last.labels[number]] == "building"
    assert last.probabilities[number] == pytest.approx(0.6, abs=1e-3) and last.horizon == 1.0
    place = Pose.from_xyz_rpy([2.0, 1.5, 0.2], [0, 0, 0.6])
    assert np.allclose([last.pose.position.x, last.pose.position.y, last.pose.position.z], place.position)
    assert np.allclose(place.apply(centre[None])[0], place.rotation @ centre + place.position)


def test_there_and_back_over_the_wire_it_is_the_same(forecast: Forecast) -> None:
    from rclpy.serialization import deserialize_message, serialize_message

    wired = deserialize_message(serialize_message(message_of(forecast)), occ_msgs.OccupancyForecast)
    found = from_forecast_message(wired)
    assert list(found.voxels) == list(found.odds) == [0.5, 1.0]
    assert found.grades == GRADES
    assert astuple(found.latency) == pytest.approx(astuple(LATENCY))
    for step, (voxels, odds) in enumerate(zip(found.voxels.values(), found.odds.values(), strict=True)):
        assert voxels.grid.shape == GRID.shape and np.array_equal(voxels.classes, forecast.classes[step])
        assert np.array_equal(odds, forecast.probability[step].reshape(-1)[voxels.numbers].astype(np.float32))
        assert voxels.frame.position == pytest.approx([*forecast.path[step, :2], forecast.path_z[step]])
        assert voxels.frame.yaw == pytest.approx(forecast.path[step, 2])


def test_it_has_the_part_that_is_published_and_no_other(forecast: Forecast) -> None:
    near = from_forecast_message(message_of(forecast, PublishedPart((0.5,), 0.0, NAMES[1:])))
    assert list(near.voxels) == [0.5]
    cars = from_forecast_message(message_of(forecast, PublishedPart((0.5, 1.0), 0.0, ("car",))))
    assert [voxels.labels.tolist() for voxels in cars.voxels.values()] == [[CAR], [CAR]]
    sure = from_forecast_message(message_of(forecast, PublishedPart((1.0,), 0.7, NAMES[1:])))
    assert sure.voxels[1.0].labels.tolist() == [CAR], "the building has 0.6"


def test_one_that_was_built_of_older_definitions_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lacking() == ""
    monkeypatch.setattr(occ_msgs.OccupancyForecast, "get_fields_and_field_types", classmethod(lambda cls: {"grid": ""}))
    assert lacking() == "occ_msgs is built of older definitions here"
    monkeypatch.setitem(sys.modules, "occ_msgs.msg", None)
    assert lacking() == "occ_msgs is not built here"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"numbers": [10**6]}, "is not in the grid"),
        ({"numbers": [7, 7], "labels": [1, 1], "probabilities": [1.0, 1.0]}, "do not ascend"),
        ({"labels": [200]}, "is not in the grid or the table"),
        ({"probabilities": []}, "1 voxels with 1 labels and 0 probabilities"),
    ],
)
def test_a_message_that_can_not_be_is_refused(forecast: Forecast, change: dict, words: str) -> None:
    message = message_of(forecast)
    first = message.frames[0]
    values = {name: list(getattr(first, name)) for name in ("numbers", "labels", "probabilities")}
    message = SimpleNamespace(
        grid=message.grid, class_names=message.class_names, voxelize_seconds=0.0, model_seconds=0.0,
        total_seconds=0.0, scores=[],
        frames=[SimpleNamespace(horizon=0.5, pose=first.pose, **(values | change))],
    )  # fmt: skip
    with pytest.raises(ValueError, match=words):
        from_forecast_message(message)
    message.class_names = ["empty", "lava"]
    with pytest.raises(ValueError, match="classes empty, lava"):
        from_forecast_message(message)


@pytest.mark.parametrize("field", ["model_seconds", "voxelize_seconds", "total_seconds"])
def test_seconds_and_scores_that_are_no_numbers_are_refused(forecast: Forecast, field: str) -> None:
    message = message_of(forecast)
    setattr(message, field, float("nan"))
    with pytest.raises(ValueError, match="no numbers"):
        from_forecast_message(message)
    message = message_of(forecast)
    message.scores[1].warp_iou = float("inf")
    with pytest.raises(ValueError, match="no numbers"):
        from_forecast_message(message)
