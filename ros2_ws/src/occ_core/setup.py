from setuptools import find_packages, setup

NAME = "occ_core"

setup(
    name=NAME,
    version="0.1.0",
    description="Voxel grid, semantic classes, poses, voxelizer and session format shared by every part; no ROS.",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=["numpy", "scipy", "numba", "pillow", "threadpoolctl", "tqdm", "zlib-ng"],
    zip_safe=True,
)
