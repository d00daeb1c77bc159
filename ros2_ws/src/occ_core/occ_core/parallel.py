"""The same task function over many jobs: on this machine's cores, on Ray, or on Dask."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from enum import Enum
from functools import lru_cache, partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from occ_core.children import interrupts_held

Job = TypeVar("Job")
Result = TypeVar("Result")

# Read by BLAS and OpenMP libraries when they are loaded.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class ParallelError(Exception):
    """Work that can't be shared out, or a worker that died: what happened and what to do."""


class Backend(str, Enum):
    """Where tasks run. RAY and DASK join the cluster that RAY_ADDRESS or DASK_SCHEDULER_ADDRESS names, if one does.

    Machines of a cluster must see the same files at the same places.
    """

    LOCAL = "local"
    RAY = "ray"
    DASK = "dask"


def run_tasks(
    engine: Backend, task: Callable[[Job], Result], jobs: Iterable[Job], workers: int | None
) -> Iterator[Result]:
    """Results in the order in which they are ready. workers: processes, one per core where None.

    A task has one thread of BLAS and OpenMP, wherever it runs: there is a process for each core already, and threads
    that wait for the next small matrix spin on the cores of all the others.

    ParallelError where the engine is not installed or a worker process dies.
    """
    jobs = list(jobs)
    count = min(workers or os.cpu_count() or 1, max(len(jobs), 1))
    if engine is Backend.RAY:
        yield from _on_ray(task, jobs, workers)
    elif engine is Backend.DASK:
        yield from _on_dask(task, jobs, workers)
    elif count == 1:
        yield from map(partial(_on_one_thread, task), jobs)
    else:
        yield from _on_processes(task, jobs, count)


def run_apart(task: Callable[[Job], Result], job: Job) -> Result:
    """A task's result, from a process of its own that is forked from this one and gives its memory back at its end.

    Ctrl-C ends it at once. ParallelError where it dies.
    """
    context = get_context("fork")
    answers, answer = context.Pipe(duplex=False)
    process = context.Process(target=_run_apart, args=(answer, os.getpid(), task, job), daemon=True)
    try:
        with interrupts_held(signal.SIGINT):
            process.start()
        answer.close()
        done, result = answers.recv()
    except EOFError:
        raise ParallelError("a worker process died, most often because memory ran out") from None
    finally:
        if process.pid is not None:  # it was started
            process.kill()
            process.join()
    if not done:
        raise result
    return result


def _run_apart(answer: Connection, parent: int, task: Callable[[Job], Result], job: Job) -> None:
    _begin(parent)
    try:
        answer.send((True, _on_one_thread(task, job)))
    except Exception as error:  # raised where it is waited for
        answer.send((False, error))


def _on_one_thread(task: Callable[[Job], Result], job: Job) -> Result:
    with libraries_on_one_thread():
        return task(job)


def libraries_on_one_thread() -> AbstractContextManager[object]:
    """BLAS and OpenMP, in this process, while something else keeps the cores busy."""
    return _libraries(len(sys.modules)).limit(limits=1)


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """What of BLAS and OpenMP is loaded; looking for it takes milliseconds, and only modules can load more of it."""
    return ThreadpoolController()


def _on_processes(task: Callable[[Job], Result], jobs: list[Job], count: int) -> Iterator[Result]:
    pool = ProcessPoolExecutor(count, get_context("fork"), _begin, (os.getpid(),))
    try:
        # Tasks that have begun end and are kept, and no pool is left half started.
        with interrupts_held(signal.SIGINT):
            futures = [pool.submit(_on_one_thread, task, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise ParallelError(
            "a worker process died, most often because memory ran out: try fewer with --workers; "
            "tiles that are done are kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(parent: int) -> None:
    """In a worker: libraries that a task is the first to load get one thread, too, and it ends with its parent.

    It would wait for jobs of a parent that was killed for ever.
    """
    os.environ.update(dict.fromkeys(_THREADS, "1"))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_ray(task: Callable[[Job], Result], jobs: list[Job], workers: int | None) -> Iterator[Result]:
    try:
        import ray
    except ImportError as error:
        raise ParallelError("engine 'ray': Ray is not installed here; pip install ray, or use 'local'") from error
    started = not ray.is_initialized()
    if started:
        own = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": workers or os.cpu_count(), "include_dashboard": False}
        try:
            ray.init(log_to_driver=False, runtime_env={"env_vars": dict.fromkeys(_THREADS, "1")}, **own)
        except (ConnectionError, RuntimeError) as error:
            raise ParallelError(f"engine 'ray': no cluster can be joined or started: {error}") from None
    try:
        remote = ray.remote(_on_one_thread)
        waiting = [remote.remote(task, job) for job in jobs]
        while waiting:
            ready, waiting = ray.wait(waiting)
            yield from ray.get(ready)
    finally:
        if started:
            ray.shutdown()


def _on_dask(task: Callable[[Job], Result], jobs: list[Job], workers: int | None) -> Iterator[Result]:
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise ParallelError("engine 'dask': pip install distributed, or use 'local'") from error
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    own = {"n_workers": workers or os.cpu_count(), "threads_per_worker": 1, "dashboard_address": None}
    with Client(address, **({} if address else own)) as client:
        for future in as_completed(client.map(partial(_on_one_thread, task), jobs, pure=False)):
            yield future.result()
