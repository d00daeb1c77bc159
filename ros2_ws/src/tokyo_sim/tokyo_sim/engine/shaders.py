"""GLSL of the camera renderer: sun with shadows, sky light, and windows on walls that have no texture.

Faces are flat, so what does not change over a face (which way it looks, how much sun and sky it gets) is worked out
with its corners: in software rendering a pixel's arithmetic is what costs. So is a camera's response: light is a factor
to a colour, and an image holds the root of the product (near sRGB's 1/2.2), which is the product of the roots.
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
    vec4 sun;
    vec4 sky;
    vec4 ground;
};
"""
VIEW_BYTES = 208
"""Of the uniform block: two matrices, column by column, the eye in map, and what `Daylight` has, in its order."""

_IN_SUN = """
// Where to look in the shadow map: a little off a surface and towards the sun, since that map's pixels are wide.
vec3 in_shadow_map(vec3 position, vec3 n) {
    return (sun_projection * vec4(position + 0.35 * n + 0.2 * to_sun.xyz, 1.0)).xyz * 0.5 + 0.5;
}
"""

_LIT = """
uniform sampler2DShadow shadow;
in vec3 in_sun;
// How much of the sun comes here, 0 to 1.
float sunlit() {
    vec3 off = abs(in_sun - 0.5);
    return max(off.x, max(off.y, off.z)) > 0.5 ? 1.0 : texture(shadow, in_sun);
}
// How much of the picture is air: half of what is 2 km away.
float haze() { return 1.0 / (1.0 + 2000.0 * gl_FragCoord.w); }
"""


class Surface(IntEnum):
    """What a face is painted with. In software rendering a pixel pays for all that its shader can do: one for each."""

    PLAIN = 0
    FACADE = 1
    """A wall with windows."""
    ASPHALT = 2
    PAVING = 3
    GRASS = 4
    LEAVES = 5
    """Of crowns, which are round and let one see through at their edges."""
    TEXTURED = 6


DETAILED = (Surface.ASPHALT, Surface.PAVING, Surface.GRASS, Surface.LEAVES)
"""Those that look at `detail`'s texture."""

_SURFACES = (
    "".join(f"#define {kind.name} {kind.value}\n" for kind in Surface)
    + """
#if SURFACE == ASPHALT
#define DETAIL r
#define TILE 6.0
#define DEPTH 0.9
#elif SURFACE == PAVING
#define DETAIL g
#define TILE 4.8
#define DEPTH 1.0
#elif SURFACE == LEAVES
#define DETAIL b
#define TILE 3.5
#define DEPTH 1.1
#elif SURFACE == GRASS
#define DETAIL a
#define TILE 9.0
#define DEPTH 1.1
#endif
"""
)
"""DETAIL, TILE, DEPTH: channel of the texture, metres that it covers, and how much it changes a colour."""

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
#if SURFACE == LEAVES
in vec2 across;
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
#elif SURFACE == LEAVES
out float facing;
out vec3 in_shade;
out vec3 by_sun;
#else
flat out vec3 in_shade;
flat out vec3 by_sun;
#endif

// What is brighter than a camera holds is brought back, as film does it.
vec3 held(vec3 light) {
    vec3 over = max(light - 0.82, 0.0) / 0.18;
    return min(light, 0.82) + 0.18 * over / (1.0 + over);
}

