"""The sentence of a simulator that can't keep up."""

from __future__ import annotations

import time

from tokyo_sim.engine.workload import Part, Workload


def work(load: Workload) -> None:
    for part, seconds in ((Part.CAMERAS, 0.02), (Part.ROBOTS, 0.005), (Part.WAITING, 0.03)):
        with load.part(part):
            time.sleep(seconds)


def test_it_names_what_to_switch_off_after_some_slow_seconds():
    load = Workload(2.0)
    said = []
    for _ in range(3):
        work(load)
        said.append(load.problem(0.5))
    assert said[:2] == ["", ""]
    assert "0.50 simulated seconds a second instead of 2 (the simulator works on cameras" in said[2]
    assert said[2].index("camera_rate") < said[2].index("fewer robots") and "actors" not in said[2]


def test_one_slow_second_or_no_wish_is_no_problem():
    load, eager = Workload(1.0), Workload(0.0)
    for reached in (0.2, 0.95, 0.2, 1.0, 0.2):
        work(load)
        assert load.problem(reached) == "" and eager.problem(reached) == ""
