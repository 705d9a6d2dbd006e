"""Planes to R'G'B' and back, beside zimg."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import vapoursynth as vs
from torch import Tensor

from tests.clips import noise, planes
from vs_gainmap.planes import PlaneFormat, decode_planes, encode_planes, shrink

FORMATS = [
    (vs.YUV420P8, 8, 1, 1),
    (vs.YUV422P10, 10, 1, 0),
    (vs.YUV444P12, 12, 0, 0),
    (vs.YUV420P16, 16, 1, 1),
    (vs.YUV411P8, 8, 2, 0),
]
# H.273's code, and where chroma stands right of and below the middle of its pixels, as a share.
SITES = {0: (-0.5, 0.0), 1: (0.0, 0.0), 2: (-0.5, -0.5), 3: (0.0, -0.5), 4: (-0.5, 0.5)}
MATRICES = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def layout(bits: int, ssw: int, ssh: int, site: int, matrix: int, *, full: bool) -> PlaneFormat:
    right, down = SITES[site]
    kr, kb = MATRICES[matrix]
    return PlaneFormat(
        bits=bits,
        subsampling_w=ssw,
        subsampling_h=ssh,
        kr=kr,
        kb=kb,
        full_range=full,
        right=right * ((1 << ssw) - 1),
        down=down * ((1 << ssh) - 1),
    )


def codes(clip: vs.VideoNode) -> list[Tensor]:
    found = planes(clip)
    return [torch.from_numpy(p if p.dtype == np.uint8 else p.view(np.int16)) for p in found]


@pytest.mark.parametrize("clip_format", FORMATS, ids=lambda f: f"{f[1]}bit{f[2]}{f[3]}")
@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize(("matrix", "full"), [(1, False), (6, True), (9, False)])
def test_decoding_is_zimgs(
    clip_format: tuple[int, int, int, int], site: int, matrix: int, full: bool
) -> None:
    kind, bits, ssw, ssh = clip_format
    clip = noise(64, 32, 1, kind, _Matrix=matrix, _Range=int(full), _ChromaLocation=site)
    ours = decode_planes(codes(clip), layout(bits, ssw, ssh, site, matrix, full=full))
    zimg = np.stack(planes(clip.resize.Bicubic(format=vs.RGBS)))
    assert np.abs(ours[0].numpy() - zimg).max() < 1e-5


@pytest.mark.parametrize("clip_format", FORMATS, ids=lambda f: f"{f[1]}bit{f[2]}{f[3]}")
@pytest.mark.parametrize("site", SITES)
def test_encoding_is_zimgs(clip_format: tuple[int, int, int, int], site: int) -> None:
    kind, bits, ssw, ssh = clip_format
    # Beyond what can be coded, too.
    rgb = noise(64, 32, 1, vs.RGBS, _Matrix=0).std.Expr("x 1.4 * 0.2 -")
    zimg = rgb.resize.Bicubic(format=kind, matrix=9, range=0, chromaloc=site)
    signal = torch.from_numpy(np.stack(planes(rgb)))[None]
    ours = encode_planes(signal, layout(bits, ssw, ssh, site, 9, full=False))
    for mine, theirs in zip(ours, planes(zimg), strict=True):
        coded = mine.numpy().view(theirs.dtype).astype(int)
        # One code where both are in the middle between two.
        assert np.abs(coded - theirs.astype(int)).max() <= 1
        assert (coded != theirs).mean() < 0.01


@pytest.mark.parametrize("size", [(48, 32), (24, 16), (32, 22)])
def test_shrinking_is_zimgs(size: tuple[int, int]) -> None:
    rgb = noise(96, 64, 1, vs.RGBS, _Matrix=0)
    zimg = rgb.resize.Bicubic(*size, filter_param_a=0.0, filter_param_b=0.5)
    ours = shrink(torch.from_numpy(np.stack(planes(rgb)))[None], size[1], size[0])[0].numpy()
    assert np.abs(ours - np.stack(planes(zimg))).max() < 1e-5
