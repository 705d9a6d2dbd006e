"""HDR in: levels of video to the code, primaries of EXR, and files that are broken."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from training.__main__ import main
from training.data.scenes import INDEX, render_views
from training.data.sources import read_source, read_still
from training.data.video import LOOKS, Look, choose, frame_to_nits, scene_frames
from training.evaluation.items import read_runs
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.color.transfer import hlg_inverse_oetf, hlg_ootf
from vs_gainmap.errors import MediaError

PQ, HLG, BT2020, LIMITED, FULL = 16, 18, 9, 1, 2
# ACES 2065-1 (SMPTE ST 2065-1, table 1).
AP0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
WIDE = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)


def yuv_frame(
    codes: tuple[int, int, int],
    *,
    pix_fmt: str = "yuv420p10le",
    transfer: int = PQ,
    color_range: int = LIMITED,
    size: tuple[int, int] = (32, 16),
) -> av.VideoFrame:
    """Return a flat frame of these codes."""
    frame = av.VideoFrame(*size, pix_fmt)
    for plane, code in zip(frame.planes, codes, strict=True):
        dtype = np.dtype("u1" if plane.line_size // plane.width == 1 else "<u2")
        plane.update(np.full(plane.buffer_size // dtype.itemsize, code, dtype).tobytes())
    frame.color_trc, frame.color_primaries, frame.colorspace = transfer, BT2020, 9
    frame.color_range = color_range
    return frame


def flat(nits: torch.Tensor) -> list[float]:
    """Return the middle pixel, after checking that all are the same."""
    assert (nits.amax((1, 2)) - nits.amin((1, 2))).max() <= 1e-4 * nits.max()
    return [float(v) for v in nits[:, 8, 16]]


def pq_nits(signal: float) -> float:
    """SMPTE ST 2084 in double precision, written out again."""
    p = min(max(signal, 0.0), 1.0) ** (32 / 2523)
    return 10000 * (max(p - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * p)) ** (16384 / 2610)


@pytest.mark.parametrize("code", [64, 65, 200, 509, 722, 939, 940])
def test_limited_luma_codes_are_exact(code: int) -> None:
    expected = pq_nits((code - 64) / 876)
    for pix_fmt in ("yuv420p10le", "yuv422p10le", "yuv444p10le"):
        grey = flat(frame_to_nits(yuv_frame((code, 512, 512), pix_fmt=pix_fmt)))
        assert grey == pytest.approx([expected] * 3, rel=2e-4, abs=1e-5)


def test_white_and_a_hundred_nits() -> None:
    # BT.2100-2, table 9: 940 is nominal peak; 100 cd/m2 has signal 0.508078, code 509.08.
    assert flat(frame_to_nits(yuv_frame((940, 512, 512))))[0] == pytest.approx(10000, rel=1e-4)
    assert flat(frame_to_nits(yuv_frame((509, 512, 512))))[0] == pytest.approx(99.93, abs=0.05)


@pytest.mark.parametrize("rgb", [(0.6, 0.3, 0.1), (0.1, 0.55, 0.3), (0.2, 0.25, 0.7)])
@pytest.mark.parametrize(
    ("pix_fmt", "bits", "color_range"),
    [
        ("yuv420p10le", 10, LIMITED),
        ("yuv444p12le", 12, LIMITED),
        ("yuv420p10le", 10, FULL),
        ("yuv444p16le", 16, FULL),
    ],
)
def test_chroma_codes_are_exact(
    rgb: tuple[float, float, float], pix_fmt: str, bits: int, color_range: int
) -> None:
    # BT.2100-2, table 6 (non-constant luminance) and table 9.
    red, green, blue = rgb
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    cb, cr = (blue - luma) / 1.8814, (red - luma) / 1.4746
    if color_range == LIMITED:
        scales, offset = (219 * 2 ** (bits - 8), 224 * 2 ** (bits - 8)), 16 * 2 ** (bits - 8)
    else:
        scales, offset = (2**bits - 1, 2**bits - 1), 0
    middle = 2 ** (bits - 1)
    codes = tuple(
        round(v * s + o)
        for v, s, o in zip(
            (luma, cb, cr), (scales[0], scales[1], scales[1]), (offset, middle, middle), strict=True
        )
    )
    coded = [
        (codes[0] - offset) / scales[0],
        (codes[1] - middle) / scales[1],
        (codes[2] - middle) / scales[1],
    ]
    back = (coded[0] + 1.4746 * coded[2], 0.0, coded[0] + 1.8814 * coded[1])
    green_back = (coded[0] - 0.2627 * back[0] - 0.0593 * back[2]) / 0.6780
    expected = [pq_nits(back[0]), pq_nits(green_back), pq_nits(back[2])]
    seen = flat(frame_to_nits(yuv_frame(codes, pix_fmt=pix_fmt, color_range=color_range)))  # type: ignore[arg-type]
    assert seen == pytest.approx(expected, rel=5e-4)


def test_hlg_codes_are_exact() -> None:
    for code in (64, 502, 721, 940):
        signal = torch.full((3, 1, 1), (code - 64) / 876, dtype=torch.float64)
        expected = float(hlg_ootf(hlg_inverse_oetf(signal))[0])
        frame = yuv_frame((code, 512, 512), transfer=HLG)
        assert flat(frame_to_nits(frame))[0] == pytest.approx(expected, rel=2e-4, abs=1e-3)


def test_sdr_frames_are_an_error() -> None:
    with pytest.raises(MediaError, match="must be PQ or HLG"):
        frame_to_nits(yuv_frame((500, 512, 512), transfer=1))


def test_odd_sizes_have_the_same_levels() -> None:
    for code in (64, 509, 940):
        odd = yuv_frame((code, 512, 512), size=(31, 17))
        assert odd.width == 31
        seen = flat(frame_to_nits(odd))
        assert seen == pytest.approx([pq_nits((code - 64) / 876)] * 3, rel=2e-4, abs=1e-5)


def write_video(path: Path, shots: list[int], *, length: int, keyint: int) -> Path:
    """Write shots of so many frames, each of a brightness of its own that drifts a little."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=Fraction(24))
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = PQ, BT2020, 9
        context.color_range = LIMITED
        params = f"keyint={keyint}:min-keyint={keyint}:scenecut=0:log-level=none:pools=1"
        stream.options = {"x265-params": params, "crf": "4", "preset": "ultrafast"}
        for shot in shots:
            for n in range(length):
                frame = av.VideoFrame(64, 32, "yuv420p10le")
                for plane, code in zip(frame.planes, (shot + n // 4, 512, 512), strict=True):
                    size = plane.buffer_size // 2
                    plane.update(np.full(size, code, "<u2").tobytes())
                frame.color_trc, frame.color_primaries, frame.colorspace = PQ, BT2020, 9
                frame.color_range = LIMITED
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


# Codes that lie in different bins of the histogram.
LEVELS = [100, 300, 500, 700, 400, 600, 200, 800]


def shot_of(nits: torch.Tensor) -> int:
    """Return which of `LEVELS` a picture is of."""
    mean = float(nits.mean())
    return min(range(8), key=lambda i: abs(pq_nits((LEVELS[i] + 1 - 64) / 876) / mean - 1))


@pytest.mark.parametrize(("keyint", "length"), [(4, 8), (500, 8)])
@pytest.mark.parametrize("count", [3, 8])
def test_views_of_a_video_are_of_different_shots(
    tmp_path: Path, keyint: int, length: int, count: int
) -> None:
    path = write_video(tmp_path / "a.mkv", LEVELS, length=length, keyint=keyint)
    seen = [shot_of(still.linear) for still in read_source(path, video_frames=count)]
    assert len(seen) == len(set(seen)) == count
    assert seen == sorted(seen)


def test_few_shots_give_several_frames_each(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", LEVELS[:2], length=20, keyint=4)
    seen = [shot_of(nits) for nits in scene_frames(path, count=6)]
    assert seen == [0, 0, 0, 1, 1, 1]


def test_only_key_frames_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mkv", LEVELS, length=24, keyint=4)

    def refuse(*_: object) -> None:
        raise AssertionError("the whole file was decoded")

    monkeypatch.setattr("training.data.video.numbered", refuse)
    assert len(list(scene_frames(path, count=4))) == 4


def test_a_shot_is_chosen_once_while_there_are_others() -> None:
    def look(n: int, level: int) -> Look:
        histogram = np.zeros((3, 12))
        histogram[:, level] = 1
        return Look(n, histogram)

    looks = [look(n, n * LOOKS // 32 % 12) for n in range(32)]  # four shots, eight looks each
    assert [n // 8 for n in choose(looks, 4)] == [0, 1, 2, 3]
    assert [n // 8 for n in choose(looks, 2)] == [1, 3]
    assert len(set(choose(looks, 11))) == 11
    assert choose(looks[:2], 5) == [0, 1]


def test_evenly_spread_frames_are_what_they_were(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", LEVELS, length=4, keyint=500)
    assert [shot_of(run[0]) for run in read_runs(path, places=8)] == list(range(8))


def write_exr(path: Path, rgb: tuple[float, float, float], primaries: object = None) -> Path:
    """Write a flat picture, with a `chromaticities` header where given."""
    open_exr = pytest.importorskip("OpenEXR")
    header = {"compression": open_exr.ZIP_COMPRESSION, "type": open_exr.scanlineimage}
    if primaries is not None:
        header["chromaticities"] = primaries
    pixels = np.tile(np.float32(rgb), (8, 12, 1))
    open_exr.File(header, {"RGB": pixels}).write(str(path))
    return path


def test_exr_of_bt2020_stays_as_it_is(tmp_path: Path) -> None:
    rgb = (0.7, 0.2, 0.05)
    wide = read_still(write_exr(tmp_path / "a.exr", rgb, WIDE))
    assert wide.linear[:, 0, 0].tolist() == pytest.approx(rgb, rel=1e-4)
    # Without a header it is BT.709, as OpenEXR says.
    plain = read_still(write_exr(tmp_path / "b.exr", rgb))
    expected = convert_primaries(torch.tensor(rgb).view(3, 1, 1), "bt709", "bt2020")
    assert torch.allclose(plain.linear[:, :1, :1], expected)
    # What the caller says goes over what the file says.
    told = read_still(tmp_path / "a.exr", primaries="bt709")
    assert torch.equal(told.linear, plain.linear)


def test_exr_of_aces_keeps_grey_grey_and_takes_color_over(tmp_path: Path) -> None:
    grey = read_still(write_exr(tmp_path / "grey.exr", (0.18, 0.18, 0.18), AP0))
    assert grey.linear[:, 0, 0].tolist() == pytest.approx([0.18] * 3, rel=1e-3)
    # ACES2065-1 of BT.709's red, 1 0 0 (Bradford): the first column of the usual matrix.
    red = read_still(write_exr(tmp_path / "red.exr", (0.439643, 0.089794, 0.017544), AP0))
    expected = convert_primaries(torch.tensor([1.0, 0, 0]).view(3, 1, 1), "bt709", "bt2020")
    assert red.linear[:, 0, 0].tolist() == pytest.approx(expected.flatten().tolist(), abs=1e-3)


def test_exr_of_nonsense_primaries_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"a\.exr has primaries that are none"):
        read_still(write_exr(tmp_path / "a.exr", (1, 1, 1), (0.3,) * 8))


def test_what_is_broken_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "hdr"
    folder.mkdir()
    rng = np.random.default_rng(0)
    cv2.imwrite(str(folder / "good.hdr"), rng.random((32, 64, 3), dtype=np.float32))
    write_exr(folder / "half.exr", (1, 1, 1))
    (folder / "half.exr").write_bytes((folder / "half.exr").read_bytes()[:200])
    (folder / "nonsense.exr").write_bytes(b"nonsense")
    (folder / "cut.mkv").write_bytes(b"nonsense")
    cv2.imwrite(str(folder / "lone.ldr.webp"), np.zeros((8, 8, 3), np.uint8))
    cv2.imwrite(str(folder / "odd.ldr.webp"), np.zeros((8, 8, 3), np.uint8))
    (folder / "odd.metadata.json").write_text('{"gainMapMin": 3}')
    cv2.imwrite(str(folder / "sdr.jpg"), np.zeros((8, 8, 3), np.uint8))
    out = tmp_path / "out"
    assert main(["render", str(folder), "--out", str(out), "--views", "2",
                 "--size", "32", "16"]) == 1  # fmt: skip
    printed = capsys.readouterr()
    assert len(json.loads((out / INDEX).read_text())) == 2
    for name in ("half.exr", "nonsense.exr", "cut.mkv", "lone.ldr.webp", "odd.ldr.webp"):
        assert f"{folder / name}: " in printed.out
        assert name in printed.err
    # A photograph without gain map is left out, too, but nothing is wrong with it.
    assert "sdr.jpg" in printed.out
    assert "sdr.jpg" not in printed.err
    assert "Traceback" not in printed.err

    with pytest.raises(MediaError, match="1 or more"):
        render_views([folder], out, views=0, width=32, height=16)
