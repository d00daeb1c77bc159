"""Stage 1 alone: the scene tokenizer of finetune_tokyo.py, for `load_from` of a later run."""

from dataclasses import replace
from pathlib import Path

from occworld.config import EvaluationConfig, TrainingConfig, read_config

_stage2 = read_config(Path(__file__).with_name("finetune_tokyo.py"))

config = replace(
    _stage2,
    optimizer=replace(_stage2.optimizer, lr=1e-3),
    lr_config=replace(_stage2.lr_config, warmup_iters=200),
    evaluation=EvaluationConfig(),
    training=TrainingConfig(max_epochs=0, tokenizer_epochs=200, batch_size=1, precision="fp16"),
)
