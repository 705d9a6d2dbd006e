"""Plain HTML pages with everything inside: they open from disk and can be mailed."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vs_gainmap.extras import load
from vs_gainmap.files import write_bytes

STYLE = """
:root { color-scheme: dark; }
body { background: #181818; color: #ddd; font: 15px/1.5 system-ui, sans-serif;
       margin: 2rem auto; max-width: 1300px; padding: 0 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
.row { display: grid; gap: 1rem; align-items: start; margin: 1rem 0;
       grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); }
.row.small { grid-template-columns: repeat(auto-fill, minmax(min(100%, 200px), 1fr)); }
.column { display: grid; gap: .5rem; }
figure { margin: 0; overflow-x: auto; }
figcaption { color: #aaa; font-size: .85rem; margin-bottom: .3rem; }
img, svg { display: block; height: auto; max-width: 100%; }
figure > img { cursor: zoom-in; }
figure:has(> img.large) { grid-column: 1 / -1; }
figure > img.large { cursor: zoom-out; max-width: none; }
.stack { overflow: hidden; position: relative; }
.stack img + img { left: 0; position: absolute; top: 0; }
input { margin: .4rem 0 0; width: 100%; }
[data-hover] { overflow-x: auto; }
[data-hover] svg { max-width: none; min-width: 760px; width: 100%; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; } th { color: #aaa; font-weight: normal; }
.note { color: #aaa; max-width: 75ch; }
"""
# A click shows a picture at its own size. A row that is to be compared gets a figure that goes
# over from its first picture to the next ones.
SCRIPT = """
addEventListener("click", event => {
  if (event.target.matches("figure > img")) event.target.classList.toggle("large");
});
for (const row of document.querySelectorAll("[data-compare]")) {
  const images = row.querySelectorAll("img");
  const layers = row.dataset.compare.split(" ").map(index => images[index].cloneNode());
  const figure = document.createElement("figure");
  const last = 100 * (layers.length - 1);
  figure.innerHTML = `<figcaption>${layers.map(layer => layer.alt).join(" | ")}</figcaption>`
    + `<div class="stack"></div><input type="range" max="${last}" value="50" aria-label="wipe">`;
  figure.children[1].append(...layers);
  const wipe = () => layers.forEach((layer, index) => {
    const left = Math.min(Math.max(100 * index - figure.children[2].value, 0), 100);
    layer.style.clipPath = `inset(0 0 0 ${left}%)`;
  });
  figure.children[2].addEventListener("input", wipe);
  wipe();
  row.prepend(figure);
}
for (const plot of document.querySelectorAll("[data-hover]")) {
  const {left, right, first, last, texts} = JSON.parse(plot.dataset.hover);
  plot.addEventListener("pointermove", event => {
    const box = plot.firstElementChild.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width - left) / (right - left);
    const value = first + share * (last - first);
    const distance = text => Math.abs(text[0] - value);
    const nearest = texts.reduce((a, b) => distance(b) < distance(a) ? b : a);
    plot.lastElementChild.textContent = nearest[1];
  });
}
"""

# Import name and distribution of what pages are drawn with. Pillow comes along with Matplotlib.
PLOTS = (("matplotlib.figure", "matplotlib"),)
PICTURES = (("imagecodecs", "imagecodecs"), ("PIL.Image", "pillow"))

# Caption, encoded picture, MIME type.
Figure = tuple[str, bytes, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hover:
    """Texts along the x axis of a drawing.

    `left` and `right` are where the axis begins and ends, 0..1 of the drawing's width; `first` and
    `last` are its values there; `texts` has pairs of a value and what is shown there, in order.
    """

    left: float
    right: float
    first: float
    last: float
    texts: tuple[tuple[float, str], ...]


def require(*modules: tuple[str, str]) -> None:
    """Import modules of the `preview` extra.

    Args:
        modules: of `PLOTS` and `PICTURES`.

    Raises:
        MediaError: one is not installed.
    """
    for module, distribution in modules:
        load(module, distribution, extra="preview", purpose="pages")


class Page:
    """A page that is written in one go.

    Args:
        title: of the page.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = []

    def heading(self, text: str) -> None:
        """Add a heading."""
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def note(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(f'<p class="note">{html.escape(text)}</p>')

    def table(self, rows: Sequence[tuple[str, str]]) -> None:
        """Add names and values."""
        cells = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for name, value in rows
        )
        self._parts.append(f"<table>{cells}</table>")

    def figures(
        self, items: Sequence[Figure], *, compare: Sequence[int] = (), small: bool = False
    ) -> None:
        """Add pictures side by side.

        Args:
            items: the pictures.
            compare: indices of those that a slider goes over, all of one size.
            small: more of them fit into a row.
        """
        data = f' data-compare="{" ".join(map(str, compare))}"' if compare else ""
        kind = "row small" if small else "row"
        self._parts.append(f'<div class="{kind}"{data}>{_figures(items)}</div>')

    def columns(self, items: Sequence[Sequence[Figure]]) -> None:
        """Add small pictures, those that belong together one below the other."""
        made = "".join(f'<div class="column">{_figures(column)}</div>' for column in items)
        self._parts.append(f'<div class="row small">{made}</div>')

    def svg(self, element: str, hover: Hover | None = None) -> None:
        """Add a drawing; the element is put in as it is.

        Args:
            element: the SVG.
            hover: what is shown below it where the pointer is.
        """
        if hover is None:
            self._parts.append(element)
            return
        data = html.escape(json.dumps(asdict(hover)))
        line = '<p class="note">The values of a frame are shown here where the pointer is.</p>'
        self._parts.append(f'<div data-hover="{data}">{element}{line}</div>')

    def write(self, path: Path) -> None:
        """Write the page in one step.

        Raises:
            MediaError: it can't be written.
        """
        text = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width">'
            f"<title>{html.escape(self.title)}</title><style>{STYLE}</style></head>"
            f"<body><h1>{html.escape(self.title)}</h1>{''.join(self._parts)}"
            f"<script>{SCRIPT}</script></body></html>"
        )
        write_bytes(path, text.encode())


def _figures(items: Sequence[Figure]) -> str:
    return "".join(
        f"<figure><figcaption>{html.escape(caption)}</figcaption>"
        f'<img alt="{html.escape(caption)}" src="data:{mime};base64,'
        f'{base64.b64encode(data).decode()}"></figure>'
        for caption, data, mime in items
    )
