"""HDR photos that are made of SDR ones, as others read them."""

from __future__ import annotations

import io
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
import vapoursynth as vs
from PIL import Image, ImageCms

from tests.browser import dump_dom, find_browser
from tests.photo_samples import (
    MOTION_XMP,
    exif_orientation,
    gray_scene,
    picture_bytes,
    ramp,
    relative,
    scene,
    ultrahdr,
    write_weights,
)
from vs_gainmap import predict
from vs_gainmap.color.primaries import convert_primaries, luminance
from vs_gainmap.color.transfer import gamma22_eotf, srgb_eotf
from vs_gainmap.errors import MediaError
from vs_gainmap.photo.convert import convert_photo
from vs_gainmap.photo.input import as_bytes
from vs_gainmap.photo.jpeg import (
    APP0,
    APP1,
    APP2,
    EXIF,
    ICC,
    XMP,
    JpegImage,
    appended_images,
    parse_jpeg,
    segment,
)
from vs_gainmap.photo.linear import read_linear
from vs_gainmap.photo.options import ConvertOptions
from vs_gainmap.photo.picture import read_picture
from vs_gainmap.photo.predict import PhotoPredictor
from vs_gainmap.photo.profile import make_icc
from vs_gainmap.photo.read import read_photo
from vs_gainmap.photo.render import render_photo, upright
from vs_gainmap.photo.write import encode_jpeg, write_pq
from vs_gainmap.photo.xmp import (
    CONTAINER,
    HDRGM,
    ITEM,
    read_properties,
    write_directory,
)

OPTIONS = ConvertOptions()


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> PhotoPredictor:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    weights = write_weights(path, eotf="srgb")
    return PhotoPredictor(weights, device="cpu", dtype="float32")


@pytest.mark.parametrize("picture", [gray_scene(), scene()], ids=["gray", "color"])
def test_standard_reader_gets_our_hdr(
    tmp_path: Path, predictor: PhotoPredictor, picture: np.ndarray
) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    source.write_bytes(encode_jpeg(picture))
    convert_photo(source, target, predictor, OPTIONS)
    ours = predictor(read_picture(source)).render()
    theirs = imagecodecs.ultrahdr_decode(target.read_bytes())[..., :3].astype(np.float32)
    assert ours.max() > 1.2  # there is something to see
    assert relative(theirs, ours).mean() < 0.01
    assert np.abs(theirs - ours).mean() / ours.mean() < 0.01
    mine = render_photo(read_photo(target))
    assert relative(mine, ours).mean() < 0.01


def test_prediction_is_the_published_form(tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "tiny.safetensors")
    predictor = PhotoPredictor(weights, device="cpu", dtype="float32")
    source = tmp_path / "in.png"
    Image.fromarray(scene()).save(source)
    predicted = predictor(read_picture(source))
    assert predicted.log_gain.shape == (32, 48, 1)  # the preset's map is half the size
    assert 0 <= predicted.log_gain.min() < predicted.log_gain.max() <= np.log2(5) + 1e-6
    gain = predicted.render() / np.maximum((scene() / 255) ** 2.2, 1e-6)
    bright = scene().min(axis=2) > 60
    np.testing.assert_allclose(gain[bright].max(axis=1), gain[bright].min(axis=1), rtol=1e-3)


def test_photo_and_video_predict_the_same(tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "tiny.safetensors")
    picture = scene(300, 200)
    blank = vs.core.std.BlankClip(format=vs.RGB24, width=300, height=200, length=1)

    def paint(n: int, f: vs.VideoFrame) -> vs.VideoFrame:  # noqa: ARG001
        frame = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(frame[plane]), picture[..., plane])
        return frame

    clip = predict(
        blank.std.ModifyFrame(blank, paint), weights=weights, device="cpu", dtype="float32"
    )
    with clip.get_frame(0) as frame:
        video = np.asarray(frame[0]) * float(frame.props["GainMapMax"])
    (tmp_path / "in.png").write_bytes(imagecodecs.png_encode(picture))
    photo = PhotoPredictor(weights, device="cpu", dtype="float32")(
        read_picture(tmp_path / "in.png")
    )
    # A photo's light is its profile's, sRGB, and a video's that of a gamma of 2.2.
    signal = torch.nn.functional.interpolate(
        torch.from_numpy(picture / np.float32(255)).permute(2, 0, 1)[None],
        size=video.shape,
        mode="bicubic",
        antialias=True,
    )[0].clamp(0, 1)
    light = [luminance(eotf(signal), "bt709")[0].numpy() for eotf in (gamma22_eotf, srgb_eotf)]
    want = video.clip(0, np.log2(5)) + np.log2((light[0] + 1e-5) / (light[1] + 1e-5))
    np.testing.assert_allclose(photo.log_gain[..., 0], want.clip(0, np.log2(5)), atol=2e-3)


