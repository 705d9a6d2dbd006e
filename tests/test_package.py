"""The wheel: typed, with its weights, without `training`, and it works outside the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel without a network, from a copy, so that the checkout stays clean."""
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(
        [
            "git",
            "ls-files",
            "-z",
            "vs_gainmap",
            "training",
            "pyproject.toml",
            "README.md",
            "LICENSE",
        ],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--wheel-dir", str(out), str(source)]
    subprocess.run(command, check=True, cwd=out)
    (built,) = out.glob("*.whl")
    return built


def test_contents(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "vs_gainmap/py.typed" in names
    assert "vs_gainmap/data/gmnet_video.safetensors" in names
    assert "vs_gainmap/data/gmnet_video.md" in names
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"vs_gainmap"}
    assert wheel.stat().st_size < 9_000_000


def test_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import vapoursynth as vs, vs_gainmap\n"
        "clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=64, length=1)\n"
        "frame = vs_gainmap.sdr_to_hdr10(clip).get_frame(0)\n"
        "print(vs_gainmap.__file__, frame.format.name, frame.props['_Transfer'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r})\n{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0].startswith(str(site))
    assert done.stdout.split()[1:] == ["YUV420P10", "16"]


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, vs_gainmap.cli\n"
        "try: vs_gainmap.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numba', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_nothing_tracked_names_a_machine_or_a_registry() -> None:
    hosts = ["pypi" + ".org", "python" + "hosted", "npm" + "js", "deb." + "debian", "/ro" + "ot/"]
    pattern = "|".join(h.replace(".", r"\.") for h in hosts)
    found = subprocess.run(
        ["git", "grep", "-lE", pattern], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
