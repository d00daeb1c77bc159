"""OccWorld as published at a quarter of its width: what a CPU trains in an hour, for comparison with the fast model."""

data_root = "data/tokyo_gazebo"
history_frames = 4
future_frames = 6

data = dict(agent_type="both", val_fraction=0.1)
model = dict(
    architecture="faithful",
    base_channel=16,
    num_res_blocks=1,
    num_codes=256,
    code_dim=32,
    embed_dim=32,
    num_layers=2,
    temporal_attn_layers=2,
    pose_attn_layers=1,
    num_heads=4,
    dropout=0.0,
    pose_hidden=64,
)
optimizer = dict(lr=1e-3, weight_decay=0.01)
lr_config = dict(min_lr=1e-5, warmup_iters=50)
evaluation = dict(interval=100, windows=12)
max_epochs = 100
training = dict(tokenizer_epochs=100, tokenizer_share=0.5, batch_size=1, freeze_vae=True)
