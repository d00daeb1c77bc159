from setuptools import find_packages, setup

NAME = "occ_ros"

setup(
    name=NAME,
    version="0.1.0",
    description="ROS plumbing that the nodes share: quality of service, parameters, message conversion.",
    license="Apache-2.0",
    packages=find_packages(exclude=["test"]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=["occ_core", "numpy"],
    zip_safe=True,
)
