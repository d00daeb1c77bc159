"""Plain values into nested dataclasses, with errors that name the key and the nearest valid one."""

from __future__ import annotations

import difflib
import types
import typing
from dataclasses import fields

from occworld.model_config import ConfigError


def build(cls: type, values: dict, where: str, prefix: str = "") -> typing.Any:
    """A dataclass from a dict of plain values; lists become tuples, whole numbers floats where one is expected.

    where: names the file in errors. A field whose type is a union of dataclasses is told apart by `architecture`;
    the first of them is meant without it.
    """
    hints = typing.get_type_hints(cls)
    known = [f.name for f in fields(cls)]
    arguments = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise ConfigError(f"{where}: unknown key '{name}', the nearest is '{prefix}{near}'")
        hint = hints[key]
        if isinstance(hint, types.UnionType) or hasattr(hint, "__dataclass_fields__"):
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: '{name}' is a dict of settings, got {value!r}")
            kind = _chosen(hint, value, name, where) if isinstance(hint, types.UnionType) else hint
            arguments[key] = build(kind, value, where, f"{name}.")
        else:
            arguments[key] = _checked(hint, value, name, where)
    try:
        return cls(**arguments)
    except (ValueError, ConfigError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _chosen(union: types.UnionType, value: dict, name: str, where: str) -> type:
    kinds = {kind.architecture: kind for kind in typing.get_args(union)}
    wanted = value.get("architecture", next(iter(kinds)))
    if wanted not in kinds:
        options = " or ".join(f"'{kind}'" for kind in kinds)
        raise ConfigError(f"{where}: '{name}.architecture' is {options}, got {wanted!r}")
    return kinds[wanted]


def _checked(hint: typing.Any, value: object, name: str, where: str) -> object:
    origin = typing.get_origin(hint) or hint
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_checked(typing.get_args(hint)[0], v, name, where) for v in value)
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, origin) or (origin is int and isinstance(value, bool)):
        raise ConfigError(f"{where}: '{name}' is of type {origin.__name__}, got {value!r}")
    return value
