"""The checkpoint that ships: the demo's model, for longer and on more drives."""

from pathlib import Path
from runpy import run_path

_demo = run_path(str(Path(__file__).parent / "demo_tokyo.py"))

data_root = "data/shipped"
history_frames = _demo["history_frames"]
future_frames = _demo["future_frames"]

data = dict(agent_type="both", val_fraction=0.1)
model = _demo["model"]
optimizer = _demo["optimizer"]
lr_config = _demo["lr_config"]
evaluation = dict(interval=100, windows=12)
training = dict(_demo["training"], max_epochs=100, tokenizer_share=0.06)
