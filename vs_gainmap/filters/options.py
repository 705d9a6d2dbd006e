"""Every option of the filters: a field of a dataclass, with its meaning and what it may be.

Signatures, their help, the command line and its checks are derived from these fields, so that an
option is written once. Importing this module loads neither PyTorch nor plugins.
"""

from __future__ import annotations

import inspect
import math
import textwrap
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Literal, cast

import vapoursynth as vs

from vs_gainmap.errors import GainMapError, OptionError, did_you_mean

if TYPE_CHECKING:
    from vs_gainmap.gainmap import GainMapPreset
    from vs_gainmap.hdr10 import MasteringDisplay

Output = Literal["pq", "hlg", "linear"]
Upsampling = Literal["bilinear", "guided"]
Scale = int | Literal["auto"]

DEFAULT_RADIUS = 24
MAX_RADIUS = 24
MAX_STRENGTH = 4.0
# From here on a number is not written out.
_HUGE = 1e30


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What an option means and may be; `low` and `high` are inclusive."""

    doc: str
    kind: type | tuple[type, ...] | None = None
    """int, float, bool, or types that the value must have; None for what its user checks."""
    low: float | None = None
    high: float | None = None
    choices: tuple[object, ...] = ()

    def check(self, name: str, value: object) -> None:
        """Refuse a value that the option can't have.

        Raises:
            OptionError: it is of the wrong type, not finite, out of range, or no choice.
        """
        # True is 1 to Python.
        if self.choices and (value not in self.choices or isinstance(value, bool)):
            known = ", ".join(str(choice) for choice in self.choices)
            near = did_you_mean(value, map(str, self.choices))
            raise OptionError(f"{name} must be one of {known}, got {value!r}{near}")
        if self.kind is bool and not isinstance(value, bool):
            raise OptionError(f"{name} must be True or False, got {value!r}")
        if isinstance(self.kind, tuple) and not isinstance(value, self.kind):
            names = " or ".join(kind.__name__ for kind in self.kind)
            raise OptionError(f"{name} must be {names}, got {value!r}")
        if self.kind not in (int, float):
            return
        number = isinstance(value, int | float) and not isinstance(value, bool)
        # The largest integers are no float.
        finite = number and (isinstance(value, int) or math.isfinite(cast(float, value)))
        whole = finite and (self.kind is float or value == int(cast(float, value)))
        if not whole:
            what = "a whole number" if self.kind is int else "a number"
            raise OptionError(f"{name} must be {what}, got {value!r}")
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if not low <= cast(float, value) <= high:
            wanted = f"at least {low:g}" if self.high is None else f"{low:g} to {high:g}"
            shown = f"{value:g}" if abs(cast(float, value)) < _HUGE else "a huge number"
            raise OptionError(f"{name} must be {wanted}, got {shown}")


def option[T](
    default: T,
    doc: str,
    *,
    kind: type | tuple[type, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[object, ...] = (),
) -> T:
    """Return a dataclass field that carries an `Option`."""
    spec = Option(doc=doc, kind=kind, low=low, high=high, choices=choices)
    made: T = field(default=default, metadata={"option": spec})
    return made


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all options: every value that is given is checked when it is set."""

    def __post_init__(self) -> None:
        """Check.

        Raises:
            OptionError: see `Option.check`.
        """
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None:
                each.metadata["option"].check(each.name, value)


@dataclass(frozen=True, kw_only=True)
class InputColor(Options):
    """The input's color where its frame props are missing or wrong."""

    matrix: str | int | None = option(
        None, "Matrix of the input: 709, 170m, 470bg, 2020ncl, bt709, ..., or its code in H.273."
    )
    transfer: str | int | None = option(
        None, "Transfer of the input: 709, 601, srgb, ...; only marks it as SDR; see eotf."
    )
    primaries: str | int | None = option(
        None, "Primaries of the input: 709, 170m, 470bg, 2020, p3, ..."
    )
    range: str | int | None = option(None, "Range of the input: limited or full.")
    chroma_location: str | int | None = option(
        None, "Chroma location of the input: left, center, top_left, ..."
    )