def test_base_stays_byte_for_byte(tmp_path: Path, predictor: PhotoPredictor) -> None:
    icc, exif = make_icc("p3d65"), exif_orientation(6)
    own_xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/'
        b'22-rdf-syntax-ns#"><rdf:Description xmlns:dc="urn:x" dc:title="kept"/></rdf:RDF>'
        b"</x:xmpmeta>"
    )
    plain = encode_jpeg(scene(), icc=icc, exif=exif)
    plain = plain[:2] + segment(APP1, XMP + own_xmp) + plain[2:] + b"trailing bytes"
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    source.write_bytes(plain)
    convert_photo(source, target, predictor, OPTIONS)
    before, after = parse_jpeg(plain), parse_jpeg(target.read_bytes())

    def tables_and_scans(image: JpegImage) -> bytes:
        return (
            b"".join(image.data[s.start : s.end] for s in image.segments if s.marker < APP0)
            + image.data[image.segments[-1].end : image.end]
        )

    assert tables_and_scans(after) == tables_and_scans(before)
    assert after.payloads(APP1, EXIF) == before.payloads(APP1, EXIF) == [exif]
    assert after.payloads(APP2, ICC) == before.payloads(APP2, ICC)
    assert len(after.payloads(APP1, XMP)) == 1
    assert b'dc:title="kept"' in (after.xmp or b"")
    assert b'Item:Semantic="GainMap"' in (after.xmp or b"")
    (gain_map,) = appended_images(after)
    assert target.read_bytes()[gain_map.end :] == b"trailing bytes"
    assert f'Item:Length="{len(gain_map.stream)}"'.encode() in (after.xmp or b"")


# How others write a directory's entry: attributes of an item, elements of one, or of the entry.
STALE_ITEMS = {
    "none": b"",
    "attributes": b'<rdf:li rdf:parseType="Resource"><C:Item I:Semantic="GainMap" I:Length="77"/>'
    b"</rdf:li>",
    "elements": b'<rdf:li rdf:parseType="Resource"><C:Item rdf:parseType="Resource"><I:Semantic>'
    b"GainMap</I:Semantic><I:Length>77</I:Length></C:Item></rdf:li>",
    "entry": b'<rdf:li I:Semantic="GainMap" I:Length="77"/>',
    "other prefix": b'<rdf:li rdf:parseType="Resource"><C:Item xmlns:i2="http://ns.google.com/photos'
    b'/1.0/container/item/" i2:Semantic="GainMap" i2:Length="77"/></rdf:li>',
}


@pytest.mark.parametrize("stale", STALE_ITEMS.values(), ids=STALE_ITEMS)
def test_motion_photo_keeps_its_clip(
    tmp_path: Path, predictor: PhotoPredictor, stale: bytes
) -> None:
    clip = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 40
    plain = encode_jpeg(scene())
    moving = plain[:2] + segment(APP1, XMP + MOTION_XMP % (stale, len(clip))) + plain[2:] + clip
    for name, data in (("plain", plain), ("moving", moving)):
        (tmp_path / f"{name}.jpg").write_bytes(data)
        convert_photo(tmp_path / f"{name}.jpg", tmp_path / f"{name}_hdr.jpg", predictor, OPTIONS)
    made = (tmp_path / "moving_hdr.jpg").read_bytes()
    assert made.endswith(clip)
    first = parse_jpeg(made)
    (gain_map,) = appended_images(first)
    assert gain_map.end == len(made) - len(clip)
    # One directory, in the order of the file, from whose end the clip is found.
    items = read_properties(first.xmp or b"", CONTAINER)
    assert len(items["Directory"]) <= 1
    semantics = read_properties(first.xmp or b"", ITEM)
    assert semantics["Semantic"] == ["Primary", "GainMap", "MotionPhoto"]
    assert semantics["Length"] == [str(len(gain_map.stream)), str(len(clip))]
    assert read_properties(first.xmp or b"", HDRGM) == {"Version": ["1.0"]}
    still = (tmp_path / "plain_hdr.jpg").read_bytes()
    np.testing.assert_array_equal(
        imagecodecs.ultrahdr_decode(made), imagecodecs.ultrahdr_decode(still)
    )
    np.testing.assert_array_equal(
        render_photo(read_photo(tmp_path / "moving_hdr.jpg")),
        render_photo(read_photo(tmp_path / "plain_hdr.jpg")),
    )


