"""Blender materials of what `description` says; needs bpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from training.staging.description import Color, Eyes, Hair, Skin, Surface
from training.staging.shapes import Material
from training.staging.tones import mix

SKIN_PASS = "skin"


class _Nodes:
    """A node tree with shorter words."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        tree.nodes.clear()

    def add(self, kind: str, inputs: Mapping[Any, Any] | None = None, **settings: Any) -> Any:
        """Add a node; inputs that are sockets are linked, others set."""
        node = self.tree.nodes.new(kind)
        for name, value in settings.items():
            setattr(node, name, value)
        for name, value in (inputs or {}).items():
            self.put(node.inputs[name], value)
        return node

    def put(self, socket: Any, value: Any) -> None:
        """Link or set one input."""
        if hasattr(value, "is_linked"):
            self.tree.links.new(value, socket)
        elif isinstance(value, tuple) and len(value) == 3 and socket.type == "RGBA":
            socket.default_value = (*value, 1.0)
        else:
            socket.default_value = value

    def mixed(self, share: Any, first: Any, second: Any, blend: str = "MIX") -> Any:
        """Mix two colors."""
        node = self.add("ShaderNodeMix", data_type="RGBA", blend_type=blend)
        # The node has inputs of every type; these are the share and the two colors.
        for index, value in ((0, share), (6, first), (7, second)):
            self.put(node.inputs[index], value)
        return node.outputs[2]

    def math(self, operation: str, first: Any, second: Any = 0.0) -> Any:
        """Do arithmetic."""
        return self.add("ShaderNodeMath", {0: first, 1: second}, operation=operation).outputs[0]

    def scaled(self, value: Any, factor: float, offset: float) -> Any:
        """Multiply and add."""
        return self.math("ADD", self.math("MULTIPLY", value, factor), offset)

    def noise(self, where: Any, scale: float, detail: float = 2.0) -> Any:
        """Return noise of about 0..1."""
        inputs = {"Vector": where, "Scale": scale, "Detail": detail}
        return self.add("ShaderNodeTexNoise", inputs).outputs["Factor"]

    def bump(self, height: Any, distance: float) -> Any:
        """Return a bent normal."""
        return self.add("ShaderNodeBump", {"Height": height, "Distance": distance}).outputs[0]

    def stretch(self, where: Any, scale: tuple[float, float, float]) -> Any:
        """Scale coordinates."""
        inputs = {"Vector": where, "Scale": scale}
        return self.add("ShaderNodeMapping", inputs).outputs[0]

    def rest(self) -> Any:
        """Return where a vertex was when its mesh was made."""
        return self.add("ShaderNodeAttribute", attribute_name="rest").outputs["Vector"]

    def finish(self, shader: Any) -> None:
        """Make a shader the material."""
        self.add("ShaderNodeOutputMaterial", {"Surface": shader})


def _skin(n: _Nodes, skin: Skin) -> None:
    where = n.rest()
    paint = n.add("ShaderNodeAttribute", attribute_name="paint")
    lips, brow, beard = n.add("ShaderNodeSeparateColor", {"Color": paint.outputs["Color"]}).outputs[
        :3
    ]
    blush = paint.outputs["Alpha"]
    flushed: Color = (min(skin.color[0] * 1.04, 1), skin.color[1] * 0.80, skin.color[2] * 0.78)
    pale: Color = (skin.color[0] * 0.86, skin.color[1] * 0.86, skin.color[2] * 0.84)
    patches = n.noise(where, 30.0, 2.0)
    color = n.mixed(n.math("MULTIPLY", patches, skin.mottle), skin.color, flushed)
    color = n.mixed(n.math("MULTIPLY", n.noise(where, 100.0, 1.0), skin.mottle), color, pale)
    color = n.mixed(n.math("MULTIPLY", blush, 0.25 + 0.5 * skin.mottle), color, flushed)
    color = n.mixed(n.math("MULTIPLY", lips, 0.8), color, skin.lips)
    hairy = n.scaled(n.noise(n.stretch(where, (1.0, 1.0, 3.0)), 260.0, 0.0), 0.9, 0.35)
    color = n.mixed(n.math("MULTIPLY", brow, hairy), color, skin.brow)
    shaven = mix(mix(skin.color, skin.brow, 0.45), (0.10, 0.11, 0.13), 0.12)
    color = n.mixed(n.math("MULTIPLY", n.math("MULTIPLY", beard, hairy), skin.beard), color, shaven)
    rough = n.scaled(patches, 0.16, skin.roughness - 0.08)
    inputs = {
        "Base Color": color, "Roughness": rough, "IOR": 1.4, "Subsurface Weight": 0.85,
        "Subsurface Radius": (1.0, 0.4, 0.22), "Subsurface Scale": 0.0035,
        "Coat Weight": skin.oil, "Coat Roughness": 0.3,
        "Normal": n.bump(n.noise(where, 280.0, 1.0), skin.pores),
    }  # fmt: skip
    n.finish(n.add("ShaderNodeBsdfPrincipled", inputs).outputs[0])
    n.add("ShaderNodeOutputAOV", {"Value": 1.0}, aov_name=SKIN_PASS)


