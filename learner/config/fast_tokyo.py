"""The fast model at the width of the Tokyo variant: forecasts that correct the warped past, for a GPU."""

from occ_core.grid import TOKYO_GRID

data_root = "data/tokyo_gazebo"
point_cloud_range = [*TOKYO_GRID.lower, *TOKYO_GRID.upper]
voxel_size = list(TOKYO_GRID.voxel)
history_frames = 4
future_frames = 6

data = dict(agent_type="both", val_fraction=0.2)
model = dict(
    architecture="fast",
    base_channel=64,
    num_codes=512,
    code_dim=64,
    commitment=0.25,
    embed_dim=64,
    num_layers=2,
    temporal_attn_layers=2,
    num_heads=8,
    dropout=0.1,
    pose_hidden=256,
    pose_layers=2,
)
optimizer = dict(lr=1e-3, weight_decay=0.01)
lr_config = dict(min_lr=1e-6, warmup_iters=100)
max_epochs = 30
evaluation = dict(interval=5, windows=64)
training = dict(tokenizer_epochs=3, batch_size=4, horizons_per_step=6, num_workers=4)