@pytest.mark.parametrize("primary", [True, False])
def test_metadata_of_an_earlier_map_go(
    tmp_path: Path, predictor: PhotoPredictor, primary: bool
) -> None:
    plain = encode_jpeg(scene())
    # An editor dropped the map and kept what described it, as attributes and as elements.
    packet = (
        write_directory(4321)
        .replace(b"</rdf:RDF>", b'<rdf:Description xmlns:d="urn:x" d:kept="1"/></rdf:RDF>')
        .replace(
            b"<Container:Directory>",
            b"<hdrgm:GainMapMax>3</hdrgm:GainMapMax><Container:Directory>",
        )
    )
    if not primary:
        packet = packet.replace(b'"Primary"', b'"GainMap"')
    (tmp_path / "in.jpg").write_bytes(plain[:2] + segment(APP1, XMP + packet) + plain[2:])
    convert_photo(tmp_path / "in.jpg", tmp_path / "out.jpg", predictor, OPTIONS)
    first = parse_jpeg((tmp_path / "out.jpg").read_bytes())
    (gain_map,) = appended_images(first)
    assert (first.xmp or b"").count(b"<Container:Directory") == 1
    found = read_properties(first.xmp or b"", ITEM)
    assert found["Semantic"] == ["Primary", "GainMap"]
    assert found["Length"] == [str(len(gain_map.stream))]
    assert read_properties(first.xmp or b"", HDRGM) == {"Version": ["1.0"]}
    assert read_properties(first.xmp or b"", "urn:x") == {"kept": ["1"]}


@pytest.mark.parametrize("packet", [b"", b"<x", b"<x/>", b"<!DOCTYPE a []><a/>", b"<a>" * 9000])
def test_packets_that_are_no_xmp_are_replaced(
    tmp_path: Path, predictor: PhotoPredictor, packet: bytes
) -> None:
    plain = encode_jpeg(scene())
    (tmp_path / "in.jpg").write_bytes(plain[:2] + segment(APP1, XMP + packet) + plain[2:])
    convert_photo(tmp_path / "in.jpg", tmp_path / "out.jpg", predictor, OPTIONS)
    first = parse_jpeg((tmp_path / "out.jpg").read_bytes())
    assert read_properties(first.xmp or b"", ITEM)["Semantic"] == ["Primary", "GainMap"]


def jpeg_in(layout: str) -> bytes:
    """Return a JPEG of `scene` in a layout that libultrahdr does not decode."""
    buffer = io.BytesIO()
    if layout == "gray":
        gray = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        Image.fromarray(scene()).convert("L").save(buffer, "JPEG", quality=95, icc_profile=gray)
    elif layout == "RGB":
        Image.fromarray(scene()).save(buffer, "JPEG", quality=95, keep_rgb=True)
    else:
        code = layout.replace(":", "")
        data = imagecodecs.jpeg8_encode(
            scene(), level=95, subsampling=code, colorspace="RGB", outcolorspace="YCBCR"
        )
        buffer.write(data)
    exif = segment(APP1, EXIF + exif_orientation(6))
    return buffer.getvalue()[:2] + exif + buffer.getvalue()[2:] + b"maker's own"