def _eyes(n: _Nodes, eyes: Eyes) -> None:
    """Rings around the pupil, which is the pole that `rest` has at +z."""
    where = n.rest()
    unit = n.add("ShaderNodeVectorMath", {0: where}, operation="NORMALIZE").outputs[0]
    height = n.add("ShaderNodeSeparateXYZ", {0: unit}).outputs[2]
    ramp = n.add("ShaderNodeValToRGB", {0: height})
    elements = ramp.color_ramp.elements
    white: Color = (0.56, 0.53, 0.50)
    dark: Color = (eyes.iris[0] * 0.4, eyes.iris[1] * 0.4, eyes.iris[2] * 0.4)
    # Cosine of the angle from the pupil's middle: iris 12 mm and pupil 4 mm on a ball of 24.
    stops = ((0.0, (0.5, 0.34, 0.3)), (0.6, white), (0.855, white), (0.872, dark),
             (0.90, eyes.iris), (0.97, eyes.iris), (0.982, (0.003, 0.003, 0.003)))  # fmt: skip
    while len(elements) < len(stops):
        elements.new(0.5)
    for element, (at, color) in zip(elements, stops, strict=True):
        element.position = at
        element.color = (*color, 1.0)
    inputs = {"Base Color": ramp.outputs[0], "Roughness": 0.35, "Coat Weight": 1.0,
              "Coat Roughness": 0.02}  # fmt: skip
    n.finish(n.add("ShaderNodeBsdfPrincipled", inputs).outputs[0])


def _hair(n: _Nodes, hair: Hair) -> None:
    where = n.rest()
    lock = n.noise(n.stretch(where, (1.0, 1.0, 0.18)), 420.0, 0.0)
    tuft = n.noise(n.stretch(where, (1.0, 1.0, 0.3)), 60.0, 0.0)
    light: Color = mix(hair.color, (0.8, 0.7, 0.6), 0.12)
    dark: Color = (hair.color[0] * 0.35, hair.color[1] * 0.35, hair.color[2] * 0.35)
    color = n.mixed(lock, dark, n.mixed(tuft, hair.color, light))
    inputs = {"Base Color": color, "Roughness": hair.roughness, "Normal": n.bump(lock, 0.004),
              "Specular IOR Level": 0.35}  # fmt: skip
    n.finish(n.add("ShaderNodeBsdfPrincipled", inputs).outputs[0])


def _stripes(n: _Nodes, where: Any, scale: float) -> Any:
    x = n.add("ShaderNodeSeparateXYZ", {0: where}).outputs[0]
    return n.math("GREATER_THAN", n.math("FRACT", n.math("MULTIPLY", x, scale)), 0.6)


def _checks(n: _Nodes, where: Any, scale: float) -> Any:
    x, _, z = n.add("ShaderNodeSeparateXYZ", {0: where}).outputs[:3]
    lines = [
        n.math("GREATER_THAN", n.math("FRACT", n.math("MULTIPLY", v, scale)), 0.5) for v in (x, z)
    ]
    return n.math("MULTIPLY", n.math("ADD", *lines), 0.5)


