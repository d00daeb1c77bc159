"""Worlds and robots as Gazebo reads them: nothing that it would pass over without a word.

`ign sdf -k` calls valid a file with elements that nobody reads, systems with parameters that they do not have, a LiDAR
of no samples and links that will be dropped. Here every element is looked up in SDFormat's own description of 1.9, and
every plugin's in a table made from the sources of gz-sim 8.14, 9.5 and 10.4.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from lxml import etree

from occ_core.actors import Actor
from occ_core.classes import Semantic
from occ_core.poses import Pose
from occ_core.topics import IMU, LIDAR, ODOM
from tokyo_city.world.sdf import Anchor, WorldModel, write_world
from tokyo_sim.engine.robot import RobotKind, load_robot
from tokyo_sim.gazebo.robot_models import for_gazebo
from tokyo_sim.traffic.gazebo_models import model_sdf

SCHEMA = Path("/usr/share/sdformat12/1.9")
pytestmark = pytest.mark.skipif(
    shutil.which("ign") is None or not SCHEMA.is_dir(),
    reason="no SDFormat 12 here: apt install ignition-tools libsdformat-dev sdformat-sdf",
)

NONE: frozenset[str] = frozenset()
SYSTEMS: dict[tuple[str, str], frozenset[str]] = {
    ("physics", "Physics"): frozenset({"engine", "engine/filename", "include_entity_names", "contacts"}),
    ("user-commands", "UserCommands"): NONE,
    ("scene-broadcaster", "SceneBroadcaster"): frozenset({"dynamic_pose_hertz", "state_hertz"}),
    ("sensors", "Sensors"): frozenset({
        "render_engine", "render_engine_api_backend", "background_color", "ambient_light", "disable_on_drained_battery",
    }),
    ("imu", "Imu"): NONE,
    ("label", "Label"): frozenset({"label"}),
    ("ackermann-steering", "AckermannSteering"): frozenset({
        "left_joint", "right_joint", "left_steering_joint", "right_steering_joint", "kingpin_width", "wheel_base",
        "wheel_separation", "wheel_radius", "steering_limit", "steer_p_gain", "steering_only", "use_actuator_msg",
        "actuator_number", "min_velocity", "max_velocity", "min_acceleration", "max_acceleration", "min_jerk",
        "max_jerk", "odom_publish_frequency", "topic", "sub_topic", "odom_topic", "tf_topic", "frame_id",
        "child_frame_id",
    }),
    ("odometry-publisher", "OdometryPublisher"): frozenset({
        "odom_frame", "robot_base_frame", "odom_publish_frequency", "odom_topic", "odom_covariance_topic", "tf_topic",
        "dimensions", "xyz_offset", "rpy_offset", "gaussian_noise",
    }),
    ("multicopter-motor-model", "MulticopterMotorModel"): frozenset({
        "robotNamespace", "jointName", "linkName", "actuator_number", "motorNumber", "turningDirection", "motorType",
        "commandSubTopic", "rotorDragCoefficient", "rollingMomentCoefficient", "maxRotVelocity", "motorConstant",
        "momentConstant", "timeConstantUp", "timeConstantDown", "rotorVelocitySlowdownSim",
    }),
    ("multicopter-control", "MulticopterVelocityControl"): frozenset({
        "robotNamespace", "comLinkName", "velocityGain", "attitudeGain", "angularRateGain", "maximumLinearAcceleration",
        "maximumLinearVelocity", "maximumAngularVelocity", "linearVelocityNoiseMean", "linearVelocityNoiseStdDev",
        "angularVelocityNoiseMean", "angularVelocityNoiseStdDev", "commandSubTopic",
        "enableSubTopic", "rotorConfiguration", "rotorConfiguration/rotor",
        *(f"rotorConfiguration/rotor/{name}" for name in ("jointName", "forceConstant", "momentConstant", "direction")),
    }),
}  # fmt: skip
"""What each system reads, the same in gz-sim 8, 9 and 10. (file name, class without its namespace) to parameters."""
# By gz-sensors 8 to 10 by itself; and in the descriptions of versions after 12.3.
READ_BESIDE_THE_SCHEMA = {"gz_frame_id", "camera_info_topic"}


class Schema:
    """SDFormat's description of its elements."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, etree._Element] = {}

    def file(self, name: str) -> etree._Element:
        if name not in self._files:
            self._files[name] = etree.parse(str(self._folder / name)).getroot()
        return self._files[name]

    def children(self, element: etree._Element) -> dict[str, etree._Element]:
        known = {child.get("name"): child for child in element.findall("element")}
        for include in element.findall("include"):
            if include.get("filename") == "navsat.sdf":
                continue  # Debian's package lacks it, and no robot here has one
            root = self.file(include.get("filename"))
            known[root.get("name")] = root
        if any(child.get("ref") for child in element.findall("element")):
            known[element.get("name")] = element
        return known

    def unknown(self, element: etree._Element, described: etree._Element, where: str = "") -> list[str]:
        """Paths of elements and attributes that the description has not; what is in plugins is theirs."""
        path = f"{where}/{element.tag}"
        attributes = {a.get("name") for a in described.findall("attribute")}
        out = [f"{path}@{name}" for name in element.attrib if name not in attributes]
        known = self.children(described)
        for child in element.iterchildren(tag=etree.Element):
            if child.tag == "plugin":
                continue
            if child.tag not in known:
                out += [] if child.tag in READ_BESIDE_THE_SCHEMA else [f"{path}/{child.tag}"]
            else:
                out += self.unknown(child, known[child.tag], path)
        return out


