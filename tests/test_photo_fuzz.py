"""A short, seeded run of the photo fuzzer; see `tests/fuzz_photo.py` for the long one."""

from __future__ import annotations

from tests.fuzz_photo import fuzz


def test_mutated_files_never_crash() -> None:
    outcomes = fuzz(800, seed=20)
    assert sum(outcomes.values()) == 800
    # Neither all sound nor all refused: the mutations reach what they should.
    assert outcomes["photo parse read"] > 50
    assert outcomes["photo parse MediaError"] > 50
    assert outcomes["photo parse MetadataError"] > 2
    assert outcomes["photo decode read"] > 2
    for stem, error in (("linear", "MediaError"), ("picture", "MediaError"),
                        ("metadata", "MetadataError"), ("qmax", "MetadataError")):  # fmt: skip
        assert outcomes[f"{stem} decode {error}"] > 10
        assert outcomes[f"{stem} decode read"] > 0
