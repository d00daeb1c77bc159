"""The original's numbers: 200 x 200 x 16 voxels of 0.4 m, 18 classes of Occ3D-nuScenes, codes of 128 numbers.

Takes the published checkpoint (`load_from`); sessions must have been recorded on this grid.
"""

data_root = "data/occ3d_grid"
load_from = "pretrained/occworld/latest.pth"
point_cloud_range = [-40.0, -40.0, -1.0, 40.0, 40.0, 5.4]
voxel_size = [0.4, 0.4, 0.4]
history_frames = 4
future_frames = 6

data = dict(agent_type="both", val_fraction=0.2)
model = dict(
    architecture="faithful",
    class_table="occ3d",
    base_channel=64,
    num_codes=512,
    code_dim=128,
    commitment=1.0,
    embed_dim=128,
    num_layers=2,
    temporal_attn_layers=6,
    pose_attn_layers=2,
    num_heads=8,
    dropout=0.0,
    max_frames=15,
    pose="mode",
    pose_hidden=128,
    pose_layers=2,
)
optimizer = dict(type="AdamW", lr=1e-3, weight_decay=0.01, grad_clip=35.0)
lr_config = dict(policy="CosineAnnealing", min_lr=1e-6, warmup="linear", warmup_iters=50)
max_epochs = 200
evaluation = dict(interval=5, windows=64)
fp16 = True
training = dict(tokenizer_epochs=0, batch_size=1)
