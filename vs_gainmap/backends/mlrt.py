"""The backends of vs-mlrt: native VapourSynth plugins that run an ONNX graph."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import vapoursynth as vs

from vs_gainmap.backends.base import RunOptions
from vs_gainmap.backends.export import (
    GRAPH_VERSION,
    export_global,
    export_local,
    save,
    weights_digest,
)
from vs_gainmap.backends.graphs import vector_rows, vector_size
from vs_gainmap.backends.plugins import PLUGINS, Precision
from vs_gainmap.backends.quantize import load_ranges, quantize
from vs_gainmap.backends.signal_stack import usual_signal_stack
from vs_gainmap.backends.verify import verify_global, verify_local
from vs_gainmap.errors import BackendError
from vs_gainmap.files import cache_folder, replacing
from vs_gainmap.models import GMNet, Model
from vs_gainmap.models.gmnet import THUMBNAIL_SIZE


class MlrtBackend:
    """GMNet in one of the plugins.

    Args:
        name: a key of `PLUGINS`.
        model: GMNet, float32, on the CPU.
        options: device, precision and streams; no tiles.

    Raises:
        BackendError: the plugin is missing, or the model or an option is not for it.
        DeviceError: the plugin has no such device or precision.
    """

    def __init__(self, name: str, model: Model, options: RunOptions) -> None:
        self._plugin = PLUGINS[name]
        self._core = self._plugin.load()
        if not isinstance(model, GMNet):
            raise BackendError(f'backend {name} runs GMNet only; use backend="torch"')
        if options.tile:
            raise BackendError(
                f"backend {name} takes the whole picture; leave tile out, or make the map smaller "
                "by scale"
            )
        self._model = model
        self._place = self._plugin.place(options.device)
        self._precision = self._plugin.precision(self._place, options.dtype)
        self._num_streams = options.num_streams or 1
        self._digest = weights_digest(model)
        if self._precision == "int8":
            # Fails here, not after an export, where these weights were never calibrated.
            load_ranges(self._digest)

    @property
    def features_size(self) -> int:
        """Return the length of a frame's vector."""
        return vector_size(self._model)

    def describe(self) -> str:
        """Return plugin, device and precision in words."""
        version = self._plugin.version()
        place = (
            f"{self._place.kind}:{self._place.number}" if self._place.number else self._place.kind
        )
        return f"{self._plugin.namespace} {version}, {place}, {self._precision}"

    def analyze(self, thumbnail: vs.VideoNode) -> vs.VideoNode:
        """Run the global branch, in float32: it sets Qmax."""
        rows = vector_rows(self.features_size, THUMBNAIL_SIZE)
        vector = self._run_part("global", "float32", [thumbnail])
        return vector.std.CropAbs(THUMBNAIL_SIZE, rows)

    def local(self, picture: vs.VideoNode, features: vs.VideoNode) -> vs.VideoNode:
        """Run the local branch on picture and vector as four planes."""
        width, height = picture.width, picture.height
        if width * height < self.features_size:
            raise BackendError(
                f"backend {self._plugin.namespace} needs a map of at least {self.features_size} "
                f'pixels, got {width}x{height}; use backend="torch" or a smaller scale'
            )
        even = _even(picture)
        plane = self._as_plane(features, even.width, even.height)
        gain_map = self._run_part("local", self._precision, [even, plane])
        return gain_map.std.CropAbs(width, height)

    def _run_part(self, part: str, precision: Precision, clips: list[vs.VideoNode]) -> vs.VideoNode:
        """Run a network, the kept one if there is one that loads."""
        size = clips[0].width, clips[0].height
        path = self._path(part, precision, size)
        if path.exists():
            try:
                return self._run(path, precision, clips)
            except BackendError as error:
                # Damaged, or of a driver that was here before; a new one fails for good reasons.
                vs.core.log_message(
                    vs.MESSAGE_TYPE_WARNING,
                    f"vs_gainmap: {path.name} is made anew, since it does not load: {error}",
                )
                path.unlink(missing_ok=True)
        self._make_kept(part, precision, size, path)
        return self._run(path, precision, clips)

    def _run(self, network: Path, precision: Precision, clips: list[vs.VideoNode]) -> vs.VideoNode:
        arguments = self._plugin.arguments(network, self._place, precision, self._num_streams)
        try:
            with usual_signal_stack():
                found = self._core.Model(clips, **arguments)
        except vs.Error as error:
            raise BackendError(f"backend {self._plugin.namespace}: {error}") from error
        assert isinstance(found, vs.VideoNode)
        return found

    def _as_plane(self, features: vs.VideoNode, width: int, height: int) -> vs.VideoNode:
        """Lay each frame's vector out in the first samples of a plane."""
        size = self.features_size
        rows = vector_rows(size, width)
        blank = vs.core.std.BlankClip(
            format=vs.GRAYS, width=width, height=rows, length=features.num_frames, keep=True
        )

        def lay_out(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:  # noqa: ARG001
            out = f[0].copy()
            flat = np.zeros(rows * width, dtype=np.float32)
            flat[:size] = np.asarray(f[1][0])[0, :size]
            np.copyto(np.asarray(out[0]), flat.reshape(rows, width))
            return out

        packed = blank.std.ModifyFrame([blank, features], lay_out)
        return packed.std.AddBorders(bottom=height - rows) if height > rows else packed

    def _path(self, part: str, precision: Precision, size: tuple[int, int]) -> Path:
        """Return where the network's file is kept: one for all that it depends on."""
        plugin, place = self._plugin, self._place
        # A graph was checked with one version of its runtime.
        runtime = hashlib.sha256(json.dumps(plugin.versions()).encode()).hexdigest()[:8]
        name = "-".join(
            [
                "gmnet", self._digest, f"g{GRAPH_VERSION}", part, f"{size[0]}x{size[1]}", precision,
                plugin.namespace, plugin.version(), runtime, place.kind,
            ]
        )  # fmt: skip
        return cache_folder() / f"{name}.onnx"

    def _make_kept(
        self, part: str, precision: Precision, size: tuple[int, int], path: Path
    ) -> None:
        """Make a network's file, and keep it if it agrees with PyTorch's result."""
        plugin = self._plugin
        text = f"vs_gainmap: making {path.name}; once for this size and precision"
        vs.core.log_message(vs.MESSAGE_TYPE_INFORMATION, text)
        with replacing(path) as partial:
            self._make(part, precision, size, partial)

            def run(clips: list[vs.VideoNode]) -> vs.VideoNode:
                return self._run(partial, precision, clips)

            try:
                if part == "global":
                    verify_global(self._model, run)
                else:
                    verify_local(self._model, run, size, precision)
            except (BackendError, vs.Error) as error:
                raise BackendError(f"backend {plugin.namespace}: {error}") from error

    def _make(self, part: str, precision: Precision, size: tuple[int, int], path: Path) -> None:
        if part == "global":
            graph = export_global(self._model)
        else:
            graph = export_local(
                self._model,
                *size,
                # Tried where it is used; what GPUs' runtimes want is constant weights.
                dynamic_kernel=self._place.kind == "cpu",
                split_sum=precision in ("bfloat16", "int8"),
            )
        if precision == "int8":
            graph = quantize(graph, load_ranges(self._digest))
        save(graph, path)


def _even(picture: vs.VideoNode) -> vs.VideoNode:
    """Repeat the last column or row where a size is odd, as `Predictor` does."""
    if picture.width % 2:
        picture = vs.core.std.StackHorizontal([picture, picture.std.Crop(left=picture.width - 1)])
    if picture.height % 2:
        picture = vs.core.std.StackVertical([picture, picture.std.Crop(top=picture.height - 1)])
    return picture
