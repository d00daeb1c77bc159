"""GLSL of the camera renderer: sun with shadows, sky light, and windows on walls that have no texture.

Faces are flat, so what does not change over a face (which way it looks, how much sun and sky it gets) is worked out
with its corners: in software rendering a pixel's arithmetic is what costs.
"""

from __future__ import annotations

from enum import IntEnum

_RANDOM = """
float random(vec2 cell) {
    vec3 p = fract(cell.xyx * 0.1031);
    p += dot(p, p.yzx + 33.33);
    return fract((p.x + p.y) * p.z);
}
"""

_VIEW = """
layout(std140) uniform View {
    mat4 view_projection;
    mat4 sun_projection;
    vec4 eye;
    vec4 to_sun;
};
"""
VIEW_BYTES = 160
"""Of the uniform block: two matrices, column by column, the eye in map and the direction to the sun."""


class Surface(IntEnum):
    """What a face is painted with. In software rendering a pixel pays for all that its shader can do: one for each."""

    PLAIN = 0
    FACADE = 1
    """A wall with windows."""
    GRAIN = 2
    """Of roads and pavements."""
    LEAVES = 3
    """And grass."""
    TEXTURED = 4


_VERTEX = """
in vec3 position;
in vec3 normal;
out vec3 in_sun;
#if SURFACE == TEXTURED
in vec3 texel;
flat out float page;
#else
in vec3 colour;
#endif
#if SURFACE != PLAIN
out vec2 pattern;
#endif
#if SURFACE == FACADE
flat out vec3 albedo;
#endif
#if SURFACE == TEXTURED || SURFACE == FACADE
flat out vec3 skylight;
flat out vec3 sunlight;
#else
flat out vec3 in_shade;
flat out vec3 by_sun;
#endif
void main() {
    vec3 n = normal;
    if (dot(n, eye.xyz - position) < 0.0) n = -n;
    vec3 sky = mix(vec3(0.30, 0.29, 0.27), vec3(0.46, 0.52, 0.60), n.z * 0.5 + 0.5);
    vec3 sun = max(dot(n, to_sun.xyz), 0.0) * vec3(0.95, 0.88, 0.75);
    // Looked up a little off the surface and towards the sun: a shadow map's pixels are as wide as that.
    in_sun = (sun_projection * vec4(position + 0.35 * n + 0.2 * to_sun.xyz, 1.0)).xyz * 0.5 + 0.5;
#if SURFACE == TEXTURED
    pattern = texel.xy;
    page = texel.z;
#elif SURFACE == FACADE  // a window every 2.4 m along a wall and every 3.2 m up it
    pattern = vec2(dot(position.xy, normalize(vec2(-n.y, n.x))) / 2.4, position.z / 3.2);
    albedo = colour;
#elif SURFACE == GRAIN
    pattern = position.xy * 8.0;
#elif SURFACE == LEAVES
    pattern = vec2(dot(position, vec3(3.0, 1.7, 2.1)), dot(position, vec3(-1.3, 2.6, 2.9)));
#endif
#if SURFACE == TEXTURED || SURFACE == FACADE
    skylight = sky;
    sunlight = sun;
#else
    in_shade = colour * sky;
    by_sun = colour * sun;
#endif
    gl_Position = view_projection * vec4(position, 1.0);
}
"""

_FRAGMENT = (
    """
uniform sampler2DShadow shadow;
in vec3 in_sun;
#if SURFACE == TEXTURED
uniform sampler2DArray atlas;
flat in float page;
#endif
#if SURFACE != PLAIN
in vec2 pattern;
#endif
#if SURFACE == FACADE
flat in vec3 albedo;
#endif
#if SURFACE == TEXTURED || SURFACE == FACADE
flat in vec3 skylight;
flat in vec3 sunlight;
#else
flat in vec3 in_shade;
flat in vec3 by_sun;
#endif
out vec4 colour;
"""
    + _RANDOM
    + """
// Windows fade to their mean before they alias.
vec3 facade(vec3 wall, vec2 at) {
    vec2 dx = dFdx(at), dy = dFdy(at);
    vec2 inside = fract(at);
    float pane = step(0.18, inside.x) * step(inside.x, 0.82) * step(0.3, inside.y) * step(inside.y, 0.8);
    vec3 glass = mix(vec3(0.16, 0.2, 0.26), vec3(0.45, 0.52, 0.58), random(floor(at)));
    float sharp = clamp(1.5 - 2.0 * max(abs(dx.x) + abs(dy.x), abs(dx.y) + abs(dy.y)), 0.0, 1.0);
    return mix(wall, glass, mix(0.32, pane, sharp) * 0.85);
}

void main() {
    bool mapped = all(equal(clamp(in_sun, 0.0, 1.0), in_sun));
    float lit = mapped ? texture(shadow, in_sun) : 1.0;
#if SURFACE == TEXTURED
    vec3 seen = texture(atlas, vec3(pattern, page)).rgb * (skylight + lit * sunlight);
#elif SURFACE == FACADE
    vec3 seen = facade(albedo, pattern) * (skylight + lit * sunlight);
#else
    vec3 seen = in_shade + lit * by_sun;
#endif
#if SURFACE == GRAIN
    seen *= 0.92 + 0.12 * random(floor(pattern));
#elif SURFACE == LEAVES
    seen *= 0.75 + 0.4 * random(floor(pattern));
#endif
    float haze = 1.0 - exp(-1.0 / (1800.0 * gl_FragCoord.w));
    colour = vec4(mix(seen, vec3(0.70, 0.79, 0.88), haze), 1.0);
}
"""
)


def program(surface: Surface) -> tuple[str, str]:
    """Vertex and fragment shader of a surface."""
    names = "".join(f"#define {kind.name} {kind.value}\n" for kind in Surface)
    head = f"#version 330\n{names}#define SURFACE {surface.name}\n"
    return head + _VIEW + _VERTEX, head + _FRAGMENT


SKY_VERTEX = """
#version 330
uniform mat4 inverse_view_projection;
out vec3 ray;
void main() {
    vec2 corner = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
    vec4 far = inverse_view_projection * vec4(corner, 1.0, 1.0);
    vec4 near = inverse_view_projection * vec4(corner, -1.0, 1.0);
    ray = far.xyz / far.w - near.xyz / near.w;
    gl_Position = vec4(corner, 0.999999, 1.0);
}
"""

SKY_FRAGMENT = """
#version 330
uniform vec3 to_sun;
in vec3 ray;
out vec4 colour;
void main() {
    vec3 r = normalize(ray);
    vec3 sky = mix(vec3(0.70, 0.79, 0.88), vec3(0.30, 0.50, 0.82), smoothstep(0.0, 0.6, r.z));
    colour = vec4(sky + vec3(1.0, 0.9, 0.7) * pow(max(dot(r, to_sun), 0.0), 400.0), 1.0);
}
"""

DEPTH_VERTEX = """
#version 330
uniform mat4 view_projection;
in vec3 position;
void main() { gl_Position = view_projection * vec4(position, 1.0); }
"""

DEPTH_FRAGMENT = """
#version 330
void main() {}
"""
