"""Video files in and out: the only package that imports PyAV."""

from vs_gainmap.video.convert import Selection, convert
from vs_gainmap.video.encode import encode
from vs_gainmap.video.open_film import Encoded
from vs_gainmap.video.random_access import open_clip
from vs_gainmap.video.ray_workers import Cluster
from vs_gainmap.video.script import Script
from vs_gainmap.video.workers import Team

__all__ = [
    "Cluster",
    "Encoded",
    "Script",
    "Selection",
    "Team",
    "convert",
    "encode",
    "open_clip",
]
