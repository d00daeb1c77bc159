"""Places in Japan find their plane rectangular zone and come back from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from tokyo_city.plateau.projection import to_degrees, to_metres, zone_epsg

CITIES = {
    "Tokyo": (35.6812, 139.7671, 6677), "Sapporo": (43.0621, 141.3544, 6680), "Naha": (26.2124, 127.6809, 6683),
    "Fukuoka": (33.5902, 130.4017, 6670), "Niigata": (37.9161, 139.0364, 6676), "Hakodate": (41.7688, 140.7288, 6679),
    "Aomori": (40.8221, 140.7475, 6678), "Osaka": (34.6937, 135.5023, 6674), "Nagoya": (35.1815, 136.9066, 6675),
    "Kushiro": (42.9849, 144.3820, 6681), "Ishigaki": (24.3448, 124.1572, 6684),
    "Chichijima": (27.0944, 142.1919, 6682),
}  # fmt: skip


@pytest.mark.parametrize("name", CITIES)
def test_a_city_is_in_its_prefecture_s_zone(name):
    latitude, longitude, epsg = CITIES[name]
    assert zone_epsg(latitude, longitude) == epsg


@pytest.mark.parametrize("name", CITIES)
def test_metres_are_those_of_the_national_grid_and_lengths_are_true(name):
    latitude, longitude, epsg = CITIES[name]
    here = np.array([[latitude, longitude, 33.0]])
    metres = to_metres(here, epsg)
    expected = Transformer.from_crs(6668, epsg).transform(latitude, longitude)  # north, east: the official axis order
    assert metres[0] == pytest.approx([expected[1], expected[0], 33.0], abs=1e-6)
    north = to_metres(here + [[0.001, 0, 0]], epsg) - metres
    assert north[0, 1] == pytest.approx(111.0, abs=0.4) and abs(north[0, 0]) < 3


@given(st.floats(24, 45.5), st.floats(-2, 2), st.floats(-100, 4000))
def test_a_place_comes_back_from_its_zone(latitude, off, height):
    longitude = 127.5 + (latitude - 24) * 0.75 + off
    points = np.array([[latitude, longitude, height]])
    epsg = zone_epsg(latitude, longitude)
    assert 6669 <= epsg <= 6687
    assert to_degrees(to_metres(points, epsg), epsg) == pytest.approx(points, abs=1e-9)
