"""Compiled loops that count no references."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numba

loop: Callable[..., Any] = partial(numba.njit, cache=True, nogil=True, _nrt=False)
"""`numba.njit` for loops that make no arrays of their own: they write into those that they are given.

Numba counts who holds an array, also where one is handed to a helper that is inlined, picked out of a tuple or cut into
a row, and two threads that count the same one wait for each other: three quarters of the time of a loop over voxels
with five such helpers (numba 0.68, `bench/forecasting.py`). A loop that only reads and writes what its caller holds
needs no count. One that makes an array does not compile: numba.TypingError.
"""

arithmetic: Callable[..., Any] = partial(loop, fastmath={"reassoc", "contract", "nsz"})
"""The same for sums whose order does not matter, so that the compiler may make vectors of them."""
