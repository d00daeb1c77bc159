"""The nodes of Gazebo's own packages: the bridge, and one that creates each robot."""

from __future__ import annotations

from pathlib import Path

from tokyo_city.world import WORLD_NAME
from tokyo_city.world.obj import has_normals
from tokyo_city.world.sdf import read_world
from tokyo_sim.bringup import Arguments, NodeSpec, sensors_are_bulky, world_file
from tokyo_sim.engine.simulator import Fleet
from tokyo_sim.engine.start_poses import parse_start_poses
from tokyo_sim.gazebo.bridge import bridge_entries, write_bridge_config
from tokyo_sim.gazebo.names import BRIDGE_EXECUTABLE, BRIDGE_PACKAGE, SIM_PACKAGE, SPAWN_EXECUTABLE, TRAFFIC_SERVICES
from tokyo_sim.gazebo.robot_models import Spawn, spawns


def gazebo_nodes(args: Arguments, folder: Path) -> list[NodeSpec]:
    """folder: for the bridge's configuration, kept by the caller while the nodes run. ValueError as `require_world`."""
    require_world(world_file(args.city))
    config = folder / "bridge.yaml"
    write_bridge_config(config, bridge_entries(args.robots, args.camera_rate > 0))
    size = args.image_width, args.image_height
    places = parse_start_poses(args.places)
    fleet = Fleet(args.drones, args.rovers, 0, args.drone_altitude, size, args.camera_rate > 0, places=places)
    services = tuple(f"/world/{WORLD_NAME}/{name}@{kind}" for name, kind in TRAFFIC_SERVICES.items())
    bridge = NodeSpec(
        BRIDGE_PACKAGE,
        BRIDGE_EXECUTABLE,
        "",
        "bridge",
        parameters={"config_file": str(config)},
        arguments=services if args.actors else (),
        bulky=sensors_are_bulky(args),
    )
    robots = spawns(world_file(args.city).parent, fleet, args.seed, args.camera_rate)
    return [bridge, *(_creation(spawn) for spawn in robots)]


def require_world(world: Path) -> None:
    """ValueError with one sentence where a world has meshes that Gazebo would leave out, or end at."""
    for model in read_world(world):
        for uri in filter(None, (model.visual, model.collision)):
            mesh = world.parent / uri
            if not mesh.is_file():
                raise ValueError(f"{world}: {uri} is not there: import the city again with `tokyo city`")
            if not has_normals(mesh):
                raise ValueError(f"{mesh} has no normals, which Gazebo needs: import the city again with `tokyo city`")


def _creation(spawn: Spawn) -> NodeSpec:
    x, y, z = spawn.xyz
    values = {"world": WORLD_NAME, "name": spawn.name, "string": spawn.xml, "x": x, "y": y, "z": z, "Y": spawn.yaw}
    return NodeSpec(SIM_PACKAGE, SPAWN_EXECUTABLE, "", "spawn", spawn.name, values, once=True)
