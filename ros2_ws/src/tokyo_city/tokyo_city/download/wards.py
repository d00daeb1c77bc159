"""The 23 special wards of Tokyo, by name or municipality code."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Ward:
    """code: of the municipality, by JIS X 0402."""

    code: str
    name: str
    kanji: str


_TABLE = """
13101 chiyoda 千代田
13102 chuo 中央
13103 minato 港
13104 shinjuku 新宿
13105 bunkyo 文京
13106 taito 台東
13107 sumida 墨田
13108 koto 江東
13109 shinagawa 品川
13110 meguro 目黒
13111 ota 大田
13112 setagaya 世田谷
13113 shibuya 渋谷
13114 nakano 中野
13115 suginami 杉並
13116 toshima 豊島
13117 kita 北
13118 arakawa 荒川
13119 itabashi 板橋
13120 nerima 練馬
13121 adachi 足立
13122 katsushika 葛飾
13123 edogawa 江戸川
"""
WARDS = tuple(Ward(*row.split()) for row in _TABLE.split("\n") if row)


def find_ward(text: str) -> Ward:
    """A ward by `chiyoda`, `Chiyoda-ku`, `千代田区` or `13101`. ValueError with the nearest name for any other word."""
    word = text.strip().lower().removesuffix("区").removesuffix("-ku")
    for ward in WARDS:
        if word in (ward.code, ward.name, ward.kanji):
            return ward
    near = get_close_matches(word, [ward.name for ward in WARDS], n=1)
    hint = f"{near[0]} is the nearest" if near else "there are " + ", ".join(ward.name for ward in WARDS)
    raise ValueError(f"no ward of Tokyo is called '{text}': {hint}")
