"""HDR10+: what is measured of a scene, its bits, and what other decoders read back."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.clips import BT709, drawn, frame_props, noise
from tests.media import FFMPEG, mediainfo
from vs_gainmap import MasteringDisplay, encode, measure
from vs_gainmap.cli import main
from vs_gainmap.color.transfer import pq_inverse_eotf
from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.hdr10plus import (
    BINS,
    FrameLight,
    SceneLight,
    SceneMeter,
    percentile_nits,
)
from vs_gainmap.video.hdr_metadata import av1, hevc

IDR, TRAIL = b"\x26\x01\xaf", b"\x02\x01\xaf"


def light(nits: dict[float, int], *, average: float = 10.0) -> FrameLight:
    """Return a frame with so many gray pixels of each level."""
    histogram = np.zeros(BINS, np.uint32)
    for level, count in nits.items():
        code = round(float(pq_inverse_eotf(torch.tensor(level, dtype=torch.float64))) * (BINS - 1))
        histogram[code] += count
    top = max(nits)
    return FrameLight(max_rgb=(top, top / 2, top / 4), average=average, histogram=histogram)


def test_the_message_has_the_bits_of_the_standard() -> None:
    distribution = (1.0, 900.0, 83.4, 5.0, 20.0, 40.0, 90.0, 150.0, 700.0)
    scene = SceneLight(max_rgb=(1000.0, 500.0, 0.04), average=25.06, distribution=distribution)
    message = scene.t35()
    assert message[:7] == bytes([0xB5, 0, 0x3C, 0, 1, 4, 1])
    bits = "".join(f"{byte:08b}" for byte in message[7:])
    widths = [2, 27, 1, 17, 17, 17, 17, 4, *([7, 17] * 9), 10, 1, 1, 1]
    fields = []
    for width in widths:
        fields.append(int(bits[:width], 2))
        bits = bits[width:]
    assert fields[:3] == [1, 0, 0]
    assert fields[3:7] == [10_000, 5_000, 0, 251]  # steps of 0.1 cd/m2
    assert fields[7] == 9
    assert fields[8:26:2] == [1, 5, 10, 25, 50, 75, 90, 95, 99]
    assert fields[9:26:2] == [10, 9000, 83, 50, 200, 400, 900, 1500, 7000]
    assert fields[26:] == [0, 0, 0, 0]
    assert set(bits) <= {"0"}
    assert len(bits) < 8
    with pytest.raises(MetadataError, match="needs 9 values, got 1"):
        SceneLight(max_rgb=(1.0, 1.0, 1.0), average=1.0, distribution=(1.0,)).t35()


def test_percentiles_are_those_of_the_pixels() -> None:
    frame = light({1.0: 50, 100.0: 40, 800.0: 10})
    assert percentile_nits(frame.histogram, 50) == pytest.approx(1.0, rel=0.02)
    assert percentile_nits(frame.histogram, 51) == pytest.approx(100.0, rel=0.02)
    assert percentile_nits(frame.histogram, 99.98) == pytest.approx(800.0, rel=0.02)


def test_frames_become_scenes() -> None:
    meter = SceneMeter()
    for n in range(5):
        lit = light({1.0: 90, 400.0 + n: 10}) if n < 3 else light({50.0: 100}, average=50.0)
        meter.add(lit, begins_scene=n == 3)
    (first, one), (second, two) = meter.scenes()
    assert (first, second) == (0, 3)
    assert one.max_rgb == (402.0, 201.0, 100.5)
    assert one.distribution[1] == pytest.approx(402, rel=0.02)  # the brightest frame's 99.99 %
    assert one.distribution[2] == pytest.approx(90)  # percent up to 100 cd/m2
    assert max(one.distribution[3:]) <= 402.0
    assert two.average == pytest.approx(50)
    assert two.distribution[2] == pytest.approx(100)


def test_hevc_and_av1_get_one_message_a_picture() -> None:
    message = SceneLight(max_rgb=(1.0,) * 3, average=1.0, distribution=(0.0,) * 9).t35()
    _, light_sei = hevc.hdr10_sei(MasteringDisplay(), None), b"\x4e\x01\x90\x00\x80"
    key = hevc.with_hdr10([IDR], [light_sei], [message])
    assert key[0] == light_sei
    assert hevc.parse_sei(key[1]) == [(4, message)]
    assert key[2] == IDR
    between = hevc.with_hdr10([TRAIL], [light_sei], [message])
    assert [hevc.parse_sei(nal) for nal in between[:-1]] == [[(4, message)]]
    delimiter, sequence, frame = b"\x12\x00", b"\x0a\x01\xff", b"\x32\x01\xaa"
    unit = av1.with_hdr10(delimiter + sequence + frame + frame, [b"\x2a\x01\x80"], [message])
    kinds = [(kind, payload) for kind, payload, _ in av1.split_obus(unit)]
    assert [kind for kind, _ in kinds] == [2, 1, 5, 5, 6, 6]
    assert kinds[3][1] == b"\x04" + message + b"\x80"


def shots() -> vs.VideoNode:
    """Return 8 + 8 gray PQ frames of 100 and 600 cd/m2 on black, told apart."""
    blank = noise(320, 192, 16, vs.YUV420P10, _Matrix=9, _Transfer=16, _Primaries=9, _Range=0)

    def draw(n: int, p: int, shape: tuple[int, int]) -> np.ndarray:
        picture = np.full(shape, 512.0 if p else 64.0)
        if p == 0:
            level = torch.tensor(100.0 if n < 8 else 600.0)
            picture[:, shape[1] // 2 :] = round(64 + 876 * float(pq_inverse_eotf(level)))
        return picture

    def tell(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        out = f.copy()
        out.props["_SceneChangePrev"] = int(n == 8)
        return out

    clip = drawn(blank, draw)
    return clip.std.ModifyFrame(clip, tell).std.SetFrameProps(_ChromaLocation=0)


def read_back(path: Path) -> list[str]:
    """Return what ffmpeg prints of each frame's HDR10+ metadata."""
    command = [FFMPEG, "-hide_banner", "-i", path, "-vf", "showinfo", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return re.findall(r"\(HDR10\+\): (.*)", said)


@pytest.mark.parametrize(
    ("encoder", "suffix", "preset"),
    [("x265", "mkv", "ultrafast"), ("x265", "mp4", "ultrafast"), ("svtav1", "mp4", "12")],
)
def test_other_decoders_read_it_back(
    tmp_path: Path, encoder: str, suffix: str, preset: str
) -> None:
    path = tmp_path / f"out.{suffix}"
    clip = measure(shots(), hdr10plus=True)
    made = encode(
        clip,
        path,
        encoder=encoder,
        preset=preset,
        hdr10plus=True,
        mastering=MasteringDisplay(max_nits=1000),
    )
    assert made.scenes == 2
    with av.open(str(path)) as container:
        found = [av.sidedata.sidedata.Type.DYNAMIC_HDR_PLUS in frame.side_data
                 for frame in container.decode(video=0)]  # fmt: skip
    assert found == [True] * 16
    said = read_back(path)
    assert len(said) == 16
    for lines, nits in ((said[:8], 100.0), (said[8:], 600.0)):
        assert len(set(lines)) == 1
        assert "num_windows: 1" in lines[0]
        values = dict(re.findall(r"\((\d+),([\d.]+)\)", lines[0]))
        average = float(re.search(r"average_maxrgb: ([\d.]+)", lines[0]).group(1)) * 10_000
        assert average == pytest.approx(nits / 2, abs=2)
        assert float(values["99"]) * 10_000 == pytest.approx(nits, rel=0.02)
        assert float(values["25"]) * 10_000 == pytest.approx(0, abs=0.1)
    if encoder == "x265":
        assert mediainfo(path)["hdr_format_compatibility"] == "HDR10 / HDR10+ Profile A"


def test_what_cant_be_done_is_said_before_work(tmp_path: Path) -> None:
    clip = measure(shots(), hdr10plus=True)
    with pytest.raises(MediaError, match="HEVC and AV1 alone, not into ffv1"):
        encode(clip, tmp_path / "out.mkv", encoder="ffv1", hdr10plus=True)
    with pytest.raises(MediaError, match=r"needs PQ frames from measure\(clip, hdr10plus=True\)"):
        encode(measure(shots()), tmp_path / "out.mkv", preset="ultrafast", hdr10plus=True)
    assert not list(tmp_path.iterdir())


def test_measured_histograms_are_the_pixels() -> None:
    found = frame_props(measure(shots(), hdr10plus=True), 12)
    counts = np.frombuffer(found["FrameLightHistogram"], "<u4")
    assert counts.sum() == 320 * 192
    level = round(float(pq_inverse_eotf(torch.tensor(600.0))) * (BINS - 1))
    # Chroma of 4:2:0 is flat, so half of the pixels are at each level, but for ringing.
    assert counts[level - 1 : level + 2].sum() == pytest.approx(320 * 96, rel=0.02)
    assert found["FrameMaxRGBNits"] == pytest.approx([600.0] * 3, rel=0.01)


def test_the_command_line(
    tmp_path: Path, tiny_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "sdr.mkv", tmp_path / "hdr.mkv"
    both = [noise(96, 64, 1, vs.YUV420P10, _ChromaLocation=0, **BT709) * 6 for _ in range(2)]
    clip = both[0] + both[1].std.Invert(planes=0)
    encode(clip, source, encoder="ffv1")
    arguments = ["convert", str(source), str(target), "--preset", "ultrafast", "--hdr10plus"]
    arguments += ["--weights", str(tiny_weights), "--percentile", "99"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "HDR10+ of 2 scenes" in out
    assert len(read_back(target)) == 12
    loose = int(re.search(r"MaxCLL (\d+)", out).group(1))
    assert main([*arguments[:-2], "--overwrite"]) == 0
    strict = int(re.search(r"MaxCLL (\d+)", capsys.readouterr().out).group(1))
    assert loose < strict
