"""GLSL of the camera renderer: sun with shadows, sky light, and windows on walls that have no texture."""

VERTEX = """
#version 330
uniform mat4 view_projection;
uniform mat4 sun_projection;
uniform mat4 model;
in vec3 position;
in vec3 normal;
in vec3 colour;
in float semantic;
out vec3 world;
out vec3 facing;
out vec3 albedo;
out vec4 in_sun;
flat out float kind;
void main() {
    vec4 placed = model * vec4(position, 1.0);
    world = placed.xyz;
    facing = mat3(model) * normal;
    albedo = colour;
    kind = semantic;
    in_sun = sun_projection * placed;
    gl_Position = view_projection * placed;
}
"""

FRAGMENT = """
#version 330
uniform vec3 eye;
uniform vec3 to_sun;
uniform sampler2DShadow shadow;
in vec3 world;
in vec3 facing;
in vec3 albedo;
in vec4 in_sun;
flat in float kind;
out vec4 colour;

float random(vec2 cell) { return fract(sin(dot(cell, vec2(12.9898, 78.233))) * 43758.5453); }

// A window every 2.4 m along a wall and every 3.2 m up it, fading to its mean before it aliases.
vec3 facade(vec3 base, vec3 n) {
    vec2 along = normalize(vec2(-n.y, n.x));
    vec2 cell = vec2(dot(world.xy, along) / 2.4, world.z / 3.2);
    vec2 inside = fract(cell);
    float pane = step(0.18, inside.x) * step(inside.x, 0.82) * step(0.3, inside.y) * step(inside.y, 0.8);
    vec3 glass = mix(vec3(0.16, 0.2, 0.26), vec3(0.45, 0.52, 0.58), random(floor(cell)));
    float sharp = clamp(1.5 - 2.0 * max(fwidth(cell.x), fwidth(cell.y)), 0.0, 1.0);
    return mix(base, glass, mix(0.32, pane, sharp) * 0.85);
}

void main() {
    vec3 n = normalize(facing);
    if (dot(n, eye - world) < 0.0) n = -n;
    vec3 base = albedo;
    if (kind == 1.0 && abs(n.z) < 0.3) base = facade(base, n);
    if (kind == 2.0 || kind == 3.0) base *= 0.92 + 0.12 * random(floor(world.xy * 8.0));
    if (kind == 5.0 || kind == 4.0) base *= 0.75 + 0.4 * random(floor(world.xy * 3.0) + floor(world.z * 3.0));
    vec3 lookup = in_sun.xyz / in_sun.w * 0.5 + 0.5;
    lookup.z -= 0.0006;
    bool mapped = all(greaterThan(lookup, vec3(0.0))) && all(lessThan(lookup, vec3(1.0)));
    float lit = mapped ? texture(shadow, lookup) : 1.0;
    float sun = max(dot(n, to_sun), 0.0) * lit;
    vec3 sky = mix(vec3(0.30, 0.29, 0.27), vec3(0.46, 0.52, 0.60), n.z * 0.5 + 0.5);
    vec3 shaded = base * (sky + sun * vec3(0.95, 0.88, 0.75));
    float haze = 1.0 - exp(-distance(eye, world) / 900.0);
    colour = vec4(mix(shaded, vec3(0.70, 0.79, 0.88), haze), 1.0);
}
"""

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
