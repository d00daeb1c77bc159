"""A grid of one bit a voxel: an eighth of the memory, so that a frame stays in a processor's own cache.

A column of nz voxels, along z, takes whole uint64 words; bit k of a column is voxel k.
"""

from __future__ import annotations

import numpy as np

from occ_core.loops import compiled


def bit_frames(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Empty frames: uint64 (count, words)."""
    nx, ny, nz = shape
    return np.zeros((count, nx * ny * ((nz + 63) // 64)), dtype=np.uint64)


@compiled(inline="always")
def mark(bits, cell):
    """Set a bit. cell: 64 x words a column x column + k."""
    bits[np.uintp(cell) >> np.uintp(6)] |= np.uint64(1) << (np.uint64(cell) & np.uint64(63))


@compiled
def merge(bits):
    """The bits of several threads together. bits: uint64 (threads, n), of which the first is changed and returned."""
    for t in range(1, len(bits)):
        for n in range(bits.shape[1]):
            bits[0, n] |= bits[t, n]
    return bits[0]


@compiled
def unpack(bits, out):
    """Bits as bytes. bits: uint64 (columns * words,); out: uint8 (columns, nz), zero before."""
    columns, nz = out.shape
    words = len(bits) // columns
    for column in range(columns):
        for w in range(words):
            word = bits[column * words + w]
            low = w * 64
            while word:
                eight = word & np.uint64(255)
                if eight:
                    for k in range(min(8, nz - low)):
                        out[column, low + k] = (eight >> np.uint64(k)) & np.uint64(1)
                word >>= np.uint64(8)
                low += 8


@compiled
def numbers(bits, columns, nz):
    """Flat numbers, in order, of the voxels whose bit is set. bits: uint64 (columns * words,). Returns (n,) int64."""
    words = len(bits) // columns
    found = []
    for column in range(columns):
        for w in range(words):
            word = bits[column * words + w]
            k = column * nz + w * 64
            while word:
                if word & np.uint64(1):
                    found.append(k)
                word >>= np.uint64(1)
                k += 1
    return np.array(found)
