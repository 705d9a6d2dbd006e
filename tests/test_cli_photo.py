"""`vs-gainmap photo`, as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image

from tests.photo_samples import (
    METADATA,
    exif_orientation,
    relative,
    scene,
    smooth_map,
    ultrahdr,
    write_weights,
)
from training.paper.layout import list_layout
from vs_gainmap.cli import main
from vs_gainmap.errors import OptionError
from vs_gainmap.gainmap import PRESETS, GainMapMetadata
from vs_gainmap.photo.convert import convert_folder, plan_folder
from vs_gainmap.photo.linear import read_linear
from vs_gainmap.photo.options import ConvertOptions, ReadOptions, RenderOptions, Sampling
from vs_gainmap.photo.picture import read_picture
from vs_gainmap.photo.predict import PhotoPredictor
from vs_gainmap.photo.read import read_photo
from vs_gainmap.photo.render import render_photo
from vs_gainmap.photo.write import encode_jpeg, png_bytes


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    return str(write_weights(path, eotf="srgb"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(ultrahdr(gain_map=smooth_map(48, 32, 3), exif=exif_orientation(6)))
    return path


def run(*args: object) -> int:
    return main([str(arg) for arg in args])


def test_extract_writes_the_papers_files(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "parts"
    assert run("photo", "extract", photo, out) == 0
    assert sorted(p.name for p in out.iterdir()) == [
        "gainmap.png", "metadata.json", "qmax.npy", "sdr.png",
    ]  # fmt: skip
    with Image.open(out / "sdr.png") as sdr, Image.open(out / "gainmap.png") as gain_map:
        assert sdr.size == (64, 96)  # upright
        assert gain_map.size == (32, 48)
    assert float(np.load(out / "qmax.npy")) == pytest.approx(2.0)
    fields = json.loads((out / "metadata.json").read_text())
    assert fields["gamma"] == pytest.approx(METADATA.gamma)


@pytest.mark.parametrize("sampling", ["libultrahdr", "smooth"])
def test_render_of_the_parts_is_render_of_the_photo(
    photo: Path, tmp_path: Path, sampling: Sampling
) -> None:
    parts = tmp_path / "parts"
    chosen = ("--sampling", sampling)
    run("photo", "extract", photo, parts, *chosen)
    for source, name in ((photo, "a.exr"), (parts, "b.exr")):
        command = ("photo", "render", source, tmp_path / name, "--primaries", "p3d65", *chosen)
        assert run(*command) == 0
    whole, _ = read_linear(tmp_path / "a.exr")
    again, _ = read_linear(tmp_path / "b.exr")
    # sdr.png has 8 bits, to which a decoder that repeats chroma does not round.
    limits = {"libultrahdr": 0.015, "smooth": 0.0002}
    assert np.abs(again - whole).mean() / whole.mean() < limits[sampling]
    expected = render_photo(read_photo(photo, ReadOptions(sampling=sampling)), primaries="p3d65")
    np.testing.assert_allclose(whole, expected, rtol=1e-3, atol=1e-4)


def test_render_with_qmax_alone_is_the_papers_form(tmp_path: Path) -> None:
    Image.fromarray(scene()).save(tmp_path / "sdr.png")
    Image.fromarray(smooth_map(96, 64)[..., 0]).save(tmp_path / "gainmap.png")
    np.save(tmp_path / "qmax.npy", np.float32(1.5))
    parts = [f"--{n}={tmp_path / f}" for n, f in
             (("sdr", "sdr.png"), ("gainmap", "gainmap.png"), ("qmax", "qmax.npy"))]  # fmt: skip
    assert run("photo", "render", tmp_path / "out.tif", *parts) == 0
    hdr, _ = read_linear(tmp_path / "out.tif")
    expected = (scene() / 255) ** 2.2 * 2 ** (1.5 * smooth_map(96, 64) / 255)
    np.testing.assert_allclose(hdr, expected, rtol=1e-4, atol=1e-6)


def test_render_with_qmax_has_the_published_scripts_pixels(tmp_path: Path) -> None:
    sdr, gain_map, qmax = (tmp_path / name for name in ("sdr.jpg", "map.jpg", "qmax.npy"))
    # Colors with edges, at 4:2:0, and a map of half the size.
    blocks = np.random.default_rng(2).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    cv2.imwrite(str(sdr), blocks.repeat(12, axis=0).repeat(12, axis=1))
    cv2.imwrite(str(gain_map), smooth_map(120, 72)[..., 0])
    np.save(qmax, np.float32(2.1))
    # render_sdr_gm_to_linear_hdr.py of the published repository, in its order.
    light = cv2.imread(str(sdr), cv2.IMREAD_UNCHANGED).astype(np.float32) / 255
    stored = cv2.imread(str(gain_map), cv2.IMREAD_UNCHANGED).astype(np.float32) / 255
    stops = np.load(qmax) * cv2.resize(stored, (240, 144), interpolation=cv2.INTER_LINEAR)
    published = light**2.2 * 2 ** stops[..., None]
    cv2.imwrite(str(tmp_path / "published.hdr"), published)
    for name in ("out.tif", "out.hdr"):
        parts = ("--sdr", sdr, "--gainmap", gain_map, "--qmax", qmax)
        assert run("photo", "render", tmp_path / name, *parts) == 0
    hdr, _ = read_linear(tmp_path / "out.tif")
    np.testing.assert_allclose(hdr, published[..., ::-1], rtol=2e-6, atol=1e-7)
    assert published.max() > 3
    ours, theirs = (
        cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)
        for name in ("out.hdr", "published.hdr")
    )
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metadata.json", b"{", "metadata.json"),
        ("metadata.json", b"[1]", "not an object"),
        ("metadata.json", b'{"gamma": [0, 0, 0]}', "gamma must be within 0.01..100"),
        ("metadata.json", b'{"gamma": ["x", 1, 1]}', "gamma must be a number, got 'x'"),
        ("metadata.json", b'{"primaries": "mine"}', "primaries must be one of"),
        ("metadata.json", b'{"eotf": "linear"}', "eotf must be"),
        ("metadata.json", b"[" * 100000, "metadata.json"),
        ("metadata.json", b'{"eotf": ["srgb"]}', "eotf must be"),
        ("metadata.json", b'{"gamma": 1}', "gamma must be three numbers"),
        ("metadata.json", b'{"gain_map_max": [1e999, 1, 1]}', "gain_map_max must be within"),
        ("metadata.json", b'{"gain_map_max": [200, 200, 200]}', "gain_map_max must be within"),
        ("metadata.json", b'{"gain_map_min": [NaN, 0, 0]}', "gain_map_min must be within"),
        ("metadata.json", b'{"base_headroom": {}}', "base_headroom must be a number"),
        ("metadata.json", b'{"alternate_headroom": 1%b}' % (b"0" * 400), "alternate_headroom"),
        ("metadata.json", b'{"base_is_hdr": "yes"}', "base_is_hdr must be true or false"),
        ("metadata.json", b'{"primaries": {"red": [0, 0]}}', "green must be x and y"),
        ("metadata.json", b'{"primaries": {"red": [0.3, 0.3], "green": [0.3, 0.3], "blue": '
         b'[0.3, 0.3], "white": [0.3, 0.3]}}', "make no sense"),
        ("qmax.npy", b"\x93NUMPY", "qmax.npy"),
        ("qmax.npy", np.lib.format.magic(1, 0) + b"v\0{'descr': '<f4', 'fortran_order': False, "
         b"'shape': (999999999999,), }".ljust(118) + b"\n", "qmax.npy"),
    ],
)  # fmt: skip
def test_damaged_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, message: str
) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    Image.fromarray(scene()).save(parts / "sdr.png")
    Image.fromarray(smooth_map()[..., 0]).save(parts / "gainmap.png")
    (parts / name).write_bytes(content)
    assert run("photo", "render", parts, tmp_path / "x.exr") == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1


def test_extract_replaces_nothing_unasked(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, outside = tmp_path / "parts", tmp_path / "outside"
    for name in ("sdr.png", "qmax.npy"):
        out.mkdir()
        (out / name).write_bytes(b"mine")
        assert run("photo", "extract", photo, out) == 1
        assert f"{name}: exists already; add --overwrite" in capsys.readouterr().err
        assert [p.name for p in out.iterdir()] == [name]
        (out / name).unlink()
        # A link that leads nowhere, or to another file, is neither written through.
        (out / name).symlink_to(outside)
        assert run("photo", "extract", photo, out) == 1
        assert run("photo", "extract", photo, out, "--overwrite") == 0
        assert not outside.exists()
        outside.write_bytes(b"mine")
        (out / name).unlink()
        (out / name).symlink_to(outside)
        assert run("photo", "extract", photo, out, "--overwrite") == 0
        assert outside.read_bytes() == b"mine"
        outside.unlink()
        shutil.rmtree(out)


def test_extract_into_the_photos_own_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sdr.png").write_bytes(ultrahdr())
    assert run("photo", "extract", tmp_path / "sdr.png", tmp_path, "--overwrite") == 1
    assert "is the same file as" in capsys.readouterr().err


def test_gain_of_many_stops_is_no_infinity(tmp_path: Path) -> None:
    metadata = GainMapMetadata(gain_map_max=(32.0, 32.0, 32.0), alternate_headroom=32.0)
    (tmp_path / "in.jpg").write_bytes(ultrahdr(metadata=metadata))
    assert run("photo", "render", tmp_path / "in.jpg", tmp_path / "a.exr") == 0
    hdr, _ = read_linear(tmp_path / "a.exr")
    assert hdr.max() > 1e6
    assert np.isfinite(hdr).all()


def test_display_boost_of_one_is_sdr(photo: Path, tmp_path: Path) -> None:
    assert run("photo", "render", photo, tmp_path / "a.tif", "--display-boost", 1) == 0
    hdr, _ = read_linear(tmp_path / "a.tif")
    picture = read_picture(photo)
    base = picture.profile.to_linear(picture.signal).movedim(0, -1).numpy()
    # Weight 0 leaves the offsets' difference alone: 1/64 - 1/32.
    np.testing.assert_allclose(np.sort(hdr.ravel()), np.sort(base.ravel() - 1 / 64), atol=1e-5)


def test_pq_of_photo_and_of_linear_agree(photo: Path, tmp_path: Path) -> None:
    run("photo", "render", photo, tmp_path / "a.tif")
    assert run("photo", "pq", tmp_path / "a.tif", tmp_path / "a.png", "--white", 100) == 0
    assert run("photo", "pq", photo, tmp_path / "b.png", "--white", 100) == 0
    a, b = (imagecodecs.png_decode((tmp_path / n).read_bytes()) for n in ("a.png", "b.png"))
    assert np.abs(a.astype(int) - b.astype(int)).max() <= 40
    assert run("photo", "pq", photo, tmp_path / "c.avif") == 0
    assert read_picture(tmp_path / "c.avif").profile.curve == "pq"


def test_dataset_is_what_training_reads(tmp_path: Path) -> None:
    source, out = tmp_path / "photos", tmp_path / "data"
    source.mkdir()
    plain = GainMapMetadata(gain_map_max=(2.5, 2.5, 2.5), alternate_headroom=2.5)
    for number in range(3):
        (source / f"{number}.jpg").write_bytes(ultrahdr(metadata=plain))
    (source / "none.jpg").write_bytes(encode_jpeg(scene()))
    assert run("photo", "dataset", source, out, "--test-every", 3) == 0
    train, test = list_layout(out / "train"), list_layout(out / "test")
    assert (len(train), len(test)) == (2, 1)
    image, gain_map, qmax, thumbnail = train[0].load(PRESETS["real-world"])
    assert (image.shape, gain_map.shape) == ((3, 64, 96), (1, 32, 48))
    assert thumbnail.shape == (3, 256, 256)
    assert np.abs(image.numpy() * 255 - scene().transpose(2, 0, 1)).mean() < 1.5
    # What the preset can hold: log2(5).
    stops = (2.5 * smooth_map()[..., 0].astype(float) / 255).clip(max=np.log2(5))
    assert np.abs(qmax * gain_map[0].numpy() - stops).mean() < 0.02
    assert json.loads((out / "names.json").read_text())["0000001"] == "0.jpg"


@pytest.mark.parametrize("suffix", ["jpg", "avif", "png", "exr", "hdr", "tif"])
def test_convert_writes_every_kind(
    tmp_path: Path, weights: str, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in.png", tmp_path / f"out.{suffix}"
    Image.fromarray(scene()).save(source)
    assert run("photo", "convert", source, out, "--weights", weights) == 0
    assert capsys.readouterr().out == f"{out}\n"
    ours = PhotoPredictor(weights)(read_picture(source)).render()
    if suffix in ("exr", "hdr", "tif"):
        # .hdr has 8 bits for the channel that is brightest, fewer for the others.
        limit = 0.02 if suffix == "hdr" else 0.001
        assert relative(read_linear(out)[0], ours).mean() < limit
    elif suffix == "jpg":
        assert relative(render_photo(read_photo(out)), ours).mean() < 0.015
    else:
        assert read_picture(out).profile.curve == "pq"


def test_folder_goes_on_after_an_error_and_skips_what_is_done(
    tmp_path: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png"):
        Image.fromarray(scene()).save(source / name)
    (source / "a.jpg").write_bytes(encode_jpeg(scene()))
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (source / "hdr.jpg").write_bytes(ultrahdr())
    (source / "notes.txt").write_text("not a photo")
    command = ("photo", "convert", source, out, "--weights", weights)
    assert run(*command) == 1
    first = capsys.readouterr()
    assert "3 converted, 0 were done already, 1 left out as HDR, 1 failed" in first.out
    assert [line for line in first.err.splitlines() if "broken.jpg" in line]
    made = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert made == ["a.jpg", "a.png.jpg", "sub/b.jpg"]
    (source / "broken.jpg").unlink()
    os.utime(source / "a.jpg", (time.time() + 10, time.time() + 10))
    assert run(*command) == 0
    assert (
        "1 converted, 2 were done already, 1 left out as HDR, 0 failed" in capsys.readouterr().out
    )


def test_folder_is_converted_in_parallel(tmp_path: Path, weights: str) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(scene()).save(tmp_path / "in" / name)
    together = threading.Barrier(2, timeout=20)

    def meet(source: Path, target: Path, *_: object) -> None:
        # Broken, and so a failure, unless two photos are on their way at once.
        together.wait()
        target.write_bytes(source.read_bytes())

    jobs = plan_folder(tmp_path / "in", tmp_path / "out", ".jpg")
    done = list(
        convert_folder(jobs, PhotoPredictor(weights), ConvertOptions(), workers=2, convert=meet)
    )
    assert [error for _, error in done] == [None, None]
    assert all(job.is_done for job in jobs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["extract", "missing.jpg", "x"], "No such file"),
        (["extract", "plain.jpg", "x"], "no gain map"),
        (["render", "plain.jpg", "x.png"], "linear light goes into"),
        (["render", "photo.jpg", "nowhere/x.exr"], "the folder doesn't exist"),
        (["render", "there.exr", "there.exr", "--overwrite"], "is the same file as"),
        (["render", "photo.jpg", "plain.jpg"], "linear light goes into"),
        (["render", "photo.jpg", "there.exr"], "exists already"),
        (["pq", "photo.jpg", "x.jpg"], "PQ goes into"),
        (["pq", "there.exr", "x.png"], "damaged"),
        (["convert", "plain.jpg", "x.jpg", "--max-pixels", "100"], "more than 0.0001 million"),
        (["convert", "plain.jpg", "x.gif"], "must end in"),
        (["convert", "photo.jpg", "x.jpg"], "has a gain map already"),
        (["convert", "small.png", "x.jpg"], "16 or more"),
        (["convert", "text.jpg", "x.jpg"], "not a picture"),
        (["convert", "cmyk.jpg", "x.jpg"], "components"),
        (["dataset", "empty", "x"], "no photos"),
        (["convert", "empty", "x"], "no photos"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(
    tmp_path: Path,
    weights: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(ultrahdr())
    Path("plain.jpg").write_bytes(encode_jpeg(scene()))
    Path("there.exr").write_bytes(b"something")
    Path("text.jpg").write_text("hello")
    Image.fromarray(scene()).convert("CMYK").save("cmyk.jpg")
    Image.fromarray(scene(12, 12)).save("small.png")
    Path("empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    extra = ["--weights", weights] if arguments[0] == "convert" else []
    assert run("photo", *arguments, *extra) == 1
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_photo_or_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["x.exr"], ["a.jpg", "x.exr", "--sdr", "a.png"]):
        with pytest.raises(SystemExit) as caught:
            run("photo", "render", *arguments)
        assert caught.value.code == 2
        assert "give IN, or --sdr and --gainmap" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["render", "a.jpg", "x.exr", "--display-boost", "0.5"],
        ["render", "a.jpg", "x.exr", "--display-boost", "inf"],
        ["pq", "a.jpg", "x.png", "--white", "0"],
        ["pq", "a.jpg", "x.png", "--white", "nan"],
        ["pq", "a.jpg", "x.avif", "--quality", "101"],
        ["convert", "a.jpg", "x.jpg", "--strength", "nan"],
        ["convert", "a.jpg", "x.jpg", "--map-quality", "0"],
        ["convert", "a.jpg", "x.jpg", "--map-scale", "3"],
        ["convert", "a.jpg", "x.jpg", "--max-pixels", "0"],
    ],
)
def test_values_out_of_range_are_refused_at_once(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run("photo", *arguments)
    assert caught.value.code == 2
    assert f"argument {arguments[3]}: " in capsys.readouterr().err
    name = arguments[3].removeprefix("--").replace("-", "_").replace("white", "sdr_white")
    options = ConvertOptions if arguments[0] == "convert" else RenderOptions
    with pytest.raises(OptionError, match=name):
        options(**{name: float(arguments[4])})


@pytest.mark.parametrize("suffix", ["jpg", "png", "exr", "hdr", "tif"])
def test_a_photo_of_another_run_is_not_replaced(
    tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], suffix: str,
) -> None:  # fmt: skip
    source, out = tmp_path / "in.png", tmp_path / f"out.{suffix}"
    Image.fromarray(scene()).save(source)
    predict = PhotoPredictor.__call__

    def meanwhile(*args: object, **options: object) -> object:
        out.write_bytes(b"another run")
        return predict(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(PhotoPredictor, "__call__", meanwhile)
    assert run("photo", "convert", source, out, "--weights", weights) == 1
    assert "another file has come there meanwhile" in capsys.readouterr().err
    assert out.read_bytes() == b"another run"
    assert run("photo", "convert", source, out, "--weights", weights, "--overwrite") == 0
    assert out.stat().st_size > 100


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other names")
@pytest.mark.parametrize("suffix", ["jpg", "avif", "png", "exr", "hdr", "tif"])
@pytest.mark.parametrize("stem", [b"a" * 250, "é".encode() * 125, b"\xff\xfe"], ids=ascii)
def test_names_that_a_file_system_takes(
    tmp_path: Path, weights: str, stem: bytes, suffix: str
) -> None:
    (tmp_path / "plain.png").write_bytes(png_bytes(scene()))
    source, out = (tmp_path / os.fsdecode(stem + end.encode()) for end in (".png", f".{suffix}"))
    (tmp_path / "plain.png").rename(source)
    assert run("photo", "convert", source, out, "--weights", weights, "--overwrite") == (
        1 if source == out else 0
    )
    assert out.stat().st_size > 100
    assert len(list(tmp_path.iterdir())) == len({source, out})
