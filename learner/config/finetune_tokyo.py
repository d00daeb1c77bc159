"""OccWorld at the width of the paper's Tokyo variant: for a GPU and many sessions."""

from occ_core.grid import TOKYO_GRID

data_root = "data/tokyo_gazebo"
point_cloud_range = [*TOKYO_GRID.lower, *TOKYO_GRID.upper]
voxel_size = list(TOKYO_GRID.voxel)
history_frames = 4
future_frames = 6

data = dict(agent_type="both", val_fraction=0.2)
model = dict(
    base_channel=64,
    num_codes=512,
    code_dim=64,
    commitment=0.25,
    embed_dim=64,
    num_layers=2,
    temporal_attn_layers=6,
    num_heads=8,
    dropout=0.1,
    pose_hidden=256,
    pose_layers=2,
    motion_compensation=True,
)
optimizer = dict(lr=1e-4, weight_decay=0.01)
lr_config = dict(min_lr=1e-6, warmup_iters=100)
max_epochs = 50
fp16 = True
training = dict(tokenizer_epochs=10, batch_size=1, evaluation_interval=5, evaluation_windows=64)
