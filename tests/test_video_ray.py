"""Chunks on a cluster of two machines, one of which is lost."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.films import digest, graph, run
from vs_gainmap.errors import MediaError
from vs_gainmap.video import Encoded
from vs_gainmap.video.convert import FileClip, open_file
from vs_gainmap.video.index import scan
from vs_gainmap.video.ray_workers import Cluster, _encode
from vs_gainmap.video.worker import Order

if os.environ.get("CI") != "true":
    pytest.importorskip("ray", reason="the extra ray is not installed")


@pytest.fixture(scope="module")
def machines() -> Iterator[object]:
    """Return a cluster whose head makes nothing, and two machines of one core."""
    from ray.cluster_utils import Cluster as LocalCluster

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    cluster = LocalCluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@pytest.mark.slow
def test_a_cluster_makes_the_same_file_though_a_machine_is_lost(
    film: Path, undisturbed: Encoded, machines: object, tmp_path: Path
) -> None:
    target = tmp_path / "out.mkv"
    lost: list[int] = []

    def lose(done: int, total: int, size: int) -> None:  # noqa: ARG001
        if done and not lost:
            lost.append(done)
            machines.remove_node(machines.list_all_nodes()[-1], allow_graceful=False)

    huge = pytest.raises(MediaError, match="no machine has 64 CPUs and 0 GPUs for a chunk")
    with huge, Cluster(machines.address, cpus=64):
        pass
    with Cluster(machines.address, cpus=1) as cluster:
        made = run(film, target, workers=cluster, progress=lose)
    assert lost
    assert lost[0] < made.frames
    assert digest(target) == digest(undisturbed.path)
    assert made.film == undisturbed.film


def test_a_film_that_can_not_be_opened_leaves_the_one_before(film: Path, tmp_path: Path) -> None:
    """As one of Ray's processes gets chunks of two films in turn."""
    with open_file(film, tmp_path / "out.mkv", graph, encoder="ffv1") as opened:
        job, clip = opened.film.job, opened.film.source
        opened.film.release()
    assert isinstance(clip, FileClip)
    missing = replace(clip, index=replace(clip.index, path=tmp_path / "gone.mkv"))
    good, bad = (pickle.dumps(Order(job=job, source=source)) for source in (clip, missing))
    first = _encode(good, 0)
    assert isinstance(first, bytes)
    assert "gone.mkv" in str(_encode(bad, 0))
    assert _encode(good, 0) == first


def test_another_file_on_a_machine_is_named(film: Path, tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    path.write_bytes(film.read_bytes())
    index = scan(path)
    clip = FileClip(
        index=index, first=0, count=48, assume_progressive=False, graph=graph
    ).portable()
    clip.check()
    data = bytearray(path.read_bytes())
    data[-10:] = bytes(10)
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"in\.mkv: is another file here"):
        clip.check()
    path.unlink()
    with pytest.raises(MediaError, match=r"in\.mkv: can't be read: No such file"):
        clip.check()
