"""Gain map photos: read every common kind, render them, make new ones.

`read` holds the way in (`read_photo`), `render` the way to linear light, `convert` the way
out, to `ultrahdr`, `pq` or `linear`; `jpeg`, `ifd`, `xmp`, `iso21496`, `apple` and `bmff` each
know one format.
"""
