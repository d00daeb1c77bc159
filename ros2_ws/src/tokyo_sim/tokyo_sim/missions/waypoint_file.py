"""Waypoint files: YAML or JSON with a list of [x, y], or CSV with the columns x and y; metres in map."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import yaml

_WANTED = "a list of at least two [x, y] in metres is wanted"


def read_waypoints(path: Path) -> np.ndarray:
    """(n, 2) float64, metres in map. ValueError that names the file, and the line where there is one."""
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"waypoints {path}: files end in {', '.join(_READERS)}")
    try:
        rows = reader(path)
        points = np.array([[float(value) for value in row] for row in rows], dtype=np.float64)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, csv.Error, ValueError, TypeError) as error:
        raise ValueError(f"waypoints {path}: {_one_line(error)}; {_WANTED}") from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2 or not np.isfinite(points).all():
        raise ValueError(f"waypoints {path}: {_WANTED}")
    return points


def _read_yaml(path: Path) -> list:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    # The list may stand by itself, or under the key `waypoints`.
    rows = content.get("waypoints") if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise ValueError("no list in it")
    if wrong := [row for row in rows if not isinstance(row, list) or any(isinstance(v, str) for v in row)]:
        raise ValueError(f"{wrong[0]!r} is no [x, y]")
    return rows


def _read_csv(path: Path) -> list[list[float]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, skipinitialspace=True)
        if missing := {"x", "y"} - set(rows.fieldnames or ()):
            raise ValueError(f"line 1 has no column {', '.join(sorted(missing))}")
        out = []
        for row in rows:
            try:
                out.append([float(row["x"]), float(row["y"])])
            except (TypeError, ValueError):
                raise ValueError(f"line {rows.line_num} has no number for x or y") from None
        return out


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


_READERS = {".yaml": _read_yaml, ".yml": _read_yaml, ".json": _read_yaml, ".csv": _read_csv}