def _weave(n: _Nodes, where: Any, scale: float) -> Any:
    return n.noise(n.stretch(where, (1.0, 1.0, 0.2)), scale * 12, 3.0)


def _wood(n: _Nodes, where: Any, scale: float) -> Any:
    stretched = n.stretch(where, (0.12, 1.0, 1.0))
    inputs = {"Vector": stretched, "Scale": scale, "Distortion": 6.0, "Detail": 3.0,
              "Detail Scale": 1.5}  # fmt: skip
    return n.add("ShaderNodeTexWave", inputs, bands_direction="Y").outputs["Factor"]


def _marble(n: _Nodes, where: Any, scale: float) -> Any:
    return n.math("POWER", n.noise(where, scale, 8.0), 2.5)


def _spots(n: _Nodes, where: Any, scale: float) -> Any:
    distance = n.add("ShaderNodeTexVoronoi", {"Vector": where, "Scale": scale}).outputs["Distance"]
    return n.math("LESS_THAN", distance, 0.35)


PATTERNS: dict[str, Callable[[_Nodes, Any, float], Any]] = {
    "stripes": _stripes, "checks": _checks, "weave": _weave, "wood": _wood, "marble": _marble,
    "spots": _spots,
}  # fmt: skip


def _picture(n: _Nodes, where: Any, scale: float) -> Any:
    """Return what a screen shows: windows of many colors with text-like rows."""
    cells = n.add("ShaderNodeTexVoronoi", {"Vector": where, "Scale": scale, "Randomness": 0.7},
                  distance="CHEBYCHEV").outputs["Color"]  # fmt: skip
    rows = n.noise(n.stretch(where, (1.0, 1.0, 4.0)), scale * 8)
    return n.mixed(n.math("GREATER_THAN", rows, 0.55), cells, (0.02, 0.02, 0.03))


def _surface(n: _Nodes, surface: Surface) -> None:
    where = n.rest()
    color: Any = surface.color
    height: Any = n.noise(where, 35.0, 2.0)
    if surface.pattern == "picture":
        color = n.mixed(0.7, surface.color, _picture(n, where, surface.scale), "MULTIPLY")
    elif surface.pattern != "plain":
        share = PATTERNS[surface.pattern](n, where, surface.scale)
        color = n.mixed(share, surface.color, surface.second)
        height = share if surface.pattern in ("weave", "wood") else height
    inputs = {
        "Base Color": (0.0, 0.0, 0.0) if surface.emission else color,
        "Roughness": surface.roughness, "Metallic": surface.metallic,
        "Transmission Weight": surface.transmission, "Coat Weight": surface.coat,
        "Sheen Weight": surface.sheen, "Subsurface Weight": surface.subsurface,
        "Subsurface Scale": 0.01, "Emission Color": color, "Emission Strength": surface.emission,
    }  # fmt: skip
    if surface.bump:
        inputs["Normal"] = n.bump(height, surface.bump)
    shader = n.add("ShaderNodeBsdfPrincipled", inputs).outputs[0]
    if surface.transmission:
        # Glass lets light through to what lies in its shadow: caustics are not traced.
        ray = n.add("ShaderNodeLightPath").outputs["Is Shadow Ray"]
        clear = n.add("ShaderNodeBsdfTransparent", {"Color": surface.color}).outputs[0]
        shader = n.add("ShaderNodeMixShader", {0: ray, 1: shader, 2: clear}).outputs[0]
    n.finish(shader)


def make_material(bpy: Any, material: Material) -> Any:
    """Return a Blender material."""
    made = bpy.data.materials.new("material")
    nodes = _Nodes(made.node_tree)
    if isinstance(material, Skin):
        _skin(nodes, material)
    elif isinstance(material, Eyes):
        _eyes(nodes, material)
    elif isinstance(material, Hair):
        _hair(nodes, material)
    else:
        _surface(nodes, material)
    return made
