"""Write and read the paper's data set: four folders under `train/` and `test/`.

8-bit PNGs as published: `image` is the SDR picture, `gainmap` the map over its own Qmax at
1/map_scale of the picture's size, `thumbnail` 256x256 bicubic; `metadata` is Qmax in stops (.npy).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from training.data.images import read_image, read_rgb
from training.data.pairs import Pair, make_thumbnail, robust_qmax, true_log_gain
from vs_gainmap.color.primaries import convert_primaries
from vs_gainmap.errors import MediaError, MetadataError
from vs_gainmap.gainmap import GainMapPreset, render_hdr
from vs_gainmap.models.gmnet import THUMBNAIL_SIZE
from vs_gainmap.photo.dataset import PARTS, PRESET_FILE, write_parts
from vs_gainmap.photo.input import naming
from vs_gainmap.photo.read import check_aspect
from vs_gainmap.untrusted import read_json, read_npy_number

# Folders of patches, as the published crop script names them.
PATCH_PARTS = ("image_sp", "gainmap_sp")
PATCH = re.compile(r"_s\d{3,}$")


def shrink(picture: Tensor, scale: int) -> Tensor:
    """Shrink (C, H, W) by a whole factor with the published filter (cubic), clamped to 0..1."""
    if scale == 1:
        return picture
    planes = picture.numpy().transpose(1, 2, 0)
    height, width = planes.shape[:2]
    small = cv2.resize(planes, (width // scale, height // scale), interpolation=cv2.INTER_CUBIC)
    small = small[..., None] if small.ndim == 2 else small
    return torch.from_numpy(np.ascontiguousarray(small.transpose(2, 0, 1))).clamp(0.0, 1.0)


def write_pair(pair: Pair, stem: str, folder: Path, preset: GainMapPreset) -> None:
    """Write one pair in the layout.

    Args:
        pair: whole picture; its sides must be multiples of twice the map scale.
        stem: file name without suffix; the published code needs 7 characters.
        folder: gets the four parts.
        preset: range and map scale.

    Raises:
        ValueError: the size is no such multiple.
    """
    height, width = pair.sdr_signal.shape[-2:]
    step = 2 * preset.map_scale
    if height % step or width % step:
        raise ValueError(f"layout: {width}x{height} must be a multiple of {step}")
    for part in PARTS:
        (folder / part).mkdir(parents=True, exist_ok=True)
    log_gain = true_log_gain(pair.sdr_signal, pair.hdr, preset)
    qmax = robust_qmax(log_gain, pair.sdr_signal, preset) * preset.max_log_gain
    span = max(qmax - preset.min_log_gain, 1e-3)
    gain_map = ((log_gain - preset.min_log_gain) / span).clamp(0.0, 1.0)
    small = shrink(gain_map, preset.map_scale)
    write_parts(
        folder,
        stem,
        picture=pair.sdr_signal,
        gain_map=small,
        qmax=qmax,
        thumbnail=make_thumbnail(pair.sdr_signal[None])[0],
    )


def read_preset(folder: Path) -> GainMapPreset | None:
    """Return the preset in a folder or the one above it; None where neither has one.

    Raises:
        MediaError: it can't be read.
    """
    for path in (folder / PRESET_FILE, folder.resolve().parent / PRESET_FILE):
        if path.is_file():
            try:
                return GainMapPreset(**read_json(path))
            except (MetadataError, TypeError, OverflowError) as error:
                raise MediaError(f"evaluate: {path} is no preset: {str(error)[:200]}") from error
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutItem:
    """Paths of one picture or patch; metadata and thumbnail are of the whole picture."""

    image: Path
    gain_map: Path
    metadata: Path
    thumbnail: Path

    def load(self, preset: GainMapPreset) -> tuple[Tensor, Tensor, float, Tensor]:
        """Return image (3, H, W), map (1, h, w), Qmax in stops, thumbnail (3, 256, 256).

        Args:
            preset: Qmax is at most its log2(peak).

        Raises:
            MediaError: a picture can't be read, or the map has another aspect.
            MetadataError: Qmax can't be read, or is out of range.
        """
        image = read_rgb(self.image)
        coded = read_image(self.gain_map, cv2.IMREAD_GRAYSCALE)
        with naming(self.gain_map):
            check_aspect(*image.shape[:0:-1], *coded.shape[::-1])
        gain_map = torch.from_numpy(coded).float()[None] / 255
        # As float32 it may be a little over the float64 that it was.
        qmax = read_npy_number(self.metadata, 0.0, preset.max_log_gain * 1.0001)
        thumbnail = read_rgb(self.thumbnail)
        if thumbnail.shape != (3, THUMBNAIL_SIZE, THUMBNAIL_SIZE):
            raise MediaError(f"training: {self.thumbnail} must be {THUMBNAIL_SIZE} pixels square")
        return image, gain_map, min(qmax, preset.max_log_gain), thumbnail


def list_layout(folder: Path, *, patches: bool = False) -> list[LayoutItem]:
    """List the pictures of a folder in the layout, or its patches.

    Pictures are in `image/` and `gainmap/`, patches (`<stem>_s<nnn>.png`) there or in `image_sp/`
    and `gainmap_sp/`.

    Args:
        folder: such as ``.../train``.
        patches: take `image_sp/` where both are there.

    Raises:
        MediaError: the folder is empty, or a part is missing.
    """
    kinds = [PATCH_PARTS, PARTS[:2]] if patches else [PARTS[:2], PATCH_PARTS]
    items = []
    for images, maps in kinds:
        for image in sorted((folder / images).glob("*.png")):
            whole = PATCH.sub("", image.stem)
            item = LayoutItem(
                image=image,
                gain_map=folder / maps / image.name,
                metadata=folder / "metadata" / f"{whole}.npy",
                thumbnail=folder / "thumbnail" / f"{whole}.png",
            )
            for part in (item.gain_map, item.metadata, item.thumbnail):
                if not part.is_file():
                    raise MediaError(f"training: {image.name} has no {part}")
            items.append(item)
        if items:
            return items
    raise MediaError(f"training: no pictures in {folder / 'image'} or {folder / 'image_sp'}")


def render(image: Tensor, gain_map: Tensor, qmax: float, preset: GainMapPreset) -> Tensor:
    """Render a picture with its map: (3, H, W), linear, BT.709, 1.0 = SDR white.

    Args:
        image: (3, H, W), SDR signal, 0..1.
        gain_map: (1, H, W), 0..1, at the same size.
        qmax: stops.
        preset: range and EOTF.
    """
    qmax_norm = torch.tensor(qmax / preset.max_log_gain)
    return render_hdr(image[None], gain_map[None], qmax_norm, preset)[0]


class LayoutDataset(Dataset[dict[str, Tensor]]):
    """Random crops of a folder in the layout, of its patches where it has some.

    Item i is a function of the seed and i, with the keys of `PairDataset`; `hdr` is rendered from
    the map.
    """

    def __init__(
        self,
        folder: Path,
        preset: GainMapPreset,
        *,
        crop: int,
        seed: int,
        length: int,
    ) -> None:
        self.items = list_layout(folder, patches=True)
        self.preset = preset
        self.crop = crop
        self.seed = seed
        self.length = length

    def __len__(self) -> int:
        """Return how many items the whole run draws."""
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Make item `index`."""
        rng = np.random.default_rng([self.seed, index])
        item = self.items[int(rng.integers(len(self.items)))]
        image, gain_map, qmax, thumbnail = item.load(self.preset)
        image = shrink(image, self.preset.map_scale)
        height, width = gain_map.shape[-2:]
        if image.shape[-2:] != gain_map.shape[-2:]:
            raise MediaError(
                f"training: {item.gain_map} is {width}x{height}, but its picture over the "
                f"map scale is {image.shape[-1]}x{image.shape[-2]}"
            )
        if min(height, width) < self.crop:
            raise MediaError(f"training: {item.image} is smaller than a crop of {self.crop}")
        y = int(rng.integers(0, height - self.crop + 1))
        x = int(rng.integers(0, width - self.crop + 1))
        window = (slice(None), slice(y, y + self.crop), slice(x, x + self.crop))
        light = render(image, gain_map, qmax, self.preset)
        hdr = convert_primaries(light, "bt709", "bt2020").clamp(min=0.0)
        return {
            "sdr": image[window],
            "hdr": hdr[window],
            "thumbnail": thumbnail,
            "qmax": torch.tensor(qmax / self.preset.max_log_gain).view(1, 1, 1).float(),
        }
