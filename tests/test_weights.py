"""Weights: round trip, published checkpoints, and everything that must be refused."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vs_gainmap.errors import OptionError, WeightsError
from vs_gainmap.gainmap import PRESETS, GainMapPreset
from vs_gainmap.models import GMNet
from vs_gainmap.models.weights import DATA, WEIGHTS, default_weights, load_weights, save_weights

OWN = GainMapPreset(sdr_white=120.0, peak=6.5, map_scale=4, eotf="bt1886", min_log_gain=-1.5)


@pytest.fixture
def model() -> GMNet:
    torch.manual_seed(0)
    return GMNet(8, blocks=2)


def test_safetensors_round_trip_keeps_the_preset(model: GMNet, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_weights(model, OWN, path, notes={"steps": "10"})
    loaded = load_weights(path)
    assert loaded.preset == OWN
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], value, rtol=0, atol=0)
    assert not any(p.requires_grad for p in loaded.model.parameters())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("wrap", ["plain", "module", "params", "params_ema"])
def test_published_checkpoints_load_with_and_without_module(
    model: GMNet, tmp_path: Path, wrap: str
) -> None:
    state: dict[str, object] = dict(model.state_dict())
    if wrap == "module":
        state = {f"module.{name}": value for name, value in state.items()}
    torch.save({wrap: state} if wrap.startswith("params") else state, tmp_path / "G.pth")
    loaded = load_weights(tmp_path / "G.pth", preset="synthetic")
    assert loaded.preset == PRESETS["synthetic"]
    torch.testing.assert_close(loaded.model.HRconv.weight, model.HRconv.weight)


def test_a_checkpoint_without_a_preset_asks_for_one(model: GMNet, tmp_path: Path) -> None:
    torch.save(model.state_dict(), tmp_path / "G.pth")
    with pytest.raises(WeightsError, match=r'preset="synthetic" or preset="real-world"'):
        load_weights(tmp_path / "G.pth")
    with pytest.raises(OptionError, match="preset must be one of"):
        load_weights(tmp_path / "G.pth", preset="cinema")


class Trap:
    """Would write a file when unpickled without restriction."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path(self.path),))  # type: ignore[return-value]


def test_pickles_run_no_code(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    torch.save({"a": Trap(victim)}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Trap(victim)))
    for name in ("evil.pth", "plain.pth"):
        with pytest.raises(WeightsError, match=r"can't be read safely|no checkpoint") as error:
            load_weights(tmp_path / name, preset="synthetic")
        # PyTorch's own text advises to load it without restriction.
        assert "weights_only" not in str(error.value)
        assert "trust" not in str(error.value)
    assert not victim.exists()


@pytest.mark.filterwarnings("error")
def test_a_pickle_that_pytorch_did_not_write_is_read_without_a_word(
    model: GMNet, tmp_path: Path
) -> None:
    torch.save(model.state_dict(), tmp_path / "a.pth", pickle_protocol=3)
    assert load_weights(tmp_path / "a.pth", preset="synthetic").preset == PRESETS["synthetic"]


def test_damaged_missing_and_foreign_files_are_one_clear_line(model: GMNet, tmp_path: Path) -> None:
    whole = tmp_path / "a.safetensors"
    save_weights(model, OWN, whole)
    (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:5000])
    (tmp_path / "text.pth").write_text("not a checkpoint")
    state = model.state_dict()
    del state["upconv.bias"]
    torch.save(state, tmp_path / "short.pth")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("cut.safetensors", "text.pth", "short.pth", "other.pth", "list.pth", "none.pth"):
        with pytest.raises(WeightsError) as error:
            load_weights(tmp_path / name, preset="synthetic")
        assert "\n" not in str(error.value)
        assert str(error.value).startswith("weights: ")
    (tmp_path / "a.bin").touch()
    with pytest.raises(WeightsError, match="must end in"):
        load_weights(tmp_path / "a.bin")


def test_bundled_weights_verify_and_fit_in_eight_megabytes() -> None:
    assert "video" in WEIGHTS
    for name in WEIGHTS:
        loaded = load_weights(name)
        assert loaded.preset.peak > 1
    assert sum(f.stat().st_size for f in DATA.glob("*.safetensors")) < 8_000_000
    for entry in WEIGHTS.values():
        assert (DATA / entry.file).with_suffix(".md").is_file()


def test_the_fast_set_is_a_megabyte_at_most() -> None:
    name = default_weights("fast", on_cpu=True)
    assert (DATA / WEIGHTS[name].file).stat().st_size <= 1_000_000


def test_a_file_that_unpacks_to_more_than_it_has_is_refused(tmp_path: Path) -> None:
    torch.save({"upconv.weight": torch.zeros(20_000_000)}, tmp_path / "whole.pth")
    packed = tmp_path / "packed.pth"
    with (
        zipfile.ZipFile(tmp_path / "whole.pth") as whole,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for name in whole.namelist():
            small.writestr(name, whole.read(name))
    assert packed.stat().st_size < 200_000
    with pytest.raises(WeightsError, match="unpacks to 80"):
        load_weights(packed, preset="synthetic")
    view = torch.zeros(1).expand(2_000_000_000)
    torch.save({"upconv.weight": view}, tmp_path / "view.pth")
    with pytest.raises(WeightsError, match="claims 8000000000 bytes"):
        load_weights(tmp_path / "view.pth", preset="synthetic")


def test_values_that_are_not_finite_are_refused(model: GMNet, tmp_path: Path) -> None:
    with torch.no_grad():
        model.HRconv.bias[0] = torch.nan
    save_weights(model, OWN, tmp_path / "nan.safetensors")
    with pytest.raises(WeightsError, match=r"HRconv\.bias has values that are not finite"):
        load_weights(tmp_path / "nan.safetensors")


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_log_gain": "nan"},
        {"min_log_gain": "50"},
        {"sdr_white": "0"},
        {"sdr_white": "white"},
        {"peak": "inf"},
        {"peak": "1e999"},
        {"map_scale": "3"},
        {"map_scale": "2.0"},
    ],
)
def test_a_damaged_preset_is_refused(model: GMNet, tmp_path: Path, wrong: dict[str, str]) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(model, OWN, path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() | wrong
        save_file({n: file.get_tensor(n) for n in file.keys()}, path, metadata=metadata)  # noqa: SIM118
    with pytest.raises(WeightsError, match="damaged preset") as error:
        load_weights(path)
    assert "\n" not in str(error.value)