@pytest.mark.parametrize("layout", ["gray", "RGB", "4:1:1", "4:4:0"])
def test_base_that_libultrahdr_does_not_decode(
    tmp_path: Path, predictor: PhotoPredictor, caplog: pytest.LogCaptureFixture, layout: str
) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    source.write_bytes(jpeg_in(layout))
    assert parse_jpeg(source.read_bytes()).layout == layout
    convert_photo(source, target, predictor, OPTIONS)
    assert "in.jpg: the base was coded anew, at quality 95" in caplog.text
    assert f"no JPEG in {layout}" in caplog.text
    made = target.read_bytes()
    theirs = imagecodecs.ultrahdr_decode(made)[..., :3].astype(np.float32)
    ours = predictor(read_picture(source)).render()
    assert relative(theirs, ours).mean() < 0.015
    assert parse_jpeg(made).exif == exif_orientation(6)
    assert made.endswith(b"maker's own")


@pytest.mark.parametrize("layout", ["4:4:4", "4:2:2", "4:2:0"])
def test_base_that_libultrahdr_decodes_stays(
    tmp_path: Path, predictor: PhotoPredictor, caplog: pytest.LogCaptureFixture, layout: str
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene()).save(buffer, "JPEG", subsampling=layout)
    (tmp_path / "in.jpg").write_bytes(buffer.getvalue())
    convert_photo(tmp_path / "in.jpg", tmp_path / "out.jpg", predictor, OPTIONS)
    assert not caplog.text
    assert imagecodecs.ultrahdr_decode((tmp_path / "out.jpg").read_bytes()).shape == (64, 96, 4)


def test_previews_of_an_old_mpf_are_left_out(tmp_path: Path, predictor: PhotoPredictor) -> None:
    buffer = io.BytesIO()
    pictures = [Image.fromarray(scene()), Image.fromarray(scene(48, 32))]
    pictures[0].save(buffer, "MPO", save_all=True, append_images=pictures[1:])
    (tmp_path / "in.jpg").write_bytes(buffer.getvalue() + b"maker's own")
    convert_photo(tmp_path / "in.jpg", tmp_path / "out.jpg", predictor, OPTIONS)
    made = (tmp_path / "out.jpg").read_bytes()
    (gain_map,) = appended_images(parse_jpeg(made))
    assert made[gain_map.end :] == b"maker's own"
    assert read_photo(tmp_path / "out.jpg").gain_map.shape == (64, 96, 1)


@pytest.mark.parametrize("kind", ["png8", "png16", "tiff16", "webp", "heic", "avif", "gray", "p3"])
def test_other_inputs(tmp_path: Path, predictor: PhotoPredictor, kind: str) -> None:
    deep = scene().astype(np.uint16) * 257
    exif = exif_orientation(3)
    source = tmp_path / f"in.{kind}"
    if kind == "png16":
        source.write_bytes(imagecodecs.png_encode(deep))
    elif kind == "tiff16":
        tifffile.imwrite(source, deep, photometric="rgb")
    elif kind in ("heic", "avif"):
        source.write_bytes(picture_bytes(kind, scene()))
    elif kind == "gray":
        Image.fromarray(scene()[..., 0]).save(source, "JPEG", quality=95)
    else:
        name = {"png8": "PNG", "webp": "WEBP", "p3": "PNG"}[kind]
        icc = make_icc("p3d65") if kind == "p3" else None
        Image.fromarray(scene()).save(source, name, exif=exif, icc_profile=icc, lossless=True)
    target = tmp_path / "out.jpg"
    convert_photo(source, target, predictor, OPTIONS)
    made = read_photo(target)
    reference = gray_scene() if kind == "gray" else scene()
    assert np.abs(as_bytes(made.picture.signal).astype(int) - reference).mean() < 2.5
    assert made.picture.orientation == (3 if kind in ("png8", "webp", "p3") else 1)
    assert made.picture.profile.primaries == ("p3d65" if kind == "p3" else "bt709")
    ours = predictor(read_picture(source)).render()
    assert relative(render_photo(made, turn=False), ours).mean() < 0.015


def test_smaller_maps(tmp_path: Path, predictor: PhotoPredictor) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    source.write_bytes(encode_jpeg(scene()))
    convert_photo(source, target, predictor, ConvertOptions(map_scale=2))
    made = read_photo(target)
    assert made.gain_map.shape == (32, 48, 1)
    ours = predictor(read_picture(source)).render()
    assert abs(render_photo(made).mean() / ours.mean() - 1) < 0.02


