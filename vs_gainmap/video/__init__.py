"""Video files in and out: the only package that imports PyAV."""

from vs_gainmap.video.conversion import Selection, convert
from vs_gainmap.video.encoding import Encoded, encode
from vs_gainmap.video.random_access import open_clip

__all__ = ["Encoded", "Selection", "convert", "encode", "open_clip"]
