"""OccWorld as published, at the widths of the Tokyo variant: for a GPU and many sessions."""

from occ_core.grid import TOKYO_GRID

data_root = "data/tokyo_gazebo"
point_cloud_range = [*TOKYO_GRID.lower, *TOKYO_GRID.upper]
voxel_size = list(TOKYO_GRID.voxel)
history_frames = 4
future_frames = 6

data = dict(agent_type="both", val_fraction=0.2)
model = dict(
    architecture="faithful",
    base_channel=64,
    num_codes=512,
    code_dim=64,
    commitment=0.25,
    embed_dim=64,
    num_layers=2,
    temporal_attn_layers=6,
    num_heads=8,
    dropout=0.1,
    pose="twist",
    pose_hidden=256,
    pose_layers=2,
)
optimizer = dict(type="AdamW", lr=1e-4, weight_decay=0.01)
lr_config = dict(policy="CosineAnnealing", min_lr=1e-6, warmup="linear", warmup_iters=100)
max_epochs = 50
evaluation = dict(interval=5, windows=64)
fp16 = True
training = dict(tokenizer_epochs=10, batch_size=1, freeze_vae=True, freeze_transformer=False, freeze_pose=False)
