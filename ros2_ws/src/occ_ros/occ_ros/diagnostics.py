"""Stamps and diagnostics as messages: what every process says and hears, without what sensor data need."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue


def to_stamp(seconds: float) -> Time:
    """Seconds to a message stamp; ValueError beyond the 68 years to either side of zero that it can say."""
    whole, nanoseconds = divmod(round(seconds * 1e9), 10**9)
    if not -(2**31) <= whole < 2**31:
        raise ValueError(f"{seconds:g} s is no time that a stamp can say")
    return Time(sec=whole, nanosec=nanoseconds)


def to_diagnostics(name: str, problem: str, values: dict[str, object], stamp: float) -> DiagnosticArray:
    """One status: OK, or a warning with the problem in words; values as text."""
    level = DiagnosticStatus.WARN if problem else DiagnosticStatus.OK
    status = DiagnosticStatus(level=level, name=name, message=problem or "running", hardware_id="tokyo")
    status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    message = DiagnosticArray(status=[status])
    message.header.stamp = to_stamp(stamp)
    return message
