"""What `smooth` compares, in one compiled pass, beside filters and plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import vapoursynth as vs
from numpy.typing import NDArray

from tests.clips import BT709, drawn, planes
from tests.test_filters_apply import flat_map
from tests.test_fused import FORMATS, drawn_map, scene
from vs_gainmap import apply, smooth
from vs_gainmap.color.transfer import pq_eotf, pq_inverse_eotf
from vs_gainmap.filters import one_look, smoothing
from vs_gainmap.filters.comparing import LEVEL, Signal, make_grids, read_highlights
from vs_gainmap.filters.one_look import can_look_once, look_once
from vs_gainmap.filters.upsampling import Guided, guide
from vs_gainmap.fused.looking import _find_level
from vs_gainmap.fused.readiness import SWITCH
from vs_gainmap.highlights import MOST_NEAR, NEAR_LEVEL, tally, top_level, top_place

CODE = 1 / 1023
# The kernel's power of signals is near the curve; it is off by the same in every frame.
NEAR = 0.15 * CODE
ROWS, COLUMNS = 9, 16


def grids(
    clip: vs.VideoNode, gain_map: vs.VideoNode, *, guided: bool = False
) -> list[vs.VideoNode]:
    """Return both ways: the compiled one first."""
    signal = Signal.of(gain_map)
    light = signal.light(clip)
    parts = guide(gain_map, clip) if guided else Guided.plain(gain_map)
    pq = signal.pq(light, parts.rest, parts.curve)
    assert can_look_once(clip, parts.whole, signal, COLUMNS, ROWS)
    other = make_grids(light.luma, pq, COLUMNS, ROWS)
    nothing = other.std.BlankClip(keep=True)
    return [look_once(clip, parts, signal, COLUMNS, ROWS, nothing), other, pq]


def gray(seed: int, width: int = 192, height: int = 108) -> vs.VideoNode:
    """Return two frames without color: a ramp with grain, and lamps."""
    rng = np.random.default_rng(seed)
    blank = vs.core.std.BlankClip(format=vs.YUV420P8, width=width, height=height, length=2)

    def draw(n: int, p: int, shape: tuple[int, int]) -> NDArray:
        if p:
            return np.full(shape, 128)
        luma = np.linspace(40, 120, shape[1])[None] + rng.normal(0, 2, shape)
        luma[10:30, 20 + 9 * n : 60] = 190 + rng.normal(0, 6, (20, 40 - 9 * n))
        return luma.round().clip(16, 235)

    return drawn(blank, draw).std.SetFrameProps(**BT709, _ChromaLocation=0)


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("size", [(48, 27), (96, 54), (192, 108), (70, 40)])
def test_it_says_what_filters_say(size: tuple[int, int], guided: bool) -> None:
    clip = gray(1)
    # Filters don't clamp what is applied clamped.
    gain_map = drawn_map(clip, 2, *size).akarin.Expr("x 0 max")
    got, want, pq = grids(clip, gain_map, guided=guided)
    for n in range(2):
        with got.get_frame(n) as f, want.get_frame(n) as g:
            mine, theirs = np.asarray(f[0]).copy(), np.asarray(g[0]).copy()
            bright, other = read_highlights(f), read_highlights(g)
            assert f.props[LEVEL] == pytest.approx(g.props[LEVEL], abs=NEAR)
        signal = planes(pq, n)[0]
        assert bright.level == pytest.approx(top_level(signal), abs=NEAR)
        # Cells without overlap here, triangles there: as a whole they are the same.
        for rows in (slice(0, ROWS), slice(ROWS, 2 * ROWS)):
            assert mine[rows].mean() == pytest.approx(theirs[rows].mean(), abs=0.5 * CODE)
            assert np.abs(mine[rows] - theirs[rows]).mean() < 0.02
        # Samples at the rim of what is near may be beyond it.
        assert len(bright.near) == pytest.approx(len(other.near), rel=0.01, abs=2)
        assert bright.near.mean() == pytest.approx(other.near.mean(), abs=2 * NEAR)
        for mine_too, theirs_too in zip(bright.places.T, other.places.T, strict=True):
            assert mine_too.mean() == pytest.approx(theirs_too.mean(), abs=0.01 * 65536)
        counts = tally(signal)
        assert bright.counts.sum() == counts.sum()
        # Samples at a bin's rim may be in the next: by how many bins they are off, on average.
        off = np.abs(np.cumsum(bright.counts) - np.cumsum(counts)).sum() / counts.sum()
        assert off < 0.1


def test_cells_are_means() -> None:
    clip = gray(3)
    got, _, pq = grids(clip, flat_map(clip, 0.5, 1.0, 4))
    luma, signal = (planes(clip)[0] - 16.0) / 219, planes(pq)[0]
    with got.get_frame(0) as f:
        mine = np.asarray(f[0]).copy()
    for row, column in ((0, 0), (2, 3), (8, 15)):
        part = np.s_[row * 12 : row * 12 + 12, column * 12 : column * 12 + 12]
        assert mine[row, column] == pytest.approx(luma[part].mean(), abs=1e-5)
        assert mine[ROWS + row, column] == pytest.approx(signal[part].mean(), abs=NEAR)


@pytest.mark.parametrize("bits", FORMATS)
def test_any_depth_and_any_color(bits: int) -> None:
    color = {"_Matrix": 9, "_Primaries": 9, "_Range": 1} if bits == 10 else {}
    clip = scene(7, 128, 96, FORMATS[bits], **color)
    gain_map = drawn_map(clip, 5, 64, 48)
    got, _, pq = grids(clip, gain_map)
    # Chroma comes up by a cubic here, as it does in what is shown.
    for n in range(2):
        with got.get_frame(n) as f:
            assert f.props[LEVEL] == pytest.approx(top_level(planes(pq, n)[0]), abs=8 * CODE)


def test_the_level_is_what_is_shown() -> None:
    """Luminance of the HDR picture that `apply` makes of a map that no clamp touches."""
    clip = scene(8, 160, 90, vs.YUV420P8)
    gain_map = flat_map(clip, 0.5, 1.0, 4)
    got = grids(clip, gain_map)[0]
    shown = apply(clip, gain_map, format=vs.RGBS)
    for n in range(2):
        red, green, blue = pq_eotf(torch.from_numpy(np.stack(planes(shown, n))))
        nits = 0.2627 * red + 0.6780 * green + 0.0593 * blue
        signal = pq_inverse_eotf(nits).numpy()
        with got.get_frame(n) as f:
            assert f.props[LEVEL] == pytest.approx(top_level(signal), abs=1.5 * CODE)


@pytest.mark.parametrize("where", ["odd columns", "odd rows", "all alike", "half white", "black"])
def test_the_level_is_right_though_a_quarter_says_otherwise(where: str) -> None:
    blank = vs.core.std.BlankClip(format=vs.YUV420P8, width=192, height=108, length=1)

    def draw(n: int, p: int, shape: tuple[int, int]) -> NDArray:  # noqa: ARG001
        plane = np.full(shape, 128 if p else 60)
        if p == 0 and where == "odd columns":
            plane[:, 1:12:2] = 200
        elif p == 0 and where == "odd rows":
            plane[1:20:2, :] = 180
            plane[1, :] = 210
        elif p == 0 and where == "half white":
            plane[54:] = 235
        elif p == 0 and where == "black":
            plane[:] = 16
        return plane

    clip = drawn(blank, draw).std.SetFrameProps(**BT709, _ChromaLocation=0)
    got, _, pq = grids(clip, flat_map(clip, 0.5, 1.0, 4))
    signal = planes(pq)[0]
    with got.get_frame(0) as f:
        bright = read_highlights(f)
    assert bright.level == pytest.approx(top_level(signal), abs=0.4 * CODE)
    near = np.abs(signal - top_level(signal)) < NEAR_LEVEL
    found = int(near.sum())
    assert len(bright.near) == (found if found <= MOST_NEAR else -(-found // 2))
    rows, columns = np.nonzero(near)
    for told, there in zip(bright.places.T, (columns / 192, rows / 108), strict=True):
        assert told.mean() / 65536 == pytest.approx(there.mean(), abs=0.01)


def test_what_is_no_number_is_no_end() -> None:
    """A network that went astray must not keep a frame forever."""
    samples = np.full((20, 32), np.nan, np.float32)
    ends, counts = np.array([0, 16, 32]), np.zeros(256, np.int64)
    _find_level(samples, ends, counts, 6)
    samples[:2] = 0.5
    assert -1 <= _find_level(samples, ends, counts, 6) <= 2
    assert _find_level(np.full((20, 32), 0.5, np.float32), ends, counts, 6) == pytest.approx(
        0.5, abs=1e-3
    )


def test_of_large_pictures_every_second_pixel_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = gray(4)
    gain_map = flat_map(clip, 0.5, 1.0, 4)
    pq = grids(clip, gain_map)[2]
    few = planes(pq)[0][::2, ::2]
    monkeypatch.setattr(one_look, "is_large", lambda _width, _height: True)
    got = grids(clip, gain_map)[0]
    with got.get_frame(0) as f:
        bright = read_highlights(f)
        cells = np.asarray(f[0])[ROWS : 2 * ROWS].copy()
    assert bright.level == pytest.approx(np.sort(few, axis=None)[top_place(few.size)], abs=NEAR)
    assert bright.counts.sum() == few.size // 2
    assert cells[3, 5] == pytest.approx(few[18:24, 30:36].mean(), abs=NEAR)


def test_frames_are_the_same_however_they_are_asked_for() -> None:
    two = scene(3, 160, 96, vs.YUV420P8)
    clip, gain_map = two * 12, drawn_map(two, 3, 40, 24) * 12
    alone = [planes(smooth(clip, gain_map, radius=3), n)[0] for n in range(24)]
    again = smooth(clip, gain_map, radius=3)
    requests = [again.get_frame_async(n) for n in reversed(range(24))]
    for n, request in zip(reversed(range(24)), requests, strict=True):
        with request.result() as frame:
            np.testing.assert_array_equal(np.asarray(frame[0]), alone[n])


def test_the_way_is_taken_where_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[object] = []

    def spy(*arguments: object) -> vs.VideoNode:
        used.append(arguments)
        return look_once(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(smoothing, "look_once", spy)
    clip = gray(5) * 4
    smooth(clip, flat_map(clip, 0.5, 1.0, 4))
    # Small, so it is looked at again.
    assert len(used) == 2
    for other in (clip.resize.Bicubic(format=vs.YUV444P8), clip[:1]):
        smooth(other, flat_map(other, 0.5, 1.0, 4))
    monkeypatch.setenv(SWITCH, "0")
    made = smooth(clip, flat_map(clip, 0.5, 1.0, 4))
    assert len(used) == 2
    monkeypatch.delenv(SWITCH)
    mine = smooth(clip, flat_map(clip, 0.5, 1.0, 4))
    assert len(used) == 4
    for n in (0, 3):
        difference = np.abs(planes(mine, n)[0] - planes(made, n)[0])
        assert difference.max() < 0.06
        assert difference.mean() < 0.004
