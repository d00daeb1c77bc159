"""Training data straight from rosbag2 recordings: converted to sessions once, into a cache folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from occworld.preflight import cache_folder

_NEEDS = "reading bags needs occ_recorder, rosbags and mcap: pip install rosbags mcap ros2_ws/src/occ_recorder"


def add_bag_options(parser: argparse.ArgumentParser) -> None:
    """Options that say which bags, and how they become sessions."""
    cache = cache_folder() / "bags"
    parser.add_argument("--bag", type=Path, nargs="+", default=[], help="train on these bags, instead of sessions")
    parser.add_argument("--bag-config", type=Path, help="YAML: what is where in the bags, see docs/bags.md")
    parser.add_argument("--bag-city", default="", help="folder of the imported city, for labels")
    parser.add_argument("--bag-grid", default="tokyo", help="voxel grid: tokyo, nuscenes, or nine numbers")
    parser.add_argument("--bag-cache", type=Path, default=cache, help="where their sessions go (default: %(default)s)")
    parser.add_argument(
        "--bag-session-seconds", type=float, default=0.0,
        help="cut each drive into sessions of so many seconds, so that one bag can be split into training and"
        " validation; two bags or more say more, since parts of one drive resemble each other",
    )  # fmt: skip


def sessions_of_bags(args: argparse.Namespace) -> Path | None:
    """The folder of the bags' sessions; None where no bag is given. SessionError with what is wrong in a sentence."""
    if not args.bag:
        return None
    from occ_core.grid import named_grid
    from occ_core.session import SessionError  # which takes a moment that the command line has not got

    if args.data_root:
        raise SessionError("--bag and --data-root: which of them is to be trained on?")
    try:
        from occ_recorder.bags.cache import cached_sessions
        from occ_recorder.bags.config import BagConfig, read_config
        from occ_recorder.bags.convert import Conversion
        from occ_recorder.bags.reading import BagError
    except ModuleNotFoundError as error:
        raise SessionError(f"{_NEEDS} ({error})") from error
    try:
        config = read_config(args.bag_config) if args.bag_config else BagConfig()
        # The learner reads no images.
        conversion = Conversion(
            config,
            city=args.bag_city,
            session_seconds=args.bag_session_seconds,
            cameras=False,
            grid=named_grid(args.bag_grid),
        )
        return cached_sessions(args.bag, args.bag_cache, conversion)
    except (BagError, OSError, ValueError) as error:
        raise SessionError(str(error)) from error
