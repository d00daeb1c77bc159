"""Loops that count no references: the same numbers, nothing counted, and nothing made inside."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from occ_core.loops import arithmetic, loop


@numba.njit(inline="always")
def bit(words, row, level):
    """Whether a bit is set."""
    return (words[row, level >> 6] >> np.uint64(level & 63)) & np.uint64(1)


def total(words, others, rows):
    """Set bits of rows, of others where a row is negative."""
    count = 0
    for row in rows:
        for level in range(64 * words.shape[1]):
            if row >= 0:
                count += bit(words, row, level)
            else:
                count += bit(others, -row, level)
    return count


def test_a_helper_that_is_handed_arrays_costs_no_count():
    compiled = loop(cache=False)(total)
    words = np.arange(8, dtype=np.uint64).reshape(4, 2)
    assert compiled(words, words, np.array([1, 2, -3])) == sum(int(n).bit_count() for n in range(2, 8))
    (text,) = compiled.inspect_llvm().values()
    assert "call void @NRT_incref" not in text and "call void @NRT_decref" not in text


def test_a_loop_that_makes_an_array_does_not_compile():
    @loop(cache=False)
    def made(n):
        return np.zeros(n)

    with pytest.raises(numba.TypingError):
        made(3)


def test_sums_may_be_in_any_order():
    @arithmetic(cache=False)
    def summed(values):
        out = 0.0
        for value in values:
            out += value
        return out

    values = np.random.default_rng(1).random(1000)
    assert summed(values) == pytest.approx(values.sum(), rel=1e-12)
