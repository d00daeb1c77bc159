"""What a checkpoint makes of the past, fitted anew on drives of other ground; its weights stay as they are."""

import argparse
from dataclasses import replace
from pathlib import Path

from occworld.checkpoint import Checkpoint
from occworld.dataset import GazeboOccWorldDataset

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data-root", type=Path, required=True, help="sessions of all kinds of ground that it shall meet")
parser.add_argument("--truth-root", type=Path, help="the same drives as `ground_truth`, to forecast what there was")
parser.add_argument("--checkpoint", type=Path, required=True)
parser.add_argument("--out", type=Path, required=True, help="the new checkpoint, .pth")
parser.add_argument("--max-windows", type=int, default=96, help="evenly spread (default: %(default)s)")
args = parser.parse_args()
checkpoint = Checkpoint.load(args.checkpoint)
model = checkpoint.model(args.checkpoint)
data = GazeboOccWorldDataset(args.data_root, replace(checkpoint.config.data, split="all"), args.truth_root)
model.calibrate(data, args.max_windows)
args.out.parent.mkdir(parents=True, exist_ok=True)
replace(checkpoint, weights=model.state_dict(), optimizer=None, scaler=None).save(args.out)
print(f"{args.out}: fitted on {min(args.max_windows, len(data))} of {len(data)} windows")
