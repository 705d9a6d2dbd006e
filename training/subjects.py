"""Named subjects to look at: `python -m training subjects`, one sheet of SDR, output and truth.

Averages over pictures hide what viewers see first: a face that glows, blacks that are lifted,
a halo along a window, subtitles that dazzle. All subjects are of held-out scenes or drawn, and are
one film: one operator made their SDR, and they are each other's survey.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from training.evaluate import Item, Method, Output
from training.grade import Grade, Master, letterbox, quantize_pq
from training.metrics import delta_e_itp, ictcp
from training.operators import OPERATORS
from training.pairs import make_sdr, make_thumbnail, show
from training.scenes import Camera, as_stored, perspective
from training.sources import find_sources, read_still
from training.staging.command import view_name
from training.validate import for_sdr_screen
from training.views import read_index
from vs_gainmap.color import convert_primaries, luminance, pq_inverse_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.gainmap import GainMapPreset

WIDTH, HEIGHT = 384, 256
PEAK_NITS = 1000.0
# Subtitles are put onto the finished SDR; their white is then SDR white in the truth.
SUBTITLE_SIGNAL = 0.92
# Share of pixels that count as a picture's darkest, and as its brightest.
DARKEST, BRIGHTEST = 0.02, 0.005
CODES = 1023


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A picture before its SDR is made.

    `nits` (3, H, W), BT.2020, cd/m2; `mask` (H, W), what is looked at, all where None; `letters`
    (1, H, W), 0..1, of subtitles that go onto the SDR.
    """

    name: str
    nits: Tensor
    mask: Tensor | None = None
    letters: Tensor | None = None


# Name, held-out panorama, where to look, and log-average of the grade in cd/m2.
VIEWS = (
    ("sky", "pmndrsassets__spruit_sunrise", Camera(yaw=37, pitch=8, roll=0, fov=70), 50.0),
    ("lamps at night", "waymoviz__shanghai_bund", Camera(yaw=29, pitch=4, roll=0, fov=50), 6.0),
    ("neon", "polygonjs__neon_photostudio", Camera(yaw=9, pitch=0, roll=0, fov=50), 8.0),
    ("window", "polygonjs__neon_photostudio", Camera(yaw=101, pitch=0, roll=0, fov=60), 14.0),
    ("snow", "realismfx__snowy_field", Camera(yaw=35, pitch=-4, roll=0, fov=70), 90.0),
    ("dark scene", "dreiassets__dikhololo_night", Camera(yaw=21, pitch=4, roll=0, fov=60), 0.6),
)
# Staged views of `stage --scenes gkjohnson3d__noon_grass --views 10`: number, and grade.
STAGED_SCENE = "gkjohnson3d__noon_grass"
STAGED = (("light skin", 8, 40.0), ("dark skin", 7, 30.0), ("white shirt", 1, 50.0))


def draw_subjects(hdr: Path, staged: Path | None = None) -> Iterator[Subject]:
    """Yield the subjects; those whose panorama or staged view is not there are left out.

    Args:
        hdr: folder of panoramas.
        staged: folder that `stage` wrote, for skin and a shirt.
    """
    paths = {path.name.split(".")[0]: path for path in find_sources(hdr)}
    for name, scene, camera, average in VIEWS:
        if scene in paths:
            yield Subject(name=name, nits=_view(paths[scene], camera, average))
    if "dreiassets__dikhololo_night" in paths:
        camera = Camera(yaw=140, pitch=0, roll=0, fov=60)
        dark = _view(paths["dreiassets__dikhololo_night"], camera, 0.8)
        letters = subtitles("Nobody has been here for years.")
        yield Subject(name="subtitles", nits=dark, letters=letters, mask=letters[0] > 0.98)
    if "gkjohnson3d__leadenhall_market" in paths:
        camera = Camera(yaw=0, pitch=6, roll=0, fov=75)
        view = _view(paths["gkjohnson3d__leadenhall_market"], camera, 25.0)
        bar = round((HEIGHT - WIDTH / 2.39) / 2)
        rows = torch.arange(HEIGHT)
        mask = ((rows < bar) | (rows >= HEIGHT - bar))[:, None].expand(-1, WIDTH)
        yield Subject(name="black bars", nits=letterbox(view, bar), mask=mask)
    if "gkjohnson3d__noon_grass" in paths:
        camera = Camera(yaw=-70, pitch=4, roll=0, fov=70)
        yield bars_before(_view(paths["gkjohnson3d__noon_grass"], camera, 150.0))
    if "dreiassets__st_fagans_interior" in paths:
        camera = Camera(yaw=-60, pitch=-20, roll=0, fov=60)
        yield paper_on(_view(paths["dreiassets__st_fagans_interior"], camera, 20.0))
    yield cartoon()
    yield from _staged(staged)


