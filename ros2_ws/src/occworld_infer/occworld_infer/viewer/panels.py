"""The small pieces of HTML beside the scene: a table of grades and legends."""

from __future__ import annotations

from collections.abc import Iterable

from occ_core.classes import CLASSES
from occworld_infer.grading import Grade
from occworld_infer.viewer.voxel_colours import NOW_COLOUR, Rgb, Verdict, horizon_colour

_TEXT = "font:12px/1.45 system-ui,sans-serif;padding:0 .9em"
_FORECAST, _WARP = "#2f6fde", "#b4b9c4"
_SHOWN_S = (1.0, 2.0, 3.0)
_VERDICTS = {
    Verdict.HIT: "hit: forecast and there",
    Verdict.MISSED: "missed: there, not forecast",
    Verdict.FALSE: "false: forecast, not there",
}


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
    key = _swatch("forecast", _FORECAST) + _swatch("warp: as it moved on", _WARP)
    return (
        f'<div style="{_TEXT}"><b>Forecasts made …, now graded (IoU)</b>'
        f'<table style="width:100%;border-spacing:0 1px">{rows}</table>{key}</div>'
    )


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
