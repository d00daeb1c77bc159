"""GLSL of the camera renderer: sun with shadows, sky light, and windows on walls that have no texture.

Faces are flat, so what does not change over a face (which way it looks, how much sun and sky it gets) is worked out
with its corners: in software rendering a pixel's arithmetic is what costs.
"""

_RANDOM = """
float random(vec2 cell) {
    vec3 p = fract(cell.xyx * 0.1031);
    p += dot(p, p.yzx + 33.33);
    return fract((p.x + p.y) * p.z);
}
"""

# Surfaces: 0 plain, 1 a wall with windows, 2 grain of ground, 3 leaves and grass, 4 textured.
VERTEX = """
#version 330
uniform mat4 view_projection;
uniform mat4 sun_projection;
uniform mat4 model;
uniform vec3 eye;
uniform vec3 to_sun;
in vec3 position;
in vec3 normal;
in vec3 colour;
in float semantic;
in vec3 texel;
out vec3 in_sun;
out vec2 pattern;
flat out vec3 albedo;
flat out vec3 skylight;
flat out vec3 sunlight;
flat out int surface;
flat out float page;
void main() {
    vec3 world = (model * vec4(position, 1.0)).xyz;
    vec3 n = mat3(model) * normal;
    if (dot(n, eye - world) < 0.0) n = -n;
    albedo = colour;
    skylight = mix(vec3(0.30, 0.29, 0.27), vec3(0.46, 0.52, 0.60), n.z * 0.5 + 0.5);
    sunlight = max(dot(n, to_sun), 0.0) * vec3(0.95, 0.88, 0.75);
    // Looked up a little off the surface and towards the sun: a shadow map's pixels are as wide as that.
    in_sun = (sun_projection * vec4(world + 0.35 * n + 0.2 * to_sun, 1.0)).xyz * 0.5 + 0.5;
    surface = 0;
    pattern = vec2(0.0);
    page = texel.z;
    if (page >= 0.0) {
        surface = 4;
        pattern = texel.xy;
    } else if (semantic == 1.0 && abs(n.z) < 0.3) {  // a window every 2.4 m along a wall and every 3.2 m up it
        surface = 1;
        pattern = vec2(dot(world.xy, normalize(vec2(-n.y, n.x))) / 2.4, world.z / 3.2);
    } else if (semantic == 2.0 || semantic == 3.0) {
        surface = 2;
        pattern = world.xy * 8.0;
    } else if (semantic == 4.0 || semantic == 5.0) {
        surface = 3;
        pattern = vec2(dot(world, vec3(3.0, 1.7, 2.1)), dot(world, vec3(-1.3, 2.6, 2.9)));
    }
    gl_Position = view_projection * vec4(world, 1.0);
}
"""

FRAGMENT = (
    """
#version 330
uniform sampler2DShadow shadow;
uniform sampler2DArray atlas;
in vec3 in_sun;
in vec2 pattern;
flat in vec3 albedo;
flat in vec3 skylight;
flat in vec3 sunlight;
flat in int surface;
flat in float page;
out vec4 colour;
"""
    + _RANDOM
    + """
// Windows fade to their mean before they alias.
vec3 facade(vec3 wall, vec2 dx, vec2 dy) {
    vec2 inside = fract(pattern);
    float pane = step(0.18, inside.x) * step(inside.x, 0.82) * step(0.3, inside.y) * step(inside.y, 0.8);
    vec3 glass = mix(vec3(0.16, 0.2, 0.26), vec3(0.45, 0.52, 0.58), random(floor(pattern)));
    float sharp = clamp(1.5 - 2.0 * max(abs(dx.x) + abs(dy.x), abs(dx.y) + abs(dy.y)), 0.0, 1.0);
    return mix(wall, glass, mix(0.32, pane, sharp) * 0.85);
}

void main() {
    vec3 base = albedo;
    vec2 dx = dFdx(pattern), dy = dFdy(pattern);
    if (surface == 4) base = textureGrad(atlas, vec3(pattern, page), dx, dy).rgb;
    else if (surface == 1) base = facade(base, dx, dy);
    else if (surface == 2) base *= 0.92 + 0.12 * random(floor(pattern));
    else if (surface == 3) base *= 0.75 + 0.4 * random(floor(pattern));
    bool mapped = all(equal(clamp(in_sun, 0.0, 1.0), in_sun));
    float lit = mapped ? texture(shadow, in_sun) : 1.0;
    float haze = 1.0 - exp(-1.0 / (1800.0 * gl_FragCoord.w));
    colour = vec4(mix(base * (skylight + lit * sunlight), vec3(0.70, 0.79, 0.88), haze), 1.0);
}
"""
)

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
