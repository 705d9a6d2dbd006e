"""Mutate weights and load them: `python -m tests.fuzz_weights --count 20000 --seed 1`.

Every file must load, or give one of our own errors in one line, within a second or so.
"""

from __future__ import annotations

import random
import sys
import tempfile
import zipfile
from collections import Counter
from pathlib import Path

import torch

from tests.fuzz_photo import SLOW_SECONDS, mutate
from tests.fuzzing import attempt, run_command
from vs_gainmap.gainmap import PRESETS
from vs_gainmap.models.gmnet import GMNet
from vs_gainmap.models.gridnet import GridNet
from vs_gainmap.models.weights import load_weights, save_weights


def seeds(folder: Path) -> dict[str, bytes]:
    """Return the weights that mutations start from, by file name."""
    torch.manual_seed(1)
    network = GMNet(4, 1, 1)
    save_weights(network, PRESETS["real-world"], folder / "gmnet.safetensors")
    save_weights(GridNet(), PRESETS["real-world"], folder / "gridnet.safetensors")
    torch.save(network.state_dict(), folder / "published.pth")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def mutate_members(data: bytes, rng: random.Random, folder: Path) -> bytes:
    """Return an archive with one member changed, and its checksum right again."""
    (folder / "archive").write_bytes(data)
    with zipfile.ZipFile(folder / "archive") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    small = [name for name in members if len(members[name]) < 20000] or list(members)
    name = rng.choice([n for n in small if n.endswith("data.pkl")] or small)
    name = name if rng.random() < 0.7 else rng.choice(small)
    members[name] = mutate(members[name], rng) if members[name] else b"x"
    with zipfile.ZipFile(folder / "archive", "w") as archive:
        for one, content in members.items():
            archive.writestr(one, content)
    return (folder / "archive").read_bytes()


def fuzz(count: int, seed: int) -> Counter[str]:
    """Run so many mutations; return how often each outcome came.

    Raises:
        AssertionError: an error that is not ours, of more than a line, or a file too slow.
    """
    outcomes: Counter[str] = Counter()
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as place:
        files = list(seeds(Path(made)).items())
        for number in range(count):
            name, data = files[number % len(files)]
            # An archive's checksums stop nearly all changes: half of them are made inside.
            inside = name == "published.pth" and rng.random() < 0.5
            changed = mutate_members(data, rng, Path(made)) if inside else mutate(data, rng)
            path = Path(place) / name
            path.write_bytes(changed)
            preset = None if name.endswith("safetensors") else "real-world"

            def load(path: Path = path, preset: str | None = preset) -> str:
                load_weights(path, preset=preset)
                return "loaded"

            where = f"seed {seed}, mutation {number} of {name}"
            outcome = attempt(where, load, SLOW_SECONDS)
            outcomes[f"{name}{' inside' if inside else ''} {outcome}"] += 1
    return outcomes


if __name__ == "__main__":
    sys.exit(run_command(fuzz, __doc__, 20000))
