#!/usr/bin/env python3
"""Let one robot fly or drive a mission and record it; --help says how."""

from tokyo_occworld.cli.collect import main

if __name__ == "__main__":
    main()
