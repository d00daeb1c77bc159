"""How pictures of the rig are laid out: by the table of cameras alone."""

from __future__ import annotations

from occ_core.topics import CAMERA_ROWS, CAMERAS, _as_mounted


def test_the_rig_is_shown_as_it_is_mounted():
    assert CAMERA_ROWS == (("front_left", "front", "front_right"), ("back_left", "back", "back_right"))


def test_a_seventh_camera_finds_its_place():
    rows = _as_mounted(CAMERAS | {"left": "CAM_LEFT", "up": "CAM_UP", "front_up": "CAM_FRONT_UP"})
    assert rows[0] == ("front_left", "front", "front_up", "front_right")
    assert rows[1] == ("back_left", "left", "back", "up", "back_right")
