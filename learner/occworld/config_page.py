"""The page docs/configuration.md, written from the dataclasses that a config is read into.

`python -m occworld.config_page docs/configuration.md` writes it anew.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

from occworld.config import TOP_LEVEL, Config, read_config

CONFIGS = Path(__file__).resolve().parents[1] / "config"
_INTRODUCTION = """# Configuration reference

<!-- Written by `python -m occworld.config_page docs/configuration.md`; a test fails when it is stale. -->

A config is a Python file with plain values: `optimizer = dict(lr=1e-3)` sets `optimizer.lr`. What a file leaves out has
the default of the tables below. A name that nothing reads is an error that says the nearest valid one. Options of
`train.py` (`--seed`, `--batch-size`, `--lr`, `--epochs`, `--data-root`, and `--set SECTION.FIELD=VALUE` for any of
them) come before the config. How the models use the
settings: [learner.md](learner.md). Which to change first: [training_guide.md](training_guide.md).

"""


def page(configs: Path = CONFIGS) -> str:
    """The whole page. configs: folder of the config files whose values stand beside the defaults."""
    shipped = {path.stem: read_config(path) for path in sorted(configs.glob("*.py"))}
    names = ", ".join(f"`{name}` (in `{section}`)" for name, section in TOP_LEVEL.items())
    shorthand = f"At the top level of a file stand, too: {names}, `fp16` (True: `training.precision` is 'fp16').\n\n"
    return _INTRODUCTION + shorthand + "\n".join(_sections(shipped))


def _sections(shipped: dict[str, Config]) -> Iterator[str]:
    """Top level first, then each section in the order of `Config`; a union of dataclasses gives one table each."""
    yield _table("Top level", Config, "", shipped)
    hints = get_type_hints(Config)
    for section in fields(Config):
        kinds = _dataclasses(hints[section.name])
        values = {name: getattr(config, section.name) for name, config in shipped.items()}
        for kind in kinds:
            title = f"`{section.name}`" + (f", architecture `'{kind.architecture}'`" if len(kinds) > 1 else "")
            theirs = {name: value for name, value in values.items() if isinstance(value, kind)}
            yield _table(title, kind, f"{section.name}.", theirs)


def _dataclasses(hint: Any) -> list[Any]:
    """The dataclasses that a field may hold; none for a plain field."""
    return [kind for kind in (get_args(hint) if isinstance(hint, UnionType) else (hint,)) if is_dataclass(kind)]


def _table(title: str, kind: type, prefix: str, values: dict[str, Any]) -> str:
    """What the class says of itself, and a row for each plain field."""
    hints = get_type_hints(kind)
    rows = [
        f"| `{prefix}{field.name}` | {_type(hints[field.name])} | `{_default(field)!r}` | {_others(field, values)} |"
        for field in fields(kind)
        if not _dataclasses(hints[field.name])
    ]
    head = "| setting | type | default | other values in the shipped configs |\n|---|---|---|---|\n"
    return f"## {title}\n\n{_prose(kind)}\n\n{head}" + "\n".join(rows) + "\n"


def _prose(kind: type) -> str:
    """The docstring, with the names of fields as code."""
    text = inspect.cleandoc(kind.__doc__ or "")
    names = sorted((field.name for field in fields(kind)), key=len, reverse=True)
    # Names that are ordinary words, too, are meant where an explanation follows.
    words = "|".join(name if "_" in name else f"{name}(?=:)" for name in names)
    return re.sub(rf"\b(?:{words})\b", lambda name: f"`{name[0]}`", text)


def _type(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint).replace("typing.", "")


def _default(field: Field) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _others(field: Field, values: dict[str, Any]) -> str:
    """`0.002` demo_tokyo · `0.001` fast_tokyo: the configs that do not have the default."""
    different: dict[str, list[str]] = {}
    for name, config in values.items():
        value = getattr(config, field.name)
        if value != _default(field):
            different.setdefault(repr(value), []).append(name)
    return " · ".join(f"`{value}` {', '.join(names)}" for value, names in different.items())


def main(argv: list[str] | None = None) -> int:
    """Write the page; exit code 2 where the folder is not there."""
    parser = argparse.ArgumentParser(description="Write the configuration reference from the learner's dataclasses.")
    parser.add_argument("page", type=Path, help="file to write, such as docs/configuration.md")
    args = parser.parse_args(argv)
    if not args.page.parent.is_dir():
        print(f"reference: no folder {args.page.parent} for {args.page.name}", file=sys.stderr)
        return 2
    args.page.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
