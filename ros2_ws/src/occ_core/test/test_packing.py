"""Packed arrays are what NumPy and zip tools read, as small as NumPy's own, and the same bytes each time."""

from __future__ import annotations

import io
import zipfile

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from occ_core.packing import packed_arrays

KINDS = st.sampled_from([np.uint8, np.uint16, np.float32, np.bool_])
SHAPES = st.lists(st.integers(0, 7), max_size=3).map(tuple)


@given(st.dictionaries(st.sampled_from(["a", "occupancy", "b_1"]), arrays(KINDS, SHAPES), max_size=3))
def test_numpy_reads_back_what_was_packed(content):
    data = packed_arrays(content)
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    with np.load(io.BytesIO(data), allow_pickle=False) as read:
        assert sorted(read.files) == sorted(content)
        for name, array in content.items():
            assert read[name].dtype == array.dtype and np.array_equal(read[name], array, equal_nan=array.dtype == "f4")
    assert packed_arrays(content) == data


def test_it_is_as_small_as_numpy_s_own():
    rng = np.random.default_rng(0)
    grid = np.where(rng.random((200, 200, 121)) < 0.02, rng.integers(1, 16, (200, 200, 121)), 0).astype(np.uint8)
    theirs = io.BytesIO()
    np.savez_compressed(theirs, grid=grid)
    assert len(packed_arrays({"grid": grid})) < 1.1 * len(theirs.getvalue())
