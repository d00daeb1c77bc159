"""Loops that Numba compiles once and keeps beside their source, for all processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from enum import Enum, EnumMeta
from functools import cache, partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.compiler_lock import global_compiler_lock

from occ_core.output_folders import locked


def _decorator(**usual: Any) -> Callable[..., Any]:
    """A decorator like `numba.njit` with these options; used with others in brackets, it takes those too."""

    def decorate(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        if function is None:
            return partial(decorate, **options)
        options = usual | options
        made = numba.njit(**options)(function)
        if options["cache"]:
            # Numba compares the stamp of what it has kept with this one, and compiles where they differ.
            kept = made._cache._cache_file
            kept._source_stamp = _stamp(kept._source_stamp, function, options)
            _let_one_compile(made, Path(kept._index_path).with_suffix(".lock"))
        return made

    return decorate


def _stamp(of_file: object, function: Callable[..., Any], options: dict[str, Any]) -> str:
    """Changes with what compiled code depends on: the function's file, and what that file has imported for it.

    of_file: numba's own stamp.

    Numba itself looks at the file alone (0.68), and would go on with the old code of a loop that is called from another
    file, or with an old number: a `git pull` away from wrong values without a word.
    """
    written = {name: sorted(value) if isinstance(value, set) else value for name, value in options.items()}
    said = hashlib.sha256(repr((of_file, sorted(written.items()))).encode())
    for name, value in sorted(function.__globals__.items()):
        if not name.startswith("__"):
            said.update(name.encode() + _part(value, function))
    return said.hexdigest()


def _part(value: Any, user: Callable[..., Any]) -> bytes:
    """What of a module's global goes into code that is compiled of it; nothing of what the module itself writes."""
    source = getattr(value, "py_func", None) or getattr(value, "_defn", None)  # a loop, or an intrinsic
    if source is not None and source.__code__.co_filename != user.__code__.co_filename:
        kept = getattr(getattr(value, "_cache", None), "_cache_file", None)
        return kept._source_stamp.encode() if kept else _digest(source.__code__.co_filename)
    if isinstance(value, bool | int | float | complex | str | tuple | np.generic | Enum):
        return repr(value).encode()
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return repr(list(value)).encode() if isinstance(value, EnumMeta) else b""


@cache
def _digest(file: str) -> bytes:
    return hashlib.sha256(Path(file).read_bytes()).digest()


def _let_one_compile(made: Any, lock: Path) -> None:
    """Have processes that need a loop at once wait for the first, and take what it has compiled.

    Numba (0.68) has each compile for itself. And two that keep a loop for other types of arguments at the same moment
    may both take the same file for it, which is then read for the wrong types: integers that are read as floats.
    """
    compile_for, under_way = made.compile, False

    def compile_alone(signature: Any) -> Any:
        nonlocal under_way
        # In this order: a thread that has numba's own lock may ask for those of the loops that this one calls.
        with global_compiler_lock, nullcontext() if under_way else _held(lock):
            before, under_way = under_way, True
            try:
                return compile_for(signature)
            finally:
                under_way = before

    made.compile = compile_alone


@contextmanager
def _held(lock: Path) -> Iterator[None]:
    """Hold a lock file where one can be made: who can't make one keeps nothing there either."""
    with ExitStack() as held:
        with suppress(OSError):
            held.enter_context(locked(lock, "", wait=True))
        yield


compiled: Callable[..., Any] = _decorator(cache=True, nogil=True)
"""`numba.njit`, kept until the source changes, its own or that of what it calls. Other threads run meanwhile."""

loop: Callable[..., Any] = _decorator(cache=True, nogil=True, _nrt=False)
"""The same for loops that make no arrays of their own: they write into those that they are given.

Numba counts who holds an array, also where one is handed to a helper that is inlined, picked out of a tuple or cut into
a row, and two threads that count the same one wait for each other: three quarters of the time of a loop over voxels
with five such helpers (numba 0.68, `bench/forecasting.py`). A loop that only reads and writes what its caller holds
needs no count. One that makes an array does not compile: numba.TypingError.
"""

arithmetic: Callable[..., Any] = _decorator(cache=True, nogil=True, _nrt=False, fastmath={"reassoc", "contract", "nsz"})
"""The same for sums whose order does not matter, so that the compiler may make vectors of them."""
