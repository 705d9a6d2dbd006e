"""Convert SDR to HDR without a network: scaling, inverses of BT.2446 A and C, libplacebo.

Each takes an SDR signal (3, H, W), 0..1, BT.709, and returns BT.2020 light in cd/m2 of the same
shape.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from training.data.operators.base import TINY
from training.data.operators.itu import method_c_nits
from vs_gainmap.color.primaries import convert_primaries, luminance, rgb_to_xyz_matrix
from vs_gainmap.color.transfer import (
    REFERENCE_WHITE_NITS,
    bt1886_eotf,
    bt1886_inverse_eotf,
    hlg_inverse_oetf,
    hlg_ootf,
)
from vs_gainmap.errors import MediaError

Baseline = Callable[[Tensor], Tensor]
# Seconds for one picture; a driver that renders on the CPU takes one or two.
FFMPEG_TIMEOUT = 60.0


def scaling(signal: Tensor, *, white_nits: float) -> Tensor:
    """Scale SDR so that its white is at `white_nits` (BT.1886 gamma)."""
    light = convert_primaries(bt1886_eotf(signal), "bt709", "bt2020").clamp(min=0.0)
    return light * white_nits


def bt2446a_inverse(signal: Tensor) -> Tensor:
    """Expand by ITU-R BT.2446-1, clause 4.2, table 4: SDR of 100 to HDR of 1000 cd/m2."""
    light = convert_primaries(bt1886_eotf(signal), "bt709", "bt2020").clamp(0.0, 1.0)
    rgb = bt1886_inverse_eotf(light)
    luma = luminance(rgb, "bt2020")
    code = 255 * luma
    exponent = torch.where(
        code <= 70,
        (1.8712e-5 * code - 2.7334e-3) * code + 1.3141,
        (2.8305e-6 * code - 7.4622e-4) * code + 1.2528,
    )
    out = code.clamp(min=TINY) ** exponent
    factor = 1.075 * out / luma.clamp(min=TINY)
    kr, kg, kb = (float(w) for w in rgb_to_xyz_matrix("bt2020")[1])
    red = out + factor * (rgb[:1] - luma)
    blue = out + factor * (rgb[2:] - luma)
    green = (out - kr * red - kb * blue) / kg
    return 1000 * bt1886_eotf((torch.cat([red, green, blue]) / 1000).clamp(0.0, 1.0))


def bt2446c_inverse(signal: Tensor) -> Tensor:
    """Expand by the inverse of ITU-R BT.2446-1, clause 6.2 (method C)."""
    light = convert_primaries(bt1886_eotf(signal), "bt709", "bt2020").clamp(min=0.0)
    percent = 100 * luminance(light, "bt2020")
    return light * (method_c_nits(percent) / percent.clamp(min=TINY) * 100)


@cache
def libplacebo_ffmpeg() -> str | None:
    """Return the path of an ffmpeg whose libplacebo filter runs here, or None."""
    # libplacebo takes frames in memory from FFmpeg 6 on; a distribution's may be older.
    for program in (_packaged_ffmpeg(), shutil.which("ffmpeg")):
        if program is None:
            continue
        try:
            probe = _libplacebo(program, torch.full((3, 32, 32), 0.5))
        except (subprocess.SubprocessError, OSError, ValueError):
            continue
        if torch.isfinite(probe).all():
            return program
    return None


def _packaged_ffmpeg() -> str | None:
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError:
        return None
    return str(get_ffmpeg_exe())


def _libplacebo(program: str, signal: Tensor) -> Tensor:
    """Return light for a display of 1000 cd/m2.

    ffmpeg's filter can't be given the peak of a PQ target and takes 10000 cd/m2. An HLG target
    has 1000 cd/m2 by definition (ITU-R BT.2100-2, table 5), so the output is HLG, decoded here.
    """
    height, width = signal.shape[-2:]
    rgb = (signal * 65535).round().to(torch.int32).numpy().astype("<u2").transpose(1, 2, 0)
    chain = (
        "setparams=color_primaries=bt709:color_trc=bt709:colorspace=gbr:range=full,"
        "libplacebo=inverse_tonemapping=1:tonemapping=auto:colorspace=gbr:range=full:"
        "color_primaries=bt2020:color_trc=arib-std-b67:format=gbrp16le"
    )
    command = [
        program, "-v", "error", "-init_hw_device", "vulkan",
        "-f", "rawvideo", "-pix_fmt", "rgb48le", "-s", f"{width}x{height}", "-i", "-",
        "-vf", chain, "-f", "rawvideo", "-pix_fmt", "rgb48le", "-",
    ]  # fmt: skip
    done = subprocess.run(
        command, input=rgb.tobytes(), capture_output=True, check=True, timeout=FFMPEG_TIMEOUT
    )
    pixels = np.frombuffer(done.stdout, "<u2").reshape(height, width, 3).astype(np.float32)
    hlg = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))) / 65535
    return hlg_ootf(hlg_inverse_oetf(hlg))


def libplacebo_inverse(signal: Tensor) -> Tensor:
    """Expand by libplacebo's inverse tone mapping to 1000 cd/m2, through ffmpeg.

    Raises:
        MediaError: no ffmpeg with a working libplacebo is here, or it fails or takes too long.
    """
    program = libplacebo_ffmpeg()
    if program is None:
        raise MediaError("evaluate: no ffmpeg with a working libplacebo filter here")
    try:
        return _libplacebo(program, signal)
    except subprocess.TimeoutExpired as error:
        why = f"took more than {FFMPEG_TIMEOUT:g} s for a picture"
        raise MediaError(f"evaluate: libplacebo {why}; try --no-libplacebo") from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        why = lines[-1] if lines else f"ffmpeg ended with {error.returncode}"
        raise MediaError(f"evaluate: libplacebo failed: {why}; try --no-libplacebo") from error
    except (OSError, ValueError) as error:
        raise MediaError(f"evaluate: libplacebo failed: {error}; try --no-libplacebo") from error


def baselines(*, with_libplacebo: bool = True) -> dict[str, Baseline]:
    """Return the baselines that run here, by name."""
    found: dict[str, Baseline] = {
        "scaling 203": partial(scaling, white_nits=REFERENCE_WHITE_NITS),
        "scaling 100": partial(scaling, white_nits=100.0),
        "BT.2446 A inverse": bt2446a_inverse,
        "BT.2446 C inverse": bt2446c_inverse,
    }
    if with_libplacebo and libplacebo_ffmpeg() is not None:
        found["libplacebo"] = libplacebo_inverse
    return found
