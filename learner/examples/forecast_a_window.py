"""A window of a drive, what a model makes of it, and how good that is: forecast_a_window.py SESSIONS MODEL"""

import sys
from dataclasses import replace
from pathlib import Path

from occworld.checkpoint import Checkpoint
from occworld.dataset import GazeboOccWorldDataset
from occworld.metrics import confusion, score
from occworld.scene import Scene

sessions, file = (Path(word) for word in sys.argv[1:])
checkpoint = Checkpoint.load(file)  # .pth of a training, or an exported .safetensors
model = checkpoint.model(file).eval()
data = GazeboOccWorldDataset(sessions, replace(checkpoint.config.data, split="all"))
window = data[len(data) // 2]  # frames: history and future, sparse, each in its own base_footprint
forecast = model.forecast(Scene.of(model.grid, window, planned=False))
for step, frame in enumerate(forecast.frames):  # frame.classes: uint8 (X, Y, Z); frame.probability: float16
    truth = window.frames[window.history + step].dense(model.grid.shape)
    now = score(confusion(frame.classes, truth), model.frame_period * (step + 1))
    print(f"{now.horizon_s:g} s: IoU {now.iou:.3f}, mIoU {now.miou:.3f}")