def converted(kind: RobotKind, folder: Path) -> etree._Element:
    """The SDF that Gazebo makes of a robot."""
    path = folder / f"{kind.value}.urdf"
    path.write_text(for_gazebo(load_robot(kind, f"{kind.value}_3").xml, 10.0))
    result = subprocess.run(["ign", "sdf", "-p", str(path)], capture_output=True, text=True, check=True)
    assert "Error" not in result.stderr and "Warning" not in result.stderr, result.stderr
    return etree.fromstring(result.stdout.encode())


def world(folder: Path) -> etree._Element:
    path = folder / "city.sdf"
    models = [
        WorldModel("a_building", Semantic.BUILDING, "meshes/a.obj", "meshes/a_collision.obj", own_materials=True),
        WorldModel("a_road", Semantic.ROAD, "meshes/b.obj", "meshes/b.obj"),
    ]
    write_world(path, Anchor(35.681236, 139.767125, 3.25, 6677, -6000.0, -35000.0), models)
    return etree.parse(str(path)).getroot()


def actor() -> etree._Element:
    car = Actor(7, Semantic.CAR, Pose.identity(), np.array([4.5, 1.8, 1.5]), np.zeros(3))
    return etree.fromstring(model_sdf(car))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, etree._Element]:
    """Everything that Gazebo is given, as SDF."""
    folder = tmp_path_factory.mktemp("sdf")
    return {"world": world(folder), "actor": actor(), **{kind.value: converted(kind, folder) for kind in RobotKind}}


@pytest.mark.parametrize("name", ["world", "actor", "drone", "rover"])
def test_every_element_is_one_of_sdformat(files, name):
    schema = Schema(SCHEMA)
    assert schema.unknown(files[name], schema.file("root.sdf")) == []


def test_the_check_itself_finds_what_the_parser_passes_over(files):
    schema, wrong = Schema(SCHEMA), etree.fromstring(etree.tostring(files["rover"]))
    etree.SubElement(wrong.find(".//sensor[@name='lidar']/lidar/scan/horizontal"), "sample").text = "0"
    wrong.find(".//link").set("colour", "red")
    found = schema.unknown(wrong, schema.file("root.sdf"))
    assert [path.rpartition("/")[2] for path in found] == ["link@colour", "sample"]


def parameters(plugin: etree._Element, where: str = "") -> set[str]:
    found = set()
    for child in plugin.iterchildren(tag=etree.Element):
        found |= {f"{where}{child.tag}"} | parameters(child, f"{where}{child.tag}/")
    return found


@pytest.mark.parametrize("name", ["world", "actor", "drone", "rover"])
def test_every_plugin_and_each_of_its_parameters_is_in_gz_sim_8_9_and_10(files, name):
    plugins = list(files[name].iter("plugin"))
    assert plugins
    for plugin in plugins:
        system = plugin.get("filename"), plugin.get("name")
        known = {(f"gz-sim-{file}-system", f"gz::sim::systems::{kind}"): p for (file, kind), p in SYSTEMS.items()}
        assert system in known
        assert parameters(plugin) <= known[system], system


