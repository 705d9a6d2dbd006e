"""Plugins that fail to load, and networks that are kept: told apart by all that they depend on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs

from tests.clips import BT709, noise, planes
from vs_gainmap import predict, sdr_to_hdr10
from vs_gainmap.backends import RunOptions, mlrt, plugins
from vs_gainmap.backends.plugins import PLUGINS
from vs_gainmap.cli import doctor
from vs_gainmap.errors import BackendError
from vs_gainmap.models import GMNet
from vs_gainmap.models.weights import load_weights


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def model(tiny_weights: Path) -> GMNet:
    found = load_weights(tiny_weights).model
    assert isinstance(found, GMNet)
    return found


@dataclass(frozen=True)
class FakeFile:
    """A file as a distribution lists it."""

    path: Path

    @property
    def stem(self) -> str:
        return self.path.stem

    @property
    def suffix(self) -> str:
        return self.path.suffix

    def locate(self) -> Path:
        return self.path


@pytest.mark.parametrize("name", ["trt", "trt_rtx", "migx"])
def test_a_plugin_that_fails_to_load_says_why(
    name: str, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As TensorRT's does where a library of NVIDIA's is missing: installing it again is no cure."""

    class Distribution:
        files = (FakeFile(tmp_path / "METADATA"), FakeFile(tmp_path / f"libvs{name}.so"))

    (tmp_path / f"libvs{name}.so").write_bytes(b"no library")
    monkeypatch.setattr(plugins, "distribution", lambda _: Distribution())
    with pytest.raises(vs.Error) as error:
        sdr_to_hdr10(noise(**BT709), weights=tiny_weights, backend=name)
    said = str(error.value)
    package = PLUGINS[name].package
    assert f"backend {name}: {package} is installed, but its plugin fails to load: " in said
    assert f"libvs{name}.so" in said.split("fails to load: ")[1]
    assert "pip install" not in said
    assert "\n" not in said
    found = {finding.subject: finding for finding in doctor._backends()}
    assert "fails to load" in found[f"backend {name}"].text
    assert "not installed" not in found[f"backend {name}"].text


def test_a_plugins_file_is_found_as_pip_installed_it() -> None:
    for name in ("ov", "ort", "ncnn"):
        library = PLUGINS[name].library()
        assert library is not None
        assert library.is_file()
        assert Path(str(PLUGINS[name].load().plugin_path)).samefile(library)


class FakeTensorrt:
    """TensorRT's plugin without a GPU: loads what its own version made, and nothing else."""

    def __init__(self) -> None:
        self.said: dict[str, object] = {
            "version": b"v17.1",
            "tensorrt_version": b"110000",
            "cuda_runtime_version": b"13000",
            "path": b"/somewhere/libvstrt.so",
        }

    def Version(self) -> dict[str, object]:  # noqa: N802 - the plugin's own name
        return self.said

    def Model(  # noqa: N802
        self, clips: list[vs.VideoNode], *, engine_path: str, **_: object
    ) -> vs.VideoNode:
        if Path(engine_path).read_text() != f"made by {self.said['tensorrt_version']}":
            raise vs.Error("operator(): failed to deserialize engine")
        return clips[0].std.ShufflePlanes(0, vs.GRAY)


@dataclass
class Made:
    """Engines that were compiled, by part; `broken` ones do not load."""

    names: list[str]
    broken: bool = False


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> tuple[FakeTensorrt, Made]:
    plugin, made = FakeTensorrt(), Made([])
    monkeypatch.setattr(plugins.Plugin, "load", lambda _: plugin)

    def compile_engine(_: object, graph: Path, engine: Path, *__: object) -> None:
        assert graph.is_file()
        made.names.append(engine.name.split(".")[0])
        text = f"made by {plugin.said['tensorrt_version']}"
        engine.write_text("damaged" if made.broken else text)

    monkeypatch.setattr(mlrt, "compile_engine", compile_engine)
    for name in ("verify_global", "verify_local"):
        monkeypatch.setattr(mlrt, name, lambda *_: None)
    return plugin, made


def test_an_engine_is_kept_for_one_version_of_its_runtime(
    model: GMNet, tensorrt: tuple[FakeTensorrt, Made], cache: Path
) -> None:
    plugin, made = tensorrt
    thumbnail = vs.core.std.BlankClip(format=vs.RGBS, width=256, height=256, length=1)

    def analyze() -> int:
        mlrt.MlrtBackend("trt", model, RunOptions()).analyze(thumbnail)
        return len(made.names)

    assert [analyze(), analyze()] == [1, 1]
    # Every field counts, one that nobody here knows by name too.
    for number, field in enumerate(("tensorrt_version", "cuda_runtime_version", "new"), start=2):
        plugin.said[field] = b"another"
        assert [analyze(), analyze()] == [number, number]
    plugin.said["path"] = b"/elsewhere/libvstrt.so"
    assert analyze() == 4
    assert len(list(cache.iterdir())) == 4


def test_a_kept_engine_that_does_not_load_is_made_anew_once(
    model: GMNet, tensorrt: tuple[FakeTensorrt, Made], cache: Path
) -> None:
    _, made = tensorrt
    thumbnail = vs.core.std.BlankClip(format=vs.RGBS, width=256, height=256, length=1)
    backend = mlrt.MlrtBackend("trt", model, RunOptions())
    backend.analyze(thumbnail)
    (kept,) = cache.iterdir()
    good = kept.read_text()
    kept.write_text("damaged")
    backend.analyze(thumbnail)
    assert kept.read_text() == good
    assert len(made.names) == 2
    kept.write_text("damaged")
    made.broken = True
    with pytest.raises(BackendError, match=r"backend trt: .*failed to deserialize engine"):
        backend.analyze(thumbnail)
    assert len(made.names) == 3


def test_a_damaged_graph_is_made_anew(tiny_weights: Path, cache: Path) -> None:
    """With the real plugin: a file cut short, as a full disk or a power cut leaves it."""
    clip = noise(**BT709)
    options = {"weights": tiny_weights, "scale": 1, "backend": "ort", "dtype": "float32"}
    first = planes(predict(clip, **options))[0]
    for path in cache.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert np.array_equal(planes(predict(clip, **options))[0], first)
    assert all(path.stat().st_size > 100 for path in cache.iterdir())
