"""For all tests: a property may take long on its first example, when numba compiles."""

from hypothesis import settings

settings.register_profile("tokyo", deadline=None)
settings.load_profile("tokyo")
