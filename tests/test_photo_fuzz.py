"""A short, seeded run of the photo fuzzer; see `tests/fuzz_photo.py` for the long one."""

from __future__ import annotations

from tests.fuzz_photo import fuzz


def test_mutated_photos_never_crash() -> None:
    outcomes = fuzz(1000, seed=20)
    assert sum(outcomes.values()) == 1000
    # Neither all sound nor all refused: the mutations reach what they should.
    assert 100 < outcomes["parse read"] < 800
    assert outcomes["decode read"] > 5
    assert outcomes["parse MediaError"] > 50
    assert outcomes["parse MetadataError"] > 5
