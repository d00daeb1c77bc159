"""What Gazebo is told: worlds and robots that SDFormat's own parser takes whole, a bridge that carries the topic table.

The type pairs are those of ros_gz_bridge's README for Jazzy, copied by hand here so that a slip in the module shows.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml
from lxml import etree

from occ_core.classes import Semantic
from occ_core.meshes import TriangleMesh
from occ_core.poses import Pose
from occ_core.topics import CAMERAS, CLOCK, CMD_VEL, IMU, LIDAR, ODOM, camera_info_topic, image_topic
from tokyo_city.world.obj import write_obj
from tokyo_city.world.sdf import LABEL_SYSTEM, WORLD_SYSTEMS, Anchor, WorldModel, write_world
from tokyo_sim.bringup import Arguments
from tokyo_sim.engine.physics import Physics
from tokyo_sim.engine.robot import RobotKind, load_robot
from tokyo_sim.gazebo.bridge import BridgeEntry, bridge_entries, write_bridge_config
from tokyo_sim.gazebo.names import ROBOT_SYSTEMS, server_arguments
from tokyo_sim.gazebo.robot_models import for_gazebo
from tokyo_sim.gazebo.system import gazebo_nodes, require_world

SDF = pytest.mark.skipif(
    shutil.which("ign") is None and shutil.which("gz") is None,
    reason="no SDFormat parser here: apt install ignition-tools libsdformat-dev sdformat-sdf",
)
UPSTREAM_PAIRS = {
    ("rosgraph_msgs/msg/Clock", "gz.msgs.Clock"),
    ("sensor_msgs/msg/PointCloud2", "gz.msgs.PointCloudPacked"),
    ("sensor_msgs/msg/Imu", "gz.msgs.IMU"),
    ("sensor_msgs/msg/Image", "gz.msgs.Image"),
    ("sensor_msgs/msg/CameraInfo", "gz.msgs.CameraInfo"),
    ("nav_msgs/msg/Odometry", "gz.msgs.Odometry"),
    ("geometry_msgs/msg/Twist", "gz.msgs.Twist"),
}
ANCHOR = Anchor(35.681236, 139.767125, 3.25, 6677, -6000.0, -35000.0)
# https://github.com/gazebosim/ros_gz, ros_gz_bridge/src/bridge_config.cpp: the keys that it reads.
UPSTREAM_KEYS = {"ros_topic_name", "gz_topic_name", "ros_type_name", "gz_type_name", "direction", "lazy"}


def sdf(*arguments: str) -> str:
    """The answer of `ign sdf` or `gz sdf`."""
    tool = shutil.which("gz") or shutil.which("ign")
    return subprocess.run([tool, "sdf", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> etree._Element:
    path = tmp_path_factory.mktemp("world") / "city.sdf"
    models = [
        WorldModel("tile_building", Semantic.BUILDING, "meshes/a.obj", "meshes/a_collision.obj"),
        WorldModel("tile_road", Semantic.ROAD, "meshes/b.obj", "meshes/b.obj"),
    ]
    write_world(path, ANCHOR, models)
    return etree.parse(str(path)).find("world")


def test_a_world_loads_every_system_that_its_robots_and_the_bridge_need(world):
    plugins = [(p.get("filename"), p.get("name")) for p in world.findall("plugin")]
    assert plugins == list(WORLD_SYSTEMS)
    for word in ("physics", "user-commands", "scene-broadcaster", "sensors", "imu"):
        assert any(name == f"gz-sim-{word}-system" for name, _ in plugins)
    assert world.findtext("plugin[@filename='gz-sim-sensors-system']/render_engine") == "ogre2"


def test_a_world_has_its_place_on_earth_a_sun_a_sky_and_labels(world):
    place = world.find("spherical_coordinates")
    assert float(place.findtext("latitude_deg")) == pytest.approx(35.681236, abs=1e-9)
    assert float(place.findtext("longitude_deg")) == pytest.approx(139.767125, abs=1e-9)
    assert (place.findtext("elevation"), place.findtext("heading_deg")) == ("3.250", "0")
    assert (place.findtext("surface_model"), place.findtext("world_frame_orientation")) == ("EARTH_WGS84", "ENU")
    sun = world.find("light[@type='directional']")
    assert float(sun.findtext("direction").split()[2]) < 0
    assert world.find("scene/sky") is not None
    labels = [(p.get("filename"), p.get("name"), p.findtext("label")) for p in world.iterfind("model//visual/plugin")]
    assert labels == [(*LABEL_SYSTEM, str(int(Semantic.BUILDING))), (*LABEL_SYSTEM, str(int(Semantic.ROAD)))]


def test_both_simulators_have_the_gravity_that_the_world_says(world, city, sheet):
    physics = Physics(city((Semantic.ROAD, sheet(-9, 9, -9, 9))), [], [], [])
    gravity = [float(value) for value in world.findtext("gravity").split()]
    assert gravity == pytest.approx(physics.model.opt.gravity) and gravity == [0, 0, -9.81]


def test_the_step_divides_the_period_of_every_sensor(world):
    step = float(world.findtext("physics/max_step_size"))
    for rate in (LIDAR.rate_hz, IMU.rate_hz, ODOM.rate_hz, CLOCK.rate_hz):
        assert (1 / rate / step) == pytest.approx(round(1 / rate / step))


@SDF
def test_the_parser_takes_the_world(world, tmp_path):
    path = tmp_path / "city.sdf"
    path.write_bytes(etree.tostring(world.getroottree()))
    assert "Valid." in sdf("-k", str(path))


@pytest.fixture(scope="module", params=list(RobotKind), ids=lambda kind: kind.value)
def converted(request, tmp_path_factory) -> tuple[RobotKind, etree._Element, etree._Element]:
    """A robot's URDF, and the SDF that Gazebo makes of it."""
    if not (shutil.which("ign") or shutil.which("gz")):
        pytest.skip("no SDFormat parser here: apt install ignition-tools libsdformat-dev sdformat-sdf")
    robot = load_robot(request.param, f"{request.param.value}_3")
    path = tmp_path_factory.mktemp("robot") / "robot.urdf"
    path.write_text(robot.xml)
    return request.param, etree.fromstring(robot.xml.encode()), etree.fromstring(sdf("-p", str(path)).encode())


