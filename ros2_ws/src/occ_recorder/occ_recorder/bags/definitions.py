"""Definitions and hashes of message types, which a bag carries so that it can be read without the packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from occ_recorder.bags.reading import DISTROS


class Definitions:
    """Looks types up as the distros define them, newest first, then in installed packages.

    share: the share folder of a package; OSError and LookupError say that it is not installed.
    """

    def __init__(self, share: Callable[[str], str]) -> None:
        self._share = share
        self._stores = [get_typestore(Stores(f"ros2_{distro}")) for distro in reversed(DISTROS)]
        self._installed = get_typestore(Stores.EMPTY)

    def of(self, kind: str, digest: str = "") -> tuple[str, str]:
        """(definition, RIHS01 hash) of a type such as sensor_msgs/msg/Imu.

        digest: the hash that its publishers announce, '' where they do not. LookupError where no definition has it.
        """
        found = []
        for store in (*self._stores, self._installed):
            if store is self._installed:
                self._read_package(kind)
            if kind not in store.fielddefs:
                continue
            hashed = store.hash_rihs01(kind)
            if digest in ("", hashed):
                return store.generate_msgdef(kind, ros_version=2)[0], hashed
            found.append(hashed)
        why = (
            f"announced with hash {digest}, known with {', '.join(dict.fromkeys(found))}" if found else "not installed"
        )
        raise LookupError(f"no definition of {kind}: {why}")

    def _read_package(self, kind: str) -> None:
        todo = [kind]
        while todo:
            name = todo.pop()
            if name in self._installed.fielddefs:
                continue
            package, _, message = name.split("/")
            try:
                path = Path(self._share(package)) / "msg" / f"{message}.msg"
                types = get_types_from_msg(path.read_text(), name)
                self._installed.register(types)
            except (OSError, LookupError, TypesysError):
                return
            todo += [part for part in _named(types[name][1]) if part not in self._installed.fielddefs]


def _named(fields) -> list[str]:
    """The types that fields refer to."""
    names, todo = [], [description for _, description in fields]
    while todo:
        node, content = todo.pop()
        if node.name == "NAME":
            names.append(content)
        elif node.name in ("ARRAY", "SEQUENCE"):
            todo.append(content[0])
    return names
