"""PLATEAU code values that the sample city uses, and the code list files that define them.

Values and descriptions are those of https://www.geospatial.jp/iur/codelists/3.2/ (standard product specification).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lxml import etree

_GML = "http://www.opengis.net/gml"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_DICTIONARY_SCHEMA = (
    "http://www.opengis.net/gml "
    "http://schemas.opengis.net/gml/3.1.1/profiles/SimpleDictionary/1.0.0/gmlSimpleDictionaryProfile.xsd"
)


@dataclass(frozen=True)
class Code:
    """One value of a code list, as a ``codeSpace`` attribute and its text refer to it."""

    codelist: str
    value: str
    description: str


ORDINARY_BUILDING = Code("Building_class", "3001", "普通建物")
ROBUST_BUILDING = Code("Building_class", "3002", "堅ろう建物")

OFFICE = Code("Building_usage", "401", "業務施設")
COMMERCIAL = Code("Building_usage", "402", "商業施設")
HOTEL = Code("Building_usage", "403", "宿泊施設")
COMMERCIAL_COMPLEX = Code("Building_usage", "404", "商業系複合施設")
HOUSE = Code("Building_usage", "411", "住宅")
APARTMENTS = Code("Building_usage", "412", "共同住宅")
HOUSE_WITH_SHOP = Code("Building_usage", "413", "店舗等併用住宅")
APARTMENTS_WITH_SHOPS = Code("Building_usage", "414", "店舗等併用共同住宅")

GABLE_ROOF = Code("Building_roofType", "1", "切妻屋根")
HIP_ROOF = Code("Building_roofType", "2", "寄棟屋根")
PYRAMID_ROOF = Code("Building_roofType", "3", "方形屋根")
FLAT_ROOF = Code("Building_roofType", "4", "陸屋根")
SHED_ROOF = Code("Building_roofType", "5", "片流れ屋根")

TOKYO = Code("Common_localPublicAuthorities", "13", "東京都")
CHIYODA = Code("Common_localPublicAuthorities", "13101", "東京都千代田区")

ROAD = Code("TransportationComplex_class", "1040", "道路")
PREFECTURAL_ROAD = Code("Road_function", "3", "都道府県道")
MUNICIPAL_ROAD = Code("Road_function", "4", "市町村道")

CARRIAGEWAY = Code("TrafficArea_function", "1000", "車道部")
INTERSECTION = Code("TrafficArea_function", "1020", "車道交差部")
SIDEWALK = Code("TrafficArea_function", "2000", "歩道部")
ISLAND = Code("AuxiliaryTrafficArea_function", "3000", "島")

TALL_TREE = Code("SolitaryVegetationObject_class", "1", "高木（樹高3m以上）")
MEDIUM_TREE = Code("SolitaryVegetationObject_class", "2", "中木（樹高1m以上3m未満）")
EVERGREEN_BROADLEAF = Code("SolitaryVegetationObject_function", "12", "常緑/広葉")
DECIDUOUS_BROADLEAF = Code("SolitaryVegetationObject_function", "22", "落葉/広葉")
LOW_PLANTING = Code("PlantCover_class", "3", "低木（樹高1m未満）")

TRAFFIC_FACILITY = Code("CityFurniture_class", "1000", "交通施設")
COMMUNICATION_FACILITY = Code("CityFurniture_class", "1010", "通信施設")
OTHER_FACILITY = Code("CityFurniture_class", "1030", "その他")
LIGHTING = Code("CityFurniture_function", "4200", "照明施設")
UTILITY_POLE = Code("CityFurniture_function", "4840", "電柱")
TRAFFIC_LIGHT = Code("CityFurniture_function", "4900", "交通信号機")
VENDING_MACHINE = Code("CityFurniture_function", "8080", "自動販売機")

ALL_CODES = tuple(value for value in vars().copy().values() if isinstance(value, Code))


def write_codelists(folder: Path) -> None:
    """Write one ``gml:Dictionary`` file per code list into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted({code.codelist for code in ALL_CODES}):
        root = etree.Element(f"{{{_GML}}}Dictionary", nsmap={"gml": _GML, "xsi": _XSI})
        root.set(f"{{{_XSI}}}schemaLocation", _DICTIONARY_SCHEMA)
        root.set(f"{{{_GML}}}id", name)
        etree.SubElement(root, f"{{{_GML}}}name").text = name
        entries = [code for code in ALL_CODES if code.codelist == name]
        for number, code in enumerate(entries, start=1):
            entry = etree.SubElement(root, f"{{{_GML}}}dictionaryEntry")
            definition = etree.SubElement(entry, f"{{{_GML}}}Definition")
            definition.set(f"{{{_GML}}}id", f"{name}_{number}")
            etree.SubElement(definition, f"{{{_GML}}}description").text = code.description
            etree.SubElement(definition, f"{{{_GML}}}name").text = code.value
        etree.indent(root, "\t")
        etree.ElementTree(root).write(folder / f"{name}.xml", encoding="UTF-8", xml_declaration=True)
