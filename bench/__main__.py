"""Run the named benches, or all, on the sample city."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import bench
from bench import (
    bags,
    browsing,
    driving,
    forecasting,
    growth,
    importing,
    learning,
    live,
    overlay,
    recording,
    scale,
    simulating,
    traffic,
    training,
    viewing,
    voxelizing,
)
from bench.against import compare
from occ_core.citymap import CityMap
from tokyo_city.sample_city import write_sample_city
from tokyo_city.world.city import import_city

BENCHES = {
    "importing": importing.run,
    "bags": bags.run,
    "voxelizing": voxelizing.run,
    "simulating": simulating.run,
    "viewing": viewing.run,
    "overlay": overlay.run,
    "recording": recording.run,
    "traffic": traffic.run,
    "driving": driving.run,
    "learning": learning.run,
    "forecasting": forecasting.run,
    "growth": growth.run,
    "browsing": browsing.run,
    "scale": scale.run,
    "training": training.run,
    "live": live.run,
}


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(prog="bench", description=bench.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ({', '.join(BENCHES)}); all of them without")
    parser.add_argument(
        "--against", default="", metavar="COMMIT", help="run that commit too, in turn, and print ratios"
    )
    parser.add_argument("--repeats", type=int, default=1, help="of each bench with --against (default: %(default)s)")
    args = parser.parse_args()
    names = args.names
    if unknown := set(names) - set(BENCHES):
        parser.error(f"no bench {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    if args.against:
        print(compare(args.against, names or list(BENCHES), args.repeats))
        return
    with tempfile.TemporaryDirectory() as folder:
        udx = write_sample_city(Path(folder) / "citygml", seed=7)
        city = import_city(udx, Path(folder) / "city").folder
        CityMap.load(city).nearest_ground(0, 0)
        for name in names or BENCHES:
            print(f"## {name}\n\n{BENCHES[name](udx, city)}\n", flush=True)


if __name__ == "__main__":
    main()
