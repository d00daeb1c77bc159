from glob import glob

from setuptools import find_packages, setup

NAME = "tokyo_sim"

setup(
    name=NAME,
    version="0.1.0",
    description="Vehicles, sensors, traffic, missions and the embedded simulator.",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.py"))),
        (f"share/{NAME}/config", sorted(glob("config/*"))),
        (f"share/{NAME}/urdf", sorted(glob("urdf/*"))),
        (f"share/{NAME}/rviz", sorted(glob("rviz/*"))),
        (f"share/{NAME}/worlds", sorted(glob("worlds/*"))),
    ],
    python_requires=">=3.10",
    install_requires=[
        "occ_core",
        "occ_ros",
        "tokyo_city",
        "numpy",
        "scipy",
        "lxml",
        "shapely>=2.1",
        "networkx",
        "scikit-image",
        "xacro",
        "pyyaml",
        "mujoco>=3.2",
        "embreex",
        "moderngl",
        "pillow",
    ],
    zip_safe=True,
    entry_points={
        "console_scripts": [
            "simulator = tokyo_sim.nodes.simulator:main",
            "mission = tokyo_sim.nodes.mission:main",
            "gazebo_traffic = tokyo_sim.nodes.gazebo_traffic:main",
            "gazebo_adapter = tokyo_sim.nodes.gazebo_adapter:main",
        ]
    },
)
