"""Stage 1 alone: the scene tokenizer of finetune_tokyo.py, for `load_from` of a later run."""

from pathlib import Path
from runpy import run_path

_stage2 = run_path(str(Path(__file__).parent / "finetune_tokyo.py"))

data_root = _stage2["data_root"]
point_cloud_range = _stage2["point_cloud_range"]
voxel_size = _stage2["voxel_size"]
data = _stage2["data"]
model = _stage2["model"]
optimizer = dict(type="AdamW", lr=1e-3, weight_decay=0.01)
lr_config = dict(policy="CosineAnnealing", min_lr=1e-6, warmup="linear", warmup_iters=200)
max_epochs = 0
fp16 = True
training = dict(tokenizer_epochs=200, batch_size=1)
