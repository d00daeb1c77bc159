"""Where the whole-system tests find things."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLATEAU = Path(os.environ.get("PLATEAU_DATA", ROOT.parent / "shared/data/plateau"))
TOKYO = str(Path(sys.executable).with_name("tokyo"))
