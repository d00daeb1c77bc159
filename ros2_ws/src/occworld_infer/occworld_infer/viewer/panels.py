"""The small pieces of HTML beside the scene: a table of grades and legends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from occ_core.classes import CLASSES
from occworld_infer.grading import Grade
from occworld_infer.viewer.voxel_colours import NOW_COLOUR, Rgb, Verdict, horizon_colour

_TEXT = "font:12px/1.45 system-ui,sans-serif;padding:0 .9em"
_FORECAST, _WARP = "#2f6fde", "#b4b9c4"
_SHOWN_S = (1.0, 2.0, 3.0)
_PLOT, _LEFT, _MOST_POINTS = (300, 100), 32, 150
_SETTLED = 30  # forecasts that were graded, of the 60 of half a minute that grades are a mean of
_VERDICTS = {
    Verdict.HIT: "hit: forecast and there",
    Verdict.MISSED: "missed: there, not forecast",
    Verdict.FALSE: "false: forecast, not there",
}


_IOU = (
    "Intersection over union: of all voxels that were forecast or are there, the share that is both. 100% is a perfect"
    " forecast."
)
_WARP_MEANS = (
    "The present moved on at the robot's speed, without a model: what stands still is right, what moves by itself is"
    " not. A forecast is worth something where it beats this."
)
_OTHER_PLACES = (
    "A mean of the last 30 s of this drive: another place, height or speed has other figures than the README's, which"
    " are of drives through squares of Osaka at 15 m and on the street."
)
_SLOW = "Nothing newer was forecast: the model is slower than the robot's time."
TITLE = "Tokyo OccWorld"


def title() -> str:
    """Gives the browser's tab its name. viser has no call for it and its pages run no scripts of ours, but the handler
    of an image that does not load."""
    return f"""<img src="data:," hidden onerror="document.title='{TITLE}'">"""


def caption(
    robot: str, ahead: float, against_truth: bool, by_horizon: bool, forecast: bool, beside: bool = False,
    since: float = 0.0,
) -> str:  # fmt: skip
    """What is on the screen, in a sentence.

    ahead: seconds, of the slider. against_truth: a forecast is compared, and with beside on the right of the split.
    forecast: whether there is one to show. since: seconds from what is shown to now, 0 where it is now.
    """
    sees = f"{robot} saw {since:.1f} s ago" if since else f"{robot} sees now"
    if not forecast:
        text = f"What {robot} sees now."
    elif beside and ahead > 0:
        text = f"Left: what {sees}. Right: what was forecast of it {ahead:g} s before."
    elif against_truth and ahead > 0:
        text = f"What was forecast {ahead:g} s before, laid over what {sees}."
    elif against_truth:
        text = f"What {robot} sees now, by itself: move the slider to lay a forecast over it."
    elif ahead == 0:
        text = f"What {robot} sees now: move the slider to see what is forecast."
    elif by_horizon:
        text = f"What {robot} sees now, and what is forecast to be new within {ahead:g} s."
    else:
        text = f"What is forecast to be around {robot} in {ahead:g} s."
    if since:
        text += f'<br><span style="font-size:12px;font-weight:400;opacity:.75">{_SLOW}</span>'
    return f'<div style="{_TEXT};font-size:14px;font-weight:600;padding-bottom:.3em">{text}</div>'


def meanings() -> str:
    """Key of the grades, with what their words mean: as tooltips, and to be opened where there is no mouse.

    It stands by itself and never changes: a tooltip goes when its text is written anew.
    """
    warp = _explained("warp: as it moved on", _WARP_MEANS)
    key = _swatch("forecast", _FORECAST) + _swatch(warp, _WARP)
    return (
        f'<div style="{_TEXT}"><b>How good forecasts were ({_explained("IoU", _IOU)}), made</b><br>{key}'
        '<details style="opacity:.75"><summary style="cursor:pointer">What do these say?</summary>'
        f"<b>IoU</b>: {_IOU}<br><b>warp</b>: {_WARP_MEANS}<br>{_OTHER_PLACES}</details></div>"
    )


def grades_table(grades: tuple[Grade, ...], waiting: str) -> str:
    """Bars of IoU at 1, 2 and 3 s, the forecast above the baseline. waiting: what to say while there are none."""
    shown = [grade for grade in grades if any(abs(grade.horizon_s - s) < 1e-3 for s in _SHOWN_S)]
    if not shown:
        return f'<div style="{_TEXT};opacity:.7">{waiting}</div>'
    rows = "".join(
        f'<tr><td rowspan=2 style="width:4.2em;white-space:nowrap">{grade.horizon_s:.0f} s ago</td>'
        f"{_bar(grade.iou, _FORECAST)}</tr><tr>{_bar(grade.warp_iou, _WARP)}</tr>"
        for grade in shown
    )
    few = min(grade.count for grade in shown)
    young = f"Mean of {few} forecasts: so few still jump." if few < _SETTLED else ""
    return (
        f'<div style="{_TEXT}"><table style="width:100%;border-spacing:0 1px">{rows}</table>'
        f'<span style="opacity:.75">{young}</span></div>'
    )


def iou_curves(ious: np.ndarray, horizon: float) -> str:
    """IoU of forecast and *warp* over time as a drawing, on an axis from below the least to above the most of them.

    ious: (n, 3) stamps in seconds, IoU of both, 0-1. horizon: seconds ahead that they are of. '' for fewer than two.
    """
    if len(ious) < 2:
        return ""
    ious = ious[np.unique(np.linspace(0, len(ious) - 1, _MOST_POINTS).astype(int))]
    ticks = _axis(ious[:, 1:])
    low, high = ticks[0], ticks[-1]
    across = (ious[:, 0] - ious[0, 0]) / max(ious[-1, 0] - ious[0, 0], 1e-6)
    x = _LEFT + across * (_PLOT[0] - _LEFT - 4)

    def height(shares: np.ndarray | float) -> Any:
        return 8 + (high - shares) / (high - low) * (_PLOT[1] - 24)

    lines = "".join(
        f'<polyline fill="none" stroke="{colour}" stroke-width="{wide}" points="'
        + " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, height(ious[:, number]), strict=True))
        + '"/>'
        for number, colour, wide in ((2, _WARP, 1.4), (1, _FORECAST, 2.2))
    )
    ruled = "".join(
        f'<line x1="{_LEFT}" x2="{_PLOT[0] - 4}" y1="{height(tick):.1f}" y2="{height(tick):.1f}" stroke="#fff"'
        f' stroke-opacity=".14"/><text x="{_LEFT - 4}" y="{height(tick) + 3.5:.1f}" text-anchor="end">'
        f"{100 * tick:.0f}%</text>"
        for tick in ticks
    )
    ends = (
        f'<text x="{_LEFT}" y="{_PLOT[1] - 3}">{ious[0, 0]:.0f} s</text>'
        f'<text x="{_PLOT[0] - 4}" y="{_PLOT[1] - 3}" text-anchor="end">{ious[-1, 0]:.0f} s</text>'
    )
    return (
        f'<div style="{_TEXT};padding-top:.5em"><b>IoU over time, {horizon:g} s ahead</b> (mean of 30 s)'
        f'<svg viewBox="0 0 {_PLOT[0]} {_PLOT[1]}" style="width:100%;display:block"'
        f' font-size="10" fill="currentColor">{ruled}{lines}{ends}</svg></div>'
    )


def _axis(shares: np.ndarray) -> list[float]:
    """The ticks of an axis, 5% or a multiple of it apart, from below what is shown to above it, within 0 to 100%."""
    low, high = int(np.floor(20 * shares.min() + 1e-9)), int(np.ceil(20 * shares.max() - 1e-9))
    step = max(-(-(high - low) // 4), 1)
    high = max(low + -(-(high - low) // step) * step, low + 2 * step)
    beyond = max(high - 20, 0)  # of 100%
    low, high = low - beyond, high - beyond
    return [tick / 20 for tick in range(low, high + 1, step) if tick >= 0]


def _explained(text: str, meaning: str) -> str:
    """With a tooltip."""
    return f'<abbr title="{meaning}" style="cursor:help">{text}</abbr>'


def _bar(share: float, colour: str) -> str:
    percent = 100 * share
    return (
        f'<td><div style="height:9px;border-radius:2px;background:{colour};width:{max(percent, 0.5):.1f}%"></div></td>'
        f'<td style="width:3.4em;text-align:right;font-variant-numeric:tabular-nums">{percent:.1f}%</td>'
    )


def class_legend(present: Iterable[int]) -> str:
    """The colours of the classes that occur."""
    return _legend(_swatch(CLASSES[c].name.replace("_", " / "), _css(CLASSES[c].colour)) for c in present if c)


def horizon_legend(horizons: tuple[float, ...]) -> str:
    """The colours of the horizons."""
    later = [_swatch(f"+{h:g} s", _css(horizon_colour(h, horizons[-1]))) for h in horizons]
    return _legend([_swatch("now", _css(NOW_COLOUR)), *later])


def verdict_legend(counts: dict[Verdict, int]) -> str:
    """The three verdicts, and how many voxels each has."""
    return _legend(_swatch(f"{text} ({counts[v]:,})", _css(v.value), whole=True) for v, text in _VERDICTS.items())


def comparison(counts: dict[Verdict, int], ahead: float) -> str:
    """IoU of the one forecast that is shown beside truth. ahead: seconds that it was made before."""
    every = sum(counts.values())
    iou = f"{100 * counts[Verdict.HIT] / every:.1f}%" if every else "of nothing"
    text = f"IoU of this forecast, made {ahead:g} s before: <b>{iou}</b>"
    return f'<div style="{_TEXT}">{text}</div>'


def no_forecast(ahead: float, against_truth: bool) -> str:
    """Why the slider has moved nothing."""
    when = f"was made {ahead:g} s ago" if against_truth else "is there"
    return f'<div style="{_TEXT};opacity:.7">No forecast {when}: what is seen now is shown.</div>'


def _legend(swatches: Iterable[str]) -> str:
    return f'<div style="{_TEXT}">{"".join(swatches)}</div>'


def _swatch(text: str, colour: str, whole: bool = False) -> str:
    box = f'<span style="display:inline-block;width:.8em;height:.8em;border-radius:2px;background:{colour}"></span>'
    style = "display:block" if whole else "display:inline-block;margin-right:1em"
    return f'<span style="{style};white-space:nowrap">{box} {text}</span>'


def _css(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
