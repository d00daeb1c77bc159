"""Only changes are sent, and who has received them has exactly what is shown."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rclpy.serialization import deserialize_message, serialize_message
from visualization_msgs.msg import Marker, MarkerArray

from occ_core.classes import COLOURS
from occworld_infer.lattice import CELL, Voxels
from occworld_infer.layers import Layer
from occworld_infer.marker_messages import to_text, to_update
from occworld_infer.markers import REFRESH, CubeList, MarkerUpdate, SentMarkers, cube_lists

PALETTE = np.column_stack([COLOURS / 255.0, np.ones(len(COLOURS))])
BASE = 2.5
GRIDS = arrays(np.uint8, (6, 5, 4), elements=st.sampled_from([0, 1, 1, 9]))


def layer(name: str, labels: np.ndarray) -> Layer:
    cells = np.argwhere(labels)
    return Layer(name, Voxels(cells.astype(np.int32), labels[tuple(cells.T)]), PALETTE, base=BASE)


def lists(*layers: Layer) -> list[CubeList]:
    return [cubes for one in layers for cubes in cube_lists("rover_0", one)]


def test_an_update_is_bytes_of_the_message_that_the_middleware_would_write() -> None:
    labels = np.random.default_rng(4).integers(0, 3, (9, 7, 5)).astype(np.uint8)
    wanted = lists(layer("now", labels), layer("+0.5 s", labels[::-1]))
    update = MarkerUpdate(wanted, [("rover_0/now", 77), ("rover_0/+1.0 s", 3)], anew=True)
    sent = to_update(update, to_text("rover_0", "0.1 s, IoU 60%"))
    message = deserialize_message(sent, MarkerArray)
    again = bytes(serialize_message(message))  # whose padding is not always zero
    assert len(again) == len(sent) and deserialize_message(again, MarkerArray) == message
    first, *gone, text = [m for m in message.markers if m.type != Marker.CUBE_LIST]
    assert first.action == Marker.DELETEALL and [m.action for m in gone] == [Marker.DELETE] * 2
    assert [(m.ns, m.id) for m in gone] == update.gone
    assert text.text == "0.1 s, IoU 60%" and text.frame_locked and text.header.frame_id == "rover_0/base_link"
    cubes = [m for m in message.markers if m.type == Marker.CUBE_LIST]
    for marker, expected in zip(cubes, wanted, strict=True):
        assert (marker.ns, marker.id, marker.action) == (*expected.key, Marker.ADD) and marker.pose.orientation.w == 1
        assert np.allclose([marker.scale.x, marker.scale.y, marker.scale.z], expected.scale)
        colour = marker.color
        assert np.allclose([colour.r, colour.g, colour.b, colour.a], expected.colour)
        assert np.array_equal([[p.x, p.y, p.z] for p in marker.points], expected.centres)


class Receiver:
    """What RViz does with an update."""

    def __init__(self) -> None:
        self.shown: dict[tuple[str, int], CubeList] = {}

    def take(self, update: MarkerUpdate) -> None:
        if update.anew:
            self.shown.clear()
        for key in update.gone:
            self.shown.pop(key, None)
        self.shown |= {cubes.key: cubes for cubes in update.changed}

    def has(self, wanted: list[CubeList]) -> bool:
        return set(self.shown) == {cubes.key for cubes in wanted} and all(
            cubes.same(self.shown[cubes.key]) for cubes in wanted
        )


@given(GRIDS)
def test_cubes_fill_the_voxels_and_carry_their_colours(labels: np.ndarray) -> None:
    volume = {1: 0.0, 9: 0.0}
    for cubes in lists(layer("now", labels)):
        label = next(k for k in volume if np.allclose(cubes.colour, PALETTE[k]))
        size = np.round(cubes.scale / CELL)
        volume[label] += len(cubes.centres) * size.prod()
        assert cubes.namespace == "rover_0/now"
        for centre in cubes.centres:
            low = np.round((centre - [0, 0, BASE]) / CELL - size / 2).astype(int)
            part = labels[tuple(slice(a, a + b) for a, b in zip(low, size.astype(int), strict=True))]
            assert (part == label).all()
    assert volume == {k: float((labels == k).sum()) for k in volume}


@given(st.lists(st.tuples(GRIDS, st.booleans()), min_size=1, max_size=6))
def test_a_receiver_of_all_updates_has_what_is_shown(frames: list[tuple[np.ndarray, bool]]) -> None:
    """Layers come, change and go."""
    sent, receiver = SentMarkers(), Receiver()
    for labels, second in frames:
        wanted = lists(layer("now", labels), *([layer("+0.5 s", labels[::-1])] if second else []))
        receiver.take(sent.update(wanted))
        assert receiver.has(wanted)


def test_nothing_changed_sends_next_to_nothing() -> None:
    labels = np.random.default_rng(1).integers(0, 3, (20, 20, 8)).astype(np.uint8)
    wanted, sent = lists(layer("now", labels)), SentMarkers()
    first = sent.update(wanted)
    assert first.anew and len(first.changed) == len(wanted)
    for _ in range(2 * REFRESH):
        again = sent.update(lists(layer("now", labels)))
        assert not again.anew and not again.gone and len(again.changed) < len(wanted) / 4


def test_a_receiver_that_missed_updates_has_everything_after_a_round() -> None:
    """As RViz, which drops what comes for a namespace that is switched off."""
    labels = np.random.default_rng(2).integers(0, 3, (20, 20, 8)).astype(np.uint8)
    wanted, sent, receiver = lists(layer("now", labels)), SentMarkers(), Receiver()
    sent.update(wanted)
    for _ in range(REFRESH):
        receiver.take(sent.update(wanted))
    assert receiver.has(wanted)


def test_a_newcomer_gets_everything_at_once() -> None:
    wanted, sent, receiver = lists(layer("now", np.ones((3, 3, 3), np.uint8))), SentMarkers(), Receiver()
    sent.update(wanted)
    sent.start_anew()
    receiver.take(sent.update(wanted))
    assert receiver.has(wanted)
