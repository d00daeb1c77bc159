"""The checkpoint that ships: the demo's model, for longer and on more drives."""

from dataclasses import replace
from pathlib import Path

from occworld.config import EvaluationConfig, read_config

_demo = read_config(Path(__file__).with_name("demo_tokyo.py"))

config = replace(
    _demo,
    data_root="data/shipped",
    data=replace(_demo.data, val_fraction=0.1),
    evaluation=EvaluationConfig(interval=100, windows=12),
    training=replace(_demo.training, max_epochs=100, tokenizer_share=0.06, horizons_per_step=6),
)