def _view(path: Path, camera: Camera, average_nits: float) -> Tensor:
    return _graded(perspective(read_still(path).linear, camera, WIDTH, HEIGHT), average_nits)


def _graded(light: Tensor, average_nits: float) -> Tensor:
    stored = as_stored(light, graded=False)
    if stored is None:
        raise MediaError("subjects: a view without light")
    linear = torch.from_numpy(stored.astype(np.float32))
    return Grade(average_nits=average_nits, peak_nits=PEAK_NITS)(linear)


def _staged(folder: Path | None) -> Iterator[Subject]:
    if folder is None:
        return
    views = {view.path.stem: view for view in read_index(folder)}
    for name, number, average in STAGED:
        view = views.get(view_name(STAGED_SCENE, number).removesuffix(".npy"))
        if view is None:
            continue
        skin = view.load_skin()
        mask = None if skin is None or "skin" not in name else skin[0] > 0.9
        yield Subject(name=name, nits=_graded(view.load(), average), mask=mask)


def subtitles(text: str) -> Tensor:
    """Draw a line of subtitles: (1, H, W), how much letters cover, 0..1."""
    layer = np.zeros((HEIGHT, WIDTH), np.uint8)
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, _), _ = cv2.getTextSize(text, font, 0.55, 2)
    place = ((WIDTH - width) // 2, HEIGHT - 24)
    cv2.putText(layer, text, place, font, 0.55, 255, 2, cv2.LINE_AA)
    return torch.from_numpy(layer)[None].float() / 255


def bars_before(view: Tensor) -> Subject:
    """Put flat dark window bars before a bright view: whatever varies in them is a halo."""
    frame = np.zeros((HEIGHT, WIDTH), np.uint8)
    for x in (0, WIDTH // 2 - 10, WIDTH - 36):
        frame[:, x : x + (20 if 0 < x < WIDTH - 36 else 36)] = 1
    for y in (0, HEIGHT // 2 - 7, HEIGHT - 24):
        frame[y : y + (14 if 0 < y < HEIGHT - 24 else 24)] = 1
    inside = cv2.erode(frame, np.ones((5, 5), np.uint8), borderValue=1) > 0
    covered = torch.from_numpy(frame)[None].float()
    nits = torch.lerp(view, torch.tensor([3.0, 2.7, 2.4]).view(3, 1, 1), covered)
    return Subject(name="window bars", nits=nits, mask=torch.from_numpy(inside))


def paper_on(view: Tensor) -> Subject:
    """Lay a printed sheet at SDR white on a view."""
    sheet = np.zeros((HEIGHT, WIDTH), np.float32)
    corners = np.array([[120, 70], [280, 60], [300, 230], [100, 236]], np.int32)
    cv2.fillConvexPoly(sheet, corners, 1.0, cv2.LINE_AA)
    print_ = np.zeros((HEIGHT, WIDTH), np.float32)
    for row, y in enumerate(range(92, 214, 14)):
        cv2.line(print_, (132, y), (270 if row % 4 < 3 else 200, y - 4), 1.0, 2, cv2.LINE_AA)
    blank = cv2.erode(sheet, np.ones((7, 7))) * (1 - cv2.dilate(print_, np.ones((5, 5)))) > 0.98
    white = torch.tensor([190.0, 188.0, 182.0]).view(3, 1, 1)
    ink = torch.from_numpy(print_)[None]
    paper = white * (1 - 0.94 * ink)
    nits = torch.lerp(view, paper, torch.from_numpy(sheet)[None])
    return Subject(name="white paper", nits=nits, mask=torch.from_numpy(blank))


def cartoon() -> Subject:
    """Draw flat colors with black outlines, white at 203 cd/m2."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    picture[:] = (0.25, 0.5, 0.85)
    shapes: list[tuple[Callable[..., object], tuple[object, ...], tuple[float, float, float]]] = [
        (cv2.rectangle, ((-4, 180), (WIDTH + 4, HEIGHT + 4)), (0.2, 0.55, 0.12)),
        (cv2.circle, ((320, 52), 34), (0.95, 0.8, 0.15)),
        (cv2.ellipse, ((90, 60), (58, 20), 0, 0, 360), (0.95, 0.95, 0.95)),
        (cv2.rectangle, ((40, 110), (160, 206)), (0.8, 0.12, 0.1)),
        (cv2.circle, ((250, 130), 34), (0.85, 0.55, 0.4)),
        (cv2.rectangle, ((222, 164), (278, 236)), (0.95, 0.95, 0.95)),
    ]
    for draw, place, color in shapes:
        draw(picture, *place, color, -1, cv2.LINE_AA)
        draw(picture, *place, (0.005, 0.005, 0.005), 3, cv2.LINE_AA)
    rgb = torch.from_numpy(picture.transpose(2, 0, 1).copy())
    sky = (picture == picture[0, 0]).all(axis=-1).astype(np.uint8)
    flat = torch.from_numpy(cv2.erode(sky, np.ones((5, 5), np.uint8)) > 0)
    nits = convert_primaries(rgb, "bt709", "bt2020").clamp(min=0.0) * 203
    return Subject(name="cartoon", nits=nits, mask=flat)


def as_film(
    subjects: Iterable[Subject], operator: str, preset: GainMapPreset
) -> list[tuple[Subject, Item]]:
    """Make SDR of all subjects by one operator; each gets the others as its survey.

    Args:
        subjects: to show.
        operator: in `OPERATORS`; its first usual setting is taken.
        preset: SDR white and peak of the truth.
    """
    made = []
    for subject in subjects:
        master = Master(nits=quantize_pq(subject.nits), peak_nits=PEAK_NITS)
        mapped = make_sdr(master, OPERATORS[operator].usual[0], wide=True, encoding="bt1886")
        truth = show(master, preset, rolled=False) * preset.sdr_white
        if subject.letters is not None:
            mapped = torch.lerp(mapped, torch.tensor(SUBTITLE_SIGNAL), subject.letters)
            white = torch.tensor(SUBTITLE_SIGNAL**2.4 * preset.sdr_white)
            truth = torch.lerp(truth, white, subject.letters)
        signal = (mapped * 255).round() / 255
        item = Item(name=subject.name, operator=operator, sdr_signal=signal, truth=truth)
        made.append((subject, item))
    seen = [make_thumbnail(item.sdr_signal[None]) for _, item in made]
    return [
        (subject, replace(item, survey=torch.cat(others) if others else None))
        for n, (subject, item) in enumerate(made)
        for others in [seen[:n] + seen[n + 1 :]]
    ]


def look_at(subject: Subject, output: Output, truth: Tensor) -> dict[str, float]:
    """Measure what eyes go to.

    Returns:
        `bias`, the mean error of luminance in steps of 10-bit PQ; `delta_e`, and `color`, its part
        without intensity; light in cd/m2 of the output and (`true_`) of the truth: the
        `darkest`, the `brightest` and, where something is marked, its mean `marked`, its
        brightest pixel `marked_top` and its `spread`, from 1 to 99 %, in steps of PQ.
    """
    y, true = (luminance(light, "bt2020")[0] for light in (output.nits, truth))
    codes, true_codes = pq_inverse_eotf(y) * CODES, pq_inverse_eotf(true) * CODES
    apart = ictcp(output.nits) - ictcp(truth)
    hue = 720 * (0.25 * apart[1].square() + apart[2].square()).sqrt()
    order = true.flatten().argsort()
    low, high = order[: int(DARKEST * len(order))], order[-int(BRIGHTEST * len(order)) :]
    values = {
        "bias": float((codes - true_codes).mean()),
        "delta_e": float(delta_e_itp(output.nits, truth).mean()),
        "color": float(hue.mean()),
    }
    for name, light, signal in (("", y, codes), ("true_", true, true_codes)):
        values[f"{name}darkest"] = float(light.flatten()[low].mean())
        values[f"{name}brightest"] = float(light.flatten()[high].mean())
        if subject.mask is not None:
            marked = signal[subject.mask]
            values[f"{name}marked"] = float(light[subject.mask].mean())
            values[f"{name}marked_top"] = float(light[subject.mask].max())
            values[f"{name}spread"] = float(marked.quantile(0.99) - marked.quantile(0.01))
    return values


def format_looks(looks: dict[str, dict[str, float]]) -> str:
    """Return a table in Markdown: the output's light beside the truth's."""
    lines = [
        "| subject | bias | delta E, of it color | darkest | brightest | marked | its top "
        "| its spread |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, values in looks.items():
        pairs = [
            f"{values[key]:.3g} ({values['true_' + key]:.3g})" if key in values else ""
            for key in ("darkest", "brightest", "marked", "marked_top", "spread")
        ]
        lines.append(
            f"| {name} | {values['bias']:+.0f} | {values['delta_e']:.0f}, {values['color']:.0f} "
            f"| {' | '.join(pairs)} |"
        )
    return "\n".join(lines)


def make_sheet(
    film: list[tuple[Subject, Item]], method: Method
) -> tuple[np.ndarray, dict[str, dict[str, float]]]:
    """Run a method on every subject.

    Returns:
        The sheet, (H, W, 3), 8-bit R, G, B: a row a subject, SDR, output and truth; and looks.
    """
    rows, looks = [], {}
    for subject, item in film:
        output = method(item)
        looks[subject.name] = look_at(subject, output, item.truth)
        panels = [item.sdr_signal, for_sdr_screen(output.nits), for_sdr_screen(item.truth)]
        strip = (torch.cat(panels, dim=-1).clamp(0, 1) * 255).byte().numpy().transpose(1, 2, 0)
        rows.append(_labelled(np.ascontiguousarray(strip), [subject.name, "", ""]))
    header = np.zeros((24, 3 * WIDTH, 3), np.uint8)
    rows.insert(0, _labelled(header, ["SDR", "output, for an SDR screen", "truth, likewise"]))
    return np.concatenate(rows), looks


def _labelled(strip: np.ndarray, labels: list[str]) -> np.ndarray:
    """Write a label into the corner of each panel."""
    for column, text in enumerate(labels):
        place = (6 + column * (strip.shape[1] // len(labels)), 16)
        for thickness, color in ((3, (0, 0, 0)), (1, (255, 255, 255))):
            cv2.putText(
                strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, thickness, cv2.LINE_AA
            )
    return strip


def write_sheet(sheet: np.ndarray, path: Path, *, most_bytes: int = 400_000) -> None:
    """Write a JPEG of the best quality that is small enough."""
    for quality in (88, 82, 76, 70, 62, 54):
        _, coded = cv2.imencode(
            ".jpg", np.ascontiguousarray(sheet[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )
        if len(coded) <= most_bytes:
            break
    path.write_bytes(coded.tobytes())
