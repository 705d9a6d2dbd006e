"""What the networks get of a clip: the picture at the map's size and the 256x256 thumbnail."""

from __future__ import annotations

import vapoursynth as vs

from vs_gainmap.color.h273 import NARROW_PRIMARIES
from vs_gainmap.filters import props
from vs_gainmap.models.gmnet import THUMBNAIL_SIZE

# Catmull-Rom, the bicubic of the published thumbnails.
BICUBIC = {"filter_param_a": 0.0, "filter_param_b": 0.5}


def network_picture(tagged: vs.VideoNode, width: int, height: int) -> vs.VideoNode:
    """Return a clip as the networks were trained on it.

    Args:
        tagged: SDR with all its color props.
        width: of the map.
        height: of the map.

    Returns:
        RGBS, width x height, gamma-coded, full range, about 0..1, in (about) BT.709 primaries.
    """
    with tagged.get_frame(0) as frame:
        narrow = int(frame.props[props.PRIMARIES]) in NARROW_PRIMARIES
    convert = {} if narrow else {"primaries": int(vs.PRIMARIES_BT709)}
    return tagged.resize.Bicubic(width, height, format=vs.RGBS, **BICUBIC, **convert)


def network_thumbnail(tagged: vs.VideoNode) -> vs.VideoNode:
    """Return the same, 256x256."""
    return network_picture(tagged, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
