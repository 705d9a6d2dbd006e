"""The paper's layout, written and read, and cut into patches."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.training.small import PRESET, make_pair
from training.__main__ import main
from training.evaluation.metrics import pq_psnr
from training.paper.crop import patch_origins
from training.paper.layout import LayoutDataset, list_layout, read_preset, render
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.errors import GainMapError, MediaError


def test_layout_gives_back_the_pair(layout: Path) -> None:
    item = list_layout(layout / "train")[0]
    image, gain_map, qmax, thumbnail = item.load(PRESET)
    pair = make_pair(1)
    assert thumbnail.shape == (3, 256, 256)
    assert image.shape == pair.sdr_signal.shape
    assert gain_map.shape == (1, 32, 48)
    assert (image - pair.sdr_signal).abs().max() <= 0.5 / 255 + 1e-6
    up = torch.nn.functional.interpolate(gain_map[None], scale_factor=2, mode="bilinear")[0]
    light = render(image, up, qmax, PRESET)
    assert pq_psnr(light * 203, convert_primaries(pair.hdr, "bt2020", "bt709") * 203) > 45


def test_patches_are_cut_and_named_as_published(layout: Path, tmp_path: Path) -> None:
    assert patch_origins(1080, 480, 480) == [0, 480]
    assert patch_origins(1000, 480, 240) == [0, 240, 480]
    assert main(["crop", str(layout / "train/image"), str(tmp_path / "image"),
                 "--crop", "32", "--step", "32", "--threads", "2"]) == 0  # fmt: skip
    assert main(["crop", str(layout / "train/gainmap"), str(tmp_path / "gainmap"),
                 "--crop", "16", "--step", "16", "--threads", "1"]) == 0  # fmt: skip
    names = sorted(p.name for p in (tmp_path / "image").iterdir())
    assert names[:2] == ["0000001_s001.png", "0000001_s002.png"]
    assert len(names) == 12
    whole = cv2.imread(str(layout / "train/image/0000001.png"))
    assert np.array_equal(cv2.imread(str(tmp_path / "image/0000001_s002.png")), whole[:32, 32:64])
    for part in ("metadata", "thumbnail"):
        (tmp_path / part).symlink_to(layout / "train" / part)
    items = list_layout(tmp_path)
    assert len(items) == 12
    assert items[5].metadata.name == "0000001.npy"
    patch = LayoutDataset(tmp_path, PRESET, crop=16, seed=0, length=4)[3]
    assert patch["sdr"].shape == (3, 16, 16)
    assert main(["crop", str(layout / "train/image"), str(tmp_path / "image")]) == 1


def test_published_patches_are_found_beside_the_pictures(layout: Path, tmp_path: Path) -> None:
    for part, size in (("image", "32"), ("gainmap", "16")):
        command = ["crop", str(layout / "train" / part), str(tmp_path / f"{part}_sp")]
        assert main([*command, "--crop", size, "--step", size, "--threads", "1"]) == 0
    for part in ("metadata", "thumbnail"):
        (tmp_path / part).symlink_to(layout / "train" / part)
    patches = list_layout(tmp_path)
    assert len(patches) == 12
    assert {item.image.parent.name for item in patches} == {"image_sp"}
    assert {item.gain_map.parent.name for item in patches} == {"gainmap_sp"}
    # Where whole pictures are there, too, training takes the patches, a test the pictures.
    for part in ("image", "gainmap"):
        (tmp_path / part).symlink_to(layout / "train" / part)
    assert [item.image.parent.name for item in list_layout(tmp_path)] == ["image"] * 2
    data = LayoutDataset(tmp_path, PRESET, crop=16, seed=0, length=1)
    assert [item.image for item in data.items] == [item.image for item in patches]


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("none", [], "is not a folder"),
        ("train/metadata", [], "no pictures in"),
        ("train/image", ["--crop", "4000"], "is as large as 4000x4000"),
        ("train/image", ["--step", "0"], "must be 1 or more"),
    ],
)
def test_crop_says_what_it_lacks(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str,
    options: list[str], message: str,
) -> None:  # fmt: skip
    assert main(["crop", str(layout / source), str(tmp_path / "out"), *options]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_incomplete_layout_is_an_error(layout: Path, tmp_path: Path) -> None:
    (tmp_path / "image").symlink_to(layout / "train/image")
    with pytest.raises(MediaError, match=r"0000001\.png has no"):
        list_layout(tmp_path)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("metadata", float("nan"), "must be within"),
        ("metadata", -0.1, "must be within"),
        ("metadata", 9.0, "must be within"),
        ("metadata", "two", "must hold one number"),
        ("gainmap", np.zeros((48, 32), np.uint8), "another aspect"),
        ("gainmap", None, "can't be read"),
        ("thumbnail", np.zeros((64, 64, 3), np.uint8), "256 pixels square"),
        ("thumbnail", None, "can't be read"),
    ],
)
def test_damaged_item_is_one_line(
    layout: Path, tmp_path: Path, part: str, value: object, message: str
) -> None:
    shutil.copytree(layout / "train", tmp_path, dirs_exist_ok=True)
    path = next((tmp_path / part).glob("0000001.*"))
    if part == "metadata":
        np.save(path, np.asarray(value))
    elif value is None:
        path.write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    else:
        cv2.imwrite(str(path), np.asarray(value))
    with pytest.raises(GainMapError, match=message) as caught:
        list_layout(tmp_path)[0].load(PRESET)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        "{}",
        '{"sdr_white": 0, "peak": 5}',
        '{"sdr_white": 203, "peak": Infinity}',
        '{"sdr_white": 203.5, "peak": 1' + "0" * 400 + "}",
        '{"sdr_white": "203", "peak": 5}',
        '{"sdr_white": 203, "peak": 5, "eotf": ["srgb"]}',
        '{"sdr_white": 203, "peak": 5, "map_scale": 3}',
        '{"sdr_white": 203, "peak": 5, "min_log_gain": NaN}',
        '{"sdr_white": 203, "peak": 5, "more": 1}',
    ],
)
def test_what_is_no_preset_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "preset.json").write_text(text)
    with pytest.raises(MediaError, match="is no preset") as caught:
        read_preset(tmp_path)
    assert "\n" not in str(caught.value)
