"""For all tests: properties are tried on the same examples everywhere; the first may be slow, when numba compiles."""

import os

from hypothesis import settings

# Before NumPy is loaded, here and in what tests start: beside others, threads of BLAS spin for most of their time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # PyTorch's

pytest_plugins = ("isolation", "small_cities")  # tests/isolation.py, tests/small_cities.py

settings.register_profile("tokyo", deadline=None, derandomize=True)
settings.load_profile("tokyo")
