from setuptools import find_packages, setup

NAME = "tokyo_city"

setup(
    name=NAME,
    version="0.1.0",
    description="Project PLATEAU city models, or a generated neighbourhood, into SDF worlds. Needs no ROS.",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=[
        "occ_core",
        "numpy",
        "scipy",
        "lxml",
        "pyproj",
        "shapely>=2.1",
        "mapbox-earcut",
        "scikit-image",
        "pillow",
        "requests",
    ],
    zip_safe=True,
)
