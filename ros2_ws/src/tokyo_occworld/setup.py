from setuptools import find_packages, setup

NAME = "tokyo_occworld"

setup(
    name=NAME,
    version="0.1.0",
    description="The tokyo command and what composes the other packages: demo, comparison, collecting sessions.",
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
        "tokyo_city",
        "tokyo_sim",
        "occ_recorder",
        "occworld_infer",
        "tokyo-occworld-learner",
        "numpy",
        "pyyaml",
        "tqdm",
        "matplotlib>=3.7",
        "pillow",
    ],
    extras_require={"rerun": ["rerun-sdk>=0.41,<0.42"]},  # of `tokyo export --rerun`
    zip_safe=True,
    entry_points={"console_scripts": ["tokyo = tokyo_occworld.cli.main:main"]},
)
