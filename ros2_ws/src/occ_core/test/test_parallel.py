"""Tasks in worker processes take no more of the machine than the same tasks here."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from processes import running
from scipy.interpolate import LinearNDInterpolator
from threadpoolctl import threadpool_info, threadpool_limits

from occ_core.parallel import Backend, ParallelError, run_apart, run_tasks

_INTERPRETER = """
import sys
from occ_core.parallel import Backend, run_tasks
def threads(_):
    import scipy.linalg
    from threadpoolctl import threadpool_info
    return max(pool["num_threads"] for pool in threadpool_info())
print(*run_tasks(Backend.LOCAL, threads, range(2), 2))
"""


def threads(_: int) -> int:
    """Of the largest pool that is loaded where this runs."""
    return max(pool["num_threads"] for pool in threadpool_info())


def seconds(seed: int) -> float:
    """CPU time of many small matrices, one for each triangle between points."""
    points = np.random.default_rng(seed).uniform(0, 1000, (1500, 3))
    begin = time.process_time()
    for shift in range(8):
        LinearNDInterpolator(points[:, :2] + shift, points[:, 2])(points[:, :2])
    return time.process_time() - begin


@pytest.fixture
def blas_has_started():
    """Two threads of BLAS have worked in this process, and wait for more."""
    with threadpool_limits(2):
        matrix = np.ones((800, 800))
        assert (matrix @ matrix)[0, 0] == 800
        yield


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_worker_takes_no_more_cpu_than_the_same_job_here(blas_has_started, workers):
    with threadpool_limits(1):
        seconds(0)
        here = min(seconds(0) for _ in range(3))
    there = list(run_tasks(Backend.LOCAL, seconds, range(4), workers))
    assert max(there) < 10 * here, (there, here)


@pytest.mark.parametrize("engine", list(Backend))
@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_has_one_thread_wherever_it_runs(blas_has_started, engine, workers):
    package = {Backend.RAY: "ray", Backend.DASK: "distributed"}.get(engine)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    assert list(run_tasks(engine, threads, range(3), workers)) == [1, 1, 1]
    assert threads(0) == 2


def test_so_has_a_library_that_a_task_is_the_first_to_load():
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", _INTERPRETER], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "1"], done.stderr


def test_a_task_apart_is_run_in_a_process_of_its_own_that_gives_its_memory_back():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    pid, size = run_apart(large, 60_000_000)
    assert pid != os.getpid() and size == 60_000_000 and resident() - before < 30_000_000


def large(size: int) -> tuple[int, int]:
    """Where this runs, and how much it has filled."""
    return os.getpid(), np.ones(size, dtype=np.uint8).nbytes


def test_a_task_apart_that_dies_is_said():
    with pytest.raises(ParallelError, match="a worker process died"):
        run_apart(os._exit, 3)
    with pytest.raises(ValueError, match="could not convert"):
        run_apart(float, "three")


def test_ctrl_c_ends_a_task_apart_at_once():
    program = "import time; from occ_core.parallel import run_apart; print(flush=True); run_apart(time.sleep, 600)"
    with running([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True) as process:
        process.stdout.readline()
        time.sleep(1.0)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) != 0
    assert len(children) == 1 and not Path(f"/proc/{children[0]}").exists()
