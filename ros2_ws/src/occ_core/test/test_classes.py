"""The class table, and the way to Occ3D-nuScenes ids and back."""

from __future__ import annotations

import numpy as np
import pytest

from occ_core.classes import (
    CLASSES,
    COLOURS,
    DYNAMIC_IDS,
    FROM_OCC3D,
    NAMES,
    NUM_CLASSES,
    OCC3D_FREE,
    TO_OCC3D,
    Semantic,
    class_id,
)  # fmt: skip


def test_rows_stand_at_their_ids():
    assert [int(info.semantic) for info in CLASSES] == list(range(NUM_CLASSES)) == list(map(int, Semantic))


def test_colours_tell_classes_apart():
    assert len(np.unique(COLOURS, axis=0)) == NUM_CLASSES


def test_only_the_empty_class_is_free_in_occ3d_and_back():
    assert (np.flatnonzero(TO_OCC3D == OCC3D_FREE) == [Semantic.EMPTY]).all()
    assert (np.flatnonzero(FROM_OCC3D == Semantic.EMPTY) == [OCC3D_FREE]).all()


def test_maps_cover_all_ids_of_either_table():
    assert len(TO_OCC3D) == NUM_CLASSES and TO_OCC3D.max() <= OCC3D_FREE
    assert len(FROM_OCC3D) == OCC3D_FREE + 1 and FROM_OCC3D.max() < NUM_CLASSES


# What Occ3D has no class of its own for comes back as the class that stands for it.
MERGED = {
    Semantic.BRIDGE: Semantic.BUILDING, Semantic.FURNITURE: Semantic.BUILDING, Semantic.DRONE: Semantic.OTHER,
    Semantic.ROVER: Semantic.OTHER, Semantic.WATER: Semantic.TERRAIN,
}  # fmt: skip


@pytest.mark.parametrize("semantic", Semantic)
def test_a_class_comes_back_from_occ3d_as_itself_or_as_what_it_is_merged_into(semantic):
    assert FROM_OCC3D[TO_OCC3D[semantic]] == MERGED.get(semantic, semantic)


def test_what_moves_in_occ3d_moves_here():
    for occ3d in (2, 3, 4, 5, 6, 7, 9, 10):
        assert FROM_OCC3D[occ3d] in DYNAMIC_IDS


def test_a_name_finds_its_id_and_an_unknown_one_is_told_the_names():
    assert [class_id(name) for name in NAMES] == list(range(NUM_CLASSES))
    with pytest.raises(ValueError, match="'lorry'.*truck_bus"):
        class_id("lorry")
