"""Make the paper's training layout from a folder of gain map photos.

`image/ gainmap/ metadata/ thumbnail/` under `train/` and `test/`, all 8 bits: the SDR
picture, its map over Qmax at 1/map_scale of the size, Qmax in stops, and 256x256.
As published, the log gain is taken as the photo has it, from zero to log2(peak).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from vs_gainmap.errors import GainMapError, MediaError
from vs_gainmap.files import write_bytes
from vs_gainmap.gainmap import PRESETS, GainMapPreset, decode_gain_map
from vs_gainmap.photo.extract import as_sdr_base
from vs_gainmap.photo.options import ReadOptions
from vs_gainmap.photo.predict import make_thumbnail, network_signal
from vs_gainmap.photo.read import GainMapPhoto, read_photo
from vs_gainmap.photo.render import resample_rows, upright
from vs_gainmap.photo.write import npy_bytes, png_bytes

SMOOTH = ReadOptions(sampling="smooth")
PRESET_FILE = "preset.json"
PARTS = ("image", "gainmap", "metadata", "thumbnail")
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".avif", ".heic", ".heif")
# The published loader joins files by the first seven letters of their name.
STEM = "{:07d}"


def write_item(photo: GainMapPhoto, stem: str, folder: Path, preset: GainMapPreset) -> None:
    """Write one photo's four files.

    Args:
        photo: what `read_photo` returned.
        stem: of the files.
        folder: with the four parts in it.
        preset: how much smaller the map is made, and where the log gain ends.

    Raises:
        MediaError: too small, or the files can't be written.
    """
    photo = as_sdr_base(photo)
    turn = photo.picture.orientation
    signal = upright(network_signal(photo.picture).movedim(0, -1).numpy(), turn)
    step = 2 * preset.map_scale
    height, width = (side // step * step for side in signal.shape[:2])
    if min(height, width) < step:
        raise MediaError(f"picture of {signal.shape[1]}x{signal.shape[0]} is too small")
    stored = torch.from_numpy(upright(photo.gain_map, turn)).movedim(-1, 0)
    # One map for three channels, as the network has it.
    log_gain = decode_gain_map(stored, photo.metadata).mean(dim=0)
    log_gain = log_gain.clamp(0.0, preset.max_log_gain)
    qmax = max(float(log_gain.max()), 1e-3)
    size = (signal.shape[1], signal.shape[0])
    full = resample_rows((log_gain / qmax)[..., None].numpy(), size, 0, size[1])
    small = functional.avg_pool2d(full[None, :, :height, :width], preset.map_scale)[0]
    picture = torch.from_numpy(signal).movedim(-1, 0)
    write_parts(
        folder,
        stem,
        picture=picture[:, :height, :width],
        gain_map=small,
        qmax=qmax,
        thumbnail=make_thumbnail(picture),
    )


def write_parts(
    folder: Path, stem: str, *, picture: Tensor, gain_map: Tensor, qmax: float, thumbnail: Tensor
) -> None:
    """Write the four files of one picture.

    Args:
        folder: with the four parts in it.
        stem: of the files.
        picture: (3, H, W), SDR signal, 0..1.
        gain_map: (1, h, w), 0..1.
        qmax: stops.
        thumbnail: (3, 256, 256), SDR signal, 0..1.

    Raises:
        MediaError: a file can't be written.
    """
    for part, planes in (("image", picture), ("gainmap", gain_map), ("thumbnail", thumbnail)):
        codes = (planes.clamp(0, 1) * 255).round().byte().movedim(0, -1).numpy()
        pixels = codes[..., 0] if codes.shape[2] == 1 else codes
        write_bytes(folder / part / f"{stem}.png", png_bytes(pixels))
    write_bytes(folder / "metadata" / f"{stem}.npy", npy_bytes(qmax))


def write_preset(folder: Path, preset: GainMapPreset) -> None:
    """Write the preset of a data set into its folder.

    Raises:
        MediaError: it can't be written.
    """
    write_bytes(folder / PRESET_FILE, json.dumps(asdict(preset), indent=1).encode())


def make_dataset(
    source: Path,
    out: Path,
    *,
    test_every: int = 10,
    preset: GainMapPreset = PRESETS["real-world"],
    track: Callable[[list[Path]], Iterable[Path]] = iter,
) -> tuple[int, int, list[str]]:
    """Make the layout from all gain map photos of a folder, in order of their names.

    Args:
        source: searched with its subfolders.
        out: must not exist, or be empty.
        test_every: every how many-th photo goes to test/; 0 for none.
        preset: written beside the data; its `map_scale` sizes the map.
        track: wraps the photos, for a progress bar.

    Returns:
        How many went to train/ and test/, and a line on each file that was left out.

    Raises:
        MediaError: nothing to read, or `out` is not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise MediaError(f"dataset: {out} is not empty; name another folder")
    paths = sorted(p for p in source.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
    if not paths:
        raise MediaError(f"dataset: no photos in {source}")
    for split in ("train", "test"):
        for part in PARTS:
            (out / split / part).mkdir(parents=True, exist_ok=True)
    names: dict[str, str] = {}
    counts = {"train": 0, "test": 0}
    left_out: list[str] = []
    for path in track(paths):
        number = len(names) + 1
        split = "test" if test_every and number % test_every == 0 else "train"
        stem = STEM.format(number)
        try:
            write_item(read_photo(path, SMOOTH), stem, out / split, preset)
        except GainMapError as error:
            left_out.append(str(error))
            continue
        names[stem] = path.relative_to(source).as_posix()
        counts[split] += 1
    write_bytes(out / "names.json", json.dumps(names, indent=1).encode())
    write_preset(out, preset)
    return counts["train"], counts["test"], left_out
