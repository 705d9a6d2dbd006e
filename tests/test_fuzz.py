"""Short, seeded runs of the fuzzers of this folder; each is a command for long ones."""

from __future__ import annotations

from tests import fuzz_photo, fuzz_weights


def test_mutated_photos_never_crash() -> None:
    outcomes = fuzz_photo.fuzz(800, seed=20)
    assert sum(outcomes.values()) == 800
    # Neither all sound nor all refused: the mutations reach what they should.
    assert outcomes["photo parse read"] > 50
    assert outcomes["photo parse MediaError"] > 50
    assert outcomes["photo parse MetadataError"] > 2
    assert outcomes["photo decode read"] > 0
    for stem, error in (("linear", "MediaError"), ("picture", "MediaError"),
                        ("metadata", "MetadataError"), ("qmax", "MetadataError")):  # fmt: skip
        assert outcomes[f"{stem} decode {error}"] > 10
        assert outcomes[f"{stem} decode read"] > 0


def test_mutated_weights_never_crash() -> None:
    outcomes = fuzz_weights.fuzz(200, seed=20)
    for name in ("gmnet.safetensors", "gridnet.safetensors", "published.pth inside"):
        assert outcomes[f"{name} WeightsError"] > 10
    assert sum(number for name, number in outcomes.items() if name.endswith("loaded")) > 2
