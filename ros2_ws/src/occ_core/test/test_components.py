"""Parts of a mask are numbered as SciPy does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import label

from occ_core.components import connected


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_parts_are_those_of_scipy(mask):
    theirs, _ = label(mask, structure=np.ones((3, 3)))
    assert np.array_equal(connected(mask), theirs)


@given(st.integers(1, 40), st.integers(1, 40), st.randoms(use_true_random=False))
def test_large_masks_with_winding_parts(rows, columns, random):
    mask = np.array([[random.random() < 0.45 for _ in range(columns)] for _ in range(rows)])
    theirs, _ = label(mask, structure=np.ones((3, 3)))
    assert np.array_equal(connected(mask), theirs)
