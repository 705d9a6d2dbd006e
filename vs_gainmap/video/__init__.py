"""Video files in and out: the only package that imports PyAV."""

from vs_gainmap.video.encode import encode
from vs_gainmap.video.random_access import open_clip

__all__ = ["encode", "open_clip"]