def test_every_plugin_of_a_robot_is_one_that_gazebo_has_and_survives_conversion(converted):
    kind, urdf, model = converted
    for root in (urdf, model):
        found = {(p.get("filename"), p.get("name")) for p in root.iter("plugin")}
        assert found == set(ROBOT_SYSTEMS[kind.value])
    assert len(list(urdf.iter("plugin"))) == len(list(model.iter("plugin")))


def test_sensors_survive_conversion_where_their_links_were(converted):
    kind, _, model = converted
    robot = load_robot(kind, f"{kind.value}_3")
    sensors = {sensor.get("name"): sensor for sensor in model.iter("sensor")}
    assert set(sensors) == {"lidar", "imu", *(f"camera_{name}" for name in CAMERAS)}
    for name, sensor in sensors.items():
        assert sensor.getparent().get("name") == "base_link"  # links on fixed joints are lumped into it
        x, y, z, roll, pitch, yaw = map(float, sensor.findtext("pose", "0 0 0 0 0 0").split())
        link = robot.links[f"{name}_link"]
        pose = Pose.from_xyz_rpy(np.array([x, y, z]), np.array([roll, pitch, yaw]))
        assert np.allclose(pose.matrix, link.matrix, atol=1e-5), name
        frame = f"{name}_optical" if name.startswith("camera") else f"{name}_link"
        assert sensor.findtext("gz_frame_id") == f"{robot.name}/{frame}"


def test_moving_links_keep_mass_and_joints(converted):
    _, urdf, model = converted
    moving = {j.get("name") for j in urdf.findall("joint") if j.get("type") != "fixed"}
    assert {joint.get("name") for joint in model.iter("joint")} == moving
    mass = sum(float(m.get("value")) for m in urdf.iterfind("link/inertial/mass"))
    assert sum(float(m.text) for m in model.iterfind("model/link/inertial/mass")) == pytest.approx(mass)
    joints = [p.text for p in model.iter("jointName", "left_joint", "right_steering_joint", "left_steering_joint")]
    assert joints and set(joints) <= moving


def test_robots_send_and_take_what_the_bridge_expects(converted):
    """The description's topics are the bridge's Gazebo side; gz-sensors adds /points to a LiDAR's."""
    kind, _, model = converted
    name = f"{kind.value}_3"
    said = {f"/{s.findtext('topic')}" + ("/points" if s.get("name") == "lidar" else "") for s in model.iter("sensor")}
    said |= {f"/{topic.text}" for topic in model.iter("camera_info_topic", "odom_topic")}
    odometry = next(p for p in model.iter("plugin") if p.get("name").endswith("OdometryPublisher"))
    assert odometry.findtext("odom_frame") == "map" and odometry.findtext("dimensions") == "3"
    assert odometry.findtext("robot_base_frame") == f"{name}/base_link"
    sent = {entry.gz_topic_name for entry in bridge_entries([name]) if entry.direction == "GZ_TO_ROS"} - {"/clock"}
    assert sent <= said
    taken = {entry.gz_topic_name for entry in bridge_entries([name]) if entry.direction == "ROS_TO_GZ"}
    driven = {f"/{topic.text}" for topic in model.iterfind("model/plugin/topic")}
    flown = {f"/{name}/{topic.text}" for topic in model.iterfind("model/plugin/commandSubTopic")}
    assert taken == {f"/{name}/cmd_vel"} and taken <= driven | flown


