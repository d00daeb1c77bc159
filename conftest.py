"""For all tests: properties are tried on the same examples everywhere; the first may be slow, when numba compiles."""

from hypothesis import settings

pytest_plugins = ("small_cities", "isolation")  # tests/small_cities.py, tests/isolation.py

settings.register_profile("tokyo", deadline=None, derandomize=True)
settings.load_profile("tokyo")