void main() {
    vec3 n = normal;
#if SURFACE == LEAVES
    float by_direction = 0.25 + 0.75 * max(dot(n, to_sun.xyz), 0.0);  // leaves let light through
#else
    if (dot(n, eye.xyz - position) < 0.0) n = -n;
    float by_direction = max(dot(n, to_sun.xyz), 0.0);
#endif
    // A face that looks up sees the whole sky, one that looks down only what the ground sends back.
    vec3 shade = mix(ground.rgb, sky.rgb, n.z * 0.5 + 0.5);
    vec3 shaded = sqrt(shade), sunlit = sqrt(shade + by_direction * sun.rgb);
    in_sun = in_shadow_map(position, n);
#if SURFACE == TEXTURED
    pattern = texel.xy;
    page = texel.z;
#elif SURFACE == FACADE  // a window every 2.4 m along a wall and every 3.2 m up it
    pattern = vec2(dot(position.xy, normalize(vec2(-n.y, n.x))) / 2.4, position.z / 3.2);
    albedo = colour;
#elif SURFACE == LEAVES
    pattern = across / TILE;
    facing = abs(dot(n, normalize(eye.xyz - position)));
#elif SURFACE != PLAIN
    pattern = position.xy / TILE;
#endif
#if SURFACE == TEXTURED || SURFACE == FACADE
    skylight = shaded;
    sunlight = sunlit - shaded;
#else
    in_shade = held(colour * shaded);
    by_sun = held(colour * sunlit) - in_shade;
#endif
    gl_Position = view_projection * vec4(position, 1.0);
}
"""

_FRAGMENT = (
    _LIT
    + """
#if SURFACE == TEXTURED
uniform sampler2DArray atlas;
flat in float page;
#endif
#ifdef DETAIL
uniform sampler2D detail;
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
#elif SURFACE == LEAVES
in float facing;
in vec3 in_shade;
in vec3 by_sun;
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
#ifdef DETAIL
    float near = texture(detail, pattern).DETAIL - 0.5;
#endif
#if SURFACE == LEAVES
    if (near < 0.22 - 1.2 * facing) discard;
#endif
    float lit = sunlit();
#if SURFACE == TEXTURED
    vec3 seen = texture(atlas, vec3(pattern, page)).rgb * (skylight + lit * sunlight);
#elif SURFACE == FACADE
    vec3 seen = facade(albedo, pattern) * (skylight + lit * sunlight);
#else
    vec3 seen = in_shade + lit * by_sun;
#endif
#ifdef DETAIL
    seen *= 1.0 + DEPTH * near;
#endif
    colour = vec4(mix(seen, vec3(0.70, 0.79, 0.88), haze()), 1.0);
}
"""
)


def program(surface: Surface) -> tuple[str, str]:
    """Vertex and fragment shader of a surface."""
    head = f"#version 330\n#define SURFACE {surface.value}\n{_SURFACES}"
    return head + _VIEW + _IN_SUN + _VERTEX, head + _FRAGMENT


_CAST_SHADOW_VERTEX = """
in vec3 position;
in vec2 kept_away;
out vec3 in_sun;
out vec2 away;
void main() {
    in_sun = in_shadow_map(position, vec3(0.0, 0.0, 1.0));  // where the ground below looks
    away = kept_away;
    gl_Position = view_projection * vec4(position, 1.0);
}
"""

_CAST_SHADOW_FRAGMENT = """
in vec2 away;
out vec4 colour;
void main() {
    vec3 direct = sunlit() * to_sun.z * sun.rgb;
    vec3 left = sqrt(((1.0 - away.y) * sky.rgb + (1.0 - away.x) * direct) / (sky.rgb + direct));
    colour = vec4(mix(left, vec3(1.0), haze()), 1.0);
}
"""

_CAST_SHADOW_HEAD = f"#version 330\n{_VIEW}"
CAST_SHADOW = (
    _CAST_SHADOW_HEAD + _IN_SUN + _CAST_SHADOW_VERTEX,
    _CAST_SHADOW_HEAD + _LIT + _CAST_SHADOW_FRAGMENT,
)
"""Vertex and fragment shader of `cast_shadows`: what is left of the colour of ground that looks up."""

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
    float glow = max(dot(r, to_sun), 0.0);  // to the 256th power, in few multiplications: pow is slow in software
    glow *= glow; glow *= glow; glow *= glow; glow *= glow;
    glow *= glow; glow *= glow; glow *= glow; glow *= glow;
    colour = vec4(sky + vec3(1.0, 0.9, 0.7) * glow, 1.0);
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
