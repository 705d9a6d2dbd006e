"""Small media files, made with ffmpeg on first use, and what another decoder makes of a file."""

from __future__ import annotations

import hashlib
import subprocess
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import vapoursynth as vs
from pymediainfo import MediaInfo

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
BT709 = ("-vf", "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv")

SUBTITLES = """1
00:00:00,200 --> 00:00:00,900
Hello

2
00:00:01,000 --> 00:00:01,150
World
"""
CHAPTERS = """;FFMETADATA1
title=My film
artist=Someone
[CHAPTER]
TIMEBASE=1/1000
START=0
END=700
title=One
[CHAPTER]
TIMEBASE=1/1000
START=700
END=1200
title=Two
"""


def ffmpeg(*arguments: str | Path) -> bytes:
    """Run the second opinion and return its stdout."""
    command = [FFMPEG, "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


class Media:
    """Files in a folder of this test session. All are 96x64 and about 1.2 s long."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _lavfi(self, name: str, *arguments: str, rate: str = "24000/1001") -> Path:
        path = self.folder / name
        video = ("-f", "lavfi", "-i", f"testsrc2=s=96x64:r={rate}")
        audio = ("-f", "lavfi", "-i", "sine=f=440:r=48000")
        ffmpeg(*video, *audio, "-t", "1.2", *arguments, path)
        return path

    @cached_property
    def plain(self) -> Path:
        """H.264 with B-frames and open groups of pictures, AAC, in MP4; 29 frames."""
        gop = ("-bf", "3", "-g", "8", "-x264-params", "open-gop=1:b-adapt=0")
        return self._lavfi("plain.mp4", *X264, *gop, *BT709, "-c:a", "aac")

    @cached_property
    def silent(self) -> Path:
        path = self.folder / "silent.mp4"
        ffmpeg("-i", self.plain, "-an", "-c", "copy", path)
        return path

    @cached_property
    def variable(self) -> Path:
        """A variable frame rate in ticks of 1/90000 s, and samples 4:3 wide."""
        pick = "select='not(mod(n\\,3))+not(mod(n\\,7))',setsar=4/3"
        timing = ("-fps_mode", "vfr", "-video_track_timescale", "90000")
        return self._lavfi("vfr.mp4", "-vf", pick, *timing, *X264, "-c:a", "aac", rate="30")

    @cached_property
    def late(self) -> Path:
        """A transport stream: nothing starts at zero."""
        path = self.folder / "late.ts"
        ffmpeg("-i", self.plain, "-c", "copy", path)
        return path

    @cached_property
    def rich(self) -> Path:
        """Matroska with two languages, subtitles, a font, chapters and metadata."""
        subtitles, chapters = self.folder / "s.srt", self.folder / "c.txt"
        font, path = self.folder / "font.ttf", self.folder / "rich.mkv"
        subtitles.write_text(SUBTITLES)
        chapters.write_text(CHAPTERS)
        font.write_bytes(bytes(range(256)) * 9)
        ffmpeg(
            "-i", self.plain, "-f", "lavfi", "-i", "sine=f=880:r=48000", "-i", subtitles,
            "-i", chapters, "-map", "0:v", "-map", "0:a", "-map", "1:a", "-map", "2",
            "-map_metadata", "3", "-t", "1.2", "-c:v", "copy", "-c:a:0", "copy",
            "-c:a:1", "flac", "-c:s", "srt", "-metadata:s:a:0", "language=fra",
            "-metadata:s:a:1", "language=deu", "-metadata:s:a:1", "title=Second",
            "-disposition:a:1", "forced", "-attach", font,
            "-metadata:s:t", "mimetype=application/x-truetype-font", path,
        )  # fmt: skip
        return path

    @cached_property
    def cover(self) -> Path:
        """MP4 with a picture."""
        picture, path = self.folder / "cover.jpg", self.folder / "cover.mp4"
        ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", picture)
        maps = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic")
        ffmpeg("-i", self.plain, "-i", picture, *maps, path)
        return path

    @cached_property
    def phone(self) -> Path:
        """MP4 as phones write it: rotated, with metadata by name."""
        path = self.folder / "phone.mp4"
        tags = ("-movflags", "use_metadata_tags", "-metadata", "com.apple.quicktime.make=Apple")
        ffmpeg("-display_rotation", "90", "-i", self.plain, "-c", "copy", *tags, path)
        return path

    @cached_property
    def chapters(self) -> Path:
        """MP4 with chapters, which MP4 keeps as a text track too."""
        path = self.folder / "chapters.mp4"
        maps = ("-map", "0", "-map_metadata", "1", "-c", "copy")
        ffmpeg("-i", self.plain, "-i", self.rich.with_name("c.txt"), *maps, path)
        return path

    @cached_property
    def edited(self) -> Path:
        """MOV with PCM, timed text and timecode."""
        path = self.folder / "edited.mov"
        maps = ("-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "pcm_s16le", "-c:s", "mov_text")
        subtitles = self.rich.with_name("s.srt")
        ffmpeg("-i", self.plain, "-i", subtitles, *maps, "-timecode", "01:00:00:00", path)
        return path

    @cached_property
    def interlaced(self) -> Path:
        flags = ("-x264-params", "tff=1", "-flags", "+ilme+ildct", "-vf", "setfield=tff")
        return self._lavfi("interlaced.mkv", *X264, *flags, "-an")

    @cached_property
    def rewound(self) -> Path:
        """A transport stream whose clock starts again."""
        path = self.folder / "rewound.ts"
        ffmpeg("-ss", "0", "-i", self.plain, "-c", "copy", "-output_ts_offset", "20", path)
        path.write_bytes(path.read_bytes() + self.late.read_bytes())
        return path

    @cached_property
    def half(self) -> Path:
        """Half a second of a transport stream, 12 frames."""
        path = self.folder / "half.ts"
        ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=24:d=0.5", *X264, "-bf", "3", path)
        return path

    @cached_property
    def joined(self) -> Path:
        """A transport stream twice in a row: 24 frames, and each time twice."""
        path = self.folder / "joined.ts"
        path.write_bytes(self.half.read_bytes() * 2)
        return path

    @cached_property
    def odd(self) -> Path:
        """4:2:0 of an odd width."""
        return self._lavfi("odd.mkv", "-vf", "scale=95:64", "-c:v", "ffv1", "-pix_fmt", "yuv420p")

    @cached_property
    def changing(self) -> Path:
        """Two sizes in one transport stream."""
        other, path = self.folder / "other.ts", self.folder / "changing.ts"
        ffmpeg(
            "-i", self.plain, "-vf", "scale=64:64", *X264, "-an", "-output_ts_offset", "9", other
        )
        path.write_bytes(self.late.read_bytes() + other.read_bytes())
        return path


def decode(path: Path, pix_fmt: str = "yuv420p10le") -> list[str]:
    """Return the MD5 of each frame, by the ffmpeg binary: another build than PyAV's."""
    copy = ("-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", pix_fmt)
    out = ffmpeg("-noautorotate", "-i", path, *copy, "-f", "framemd5", "-").decode()
    return [line.split(",")[-1].strip() for line in out.splitlines() if not line.startswith("#")]


def digest(frame: vs.VideoFrame) -> str:
    """Return the MD5 of a frame's planes, as `decode` has it."""
    md5 = hashlib.md5(usedforsecurity=False)
    for p in range(frame.format.num_planes):
        md5.update(np.ascontiguousarray(np.asarray(frame[p])))
    return md5.hexdigest()


def pixels(path: Path, pix_fmt: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Return all frames decoded by the ffmpeg binary, 16 bit."""
    out = ffmpeg("-i", path, "-map", "0:v:0", "-pix_fmt", pix_fmt, "-f", "rawvideo", "-")
    return np.frombuffer(out, "<u2").reshape(-1, *shape)


def mediainfo(path: Path) -> dict[str, Any]:
    """Return what mediainfo says of the video track."""
    return MediaInfo.parse(path).video_tracks[0].to_data()


def ffprint(path: Path) -> str:
    """Return what `ffmpeg -i` prints of a file."""
    command = [FFMPEG, "-hide_banner", "-i", str(path)]
    return subprocess.run(command, capture_output=True, check=False).stderr.decode()


def packets(path: Path) -> dict[int, list[tuple[Fraction, str]]]:
    """Return presentation time in seconds and MD5 of each packet, by stream, in file order."""
    found: dict[int, list[tuple[Fraction, str]]] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                base = Fraction(packet.time_base.numerator, packet.time_base.denominator)
                md5 = hashlib.md5(bytes(packet), usedforsecurity=False).hexdigest()
                found.setdefault(packet.stream.index, []).append(((packet.pts or 0) * base, md5))
    return found


def frame_times(path: Path) -> list[Fraction]:
    """Return when the video's frames are shown, in seconds."""
    with av.open(str(path)) as container:
        video = container.streams.video[0].index
    return sorted(time for time, _ in packets(path)[video])


def split_sample(data: bytes) -> list[bytes]:
    """Split an HEVC sample of MP4 or Matroska, with 4-byte lengths, into NAL units."""
    nals = []
    while data:
        size = int.from_bytes(data[:4])
        assert len(data) >= 4 + size
        nals.append(data[4 : 4 + size])
        data = data[4 + size :]
    return nals
