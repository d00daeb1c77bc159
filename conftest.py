"""For all tests: properties are tried on the same examples everywhere; the first may be slow, when numba compiles."""

from hypothesis import settings

pytest_plugins = ("isolation", "small_cities")  # tests/isolation.py, tests/small_cities.py

settings.register_profile("tokyo", deadline=None, derandomize=True)
settings.load_profile("tokyo")
