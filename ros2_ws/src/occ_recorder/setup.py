from setuptools import find_packages, setup

NAME = "occ_recorder"

setup(
    name=NAME,
    version="0.1.0",
    description="Records live LiDAR, cameras and odometry into occupancy sessions; tools for them.",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=[
        "occ_core",
        "occ_ros",
        "numpy",
        "scipy",
        "pillow",
        "matplotlib>=3.7",
        "pyyaml",
        "rosbags",
        "mcap",
    ],
    zip_safe=True,
    entry_points={
        "console_scripts": [
            "recorder = occ_recorder.nodes.recorder:main",
            "bag_recorder = occ_recorder.nodes.bag:main",
        ]
    },
)
