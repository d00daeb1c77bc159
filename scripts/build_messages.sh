#!/usr/bin/env bash
# Builds message packages into a virtual environment of pip's ROS wheels: tf2_msgs, which PyPI does not have, from its
# one-line definition, and occ_msgs of this workspace.
# Usage: scripts/build_messages.sh VENV. Does nothing for those that can be imported already and are defined as here.
set -euo pipefail

venv=$(realpath "${1:?usage: $0 VENV}")
python="$venv/bin/python"
here=$(dirname "$(realpath "$0")")
declare -A lost=([tf2_msgs]="there will be no /tf" [occ_msgs]="there will be no occworld/forecast, the cloud has the same")
wanted=()
for package in tf2_msgs occ_msgs; do
  "$python" -c "import $package.msg" 2>/dev/null || wanted+=("$package")
done
# Built before one of its messages was changed?
for definition in "$here"/../ros2_ws/src/occ_msgs/msg/*.msg; do
  if [[ " ${wanted[*]} " != *" occ_msgs "* ]] && ! cmp -s "$definition" "$venv/share/occ_msgs/msg/${definition##*/}"; then
    wanted+=(occ_msgs)
  fi
done
((${#wanted[@]})) || exit 0
for tool in cmake cc make; do
  if ! command -v "$tool" >/dev/null; then
    echo "warning: no $tool, so no ${wanted[*]}: there will be no /tf (Debian, Ubuntu: apt install cmake gcc g++ make)" >&2
    exit 0
  fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/tf2_msgs/msg" "$work/occ_msgs"
# REP 105's transform tree: the definition of tf2_msgs/msg/TFMessage.
echo 'geometry_msgs/TransformStamped[] transforms' > "$work/tf2_msgs/msg/TFMessage.msg"
cat > "$work/tf2_msgs/package.xml" <<'XML'
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
cp -r "$here/../ros2_ws/src/occ_msgs/msg" "$here/../ros2_ws/src/occ_msgs/package.xml" "$work/occ_msgs/"

export AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv" PATH="$venv/bin:$PATH"
export PYTHONPATH="${PYTHONPATH:-}"
for package in "${wanted[@]}"; do
  folder="$work/$package" log="$work/$package.log"
  messages=$(cd "$folder" && echo msg/*.msg)
  cat > "$folder/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.16)
project($package)
find_package(ament_cmake REQUIRED)
find_package(geometry_msgs REQUIRED)
find_package(std_msgs REQUIRED)
find_package(rosidl_default_generators REQUIRED)
# The wheels' targets name include folders of the machine that built them; CMake refuses folders that do not exist.
foreach(package geometry_msgs std_msgs builtin_interfaces)
  set(target \${package}::\${package}__rosidl_generator_py)
  if(TARGET \${target})
    get_target_property(folders \${target} INTERFACE_INCLUDE_DIRECTORIES)
    foreach(folder IN LISTS folders)
      if(NOT folder MATCHES "^\\\\$<" AND NOT EXISTS "\${folder}")
        list(REMOVE_ITEM folders "\${folder}")
      endif()
    endforeach()
    set_target_properties(\${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "\${folders}")
  endif()
endforeach()
rosidl_generate_interfaces(\${PROJECT_NAME} $messages DEPENDENCIES geometry_msgs std_msgs)
ament_package()
CMAKE
  # shellcheck disable=SC2016  # $ORIGIN is for the dynamic linker
  if cmake -S "$folder" -B "$folder/build" -DCMAKE_INSTALL_PREFIX="$venv" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF \
       -DPython3_EXECUTABLE="$python" -DCMAKE_INSTALL_RPATH='$ORIGIN;$ORIGIN/../../..' >"$log" 2>&1 &&
     make -C "$folder/build" -j"$(nproc)" install >>"$log" 2>&1 &&
     "$python" -c "import $package.msg" 2>>"$log"; then
    echo "$package built into $venv"
  else
    tail -15 "$log" >&2
    echo "warning: $package could not be built: ${lost[$package]}" >&2
  fi
done
