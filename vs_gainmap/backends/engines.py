"""Compile a graph for the GPU at hand, for the runtimes that don't do it themselves."""

from __future__ import annotations

import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

from vs_gainmap.backends.plugins import Place, Plugin, Precision
from vs_gainmap.errors import BackendError

# Import name of NVIDIA's builder for each plugin.
_BUILDERS = {"trt": "tensorrt_bindings", "trt_rtx": "tensorrt_rtx_bindings"}
_MIGRAPHX_DRIVERS = ("migraphx-driver", "/opt/rocm/bin/migraphx-driver")


def compile_engine(
    plugin: Plugin, graph: Path, engine: Path, place: Place, precision: Precision
) -> None:
    """Write the engine that `plugin` reads; takes from seconds to minutes.

    Args:
        plugin: trt, trt_rtx or migx.
        graph: the ONNX file; for TensorRT its types are the engine's.
        engine: where to.
        place: the GPU that it is for.
        precision: what it computes in.

    Raises:
        BackendError: the compiler is missing or refuses.
    """
    if plugin.namespace == "migx":
        _migraphx(graph, engine, precision)
    else:
        _tensorrt(plugin, graph, engine, place)


def _tensorrt(plugin: Plugin, graph: Path, engine: Path, place: Place) -> None:
    import torch

    try:
        trt: Any = import_module(_BUILDERS[plugin.namespace])
    except (ImportError, OSError) as error:
        raise BackendError(
            f"backend {plugin.namespace} can't load NVIDIA's builder ({error}): "
            f'pip install "vs-gainmap[{plugin.extra}]"'
        ) from error
    with torch.cuda.device(place.number):
        logger = trt.Logger(trt.Logger.WARNING)
        builder = trt.Builder(logger)
        # The network computes in the graph's own types; there is no other mode in new versions.
        strong = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(strong)
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(graph.read_bytes()):
            raise BackendError(f"backend {plugin.namespace}: {parser.get_error(0).desc()}")
        made = builder.build_serialized_network(network, builder.create_builder_config())
    if made is None:
        raise BackendError(f"backend {plugin.namespace}: TensorRT could not build an engine")
    engine.write_bytes(bytes(made))


def _migraphx(graph: Path, engine: Path, precision: Precision) -> None:
    driver = next((found for name in _MIGRAPHX_DRIVERS if (found := shutil.which(name))), None)
    if driver is None:
        raise BackendError(
            "backend migx needs migraphx-driver, which comes with ROCm: install AMD's package "
            "migraphx"
        )
    done = subprocess.run(
        migraphx_command(driver, graph, engine, precision),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise BackendError(f"backend migx: migraphx-driver failed: {' '.join(last)}")


def migraphx_command(driver: str, graph: Path, engine: Path, precision: Precision) -> list[str]:
    """Return the command line that compiles a graph for AMD's GPU."""
    half = ["--fp16"] if precision == "float16" else []
    return [driver, "compile", "--onnx", str(graph), "--gpu", *half, "--output", str(engine)]
