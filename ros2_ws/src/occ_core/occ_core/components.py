"""Connected parts of a mask, as `scipy.ndimage.label` numbers them, without SciPy: loading it takes longer."""

from __future__ import annotations

import numpy as np

from occ_core.loops import compiled


@compiled
def connected(mask):
    """Parts whose cells touch by sides or corners: (n, m) int32, 0 outside of the mask (n, m) bool.

    From 1 on, in the order of their first cells, row by row.
    """
    rows, columns = mask.shape
    number = np.zeros(mask.shape, np.int32)
    waiting = np.empty(mask.size, np.int64)
    parts = 0
    for first in range(mask.size):
        if not mask[first // columns, first % columns] or number[first // columns, first % columns]:
            continue
        parts += 1
        number[first // columns, first % columns] = parts
        waiting[0] = first
        count = 1
        while count:
            count -= 1
            row, column = waiting[count] // columns, waiting[count] % columns
            for i in range(max(row - 1, 0), min(row + 2, rows)):
                for j in range(max(column - 1, 0), min(column + 2, columns)):
                    if mask[i, j] and not number[i, j]:
                        number[i, j] = parts
                        waiting[count] = i * columns + j
                        count += 1
    return number