def test_the_bridge_carries_every_topic_of_the_table_in_pairs_that_it_knows():
    entries = bridge_entries(["drone_0", "rover_0"])
    assert {(e.ros_type_name, e.gz_type_name) for e in entries} == UPSTREAM_PAIRS
    assert all(e.direction in ("GZ_TO_ROS", "ROS_TO_GZ") for e in entries)
    assert len({e.ros_topic_name for e in entries}) == len(entries) == 1 + 2 * (3 + 2 * len(CAMERAS) + 1)
    ros = {e.ros_topic_name for e in entries}
    for topic in (LIDAR, *(image_topic(camera) for camera in CAMERAS)):
        assert f"/rover_0/{topic.name}" in ros  # as it is
    for topic in (IMU, ODOM, *(camera_info_topic(camera) for camera in CAMERAS)):
        assert f"/rover_0/gazebo/{topic.name}" in ros  # completed by the adapter
    assert f"/rover_0/{CMD_VEL.name}" in ros and f"/drone_0/gazebo/{CMD_VEL.name}" in ros
    assert bridge_entries([]) == [e for e in entries if e.ros_topic_name == "/clock"]


def test_the_bridge_reads_what_is_written(tmp_path):
    assert {field.name for field in fields(BridgeEntry)} == UPSTREAM_KEYS
    entries = bridge_entries(["rover_0"], cameras=False)
    write_bridge_config(tmp_path / "bridge.yaml", entries)
    assert [BridgeEntry(**entry) for entry in yaml.safe_load((tmp_path / "bridge.yaml").read_text())] == entries


def test_traffic_s_services_are_bridged_where_there_is_traffic(tmp_path, monkeypatch):
    monkeypatch.setattr("tokyo_sim.gazebo.system.spawns", lambda *_: [])
    write_world(tmp_path / "city.sdf", ANCHOR, [])
    bridges = [gazebo_nodes(Arguments(city=str(tmp_path), sim="gazebo", actors=n), tmp_path)[0] for n in (0, 5)]
    assert bridges[0].arguments == ()
    assert bridges[1].arguments == (
        "/world/tokyo/create@ros_gz_interfaces/srv/SpawnEntity",
        "/world/tokyo/set_pose@ros_gz_interfaces/srv/SetEntityPose",
    )


def test_cameras_can_be_slower_or_left_out():
    xml = load_robot(RobotKind.ROVER, "rover_0").xml
    slower = etree.fromstring(for_gazebo(xml, 5.0).encode())
    rates = {s.get("name"): s.findtext("update_rate") for s in slower.iter("sensor")}
    assert rates.pop("lidar") == "10.0" and rates.pop("imu") == "100.0"
    assert len(rates) == 6 and set(rates.values()) == {"5.0"}
    none = etree.fromstring(for_gazebo(xml, 0.0).encode())
    assert {s.get("name") for s in none.iter("sensor")} == {"lidar", "imu"}


@SDF
@pytest.mark.parametrize("kind", list(RobotKind))
def test_a_robot_has_its_colours_after_conversion(kind, tmp_path):
    """SDFormat divides the colours of a URDF by 0.8."""
    robot = load_robot(kind, f"{kind.value}_3")
    path = tmp_path / "robot.urdf"
    path.write_text(for_gazebo(robot.xml, 10.0))
    model = etree.fromstring(sdf("-p", str(path)).encode())
    wanted = np.sort([visual.rgba for visual in robot.visuals], axis=0)
    for tag in ("diffuse", "ambient"):
        seen = [list(map(float, colour.text.split())) for colour in model.iterfind(f".//visual/material/{tag}")]
        assert np.sort(seen, axis=0) == pytest.approx(wanted, abs=1e-4), tag


def test_a_world_of_an_earlier_version_or_without_its_meshes_is_refused_with_a_sentence(tmp_path):
    world, mesh = tmp_path / "city.sdf", tmp_path / "meshes/a.obj"
    write_world(world, ANCHOR, [WorldModel("a", Semantic.ROAD, "meshes/a.obj", "meshes/a.obj")])
    with pytest.raises(ValueError, match=r"meshes/a\.obj is not there.*`tokyo city`"):
        require_world(world)
    mesh.parent.mkdir()
    mesh.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(ValueError, match=r"a\.obj has no normals.*`tokyo city`"):
        require_world(world)
    write_obj(mesh, TriangleMesh(np.eye(3), np.array([[0, 1, 2]], dtype=np.int32)))
    require_world(world)


def test_the_server_draws_without_a_window_unless_asked():
    assert server_arguments(Path("c.sdf"), gui=False) == ["-r", "-s", "--headless-rendering", "c.sdf"]
    assert server_arguments(Path("c.sdf"), gui=True) == ["-r", "c.sdf"]
