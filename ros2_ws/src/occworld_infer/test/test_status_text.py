"""The words above a robot."""

from __future__ import annotations

from occworld_infer.forecast_message import Latency
from occworld_infer.grading import Grade
from occworld_infer.status_text import StatusText


def test_latency_rate_and_score_stand_in_plain_figures() -> None:
    status_text = StatusText()
    for stamp in (10.0, 10.25, 10.5, 10.75):
        status_text.forecast(stamp)
    status_text.latency(Latency(0.04, 0.0502, 0.2))
    status_text.score((Grade(2.0, 0.4, 0.35, 0.5, 0.5, 9), Grade(1.0, 0.66, 0.6, 0.7, 0.7, 9)))
    assert status_text.text.split("\n") == [
        "voxelize 40 ms, model 50 ms, total 200 ms, 4.0 Hz",
        "+1.0 s: IoU 66%, warp 60%",
        "+2.0 s: IoU 40%, warp 35%",
    ]


def test_before_the_first_forecast_it_says_that_there_is_none() -> None:
    assert StatusText().text == "no forecast yet"


def test_a_clock_that_goes_back_starts_the_rate_anew() -> None:
    status_text = StatusText()
    for stamp in (50.0, 50.5, 1.0, 2.0):
        status_text.forecast(stamp)
    assert status_text.text == "1.0 Hz"
