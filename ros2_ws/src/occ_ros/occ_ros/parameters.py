"""Node parameters with type, range and description; a wrong one stops the node with a sentence that names it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

from occ_core.grid import VoxelGrid, named_grid


class ParameterError(Exception):
    """A parameter that can't be used: its name, its value and what is wanted."""


@dataclass(frozen=True)
class Parameter:
    """One parameter. low, high: bounds, both included. choices: the words allowed."""

    name: str
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"parameter '{self.name}' has one bound; ROS 2 has ranges with two")


def grid_of(values: dict[str, Any]) -> VoxelGrid:
    """The grid that the parameter `grid` says. ParameterError for one that is none."""
    try:
        return named_grid(values["grid"])
    except ValueError as error:
        raise ParameterError(f"parameter 'grid': {error}") from error


def read(node: Node, table: tuple[Parameter, ...], prefix: str = "") -> dict[str, Any]:
    """Declare a table of parameters and return their values by name. ParameterError for a wrong one.

    prefix: of the names on the outside, such as `rover_0.`, where several things have the same parameters.
    """
    return {parameter.name: _read_one(node, replace(parameter, name=prefix + parameter.name)) for parameter in table}


def _read_one(node: Node, parameter: Parameter) -> Any:
    descriptor = ParameterDescriptor(description=parameter.description)
    if parameter.choices:
        descriptor.additional_constraints = f"one of {', '.join(parameter.choices)}"
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=parameter.low, to_value=parameter.high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high))]
    try:
        value = node.declare_parameter(parameter.name, parameter.default, descriptor).value
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        raise ParameterError(f"parameter '{parameter.name}': {error} ({parameter.description})") from error
    if parameter.choices and value not in parameter.choices:
        wanted = ", ".join(parameter.choices)
        raise ParameterError(f"parameter '{parameter.name}' is '{value}', one of {wanted} is wanted")
    return value
