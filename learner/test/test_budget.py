"""How far a stage may go: by steps, which no load changes, or by the clock."""

from __future__ import annotations

from occworld.budget import Budget


def test_a_budget_of_steps_is_spent_after_exactly_so_many():
    budget = Budget(3, None)
    assert [budget.stepped(step) for step in range(3)] == [False, False, True]
    assert budget.spent() and budget.fraction(3) == 1.0


def test_it_is_not_spent_before_and_the_clock_alone_can_end_it():
    budget, late = Budget(100, None), Budget(100, seconds=0.0)
    assert not budget.stepped(0) and not budget.spent() and budget.fraction(50) == 0.5
    assert late.spent() and late.fraction(0) == 1.0