def test_strength_zero_is_sdr(tmp_path: Path, predictor: PhotoPredictor) -> None:
    source = tmp_path / "in.png"
    Image.fromarray(scene()).save(source)
    hdr = predictor(read_picture(source), strength=0.0).render()
    want = srgb_eotf(torch.from_numpy(scene() / 255)).numpy()
    np.testing.assert_allclose(hdr, want, rtol=1e-4, atol=1e-6)


def test_photo_with_gain_map_is_not_converted(tmp_path: Path, predictor: PhotoPredictor) -> None:
    source = tmp_path / "in.jpg"
    source.write_bytes(ultrahdr())
    with pytest.raises(MediaError, match="has a gain map already"):
        convert_photo(source, tmp_path / "out.jpg", predictor, OPTIONS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jpg"]


def test_hdr_picture_is_not_converted(tmp_path: Path, predictor: PhotoPredictor) -> None:
    write_pq(tmp_path / "in.png", ramp().repeat(4, 0), "bt709", 203.0)
    with pytest.raises(MediaError, match="HDR already"):
        convert_photo(tmp_path / "in.png", tmp_path / "out.jpg", predictor, OPTIONS)


def test_pq_png_keeps_exif_with_the_orientation_done(
    tmp_path: Path, predictor: PhotoPredictor
) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.png"
    source.write_bytes(encode_jpeg(scene(), exif=exif_orientation(6)))
    convert_photo(source, target, predictor, OPTIONS)
    with Image.open(target) as file:
        assert file.size == (64, 96)
        assert dict(file.getexif()) == {0x0112: 1}


PAGE = """<!doctype html><title>x</title><body><script>
const image = new Image();
const say = (text) => { document.body.textContent = text; };
image.onload = () => say(`size ${image.naturalWidth}x${image.naturalHeight}`);
image.onerror = () => say("broken");
image.src = "photo.jpg";
document.body.append(image);
</script>"""


def test_chromium_opens_it(tmp_path: Path, predictor: PhotoPredictor, in_ci: bool) -> None:
    browser = find_browser(in_ci=in_ci)
    (tmp_path / "in.jpg").write_bytes(encode_jpeg(scene()))
    convert_photo(tmp_path / "in.jpg", tmp_path / "photo.jpg", predictor, OPTIONS)
    (tmp_path / "page.html").write_text(PAGE)
    dom = dump_dom(browser, tmp_path / "page.html", tmp_path / "profile")
    assert "size 96x64" in dom


def test_linear_output_is_upright_and_in_the_primaries_asked_for(
    tmp_path: Path, predictor: PhotoPredictor
) -> None:
    source = tmp_path / "in.jpg"
    source.write_bytes(encode_jpeg(scene(), exif=exif_orientation(6)))
    convert_photo(source, tmp_path / "o.exr", predictor, ConvertOptions(primaries="bt2020"))
    back, primaries = read_linear(tmp_path / "o.exr")
    assert primaries == "bt2020"
    ours = upright(predictor(read_picture(source)).render(), 6)
    wanted = convert_primaries(torch.from_numpy(ours), "bt709", "bt2020", dim=-1).numpy()
    np.testing.assert_allclose(back, wanted, rtol=2e-3, atol=1e-5)


def test_what_no_jpeg_can_hold_is_refused_before_any_work(
    tmp_path: Path, predictor: PhotoPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PhotoPredictor, "__call__", lambda *_, **__: pytest.fail("predicted"))
    imagecodecs.imwrite(tmp_path / "long.png", np.zeros((16, 65501, 3), np.uint8))
    plain = encode_jpeg(scene())
    packet = write_directory(1).replace(b"</rdf:RDF>", b" " * 64_700 + b"</rdf:RDF>")
    (tmp_path / "full.jpg").write_bytes(plain[:2] + segment(APP1, XMP + packet) + plain[2:])
    for name, message in (("long.png", "no side may be longer"), ("full.jpg", "no room")):
        with pytest.raises(MediaError, match=message):
            convert_photo(tmp_path / name, tmp_path / "out.jpg", predictor, OPTIONS)
