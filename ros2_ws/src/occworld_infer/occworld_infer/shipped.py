"""The checkpoint that comes with this package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

_FILE = "checkpoints/tokyo.safetensors"


def shipped_checkpoint() -> Path:
    """The file; FileNotFoundError with a sentence where this installation has none."""
    path = Path(str(files("occworld_infer"))) / _FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"this installation of occworld_infer comes without {_FILE}: name a checkpoint that `train.py` wrote"
        )
    return path
