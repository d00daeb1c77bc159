"""Parameters of a real node: the right ones are read, a wrong one is named in a sentence."""

from __future__ import annotations

import numpy as np
import pytest
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from visualization_msgs.msg import Marker, MarkerArray

from occ_core.sync import SweepSynchronizer
from occ_core.topics import ACTORS
from occ_ros.guard import ERRORS, UNSENT, UNUSABLE, GuardedNode
from occ_ros.parameters import Parameter, ParameterError, read
from occ_ros.sensor_subscriptions import ActorSubscription, SensorSubscriptions

TABLE = (
    Parameter("speed", 4.0, "metres per second", low=0.0, high=15.0),
    Parameter("count", 3, "how many", low=0, high=10),
    Parameter("pattern", "street", "what to do", choices=("street", "survey")),
    Parameter("cameras", True, "images too"),
    Parameter("robots", ["rover_0"], "namespaces"),
)


@pytest.fixture(scope="module")
def context():
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.try_shutdown(context=context)


def values(context, **overrides):
    node = Node(
        "parameters_test", context=context, parameter_overrides=[RosParameter(k, value=v) for k, v in overrides.items()]
    )
    try:
        return read(node, TABLE)
    finally:
        node.destroy_node()


def test_defaults_and_overrides_are_read(context):
    assert values(context) == {p.name: p.default for p in TABLE}
    changed = {"speed": 15.0, "count": 0, "pattern": "survey", "cameras": False, "robots": ["a", "b"]}
    assert values(context, **changed) == changed


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": "fast"}, {"speed": 5}, {"speed": 15.1}, {"speed": -0.1}, {"count": 2.5}, {"count": 11}, {"count": -1},
        {"pattern": "zigzag"}, {"pattern": 3}, {"cameras": "yes"}, {"robots": "rover_0"}, {"robots": [1, 2]},
        {"speed": np.nan},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_parameter_is_named_with_what_is_wanted(context, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ParameterError) as caught:
        values(context, **wrong)
    assert f"parameter '{name}'" in str(caught.value) and len(str(caught.value)) > 30
    if name == "pattern" and isinstance(value, str):
        assert "street, survey" in str(caught.value) and value in str(caught.value)


def test_markers_of_somebody_else_on_the_actors_topic_do_not_end_the_node(context):
    node = GuardedNode("intake_test", context=context)
    actors, synchronizers = ActorSubscription(node), [SweepSynchronizer(0.5), SweepSynchronizer(0.5)]
    for number, synchronizer in enumerate(synchronizers):
        SensorSubscriptions(node, f"rover_{number}", synchronizer, lambda sweep: None, actors)
    try:
        hear = node.guarded(ACTORS.name, actors.hear)
        hear(MarkerArray(markers=[Marker(ns="rviz_notes", type=Marker.TEXT_VIEW_FACING)]))
        assert node.faults.values() == {UNUSABLE: 1, ERRORS: 0, UNSENT: 0}
    finally:
        node.destroy_node()
