"""`occ_core.voxelize.voxelize` on PyTorch: the same arguments, the same result to the bit, on any device.

For GPUs. On processors the compiled loop is many times faster, see `make bench`. PyTorch is imported on the first call:
occ_core does not depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occ_core.voxelize import Scan

_BITS = 32
_ONE = float(1 << _BITS)
_RAYS_AT_ONCE = 1 << 14


def voxelize(
    grid: VoxelGrid, scans: Sequence[Scan], to_grid: Pose, device: str = "cuda"
) -> tuple[np.ndarray, np.ndarray]:
    """As `occ_core.voxelize.voxelize`. Integers of 64 bits do not round, so that any device gives the same voxels."""
    import torch

    frames = torch.zeros((2, grid.size), dtype=torch.bool, device=device)
    occupied, observed = frames
    for scan in scans:
        start = (to_grid.apply(scan.origin[None])[0] - grid.lower) / grid.voxel
        for points in torch.from_numpy(scan.points).to(device).split(_RAYS_AT_ONCE):
            place = _in_voxels(torch, grid, points, to_grid)
            place = place[torch.isfinite(place).all(dim=1)]
            shape = torch.tensor(grid.shape, dtype=torch.float64, device=device)
            if scan.hits:
                inside = ((place >= 0) & (place < shape)).all(dim=1)
                numbers = _flat(grid, *place[inside].floor().long().T)
                occupied[numbers] = True
                observed[numbers] = True
            if scan.rays:
                _follow(torch, grid, torch.from_numpy(start).to(device).expand_as(place), place, shape, observed)
    return torch.nonzero(occupied)[:, 0].cpu().numpy(), observed.reshape(grid.shape).cpu().numpy()


def _in_voxels(torch: Any, grid: VoxelGrid, points: Any, to_grid: Pose) -> Any:
    """(n, 3) float64 voxel units: term by term as the compiled loop, so that both round alike."""
    x, y, z = points.double().T
    axes = [
        (row[0] * x + row[1] * y + row[2] * z + shift - low) / size
        for row, shift, low, size in zip(
            to_grid.rotation.tolist(), to_grid.position.tolist(), grid.lower, grid.voxel, strict=True
        )
    ]
    return torch.stack(axes, dim=1)


def _flat(grid: VoxelGrid, i: Any, j: Any, k: Any) -> Any:
    return (i * grid.shape[1] + j) * grid.shape[2] + k


def _follow(torch: Any, grid: VoxelGrid, start: Any, end: Any, shape: Any, observed: Any) -> None:
    """Mark what rays cross: all rays a face of their longest axis further, and then all a layer of their shortest."""
    begin, stop, keep = _clipped(torch, start, end, shape)
    begin, stop = begin[keep], stop[keep]
    if not len(begin):
        return
    # Longest axis m, middle u, shortest v; of equals the first axis, as the compiled loop has it.
    order = torch.argsort((stop - begin).abs(), dim=1, descending=True, stable=True)
    strides = torch.tensor([grid.shape[1] * grid.shape[2], grid.shape[2], 1], device=begin.device)[order]
    (m0, u0, v0), (m1, u1, v1) = begin.gather(1, order).T, stop.gather(1, order).T
    stride_m, stride_u, stride_v = strides.T

    def mark(m: Any, u: Any, v: Any, where: Any) -> None:
        observed[(m * stride_m + u * stride_u + v * stride_v)[where]] = True

    always = torch.ones_like(m0, dtype=torch.bool)
    mark(m0 >> _BITS, u0 >> _BITS, v0 >> _BITS, always)
    mark(m1 >> _BITS, u1 >> _BITS, v1 >> _BITS, always)
    step_m, step_v = torch.where(m1 >= m0, 1, -1), torch.where(v1 >= v0, 1, -1)
    steps, turns = ((m1 >> _BITS) - (m0 >> _BITS)).abs(), ((v1 >> _BITS) - (v0 >> _BITS)).abs()
    length = (m1 - m0).abs()
    height = (v1 - v0).abs().double()
    to_first, fall_first = _to_face(torch, m0, m1).double(), _to_face(torch, v0, v1).double()
    slope = (u1 - u0) / length.clamp(min=1).double()
    u_first, du = u0 + (slope * to_first).long(), (slope * _ONE).long()
    m_per_v, u_per_v = length / height, (u1 - u0) / height

    # How many layers of v a ray has left before its n-th face of m.
    layers = torch.zeros((int(steps.max()) + 1, len(m0)), dtype=torch.long, device=begin.device)
    for turn in range(int(turns.max())):
        fall = fall_first + turn * _ONE
        along = fall * m_per_v
        faces = torch.where(along >= to_first, ((along - to_first) / _ONE).long() + 1, 0)
        faces, turning = torch.minimum(faces, steps), turn < turns
        u, v = (u0 + (fall * u_per_v).long()) >> _BITS, (v0 >> _BITS) + turn * step_v
        m = (m0 >> _BITS) + faces * step_m
        mark(m, u, v, turning)
        mark(m, u, v + step_v, turning)
        layers.scatter_add_(0, faces.clamp(min=0)[None], turning.long()[None])
    layers = layers.cumsum(0)
    for face in range(int(steps.max())):
        going = face < steps
        m, u, v = (m0 >> _BITS) + face * step_m, (u_first + face * du) >> _BITS, (v0 >> _BITS) + layers[face] * step_v
        mark(m, u, v, going)
        mark(m + step_m, u, v, going)


def _clipped(torch: Any, start: Any, end: Any, shape: Any) -> tuple[Any, Any, Any]:
    """Fixed-point ends (n, 3) of the parts of segments within the grid, and which segments have such a part."""
    way = end - start
    t0, t1 = -start / way, (shape - start) / way
    level, within = way == 0, (start >= 0) & (start < shape)
    enter = torch.where(level, torch.where(within, 0.0, 1.0), torch.minimum(t0, t1)).amax(dim=1).clamp(min=0.0)
    leave = torch.where(level, torch.where(within, 1.0, 0.0), torch.maximum(t0, t1)).amin(dim=1).clamp(max=1.0)

    def fixed(part: Any) -> Any:
        part = part[:, None]
        place = torch.where(part == 0.0, start, torch.where(part == 1.0, end, start + part * way))
        top = (shape.long() << _BITS) - 1
        return torch.minimum((place * _ONE).nan_to_num().clamp(0, 2.0**62).long(), top)

    return fixed(enter), fixed(leave), enter <= leave


def _to_face(torch: Any, begin: Any, end: Any) -> Any:
    cell = begin >> _BITS
    return torch.where(end >= begin, ((cell + 1) << _BITS) - begin, begin - (cell << _BITS))
