"""A small model that learns in minutes on two CPU cores: history is aligned by ego motion, widths are narrow."""

data_root = "data/tokyo_gazebo"
history_frames = 4
future_frames = 6

data = dict(agent_type="both", val_fraction=0.2)
model = dict(
    architecture="fast",
    patch=4,
    base_channel=32,
    num_codes=256,
    code_dim=32,
    embed_dim=32,
    num_layers=1,
    temporal_attn_layers=1,
    num_heads=4,
    dropout=0.0,
    pose_hidden=64,
    column_dim=16,
    voxel_hidden=32,
    flow_channel=16,
)
optimizer = dict(lr=4e-3, weight_decay=0.01)
lr_config = dict(min_lr=1e-5, warmup_iters=20)
evaluation = dict(interval=1, windows=8)
training = dict(
    max_epochs=6,
    tokenizer_epochs=1,
    tokenizer_share=0.12,
    batch_size=1,
    horizons_per_step=3,
    voxel_samples=6144,
    column_samples=768,
)
