"""A picture of a city from anywhere, as the robots' cameras draw it.

`python -m bench.camera_picture CITY OUT.jpg --eye X Y Z --at X Y Z`, metres in map.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from occ_core.poses import Pose
from tokyo_sim.engine.cameras import CameraRenderer
from tokyo_sim.engine.robot import CameraSpec


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="bench.camera_picture", description=__doc__.splitlines()[0])
    parser.add_argument("city", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--eye", type=float, nargs=3, required=True, metavar=("X", "Y", "Z"))
    parser.add_argument("--at", type=float, nargs=3, required=True, metavar=("X", "Y", "Z"), help="in its middle")
    parser.add_argument("--size", type=int, nargs=2, default=(960, 540), metavar=("WIDTH", "HEIGHT"))
    args = parser.parse_args()
    spec = CameraSpec("picture", "", Pose.identity(), *args.size, np.radians(70), 0.1, 2000.0, 1.0)
    picture = CameraRenderer.load(args.city).render(spec, Pose.looking(np.array(args.eye), np.array(args.at)), [])
    Image.fromarray(picture).save(args.out, quality=85)


if __name__ == "__main__":
    main()