@dataclass(frozen=True, kw_only=True)
class Inference(InputColor):
    """How gain maps are predicted."""

    weights: str | Path | None = option(
        None,
        "Bundled name, or a .safetensors, .pth or .pt file; the model's own by default.",
        kind=(str, Path),
    )
    model: str | None = option(
        None,
        "gmnet, the published network, or fast, curves on a bilateral grid; by default GMNet "
        "where a GPU or another backend runs it, else fast.",
        choices=("gmnet", "fast"),
    )
    preset: str | GainMapPreset | None = option(
        None,
        "How a published checkpoint was trained: synthetic or real-world; by default what the "
        "weights' file says.",
    )
    scale: Scale | None = option(
        None,
        "The network's input, and the map, are smaller than the frame by this factor; auto goes "
        "on until the map has at most 960x540 pixels; by default what the weights were trained "
        "for.",
        choices=(1, 2, 4, 8, "auto"),
    )
    tile: int | None = option(
        None,
        "Side of the tiles in map pixels, even, at least 64; 0 never tiles; by default maps "
        "above 2160p are tiled. Only backend torch has tiles.",
        kind=int,
        low=0,
    )
    device: str | None = option(
        None, "cuda, cuda:1, mps or cpu; by default a GPU where there is one.", kind=(str,)
    )
    dtype: str | None = option(
        None,
        "Precision of the network; by default what the device is good at; int8 with backends ov "
        "and ort.",
        choices=("float32", "float16", "bfloat16", "int8"),
    )
    num_streams: int | None = option(
        None, "Frames in flight on the device; by default 3 on CUDA, else 1.", kind=int, low=1,
        high=16,
    )  # fmt: skip
    backend: str = option(
        "torch",
        "What runs the network: PyTorch, or vs-mlrt's OpenVINO, ONNX Runtime or ncnn.",
        choices=("torch", "ov", "ort", "ncnn"),
    )
    radius: int = option(
        DEFAULT_RADIUS,
        "Steadiness: frames on either side over which Qmax and the global features are averaged, "
        "within a shot and among frames that are alike; 0 takes each frame by itself.",
        kind=int,
        low=0,
        high=MAX_RADIUS,
    )

    def __post_init__(self) -> None:
        """Check.

        Raises:
            OptionError: see `Option.check`; or the tile is odd or too small.
        """
        super().__post_init__()
        if self.preset is not None:
            from vs_gainmap.gainmap import GainMapPreset

            Option(doc="", kind=(str, GainMapPreset)).check("preset", self.preset)
        if self.tile is not None and (self.tile % 2 or 0 < self.tile < 64):
            raise OptionError(f"tile must be even and at least 64, or 0, got {self.tile}")


@dataclass(frozen=True, kw_only=True)
class Rendering(InputColor):
    """How a gain map is applied, and what comes out."""

    sdr_white: float | None = option(
        None,
        "Light of SDR white, cd/m2; by default the weights' own, 203 (BT.2408).",
        kind=float,
        low=1,
        high=10_000,
    )
    peak_nits: float | None = option(
        None,
        "The brightest output, cd/m2; the gain is stretched to reach it; by default as far above "
        "sdr_white as the weights' peak is above theirs.",
        kind=float,
        low=1,
        high=10_000,
    )
    strength: float = option(
        1.0,
        "Factor on the gain in stops; 0 leaves SDR as it is; gain ends at the peak.",
        kind=float,
        low=0,
        high=MAX_STRENGTH,
    )
    eotf: str | None = option(
        None,
        "How SDR becomes light; by default what the weights were trained with.",
        choices=("gamma22", "bt1886", "srgb"),
    )
    upsampling: Upsampling | None = option(
        None,
        "How a smaller map goes up: bilinear, as published, or guided by the clip's luma, which "
        "keeps edges sharp; guided by default.",
        choices=("bilinear", "guided"),
    )
    format: int | str = option(
        int(vs.YUV420P10), "YUV or RGB of 10 bits or more, or RGBS; YUV420P10 is HDR10."
    )
    output: Output = option(
        "pq",
        "Transfer of the output; linear has 1.0 = SDR white and needs format RGBS or RGBH.",
        choices=("pq", "hlg", "linear"),
    )
    output_chroma_location: str | int = option(
        "left",
        "Chroma location of the output: left is what decoders assume, top_left what UHD Blu-ray "
        "has.",
    )
    dither: str = option(
        "none",
        "zimg's dither.",
        choices=("none", "ordered", "random", "error_diffusion"),
    )
    mastering: MasteringDisplay | None = option(
        None,
        "Mastering display for the props; by default P3-D65 (BT.2020 where the input is), 0.0001 "
        "cd/m2 to the peak.",
    )
    max_cll: int | None = option(
        None, "MaxCLL when it is known, cd/m2, together with max_fall.", kind=int, low=0,
        high=65_535,
    )  # fmt: skip
    max_fall: int | None = option(
        None, "MaxFALL when it is known, cd/m2.", kind=int, low=0, high=65_535
    )
    measure: bool = option(
        False, "Attach FrameMaxNits and FrameAverageNits to every frame.", kind=bool
    )

    def __post_init__(self) -> None:
        """Check.

        Raises:
            OptionError: see `Option.check`; or one of the light levels comes alone.
        """
        super().__post_init__()
        if self.mastering is not None:
            from vs_gainmap.hdr10 import MasteringDisplay

            Option(doc="", kind=(MasteringDisplay,)).check("mastering", self.mastering)
        if (self.max_cll is None) != (self.max_fall is None):
            raise OptionError("max_cll and max_fall go together; give both or neither")


