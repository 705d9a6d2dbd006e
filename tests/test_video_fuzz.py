"""A short, seeded run of the video fuzzer; see `tests/fuzz_video.py` for the long one."""

from __future__ import annotations

from tests.fuzz_video import fuzz


def test_mutated_videos_are_read_or_refused_in_one_line() -> None:
    outcomes = fuzz(340, seed=20)
    ends = {end: sum(n for name, n in outcomes.items() if name.endswith(end)) for end in (
        "MediaError", "read", "converted",
    )}  # fmt: skip
    # Neither all sound nor all refused: the mutations reach what they should.
    assert sum(ends.values()) == 340
    assert ends["MediaError"] > 50
    assert ends["read"] > 50
    assert ends["converted"] > 5
