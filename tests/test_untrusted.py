"""Values of small files: what is refused, in one line that names the file."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vs_gainmap.errors import MetadataError
from vs_gainmap.untrusted import as_choice, as_number, read_json, read_npy_number, read_toml


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b"null",
        b"\xff\xfe{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b" " * (2 << 20),
    ],
    ids=["empty", "open", "list", "null", "no text", "deep list", "deep object", "large"],
)
def test_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(MetadataError, match=r"a\.json") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "content",
    [
        b"a",
        b"\xff\xfea = 1",
        b"a = " + b"[" * 3000,
        b"a = " + b"{b=" * 3000,
        b"a = 1" + b"0" * 5000,
        b"#" * (2 << 20),
    ],
    ids=["word", "no text", "brackets", "braces", "digits", "large"],
)
def test_toml(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(MetadataError, match=r"a\.toml") as caught:
        read_toml(tmp_path / "a.toml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_mark_of_byte_order_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 1\r\n")
    assert read_toml(tmp_path / "a.toml") == {"a": 1}


@pytest.mark.parametrize(
    "value",
    [None, True, "1", [1], {}, float("nan"), float("inf"), -1, 1.5, 10**400, -(10**400)],
    ids=str,
)
def test_number(value: object) -> None:
    with pytest.raises(MetadataError, match="white must be") as caught:
        as_number(value, "white", 0, 1)
    assert len(str(caught.value)) < 100


def test_number_within() -> None:
    assert as_number(1, "white", 0, 1) == 1.0
    assert as_number(0.25, "white", 0, 1) == 0.25


@pytest.mark.parametrize("value", [None, "c", ["a"], {"a": 1}, 0, "a" * 10_000])
def test_choice(value: object) -> None:
    with pytest.raises(MetadataError, match="curve must be one of a, b") as caught:
        as_choice(value, "curve", {"a": 0, "b": 1})
    assert len(str(caught.value)) < 100


def npy(value: object, **options: bool) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(value), **options)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a.npy", npy(np.float32(1)))
    return file.getvalue()


def header(text: str) -> bytes:
    return np.lib.format.magic(1, 0) + b"v\0" + text.encode().ljust(117) + b"\n"


BAD_NPY = {
    "empty": b"",
    "no header": b"\x93NUMPY",
    "archive": archive(),
    "pickle": npy(np.array([{"a": 1}], dtype=object), allow_pickle=True),
    "text": npy("two"),
    "complex": npy(1j),
    "fields": npy(np.zeros(1, dtype=[("a", "f4")])),
    "time": npy(np.datetime64("2026-01-01")),
    "none": npy(np.zeros(0)),
    "many": npy(np.zeros(100)),
    "nan": npy(np.float32("nan")),
    "inf": npy(np.inf),
    "negative": npy(-0.1),
    "large": npy(33.0),
    "short": npy(np.float64(1))[:-4],
    "promise": header("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999,), }"),
    "code": header("{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os'),), }"),
    "shape": header("{'descr': '<f4', 'fortran_order': False, 'shape': 'x', }"),
    "deep": header("(" * 100),
}


@pytest.mark.parametrize("name", list(BAD_NPY))
def test_npy(tmp_path: Path, name: str) -> None:
    (tmp_path / "qmax.npy").write_bytes(BAD_NPY[name])
    with pytest.raises(MetadataError, match=r"qmax\.npy") as caught:
        read_npy_number(tmp_path / "qmax.npy", 0, 32)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.float32(2.5), np.float64([2.5]), np.float16([[2.5]])])
def test_npy_within(tmp_path: Path, value: object) -> None:
    (tmp_path / "qmax.npy").write_bytes(npy(value))
    assert read_npy_number(tmp_path / "qmax.npy", 0, 32) == 2.5


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="No such file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(MetadataError, match="No such file"):
        read_npy_number(tmp_path / "a.npy", 0, 1)