@pytest.mark.parametrize("kind", list(RobotKind))
def test_a_link_on_a_moving_joint_has_a_mass(files, kind):
    """One without is dropped when a URDF is converted, with its joint and its sensors, and nobody says so."""
    urdf = etree.fromstring(load_robot(kind, "r").xml.encode())
    model = files[kind.value].find("model")
    links = {link.get("name") for link in model.findall("link")}
    moving = [joint for joint in urdf.findall("joint") if joint.get("type") != "fixed"]
    assert len(moving) == len(model.findall("joint")) > 0
    for joint in moving:
        child = joint.find("child").get("link")
        assert child in links
        assert urdf.find(f"link[@name='{child}']/inertial/mass") is not None, child
    for link in model.findall("link"):
        assert float(link.findtext("inertial/mass")) > 0
        moments = [float(link.findtext(f"inertial/inertia/{axis}")) for axis in ("ixx", "iyy", "izz")]
        assert min(moments) > 0 and max(moments) < sum(moments) - max(moments) + 1e-9  # a rigid body's


@pytest.mark.parametrize("kind", list(RobotKind))
def test_the_lidar_has_32_beams_of_1800_rays_lowest_first_from_minus_pi(files, kind):
    """As it was seen in Gazebo; points come in this order, with `ring` from 0."""
    sensor = files[kind.value].find(".//sensor[@name='lidar']")
    assert sensor.get("type") == "gpu_lidar" and float(sensor.findtext("update_rate")) == LIDAR.rate_hz
    scan = sensor.find("lidar/scan")
    around, up = (
        {key: float(scan.findtext(f"{axis}/{key}")) for key in ("samples", "min_angle", "max_angle")}
        for axis in ("horizontal", "vertical")
    )
    assert (up["samples"], around["samples"]) == (32, 1800)
    assert up["min_angle"] < up["max_angle"] and around["min_angle"] == pytest.approx(-np.pi, abs=1e-5)
    assert around["max_angle"] == pytest.approx(np.pi - 2 * np.pi / 1800, abs=1e-5)  # no ray is there twice
    spec = load_robot(kind, "r").lidar
    assert spec.elevations[[0, -1]] == pytest.approx([up["min_angle"], up["max_angle"]], abs=1e-5)
    assert float(sensor.findtext("lidar/noise/stddev")) == spec.noise_stddev > 0
    assert [float(sensor.findtext(f"lidar/range/{key}")) for key in ("min", "max")] == [spec.range_min, spec.range_max]


@pytest.mark.parametrize("kind", list(RobotKind))
def test_rates_and_noise_of_the_other_sensors_are_those_of_the_table(files, kind):
    model, robot = files[kind.value], load_robot(kind, "r")
    imu = model.find(".//sensor[@name='imu']")
    assert float(imu.findtext("update_rate")) == IMU.rate_hz
    for part, spec in (("angular_velocity", robot.imu.gyro), ("linear_acceleration", robot.imu.accel)):
        for axis in "xyz":
            noise = imu.find(f"imu/{part}/{axis}/noise")
            assert noise.get("type") == "gaussian"
            assert float(noise.findtext("stddev")) == spec.stddev > 0
            assert float(noise.findtext("dynamic_bias_stddev")) == pytest.approx(spec.bias_walk)
    for camera in robot.cameras:
        sensor = model.find(f".//sensor[@name='camera_{camera.name}']")
        assert float(sensor.findtext("camera/horizontal_fov")) == pytest.approx(camera.horizontal_fov, abs=1e-5)
        size = sensor.findtext("camera/image/width"), sensor.findtext("camera/image/height")
        assert size == (str(camera.width), str(camera.height))
    (odometry,) = (p for p in model.iter("plugin") if p.get("name").endswith("OdometryPublisher"))
    assert float(odometry.findtext("odom_publish_frequency")) == ODOM.rate_hz


def test_an_actor_stays_where_it_is_put(files):
    link = files["actor"].find("model/link")
    assert link.findtext("gravity") == "false" and files["actor"].find("model/static") is None
    assert link.find("collision") is not None and float(link.findtext("inertial/mass")) > 0
