"""A comparison as a page to read."""

from __future__ import annotations

from tokyo_occworld.compare.verdict import Comparison


def markdown(comparison: Comparison) -> str:
    """Verdict, a table of LiDAR figures, a table of views, the limits."""
    lines = [f"# {comparison.session} beside the embedded engine", "", comparison.sentence + ".", ""]
    lines.append("| frame | rays in both | off ray, ° | bias, m | agree | upright | ground | missing | extra |")
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for frame in comparison.frames:
        r = frame.ranges
        shares = " | ".join(f"{share:.1%}" for share in (r.agreeing, r.upright, r.ground, r.missing, r.extra))
        lines.append(f"| {frame.number} | {r.rays} | {r.off_ray:.3f} | {r.bias:+.3f} | {shares} |")
    if any(frame.views for frame in comparison.frames):
        lines += [
            "",
            "| frame | camera | edges correlate | mirrored | colour | shift, px |",
            "|---|---|---|---|---|---|",
        ]
        for frame in comparison.frames:
            for view in frame.views:
                numbers = (
                    "nothing to see | | |"
                    if view.blank
                    else f"{view.correlation:.2f} | {view.mirrored:.2f} | {view.colour:.2f} |"
                )
                shift = "" if view.blank else f" {view.shift:.1f}"
                lines.append(f"| {frame.number} | {view.camera} | {numbers}{shift} |")
    limits = ", ".join(f"{name} {value:g}" for name, value in vars(comparison.limits).items())
    lines += ["", f"Limits: {limits}.", ""]
    for frame in comparison.frames:
        lines.append(f"![LiDAR: recorded, engine, difference]({frame.number:06d}_lidar.png)")
        if frame.views:
            lines.append(f"![Cameras: recorded above, engine below]({frame.number:06d}_cameras.png)")
    return "\n".join(lines) + "\n"
