"""Frame-accurate random access to a video file, for scripts: `open_clip`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import vapoursynth as vs

from vs_gainmap.errors import MediaError
from vs_gainmap.files import cache_folder
from vs_gainmap.filters import props
from vs_gainmap.video.inputs import container_color, main_video, open_input
from vs_gainmap.video.pixels import declare_hdr, merge_color


def open_clip(
    path: str | Path, *, track: int = -1, threads: int = 0, cache_dir: str | Path | None = None
) -> vs.VideoNode:
    """Open a video file as a clip with exact frames in any order.

    The first call on a long file reads it once from end to end; the index is then kept in a
    cache directory of the user's, not beside the file. Color props are the stream's or, where it
    has none, the container's; where metadata of HDR belie a transfer of SDR, it is PQ. Rotation and
    sample aspect are left as they are (props `Rotation`, `_SARNum`, `_SARDen`).

    Args:
        path: the file.
        track: absolute number of the track, or -1, -2 ... for the first, second ... video.
        threads: decoding threads; 0 is one per core.
        cache_dir: where the index is kept; None is this user's cache directory.

    Raises:
        MediaError: no such file, no BestSource plugin, or nothing that it can decode.
    """
    source = Path(path).resolve()
    if not source.is_file():
        raise MediaError(f"open_clip: no such file: {path}")
    try:
        function = vs.core.bs.VideoSource
    except AttributeError as error:
        raise MediaError(
            "open_clip: the BestSource plugin is missing; pip install vapoursynth-bestsource"
        ) from error
    options: dict[str, int] = {"showprogress": 0, "apply_rotation": 0, "variableformat": 0}
    # Some of these are newer than the oldest plugin that we allow.
    taken = {argument.split(":")[0] for argument in function.signature.split(";")}
    directory = Path(cache_dir) if cache_dir is not None else cache_folder()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        clip = function(
            source=str(source),
            track=track,
            threads=threads,
            cachepath=str(directory),
            **{name: value for name, value in options.items() if name in taken},
        )
    except vs.Error as error:
        raise MediaError(f"open_clip: {path}: {error}") from error
    if not isinstance(clip, vs.VideoNode):
        raise MediaError(f"open_clip: {path}: is not a video")
    with open_input(source) as container:
        color = container_color(main_video(container, source), source) if track == -1 else {}
    with closing(clip.get_frame(0)) as frame:
        if any(name in frame.props for name in props.HDR_METADATA):
            color = declare_hdr(color)
        found = {name: int(frame.props[name]) for name in color if name in frame.props}
    # The decoder's "unspecified" stands over what the container has.
    merged = merge_color(color, found)
    missing = {name: code for name, code in merged.items() if found.get(name) != code}
    return clip.std.SetFrameProps(**missing) if missing else clip
