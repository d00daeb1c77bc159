"""A synthetic Tokyo neighbourhood, written as PLATEAU CityGML 2.0.

It needs no download, is the same for the same seed, and has what real tiles have: relief, roads with sidewalks, LOD1
and LOD2 buildings, trees and street furniture.
"""

from .neighbourhood import SampleCity, build_sample_city, write_sample_city

__all__ = ["SampleCity", "build_sample_city", "write_sample_city"]
