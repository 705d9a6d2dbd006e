"""`vs-gainmap doctor`: what is installed, and what to do about what is missing."""

from __future__ import annotations

import argparse
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report, with advice; `fatal` where `convert` can't run."""

    subject: str
    text: str
    advice: str | None = None
    fatal: bool = False


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="list what is installed, and what to do about what is missing",
        description="List what is installed, which device and plugins are used, and what to do "
        "about what is missing. Exits with 0 if `convert` works with its defaults.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:  # noqa: ARG001
    """Report."""
    failed = False
    for section in (_python, _extras, _vapoursynth, _device, _backends, _weights, _encoders):
        for finding in _guarded(section):
            sign = "!!" if finding.fatal else "--" if finding.advice else "ok"
            print(f"{sign} {finding.subject:<14} {finding.text}")
            if finding.advice:
                print(f"   {'':<14} -> {finding.advice}")
            failed |= finding.fatal
    print("convert does not work here yet" if failed else "convert works here")
    return int(failed)


def _guarded(section: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield a section's findings; one that can't be imported is a finding itself."""
    name = section.__name__.strip("_")
    try:
        yield from section()
    except ImportError as error:
        yield Finding(
            subject=name,
            text=f"can't be imported: {error}",
            advice="install vs-gainmap again: pip install --force-reinstall vs-gainmap",
            fatal=True,
        )


def _python() -> Iterator[Finding]:
    yield Finding(subject="vs-gainmap", text=version("vs-gainmap"))
    system = f"{platform.system()} {platform.machine()}"
    yield Finding(subject="python", text=f"{platform.python_version()}, {system}")
    for name in ("numpy", "numba", "torch", "av", "opencv-python-headless", "safetensors"):
        if _is_installed(name):
            yield Finding(subject=name, text=version(name))
        else:
            yield Finding(subject=name, text="missing", advice=f"pip install {name}", fatal=True)


def _extras() -> Iterator[Finding]:
    from vs_gainmap.extras import install_command

    own = distribution("vs-gainmap")
    for extra in own.metadata.get_all("Provides-Extra") or ():
        # Those of backends are among the backends.
        if extra not in ("preview", "photo", "completion", "train"):
            continue
        names = [
            re.split(r"[^\w.-]", line)[0] for line in own.requires or ()
            if re.search(rf"extra == ['\"]{extra}['\"]", line)
        ]  # fmt: skip
        missing = [name for name in names if not _is_installed(name)]
        text = f"missing: {', '.join(missing)}" if missing else "installed"
        advice = f"if wanted: {install_command(extra)}" if missing else None
        yield Finding(subject=f"extra {extra}", text=text, advice=advice)


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _vapoursynth() -> Iterator[Finding]:
    import vapoursynth as vs

    core = vs.core
    yield Finding(subject="vapoursynth", text=f"{core.core_version}, {core.num_threads} threads")
    for namespace, package, use, fatal in (
        ("akarin", "vapoursynth-akarin", "applies the gain map", True),
        ("bs", "vapoursynth-bestsource", "opens files in scripts (open_clip)", False),
    ):
        try:
            plugin = getattr(core, namespace)
            yield Finding(subject=namespace, text=f"{plugin.plugin_path}: {use}")
        except AttributeError:
            yield Finding(
                subject=namespace,
                text=f"missing: {use}",
                advice=f"pip install {package}",
                fatal=fatal,
            )


def _device() -> Iterator[Finding]:
    import torch

    from vs_gainmap.models.inference import choose_device, choose_dtype, has_native_bf16

    cuda, hip = torch.version.cuda, torch.version.hip
    build = f"CUDA {cuda}" if cuda else f"ROCm {hip}" if hip else "for CPUs alone"
    yield Finding(subject="torch build", text=build)
    device = choose_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    dtype = str(choose_dtype(device)).removeprefix("torch.")
    advice = None
    if device.type == "cpu":
        advice = "a CUDA GPU is many times faster; PyTorch finds none here"
    yield Finding(subject="device", text=f"{device} ({name}), {dtype}", advice=advice)
    if device.type == "cpu":
        bf16 = "bfloat16 in hardware" if has_native_bf16() else "no bfloat16 in hardware"
        yield Finding(subject="cpu", text=f"{torch.get_num_threads()} torch threads, {bf16}")


def _backends() -> Iterator[Finding]:
    from vs_gainmap.backends.plugins import PLUGINS
    from vs_gainmap.errors import BackendError
    from vs_gainmap.extras import install_command

    yield Finding(subject="backend torch", text="PyTorch: NVIDIA and Apple GPUs, CPUs")
    for name, plugin in PLUGINS.items():
        subject = f"backend {name}"
        try:
            yield Finding(subject=subject, text=f"{plugin.version()}, {plugin.about}")
        except BackendError as error:
            if plugin.library() is not None:
                advice = f"install what it needs, or pip install --force-reinstall {plugin.package}"
                yield Finding(subject=subject, text=str(error), advice=advice)
                continue
            install = f"if wanted: {install_command(plugin.extra)}"
            text = f"not installed; {plugin.about}"
            yield Finding(subject=subject, text=text, advice=install)


def _weights() -> Iterator[Finding]:
    from vs_gainmap.errors import GainMapError
    from vs_gainmap.models.inference import choose_device
    from vs_gainmap.models.weights import WEIGHTS, default_weights, load_weights

    usual = default_weights(None, on_cpu=choose_device().type == "cpu")

    for name, entry in WEIGHTS.items():
        default = name == usual
        try:
            load_weights(name)
        except GainMapError as error:
            yield Finding(
                subject=f"weights {name}",
                text=str(error),
                advice="install vs-gainmap again",
                fatal=default,
            )
        else:
            yield Finding(
                subject=f"weights {name}",
                text=f"verified, {entry.about}{', the default here' if default else ''}",
            )
    if usual not in WEIGHTS:
        yield Finding(
            subject="weights",
            text=f"the default set, {usual}, is not bundled",
            advice="give convert a file with --weights, or install a released vs-gainmap",
            fatal=True,
        )


def _encoders() -> Iterator[Finding]:
    import av

    from vs_gainmap.video.encoder_pass import can_open
    from vs_gainmap.video.encoders import DEFAULT_ENCODER, ENCODERS

    yield Finding(subject="ffmpeg", text=f"{av.ffmpeg_version_info} inside PyAV")
    for name, encoder in ENCODERS.items():
        problem = can_open(encoder)
        if problem is None:
            yield Finding(subject=name, text=encoder.about)
            continue
        hardware = "it needs an NVIDIA GPU that has it, and its driver"
        yield Finding(
            subject=name,
            text=f"not available: {problem}",
            advice=hardware if "nvenc" in name else "pip install --upgrade av",
            fatal=name == DEFAULT_ENCODER,
        )
