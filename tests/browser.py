"""A real headless browser for the pages and pictures that we write."""

from __future__ import annotations

import contextlib
import html
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    "--headless",
    "--no-sandbox",
    # Its helper processes outlive a browser that is killed, and were seen to spin on a core.
    "--no-zygote",
    "--disable-gpu",
    "--disable-software-rasterizer",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--mute-audio",
)
# A page takes two seconds on an idle core.
_SECONDS = 60.0
_TRIES = 2


def find_browser(*, in_ci: bool) -> str:
    """Return Chromium, or skip; in CI a missing one is a failure."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if in_ci:
            pytest.fail("chromium is missing: CI must install it")
        pytest.skip("no chromium here")
    return found


def run_in_group(command: list[str], seconds: float) -> tuple[int | None, str, str]:
    """Run a program in a session of its own, of which nothing is left afterwards.

    Args:
        command: program and arguments.
        seconds: after which it is killed.

    Returns:
        Its exit status, None where it was killed, and what it wrote on stdout and stderr.
    """
    # Files, since a pipe stays open as long as any child of the program has it.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [*_ordinary(), *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        status: int | None = None
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return status, texts[0], texts[1]


def _ordinary() -> list[str]:
    """Return what starts a program as an ordinary process, even by a real-time one.

    Forty real-time threads that wait for each other stop two cores, and can't even be killed.
    """
    chrt = shutil.which("chrt")
    return [chrt, "--other", "0"] if chrt else []


def dump_dom(browser: str, page: Path, profile: Path, width: int = 1400) -> str:
    """Open a page from disk, let its scripts run, and return the document as it then is.

    A browser that hangs is killed with all its processes and started once more; then the test
    fails with what it last said.
    """
    said = ""
    for attempt in range(_TRIES):
        command = [
            browser,
            *_FLAGS,
            # A killed browser leaves its profile locked.
            f"--user-data-dir={profile}-{attempt}",
            f"--window-size={width},1000",
            "--virtual-time-budget=5000",
            "--dump-dom",
            page.as_uri(),
        ]
        status, document, errors = run_in_group(command, _SECONDS)
        if status == 0 and document:
            return document
        how = f"no answer in {_SECONDS:g} s" if status is None else f"exit status {status}"
        said = f"{how}: {' '.join(errors.split()[-40:])}"
    pytest.fail(f"chromium failed {_TRIES} times on {page.name}; {said}", pytrace=False)


# Each figure's caption, and its picture's own size; what sticks out to the right; what overlaps;
# how wide the largest picture is after a click; where the slider's pictures begin, in percent.
PROBE = """
<script>addEventListener('load', () => {
  const boxes = [...document.querySelectorAll('figure, table, h1, h2, p, [data-hover] svg')];
  const rects = boxes.map(box => box.getBoundingClientRect());
  const overlaps = [];
  rects.forEach((a, i) => rects.slice(i + 1).forEach((b, k) => {
    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1
        && b.top < a.bottom - 1) overlaps.push([boxes[i].innerText, boxes[i + 1 + k].innerText]);
  }));
  const figures = [...document.querySelectorAll('figure')];
  const plot = document.querySelector('[data-hover]');
  if (plot) {
    const box = plot.firstElementChild.getBoundingClientRect();
    const clientX = box.left + 0.75 * box.width;
    plot.dispatchEvent(new PointerEvent('pointermove', {clientX, clientY: box.top + 9}));
  }
  const scrolled = figures.filter(f => f.scrollWidth > f.clientWidth).map(f => f.innerText);
  const wide = document.documentElement.scrollWidth - innerWidth;
  const image = [...document.querySelectorAll('figure > img')].reduce(
    (a, b) => b.naturalWidth > a.naturalWidth ? b : a);
  image.click();
  const enlarged = image.getBoundingClientRect().width - image.naturalWidth;
  image.click();
  const slider = document.querySelector('input');
  if (slider) {
    slider.value = 150;
    slider.dispatchEvent(new Event('input'));
  }
  document.title = JSON.stringify({
    figures: figures.map(f => [f.innerText.trim(), ...[...f.querySelectorAll('img')].flatMap(
      i => [i.naturalWidth, i.naturalHeight])]),
    places: figures.map(f => [f.getBoundingClientRect().left, f.getBoundingClientRect().top]),
    hover: plot && plot.lastElementChild.textContent,
    wiped: [...document.querySelectorAll('.stack')].slice(0, 1).flatMap(
      stack => [...stack.children].map(i => parseFloat(i.style.clipPath.split(' ').pop()))),
    wide, overlaps, scrolled, enlarged,
  });
})</script></body>"""


def probe(page: Path, tmp_path: Path, width: int, *, in_ci: bool) -> dict[str, Any]:
    """Return what Chromium makes of a page: figures, with their pictures decoded, and layout."""
    probed = tmp_path / "probe.html"
    probed.write_text(page.read_text().replace("</body>", PROBE))
    dom = dump_dom(find_browser(in_ci=in_ci), probed, tmp_path / f"profile-{width}", width)
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title
    found: dict[str, Any] = json.loads(html.unescape(title.group(1)))
    return found


def check_layout(page: Path, tmp_path: Path, *, in_ci: bool) -> dict[str, Any]:
    """Check that nothing overlaps or sticks out on a wide and a narrow screen."""
    found = {}
    for width in (500, 1400):
        found = probe(page, tmp_path, width, in_ci=in_ci)
        assert found["wide"] <= 0, width
        assert found["overlaps"] == [], width
        assert found["scrolled"] == [], width
        assert found["enlarged"] == 0, width
    return found