@dataclass(frozen=True, kw_only=True)
class Conversion(Inference, Rendering):
    """All options of `sdr_to_hdr10`."""


def with_options[**P, O, R](
    options: Callable[P, O],
) -> Callable[[Callable[[vs.VideoNode, O], R]], Callable[Concatenate[vs.VideoNode, P], R]]:
    """Make a function of a clip and an options object one of a clip and keywords.

    Args:
        options: the dataclass. Its fields become the keywords, with their types, defaults and
            docs, and a wrong one is a `vs.Error` that names the function.
    """

    def decorate(
        function: Callable[[vs.VideoNode, O], R],
    ) -> Callable[Concatenate[vs.VideoNode, P], R]:
        return cast(Callable[Concatenate[vs.VideoNode, P], R], _public(function, options))

    return decorate


def with_map_and_options[**P, O, R](
    options: Callable[P, O],
) -> Callable[
    [Callable[[vs.VideoNode, vs.VideoNode, O], R]],
    Callable[Concatenate[vs.VideoNode, vs.VideoNode, P], R],
]:
    """Do what `with_options` does for a function of a clip and its gain map."""

    def decorate(
        function: Callable[[vs.VideoNode, vs.VideoNode, O], R],
    ) -> Callable[Concatenate[vs.VideoNode, vs.VideoNode, P], R]:
        made = _public(function, options)
        return cast(Callable[Concatenate[vs.VideoNode, vs.VideoNode, P], R], made)

    return decorate


def _public(function: Callable[..., Any], options: Any) -> Callable[..., Any]:
    known = {each.name: each for each in fields(options)}
    clips = list(inspect.signature(function).parameters.values())[:-1]

    @wraps(function)
    def public(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in list(kwargs) if name in known}
        for name in kwargs.keys() - {clip.name for clip in clips}:
            near = did_you_mean(name, known)
            raise TypeError(f"{function.__name__}: there is no option {name}{near}")
        try:
            return function(*args, **kwargs, **{_last_parameter(function): options(**given)})
        except GainMapError as error:
            raise vs.Error(f"{function.__name__}: {error}") from error

    keywords = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type
        )
        for name, each in known.items()
    ]
    public.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*clips, *keywords], return_annotation=inspect.signature(function).return_annotation
    )
    public.__doc__ = _with_option_docs(function.__doc__ or "", known)
    return public


def _last_parameter(function: Callable[..., Any]) -> str:
    return list(inspect.signature(function).parameters)[-1]


def _with_option_docs(doc: str, known: dict[str, Any]) -> str:
    """Return a docstring with the options' own after its `Args:` of clips."""
    lines = []
    for name, each in known.items():
        default = "" if each.default in (None, MISSING) else f" Default {each.default!r}."
        text = f"{name}: {each.metadata['option'].doc}{default}"
        lines += textwrap.wrap(text, 96, initial_indent=" " * 8, subsequent_indent=" " * 12)
    before, mark, after = inspect.cleandoc(doc).partition("\n\nReturns:")
    body = "\n".join(line[4:] for line in lines)
    return f"{before}\n{body}{mark}{after}"
