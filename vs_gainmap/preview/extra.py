"""What pages are drawn with, from the ``look`` extra, asked for before any work."""

from __future__ import annotations

from vs_gainmap.photo.optional import load

# Import name and distribution. Pillow comes along with Matplotlib.
PLOTS = (("matplotlib.figure", "matplotlib"),)
PICTURES = (("imagecodecs", "imagecodecs"), ("PIL.Image", "pillow"))


def require(*modules: tuple[str, str]) -> None:
    """Import modules of the ``look`` extra.

    Args:
        modules: of `PLOTS` and `PICTURES`.

    Raises:
        MediaError: one is not installed.
    """
    for module, distribution in modules:
        load(module, distribution, extra="look", purpose="pages")
