"""Where the package's data files are: URDF, config, RViz, launch; in a source tree or in an install prefix."""

from __future__ import annotations

import sys
from pathlib import Path


def share(*parts: str) -> Path:
    """A data file of this package. FileNotFoundError with all places that were looked at."""
    source = Path(__file__).resolve().parents[1].joinpath(*parts)
    if source.exists():
        return source
    # colcon and pip both install data files to <prefix>/share/<package>; the module is below the same prefix.
    prefixes = [*Path(__file__).resolve().parents, Path(sys.prefix)]
    for prefix in prefixes:
        candidate = prefix.joinpath("share", "tokyo_sim", *parts)
        if candidate.exists():
            return candidate
    raise FileNotFoundError(f"tokyo_sim has no data file {Path(*parts)}: neither {source} nor in a share folder")
