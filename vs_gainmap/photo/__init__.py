"""Gain map photos: read every common kind, render them, make new ones.

`read` gives a photo with its map, `render` linear light of it, `convert` an HDR photo of an SDR
one by `predict`, and `write` the files. `picture` reads ordinary pictures; `jpeg`, `bmff`, `xmp`,
`iso21496`, `apple`, `ifd` and `linear` are formats, `profile` is a picture's color.
"""
