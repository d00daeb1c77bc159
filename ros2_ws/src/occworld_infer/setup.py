from glob import glob

from setuptools import find_packages, setup

NAME = "occworld_infer"

setup(
    name=NAME,
    version="0.1.0",
    description="Publishes the predicted future occupancy of each robot, live.",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/rviz", sorted(glob("rviz/*"))),
    ],
    package_data={NAME: ["checkpoints/*"]},
    python_requires=">=3.10",
    install_requires=[
        "occ_core",
        "occ_ros",
        "occ_recorder",
        "tokyo-occworld-learner",
        "numpy",
        "pillow",
        "pyyaml",
        "viser",
    ],
    zip_safe=True,
    entry_points={
        "console_scripts": [
            "inference = occworld_infer.nodes.inference:main",
            "overlay = occworld_infer.nodes.overlay:main",
            "viewer = occworld_infer.nodes.viewer:main",
        ]
    },
)
