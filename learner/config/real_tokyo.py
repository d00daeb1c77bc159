"""The second step of the checkpoint that ships: from weights of generated cities on to drives in real ones."""

from dataclasses import replace
from pathlib import Path

from occworld.config import EvaluationConfig, OptimizerConfig, ScheduleConfig, read_config

_shipped = read_config(Path(__file__).with_name("shipped_tokyo.py"))

config = replace(
    _shipped,
    data_root="data/real",
    load_from="work_dirs/generated/best.pth",
    optimizer=OptimizerConfig(lr=2e-3, weight_decay=0.01),
    lr_config=ScheduleConfig(min_lr=1e-5, warmup_iters=30),
    evaluation=EvaluationConfig(interval=100, windows=32),
    training=replace(_shipped.training, tokenizer_epochs=0, horizons_per_step=3),
)
