"""Work shared among threads: all of it is done, and what goes wrong in one thread is not lost."""

from __future__ import annotations

from threading import get_ident

import pytest

from occ_core.threads import in_threads


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_part_is_done_once(threads: int) -> None:
    done: dict[int, int] = {}
    in_threads(lambda part: done.update({part: get_ident()}), threads)
    assert sorted(done) == list(range(threads)) and done[0] == get_ident()


@pytest.mark.parametrize("threads, failing", [(1, 0), (3, 0), (3, 1), (3, 2)])
def test_what_a_thread_raises_is_raised_when_all_have_ended(threads: int, failing: int) -> None:
    ended: list[int] = []

    def work(part: int) -> None:
        if part == failing:
            raise MemoryError(f"part {part}")
        ended.append(part)

    with pytest.raises(MemoryError, match=f"part {failing}"):
        in_threads(work, threads)
    assert sorted([*ended, failing]) == list(range(threads))
