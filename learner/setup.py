"""What pyproject.toml can't say: `occ_core` is in no index, so in a checkout it is taken from where it stands."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CORE = Path(__file__).resolve().parent.parent / "ros2_ws/src/occ_core"


class BuildScripts(build_py):
    """Leaves this file out of `occworld_commands`."""

    def find_package_modules(self, package, package_dir):
        return [found for found in super().find_package_modules(package, package_dir) if found[1] != "setup"]


setup(
    cmdclass={"build_py": BuildScripts},
    install_requires=[
        f"occ_core @ {CORE.as_uri()}" if CORE.is_dir() else "occ_core",
        # From the oldest version that was tried to the last one that was.
        "torch>=2.4,<2.15",
        "lightning>=2.4,<2.7",
        "einops",
        "matplotlib",
        "tensorboard",
        "safetensors",
        "scipy",
        "numpy",
        "numba",
    ],
)
