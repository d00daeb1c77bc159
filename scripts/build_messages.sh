#!/usr/bin/env bash
# Builds tf2_msgs, which PyPI does not have, into a virtual environment from its one-line definition.
# Usage: scripts/build_tf2_msgs.sh VENV. Does nothing where it can be imported already.
set -euo pipefail

venv=$(realpath "${1:?usage: $0 VENV}")
python="$venv/bin/python"
if "$python" -c 'import tf2_msgs.msg' 2>/dev/null; then exit 0; fi
for tool in cmake cc make; do
  if ! command -v "$tool" >/dev/null; then
    echo "warning: no $tool, so no tf2_msgs: there will be no /tf (Debian, Ubuntu: apt install cmake gcc g++ make)" >&2
    exit 0
  fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/msg"
# REP 105's transform tree: the definition of tf2_msgs/msg/TFMessage.
echo 'geometry_msgs/TransformStamped[] transforms' > "$work/msg/TFMessage.msg"
cat > "$work/package.xml" <<'XML'
<package format="3">
  <name>tf2_msgs</name>
  <version>0.0.0</version>
  <description>TFMessage for environments made of pip wheels</description>
  <maintainer email="maintainers@example.org">Tokyo OccWorld maintainers</maintainer>
  <license>BSD-3-Clause</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <build_depend>rosidl_default_generators</build_depend>
  <depend>geometry_msgs</depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
</package>
XML
cat > "$work/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.16)
project(tf2_msgs)
find_package(ament_cmake REQUIRED)
find_package(geometry_msgs REQUIRED)
find_package(rosidl_default_generators REQUIRED)
# The wheels' targets name include folders of the machine that built them; CMake refuses folders that do not exist.
foreach(package geometry_msgs std_msgs builtin_interfaces)
  set(target ${package}::${package}__rosidl_generator_py)
  if(TARGET ${target})
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    foreach(folder IN LISTS folders)
      if(NOT folder MATCHES "^\\$<" AND NOT EXISTS "${folder}")
        list(REMOVE_ITEM folders "${folder}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${folders}")
  endif()
endforeach()
rosidl_generate_interfaces(${PROJECT_NAME} msg/TFMessage.msg DEPENDENCIES geometry_msgs)
ament_package()
CMAKE

log="$work/build.log"
export AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv" PATH="$venv/bin:$PATH"
export PYTHONPATH="${PYTHONPATH:-}"
# shellcheck disable=SC2016  # $ORIGIN is for the dynamic linker
if cmake -S "$work" -B "$work/build" -DCMAKE_INSTALL_PREFIX="$venv" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF \
     -DPython3_EXECUTABLE="$python" -DCMAKE_INSTALL_RPATH='$ORIGIN;$ORIGIN/../../..' >"$log" 2>&1 &&
   make -C "$work/build" -j"$(nproc)" install >>"$log" 2>&1 &&
   "$python" -c 'import tf2_msgs.msg' 2>>"$log"; then
  echo "tf2_msgs built into $venv"
else
  tail -15 "$log" >&2
  echo "warning: tf2_msgs could not be built: there will be no /tf" >&2
fi
