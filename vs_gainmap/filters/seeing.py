"""What a network is shown of a clip, and the small picture that leads its map up again."""

from __future__ import annotations

from typing import NamedTuple

import vapoursynth as vs

from vs_gainmap.color.h273 import NARROW_PRIMARIES
from vs_gainmap.filters import props
from vs_gainmap.filters.upsampling import BICUBIC
from vs_gainmap.filters.window import IN_FLIGHT, hold
from vs_gainmap.models.gmnet import THUMBNAIL_SIZE

# A thumbnail is made of the small picture up to this size; larger ones would take too much memory
# until their map is asked for, a window later.
MOST_HELD = 960 * 540


class Seen(NamedTuple):
    """A clip as a network sees it."""

    picture: vs.VideoNode
    """RGBS at the map's size, gamma-coded, full range, in (about) BT.709 primaries."""
    thumbnail: vs.VideoNode
    """The same, 256x256."""
    small: vs.VideoNode | None
    """YUV444P16 at the map's size, where both are made of it."""


def see(tagged: vs.VideoNode, width: int, height: int, *, ahead: int) -> Seen:
    """Make a clip small, once for all that looks at it where that is possible.

    Args:
        tagged: SDR with all its color props.
        width: of the map.
        height: likewise.
        ahead: how many frames before their map thumbnails are asked for.
    """
    whole = tagged.format
    smaller = (width, height) != (tagged.width, tagged.height)
    if not smaller or whole.color_family != vs.YUV or whole.sample_type != vs.INTEGER:
        picture = network_picture(tagged, width, height)
        thumbnail = network_picture(tagged, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
        return Seen(picture, thumbnail, None)
    # zimg is quickest at integers, and 16 bits are finer than any that come in.
    small = tagged.resize.Bicubic(width, height, format=vs.YUV444P16, **BICUBIC)
    shared = min(width, height) >= THUMBNAIL_SIZE and width * height <= MOST_HELD
    if shared and ahead:
        small = hold(small, ahead + IN_FLIGHT)
    thumbnail = network_picture(small if shared else tagged, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    return Seen(network_picture(small, width, height), thumbnail, small)


def network_picture(tagged: vs.VideoNode, width: int, height: int) -> vs.VideoNode:
    """Return gamma-coded full-range RGBS in (about) BT.709 primaries, as trained on."""
    with tagged.get_frame(0) as frame:
        narrow = int(frame.props[props.PRIMARIES]) in NARROW_PRIMARIES
    convert = {} if narrow else {"primaries": int(vs.PRIMARIES_BT709)}
    return tagged.resize.Bicubic(width, height, format=vs.RGBS, **BICUBIC, **convert)
