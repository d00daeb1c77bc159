#!/usr/bin/env python3
"""Let one robot fly or drive a mission and record it; --help says how."""

from occ_core.command_line import run_command


def collect() -> None:
    """Imported here, where Ctrl-C is looked after."""
    from tokyo_occworld.cli.collect import main

    main()


if __name__ == "__main__":
    run_command("data_collection_mission", collect)
