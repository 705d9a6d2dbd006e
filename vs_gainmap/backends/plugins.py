"""vs-mlrt's plugins, one row each: what to install, where it runs, how it is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal, NamedTuple, cast

import vapoursynth as vs

from vs_gainmap.errors import BackendError, DeviceError
from vs_gainmap.extras import install_command
from vs_gainmap.models.inference import has_native_bf16

Precision = Literal["float32", "float16", "bfloat16", "int8"]
Arguments = dict[str, object]


class Place(NamedTuple):
    """A device as the user names it: "cuda:1" is the kind "cuda" and the number 1."""

    kind: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One of vs-mlrt's plugins."""

    namespace: str
    extra: str
    about: str
    precisions: dict[str, tuple[Precision, ...]]
    """By kind of device, the default first in both."""
    arguments: Callable[[Path, Place, Precision, int], Arguments]
    """What `Model` takes besides clips, of network file, place, precision and number of streams."""

    @property
    def package(self) -> str:
        """Return the name to install by."""
        return f"vapoursynth-mlrt-{self.namespace.replace('_', '-')}"

    def load(self) -> vs.Plugin:
        """Return VapourSynth's plugin.

        Raises:
            BackendError: it is not installed, or does not load.
        """
        found: vs.Plugin | None = getattr(vs.core, self.namespace, None)
        if found is not None:
            return found
        library = self.library()
        if library is None:
            raise BackendError(
                f"backend {self.namespace} needs the plugin {self.package}: "
                f"{install_command(self.extra)}"
            )
        try:
            # VapourSynth passes over what does not load; loaded by name, it gives the reason.
            vs.core.std.LoadPlugin(path=str(library))
        except vs.Error as error:
            raise BackendError(
                f"backend {self.namespace}: {self.package} is installed, but its plugin fails to "
                f"load: {' '.join(str(error).split())}"
            ) from error
        return cast(vs.Plugin, getattr(vs.core, self.namespace))

    def library(self) -> Path | None:
        """Return the installed plugin's file, whether or not it loads; None where there is none."""
        names = (f"libvs{self.namespace}", f"vs{self.namespace}")
        try:
            files = distribution(self.package).files or []
        except PackageNotFoundError:
            return None
        for file in files:
            if file.stem in names and file.suffix in (".so", ".dll", ".dylib"):
                return Path(str(file.locate()))
        return None

    def version(self) -> str:
        """Return the installed version."""
        return self.versions()["version"]

    def versions(self) -> dict[str, str]:
        """Return the versions of the plugin and its runtime."""
        found: dict[str, object] = self.load().Version()
        texts = {k: v.decode() if isinstance(v, bytes) else str(v) for k, v in found.items()}
        return {name: text for name, text in sorted(texts.items()) if name != "path"}

    def place(self, device: str | None) -> Place:
        """Read a device's name; None is the first kind.

        Raises:
            DeviceError: the plugin has no such device.
        """
        kind, _, index = (device or next(iter(self.precisions))).partition(":")
        if kind not in self.precisions or not (index or "0").isdecimal():
            known = " or ".join(f'"{name}"' for name in self.precisions)
            raise DeviceError(f"backend {self.namespace} runs on {known}, got device {device!r}")
        return Place(kind, int(index or 0))

    def precision(self, place: Place, dtype: str | None) -> Precision:
        """Read a precision's name; None is the default of the device.

        Raises:
            DeviceError: the device has no such precision.
        """
        known = self.precisions[place.kind]
        if dtype is None:
            return "float32" if known[0] == "bfloat16" and not has_native_bf16() else known[0]
        for name in known:
            if name == dtype:
                return name
        raise DeviceError(
            f"backend {self.namespace} on {place.kind} computes in {', '.join(known)}, "
            f"got dtype {dtype!r}"
        )


def _openvino(network: Path, place: Place, precision: Precision, streams: int) -> Arguments:
    device = "CPU" if place.kind == "cpu" else f"GPU.{place.number}" if place.number else "GPU"
    # What is left of an int8 network computes in the next best precision.
    rest = "bf16" if has_native_bf16() else "f32"
    hints = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "int8": rest}
    config = {"INFERENCE_PRECISION_HINT": hints[precision]}
    return {
        "network_path": str(network),
        "device": device,
        "num_streams": streams,
        "config": lambda: config,
    }


_PROVIDERS = {"cpu": "CPU", "cuda": "CUDA", "directml": "DML", "coreml": "COREML"}


def _onnxruntime(network: Path, place: Place, precision: Precision, streams: int) -> Arguments:
    return {
        "network_path": str(network),
        "provider": _PROVIDERS[place.kind],
        "device_id": place.number,
        "num_streams": streams,
        "fp16": int(precision == "float16"),
    }


def _ncnn(network: Path, place: Place, precision: Precision, streams: int) -> Arguments:
    return {
        "network_path": str(network),
        "device_id": place.number,
        "num_streams": streams,
        "fp16": int(precision == "float16"),
    }


PLUGINS: dict[str, Plugin] = {
    plugin.namespace: plugin
    for plugin in (
        Plugin(
            namespace="ov",
            extra="openvino",
            about="OpenVINO: x86 CPUs, Intel GPUs",
            precisions={
                "cpu": ("bfloat16", "float32", "int8"),
                "gpu": ("float16", "float32"),
            },
            arguments=_openvino,
        ),
        Plugin(
            namespace="ort",
            extra="onnxruntime",
            about="ONNX Runtime: CPUs, CUDA, DirectML on Windows, CoreML on macOS",
            precisions={
                "cpu": ("float32", "int8"),
                "cuda": ("float16", "float32"),
                "directml": ("float16", "float32"),
                "coreml": ("float16", "float32"),
            },
            arguments=_onnxruntime,
        ),
        Plugin(
            namespace="ncnn",
            extra="ncnn",
            about="ncnn: every GPU with Vulkan",
            precisions={"gpu": ("float16", "float32")},
            arguments=_ncnn,
        ),
    )
}
