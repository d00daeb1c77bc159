"""What differs, what is allowed to, and the sentence that says so."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np

from tokyo_occworld.compare.ranges import RangeDifference
from tokyo_occworld.compare.views import ViewDifference


@dataclass(frozen=True)
class Limits:
    """At least: agreeing, upright, ground, correlation, colour. At most: off_ray (degrees), bias (metres), missing,
    extra, shift (a share of the width). A view passes or fails for itself; `views` is the share of them that has to,
    since traffic is in some; colour is the median of all.
    """

    off_ray: float = 0.1
    bias: float = 0.03
    agreeing: float = 0.93
    upright: float = 0.85
    ground: float = 0.85
    missing: float = 0.15
    extra: float = 0.15
    correlation: float = 0.35
    colour: float = 0.0
    shift: float = 0.02
    views: float = 0.75


@dataclass(frozen=True)
class FrameDifference:
    """One frame's. width: of its pictures, pixels; 0 where there are none."""

    number: int
    ranges: RangeDifference
    views: list[ViewDifference] = field(default_factory=list)
    width: int = 0


@dataclass(frozen=True)
class Comparison:
    """Frames of one session with what is said of them. problems: sentences, none where the two agree.

    no_images: why images were not compared; '' where they were, or the session has none.
    """

    session: str
    frames: list[FrameDifference]
    problems: list[str]
    limits: Limits
    no_images: str = ""

    @property
    def agrees(self) -> bool:
        """Nothing is beyond its limit."""
        return not self.problems

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        where = f"{self.session}: {len(self.frames)} frames"
        verdict = f"{where}; {'; '.join(self.problems)}" if self.problems else f"{where} agree with the embedded engine"
        return verdict + (f"; images are left out: {self.no_images}" if self.no_images else "")

    def to_json(self) -> dict:
        """Everything, for `comparison.json`."""
        return {**asdict(self), "agrees": self.agrees}


def judge(session: str, frames: list[FrameDifference], limits: Limits, no_images: str = "") -> Comparison:
    """Medians over the frames beside their limits, and the share of views that pass."""
    ranges = [frame.ranges for frame in frames]
    problems = []
    if not any(r.rays for r in ranges):
        problems.append("LiDAR: no ray came back in both")
    for name, what in (
        ("agreeing", "ranges"),
        ("upright", "ranges to what stands upright"),
        ("ground", "ranges to the ground"),
    ):
        value, least = _median(ranges, name), getattr(limits, name)
        if value < least:
            problems.append(f"LiDAR: {value:.0%} of the {what} agree, {least:.0%} are wanted")
    for name, what in (("missing", "returns are missing"), ("extra", "returns are where the engine has none")):
        if (value := _median(ranges, name)) > getattr(limits, name):
            problems.append(f"LiDAR: {value:.0%} of the {what}, {getattr(limits, name):.0%} are allowed")
    if (off := _median(ranges, "off_ray")) > limits.off_ray:
        problems.append(f"LiDAR: points are {off:.2f} degrees beside the rays, {limits.off_ray} are allowed")
    if abs(bias := _median(ranges, "bias")) > limits.bias:
        problems.append(f"LiDAR: ranges are {bias:+.3f} m off, {limits.bias} m are allowed")
    views = [(view, frame.width) for frame in frames for view in frame.views if not view.blank]
    good = [_passes(view, width, limits) for view, width in views]
    if views and np.mean(good) < limits.views:
        worst = min((view for view, _ in views), key=lambda view: view.correlation)
        problems.append(
            f"cameras: {sum(good)} of {len(good)} views agree, {limits.views:.0%} are wanted; "
            f"{worst.camera} least, its edges correlate by {worst.correlation:.2f}"
        )
    if views and (colour := float(np.median([view.colour for view, _ in views]))) < limits.colour:
        problems.append(f"cameras: colours correlate by {colour:.2f}: are red and blue swapped?")
    return Comparison(session, frames, problems, limits, no_images)


def _median(ranges: list[RangeDifference], name: str) -> float:
    return float(np.median([getattr(r, name) for r in ranges]))


def _passes(view: ViewDifference, width: int, limits: Limits) -> bool:
    seen = view.correlation >= limits.correlation and view.correlation > view.mirrored
    return seen and view.shift <= limits.shift * width
