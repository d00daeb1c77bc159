"""Where things are on the web."""

CATALOGUE = "https://www.geospatial.jp/ckan"
"""The public catalogue of the G-Spatial Information Center, a CKAN site."""

ALL_WARDS = "plateau-tokyo23ku"
"""The data set there of Tokyo's 23 wards together."""

WEIGHTS_PAGE = "https://cloud.tsinghua.edu.cn/d/ff4612b2453841fba7a5/"
"""What the README of wzzheng/OccWorld links to: a page for browsers, of a Seafile server."""

WEIGHTS = f"{WEIGHTS_PAGE}files/?p=/latest.pth&dl=1"
"""The file behind the page, by the form that Seafile has for it."""
