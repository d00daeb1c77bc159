"""Messages of any type with anything in them: for what must not end a node."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

from occ_ros.qos import message_class

_CYCLE = "".join(
    f'<joint name="{a}{b}" type="fixed"><parent link="{a}"/><child link="{b}"/></joint>'
    for a, b in (("base_link", "a"), ("a", "b"), ("b", "a"))
)
_STRINGS = (
    "", "map", "rover_0/lidar_link", "nobody/lidar_link", "velocity", "rgb8", "mono16", "horizon_s,iou", "<robot",
    "<a/>",    f"<robot name='r'>{_CYCLE}</robot>", "<robot><joint><origin xyz='1 2' rpy='nan 0 0'/></joint></robot>",
    "<robot><joint><parent link='base_link'/><child link='c'/><origin xyz='1 2'/></joint></robot>", "長" * 20_000,
)  # fmt: skip
_FLOATS = (0.0, -1.0, 1e-320, 1e30, -1e300, float("nan"), float("inf"), float("-inf"))
_BITS = {"octet": (0, 255), "char": (0, 255), "byte": (0, 255)} | {
    f"{sign}int{bits}": (0 if sign else -(2 ** (bits - 1)), 2 ** (bits - (not sign)) - 1)
    for sign in ("u", "")
    for bits in (8, 16, 32, 64)
}


def value(kind: str) -> st.SearchStrategy[Any]:
    """Of a field whose type is given as `get_fields_and_field_types` has it."""
    if found := re.fullmatch(r"sequence<(.*?)(?:, (\d+))?>", kind):
        element, most = found[1], int(found[2] or 3)
        lists = st.lists(value(element), max_size=most)
        return _packed(element, lists | st.just([0] * 300_000) if element == "uint8" else lists)
    if found := re.fullmatch(r"(.*)\[(\d+)\]", kind):
        return _packed(found[1], st.lists(value(found[1]), min_size=int(found[2]), max_size=int(found[2])))
    if kind == "boolean":
        return st.booleans()
    if kind in ("double", "float"):
        usual = st.floats(width=64 if kind == "double" else 32)
        return usual | st.sampled_from(_FLOATS if kind == "double" else tuple(f for f in _FLOATS if abs(f) != 1e300))
    if kind in _BITS:
        low, high = _BITS[kind]
        return st.sampled_from((low, high, 0, 1)) | st.integers(low, high)
    if kind.startswith(("string", "wstring")):
        return st.sampled_from(_STRINGS) | st.text(st.characters(codec="utf-8"), max_size=20)
    package, name = kind.split("/")
    return message(f"{package}/msg/{name}")


def _packed(element: str, lists: st.SearchStrategy[list]) -> st.SearchStrategy[Any]:
    return lists.map(lambda values: array("B", values)) if element == "uint8" else lists


def message(kind: str) -> st.SearchStrategy[Any]:
    """Of a type such as `sensor_msgs/msg/Image`, with anything in every field."""
    made = message_class(kind)
    return st.fixed_dictionaries(
        {name: value(of) for name, of in made.get_fields_and_field_types().items()}
    ).map(lambda values: made(**values))  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn, usual: Callable[[], Any]) -> Any:
    """A message like one that was heard, which `usual` gives, with rubbish in one field, however deep."""
    out = target = deepcopy(usual())
    while True:
        name, kind = draw(st.sampled_from(sorted(target.get_fields_and_field_types().items())))
        inner = getattr(target, name)
        if isinstance(inner, list) and inner and hasattr(inner[0], "get_fields_and_field_types"):
            inner = draw(st.sampled_from([None, inner[0], inner[-1]]))
        if not hasattr(inner, "get_fields_and_field_types") or draw(st.integers(0, 4)) == 0:
            setattr(target, name, draw(value(kind)))
            return out
        target = inner
