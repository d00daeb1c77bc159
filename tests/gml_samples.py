"""CityGML as PLATEAU writes it, small: a box, and a wall with a picture on it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from occ_core.actors import BOX_FACES
from tokyo_city.plateau.projection import to_degrees

# A wall of 8 m by 4 m that looks south; its picture has another colour in each corner.
CORNERS = {
    "lower left": (220, 30, 30),
    "lower right": (30, 200, 30),
    "upper left": (30, 30, 220),
    "upper right": (220, 220, 30),
}
METRES = np.array([(0.0, 0, 0), (8, 0, 0), (8, 0, 4), (0, 0, 4)]) + [-6000.0, -35000, 10]
WALL = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]


def picture(size: int = 64) -> Image.Image:
    pixels = np.zeros((size, size, 3), np.uint8)
    half = size // 2
    pixels[half:, :half], pixels[half:, half:] = CORNERS["lower left"], CORNERS["lower right"]
    pixels[:half, :half], pixels[:half, half:] = CORNERS["upper left"], CORNERS["upper right"]
    return Image.fromarray(pixels)


def wall(metres: np.ndarray = METRES, ring: str = "ring_1", gml_id: str = "b") -> str:
    places = to_degrees(np.concatenate([metres, metres[:1]]), 6677)
    text = " ".join(f"{value:.12f}" for value in places.ravel())
    surface = (
        f'<gml:MultiSurface><gml:surfaceMember><gml:Polygon gml:id="poly_{ring}"><gml:exterior>'
        f'<gml:LinearRing gml:id="{ring}"><gml:posList>{text}</gml:posList></gml:LinearRing></gml:exterior>'
        "</gml:Polygon></gml:surfaceMember></gml:MultiSurface>"
    )
    bounded = f"<bldg:WallSurface><bldg:lod2MultiSurface>{surface}</bldg:lod2MultiSurface></bldg:WallSurface>"
    return f'<bldg:Building gml:id="{gml_id}"><bldg:boundedBy>{bounded}</bldg:boundedBy></bldg:Building>'


def texture(uri: str, coordinates=WALL, ring: str = "ring_1", wrap: str = "") -> str:
    text = " ".join(f"{u} {v}" for u, v in coordinates)
    mode = f"<app:wrapMode>{wrap}</app:wrapMode>" if wrap else ""
    return (
        f"<app:surfaceDataMember><app:ParameterizedTexture><app:imageURI>{uri}</app:imageURI>"
        f'<app:mimeType>image/jpg</app:mimeType>{mode}<app:target uri="#poly_{ring}"><app:TexCoordList>'
        f'<app:textureCoordinates ring="#{ring}">{text}</app:textureCoordinates></app:TexCoordList></app:target>'
        "</app:ParameterizedTexture></app:surfaceDataMember>"
    )


def building(low, high, gml_id: str = "b") -> str:
    """An LOD1 box near Tokyo station; low, high: metres from there."""
    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    metres = np.array([-6000.0, -35000, 3]) + low + corners * (np.asarray(high) - low)
    places = to_degrees(metres, 6677)
    members = "".join(
        "<gml:surfaceMember><gml:Polygon><gml:exterior><gml:LinearRing><gml:posList>"
        + " ".join(f"{v:.12f}" for corner in (*face, face[0]) for v in places[corner])
        + "</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon></gml:surfaceMember>"
        for face in BOX_FACES
    )
    composite = (
        f"<gml:Solid><gml:exterior><gml:CompositeSurface>{members}</gml:CompositeSurface></gml:exterior></gml:Solid>"
    )
    return f'<bldg:Building gml:id="{gml_id}"><bldg:lod1Solid>{composite}</bldg:lod1Solid></bldg:Building>'
