"""Backends: each runs the same network, made once, checked before use, refused in one line."""

from __future__ import annotations

import random
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs

from tests.clips import BT709, drawn, frame_props, noise, planes
from tests.media import Media, decode
from vs_gainmap import predict
from vs_gainmap.backends import BACKENDS, mlrt
from vs_gainmap.backends.export import export_global, export_local, weights_digest
from vs_gainmap.backends.graphs import GlobalGraph, LocalGraph, vector_rows
from vs_gainmap.backends.plugins import PLUGINS, Place
from vs_gainmap.backends.quantize import calibrate, load_ranges, save_ranges
from vs_gainmap.backends.signal_stack import signal_stack
from vs_gainmap.cli import doctor, main
from vs_gainmap.errors import BackendError
from vs_gainmap.extras import install_command
from vs_gainmap.files import replacing
from vs_gainmap.models import GMNet
from vs_gainmap.models.weights import load_weights

# What runtimes of GPUs have, with constant weights and fixed shapes.
PLAIN_OPERATORS = {
    "Add", "AveragePool", "Cast", "Clip", "Concat", "Conv", "DepthToSpace", "Mul", "Pad", "Relu",
    "Reshape", "Sigmoid", "Slice",
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "vs-gainmap"


@pytest.fixture(scope="module")
def model(tiny_weights: Path) -> GMNet:
    found = load_weights(tiny_weights).model
    assert isinstance(found, GMNet)
    return found


@pytest.fixture(scope="module")
def vulkan(in_ci: bool) -> None:
    """Ask for a Vulkan driver; a software one will do."""
    try:
        vs.core.ncnn.DeviceProperties()
    except vs.Error as error:
        if in_ci:
            pytest.fail(f"no Vulkan driver, which CI must install: {error}")
        pytest.skip(f"no Vulkan driver here: {error}")


def soft_clip(width: int = 194, height: int = 129, length: int = 4) -> vs.VideoNode:
    """Return blobs that move; half of an odd size is odd again."""
    small = noise(9, 7, length, vs.RGBS, _Matrix=0, _Transfer=1, _Primaries=1, _Range=1)
    large = small.resize.Bicubic(width, height)
    return large.std.SetFrameProps(**BT709).std.SetFrameProps(_Matrix=0, _Range=1)


def hdr_distance(one: vs.VideoNode, other: vs.VideoNode, clip: vs.VideoNode) -> float:
    """Return the PQ-PSNR of what two gain maps make of a clip, in dB."""
    from vs_gainmap import apply

    made = [
        np.stack(planes(apply(clip, gain_map, format=vs.RGB48))) / 65535.0
        for gain_map in (one, other)
    ]
    return float(-10 * np.log10(np.mean((made[0] - made[1]) ** 2) + 1e-12))


def inputs(model: GMNet, width: int, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    picture = torch.rand(1, 3, height, width, generator=generator)
    thumbnail = torch.rand(1, 3, 256, 256, generator=generator)
    vector = torch.cat([part.reshape(-1) for part in model.analyze(thumbnail)])
    plane = torch.zeros(1, 1, height, width)
    plane.view(-1)[: len(vector)] = vector
    return torch.cat([picture, plane], dim=1), thumbnail


@pytest.mark.parametrize("dynamic_kernel", [False, True])
@pytest.mark.parametrize("split_sum", [False, True])
def test_local_graph_is_the_network(model: GMNet, dynamic_kernel: bool, split_sum: bool) -> None:
    four, thumbnail = inputs(model, 60, 34)
    graph = LocalGraph(model, dynamic_kernel=dynamic_kernel, split_sum=split_sum)
    with torch.inference_mode():
        want = model.predict(four[:, :3], model.analyze(thumbnail))
        got = graph(four)
    assert want.std() > 0.01
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_global_graph_is_the_network(model: GMNet) -> None:
    _, thumbnail = inputs(model, 60, 34)
    with torch.inference_mode():
        want = torch.cat([part.reshape(-1) for part in model.analyze(thumbnail)])
        got = GlobalGraph(model)(thumbnail)
    assert got.shape == (1, 1, 256, 256)
    torch.testing.assert_close(got.view(-1)[: len(want)], want, atol=1e-5, rtol=1e-5)
    assert got.view(-1)[len(want) :].abs().max() == 0
    assert vector_rows(641, 256) == 3


@pytest.mark.parametrize("name", ["ov", "ort"])
def test_float32_agrees_with_torch(tiny_weights: Path, name: str) -> None:
    clip = soft_clip()
    for radius in (0, 2):
        want = predict(clip, weights=tiny_weights, dtype="float32", radius=radius)
        got = predict(clip, weights=tiny_weights, dtype="float32", radius=radius, backend=name)
        for n in (0, 3):
            expected = planes(want, n)[0]
            assert expected.std() > 0.01
            np.testing.assert_allclose(planes(got, n)[0], expected, atol=1e-3)
            found, wanted = frame_props(got, n), frame_props(want, n)
            assert found.pop("GainMapMax") == pytest.approx(wanted.pop("GainMapMax"), abs=1e-3)
            assert found == wanted


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has the signal stacks that it minds")
def test_signals_work_after_openvino_has_ended(tiny_weights: Path) -> None:
    before = signal_stack()
    clip = predict(soft_clip(length=1), weights=tiny_weights, dtype="float32", backend="ov")
    after = signal_stack()
    assert (after.address, after.flags, after.size) == (before.address, before.flags, before.size)
    # Other threads end filters, too. Where theirs was the stack, a child's end killed the process.
    holder = [clip]
    del clip
    thread = threading.Thread(target=holder.clear)
    thread.start()
    thread.join()
    heard: list[int] = []
    usual = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, usual)
    assert heard == [signal.SIGUSR1]


def test_bfloat16_is_as_good_as_float32_and_has_no_bands(tiny_weights: Path) -> None:
    clip = soft_clip(length=1)
    exact = predict(clip, weights=tiny_weights, dtype="float32")
    rough = predict(clip, weights=tiny_weights, dtype="bfloat16", backend="ov")
    distance = hdr_distance(rough, exact, clip)
    # Errors add in squares: 19.4 dB below the error against a truth at 40 dB is 0.05 dB. A CPU
    # without bfloat16 computes in float32.
    assert distance > 59.4
    assert len(np.unique(planes(rough)[0])) > 2000


@pytest.mark.slow
def test_ncnn_agrees_with_torch(tiny_weights: Path, vulkan: None) -> None:  # noqa: ARG001
    clip = soft_clip(length=1)
    want = predict(clip, weights=tiny_weights, dtype="float32")
    got = predict(clip, weights=tiny_weights, dtype="float32", backend="ncnn")
    np.testing.assert_allclose(planes(got)[0], planes(want)[0], atol=1e-3)
    half = predict(clip, weights=tiny_weights, dtype="float16", backend="ncnn")
    assert 59.4 < hdr_distance(half, want, clip) < 110


def test_any_order_gives_the_same_bits(tiny_weights: Path) -> None:
    def fresh() -> vs.VideoNode:
        clip = noise(length=6, **BT709)
        return predict(clip, weights=tiny_weights, scale=1, backend="ov", dtype="float32")

    ordered = [planes(fresh(), n)[0] for n in range(6)]
    clip = fresh()
    order = list(range(6)) * 2
    random.Random(3).shuffle(order)
    for n, future in [(n, clip.get_frame_async(n)) for n in order]:
        with future.result() as frame:
            assert np.array_equal(np.asarray(frame[0]), ordered[n])
    assert not np.array_equal(ordered[0], ordered[1])


def test_a_network_is_made_once(
    tiny_weights: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = noise(**BT709)
    first = planes(predict(clip, weights=tiny_weights, scale=1, backend="ov", dtype="float32"))[0]
    names = {path.name for path in cache.iterdir()}
    assert any("-local-96x64-float32-ov-" in name for name in names)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("exported again")

    monkeypatch.setattr(mlrt, "export_local", never)
    monkeypatch.setattr(mlrt, "export_global", never)
    again = planes(predict(clip, weights=tiny_weights, scale=1, backend="ov", dtype="float32"))[0]
    assert np.array_equal(first, again)
    assert {path.name for path in cache.iterdir()} == names


def test_a_wrong_network_is_refused_and_not_kept(
    tiny_weights: Path, cache: Path, model: GMNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {path.name for path in cache.iterdir()}
    other = GMNet(8, blocks=1).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        other.res2[0].conv1.weight.mul_(1.1)
    right = export_local

    def wrong(_: GMNet, *size: int, **options: bool) -> object:
        return right(other, *size, **options)

    monkeypatch.setattr(mlrt, "export_local", wrong)
    with pytest.raises(vs.Error, match="predict: backend ort: the exported network is off by"):
        predict(noise(70, 70, **BT709), weights=tiny_weights, scale=1, backend="ort")
    left = {path.name for path in cache.iterdir()} - names
    assert not any("-local-" in name for name in left)


def test_replacing_leaves_the_old_file_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", PLUGINS)
def test_calls_fit_the_plugins_own_signature(name: str) -> None:
    plugin = PLUGINS[name]
    signature = plugin.load().Model.signature
    kinds = dict(part.split(":", 1) for part in signature.split(";") if part)
    words = {"int": int, "data": str, "func": object}
    for kind, precisions in plugin.precisions.items():
        for precision in precisions:
            arguments = plugin.arguments(Path("x.onnx"), Place(kind, 1), precision, 2)
            for argument, value in arguments.items():
                assert isinstance(value, words[kinds[argument].split(":")[0]]), argument
            needed = {word for word, kind in kinds.items() if not kind.endswith(":opt")}
            assert needed == {"clips", *(set(arguments) & needed)}


def test_graphs_for_gpus_hold_plain_operators(model: GMNet) -> None:
    for graph in (export_global(model), export_local(model, 64, 48, dynamic_kernel=False)):
        constants = {tensor.name for tensor in graph.graph.initializer}
        assert {node.op_type for node in graph.graph.node} <= PLAIN_OPERATORS
        assert all(
            node.input[1] in constants for node in graph.graph.node if node.op_type == "Conv"
        )
        (read,), (made,) = graph.graph.input, graph.graph.output
        for tensor in (read, made):
            assert tensor.type.tensor_type.elem_type == 1  # float32
            dims = [d.dim_value for d in tensor.type.tensor_type.shape.dim]
            assert len(dims) == 4
            assert all(dims)


def test_int8_wants_calibration_and_is_close(tiny_weights: Path, model: GMNet) -> None:
    clip = soft_clip(length=1)
    with pytest.raises(vs.Error, match="calibrated once: vs-gainmap quantize"):
        predict(clip, weights=tiny_weights, backend="ov", dtype="int8")
    generator = torch.Generator().manual_seed(0)

    def soft(size: tuple[int, int]) -> torch.Tensor:
        blobs = torch.rand(1, 3, 6, 8, generator=generator)
        return torch.nn.functional.interpolate(blobs, size, mode="bicubic").clamp(0, 1)

    ranges = calibrate(model, [(soft((96, 128)), soft((256, 256))) for _ in range(4)])
    save_ranges(weights_digest(model), ranges)
    assert load_ranges(weights_digest(model)) == ranges
    exact = predict(clip, weights=tiny_weights, dtype="float32")
    for name in ("ov", "ort"):
        small = predict(clip, weights=tiny_weights, backend=name, dtype="int8")
        assert 45 < hdr_distance(small, exact, clip) < 100


def test_quantize_and_convert_on_the_command_line(
    tiny_weights: Path,
    model: GMNet,
    media: Media,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = ["--weights", str(tiny_weights)]
    assert main(["quantize", str(media.plain), str(media.plain), "--frames", "1", *weights]) == 0
    assert "is calibrated" in capsys.readouterr().out
    ranges = load_ranges(weights_digest(model))
    assert ranges["conv_last"].high > 0
    target = tmp_path / "out.mkv"
    network = ["--backend", "ov", "--dtype", "int8", "--upsampling", "guided", "--scale", "2"]
    fast = ["--preset", "ultrafast", "--frames", "2", "--quiet"]
    assert main(["convert", str(media.plain), str(target), *weights, *network, *fast]) == 0
    assert len(decode(target)) == 2
    assert main(["quantize", str(tmp_path / "none.mkv"), *weights]) == 1


def test_doctor_lists_what_is_there_and_what_to_install() -> None:
    found = {finding.subject: finding for finding in doctor._backends()}
    assert set(found) == {f"backend {name}" for name in BACKENDS}
    assert "OpenVINO" in found["backend ov"].text
    assert found["backend ov"].advice is None
    for name, plugin in PLUGINS.items():
        if not hasattr(vs.core, name):
            assert install_command(plugin.extra) in (found[f"backend {name}"].advice or "")
    assert not any(finding.fatal for finding in found.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "cuda"}, "backend must be one of torch, ov, ort"),
        ({"backend": "ov", "device": "cuda"}, 'backend ov runs on "cpu" or "gpu"'),
        ({"backend": "ort", "dtype": "bfloat16"}, "backend ort on cpu computes in float32, int8"),
        ({"backend": "ov", "tile": 128}, "takes the whole picture; leave tile out"),
        ({"backend": "ov", "scale": 4}, "needs a map of at least 81 pixels, got 8x8"),
    ],
)
def test_what_it_cannot_do_is_one_clear_line(
    tiny_weights: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(vs.Error, match=message) as error:
        predict(noise(32, 32, **BT709), weights=tiny_weights, **options)
    assert "\n" not in str(error.value)


def test_a_missing_plugin_says_what_to_install() -> None:
    plugin = replace(PLUGINS["ort"], namespace="not_there", extra="onnxruntime")
    with pytest.raises(BackendError, match=r"needs the plugin .*\[onnxruntime\]"):
        plugin.load()


def test_black_and_white_frames_are_finite(tiny_weights: Path) -> None:
    clip = drawn(
        noise(96, 64, 2, vs.RGBS, _Matrix=0, _Transfer=1, _Primaries=1, _Range=1),
        lambda n, p, shape: np.full(shape, 3.0 * n - 1.0),  # noqa: ARG005 - beyond 0..1
    )
    want = predict(clip, weights=tiny_weights, dtype="float32", radius=0)
    got = predict(clip, weights=tiny_weights, dtype="float32", radius=0, backend="ov")
    for n in (0, 1):
        np.testing.assert_allclose(planes(got, n)[0], planes(want, n)[0], atol=1e-3)
