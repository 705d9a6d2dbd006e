"""Ultra HDR and PQ files: their structure and their codes."""

from __future__ import annotations

import io
import time
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import MpoImagePlugin

from tests.photo_samples import METADATA, ramp, scene, smooth_map, ultrahdr
from vs_gainmap.errors import MediaError
from vs_gainmap.photo.jpeg import (
    APP1,
    appended_images,
    parse_jpeg,
    segment,
)
from vs_gainmap.photo.linear import write_linear
from vs_gainmap.photo.picture import read_picture
from vs_gainmap.photo.write import assemble, encode_jpeg, encode_pq, write_pq
from vs_gainmap.photo.xmp import (
    merge_directory,
    write_directory,
)


def test_padding_takes_linear_time() -> None:
    packet = write_directory(1).replace(b"</rdf:RDF>", b" " * 64_700 + b"</rdf:RDF>")
    begin = time.monotonic()
    with pytest.raises(MediaError, match="no room"):
        merge_directory(packet, 4321)
    assert time.monotonic() - begin < 1


def test_mpf_says_where_the_map_is() -> None:
    data = ultrahdr()
    # Image.open takes a file with a gain map for a plain JPEG; the MPF reader is still there.
    with MpoImagePlugin.MpoImageFile(io.BytesIO(data)) as file:
        assert file.n_frames == 2
        entries = file.mpinfo[0xB002]
        file.seek(1)
        assert file.size == (48, 32)
    first = parse_jpeg(data)
    assert [entry["Size"] for entry in entries] == [first.end, len(data) - first.end]
    assert entries[0]["Attribute"]["MPType"] == "Baseline MP Primary Image"


def test_pq_png_has_cicp_and_the_right_codes(tmp_path: Path) -> None:
    # SMPTE ST 2084: 203 and 1000 cd/m2 are PQ 0.580689 and 0.751827.
    light = np.array([[[1, 1, 1], [1000 / 203, 1000 / 203, 1000 / 203]]], np.float32)
    path = tmp_path / "a.png"
    write_pq(path, light, "bt2020", 203.0)
    data = path.read_bytes()
    at = data.index(b"cICP")
    assert data[at + 4 : at + 8] == bytes([9, 16, 0, 1])
    assert zlib.crc32(data[at : at + 8]) == int.from_bytes(data[at + 8 : at + 12], "big")
    codes = imagecodecs.png_decode(data)
    assert codes.dtype == np.uint16
    np.testing.assert_allclose(codes[0, :, 0] / 65535, [0.580689, 0.751827], atol=1e-5)
    back = read_picture(path)
    assert (back.profile.primaries, back.profile.curve) == ("bt2020", "pq")


def test_pq_avif_is_ten_bits_and_tagged(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    write_pq(path, ramp(), "bt709", 203.0, quality=95)
    back = read_picture(path)
    assert (back.profile.primaries, back.profile.curve) == ("bt2020", "pq")
    wanted = encode_pq(ramp(), "bt709", 203.0, 10) / 1023
    assert np.abs(back.signal / 65535 - wanted).max() < 0.02
    codes = imagecodecs.avif_decode(path.read_bytes())
    assert 255 < codes.max() <= 1023


def test_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(MediaError, match="No space left"):
        write_linear(tmp_path / "a.exr", ramp(), "bt709", 203.0)
    assert list(tmp_path.iterdir()) == []


def test_oversized_segment_is_refused() -> None:
    with pytest.raises(MediaError, match="can't hold"):
        segment(APP1, bytes(65534))


def test_map_of_three_channels_keeps_them() -> None:
    data = assemble(parse_jpeg(encode_jpeg(scene())), smooth_map(96, 64, 3), METADATA)
    (second,) = appended_images(parse_jpeg(data))
    assert second.components == 3
