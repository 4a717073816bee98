"""Dask: arrays of frames, bit for bit what stores give; and stores that a cluster makes, whatever dies meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mapped
import numpy as np
import pytest
from commands import typed
from distributed import Client, LocalCluster
from mapped import batches_begun, contents, write_source
from scenes import HELPERS, WITH_HELPERS

import imgstore
from imgstore.bridges.dask import map_store
from imgstore.errors import ArgumentError, FrameDecodeError, UnfinishedStoreError
from imgstore.verify import verify_store

COUNT = 57
PATIENCE = 90.0
# what workers import is found there as here
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HELPERS), os.environ.get("PYTHONPATH")]))


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    ) as made:
        yield made


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with cluster(2) as made, Client(made, set_as_default=False) as client:
        yield client


@pytest.fixture(scope="module", params=["ffv1/mkv", "avc1/mp4", "npy"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source") / "s", request.param, COUNT)


def wait_until(holds: Callable[[], object]) -> None:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < PATIENCE, "waited for too long"
        time.sleep(0.02)


def whole_chunks(dest: Path) -> list[str]:
    return sorted(path.name for path in (dest / ".unfinished").glob("??????"))


class TestArrays:
    def test_groups_of_pictures_may_be_of_any_length(self, tmp_path: Path) -> None:
        """Where a scene is cut an encoder begins another one."""
        path = write_source(tmp_path / "s", "avc1/mp4", 60, chunksize=100)
        with imgstore.open(path) as store:
            keys = store.get_key_frames().tolist()
            assert len(set(np.diff(keys))) > 1
            assert np.cumsum([0, *store.to_dask(1).chunks[0]]).tolist() == [*keys, 60]

    @pytest.mark.parametrize("frames_per_block", [None, 1, 7, 25, 1000])
    def test_are_the_frames(self, source: Path, frames_per_block: int | None) -> None:
        with imgstore.open(source) as store:
            frames = store[:]
            array = store.to_dask(frames_per_block)
        assert (array.shape, array.dtype) == (frames.shape, frames.dtype)
        assert np.array_equal(array.compute(scheduler="threads"), frames), "the store is closed"
        assert np.array_equal(array[3:50:5, 2, ::3].compute(scheduler="threads"), frames[3:50:5, 2, ::3])
        assert np.isclose(array.mean().compute(scheduler="threads"), frames.mean())

    def test_on_a_cluster(self, client: Client, source: Path) -> None:
        with imgstore.open(source, color="rgb") as store:
            array = store.to_dask(10)
            assert np.array_equal(client.compute(array).result(), store[:])

    def test_blocks_end_at_chunks_and_before_groups_of_pictures(self, tmp_path: Path) -> None:
        with imgstore.new_for_format("avc1/mp4", tmp_path / "s", imgshape=(48, 64), chunksize=60) as store:
            for k in range(150):
                store.add_image(np.full((48, 64), 100, np.uint8), k, k / 30)
        with imgstore.open(tmp_path / "s") as store:
            assert store.get_key_frames().tolist() == [0, 25, 50, 60, 85, 110, 120, 145]
            assert store.to_dask(30).chunks[0] == (25, 25, 10, 25, 25, 10, 30)
            assert store.to_dask(1).chunks[0] == (25, 25, 10, 25, 25, 10, 25, 5)
            assert store.to_dask(55).chunks[0] == (50, 10, 50, 10, 30)
            assert store.to_dask().chunks[0] == (60, 60, 30)
            for wrong in (0, -1, 2.5, True):
                with pytest.raises(ArgumentError, match="frames_per_block must be a whole number from 1"):
                    store.to_dask(wrong)  # type: ignore[arg-type]

    def test_names_tell_stores_and_options_apart(self, tmp_path: Path) -> None:
        paths = [write_source(tmp_path / name, "npy", 5, shape=(4, 4, 3)) for name in "ab"]
        names = []
        for path in paths:
            for keywords in ({}, {"color": "rgb"}, {"color": "gray"}):
                with imgstore.open(path, **keywords) as store:  # type: ignore[arg-type]
                    assert store.to_dask().name == store.to_dask().name
                    names += [store.to_dask().name, store.to_dask(2).name]
        assert len(set(names)) == len(names)

    def test_damaged_frames_are_named(self, tmp_path: Path) -> None:
        path = write_source(tmp_path / "s", "npy", 20)
        (path / "000000" / "000007.npy").write_bytes(b"damaged")
        with imgstore.open(path) as store:
            array = store.to_dask(5)
            assert np.array_equal(array[10:].compute(scheduler="threads"), store[10:])
        with pytest.raises(FrameDecodeError, match=r"000007\.npy"):
            array.compute(scheduler="threads")

    def test_nothing_stays_open_but_a_few(self, tmp_path: Path) -> None:
        from imgstore.mapping import recipe

        for k in range(10):
            with imgstore.open(write_source(tmp_path / str(k), "npy", 3)) as store:
                store.to_dask().compute(scheduler="threads")
        assert len(recipe._idle) <= 4

    @pytest.mark.parametrize("missing", ["mask", "drop", "hold", "black"])
    @pytest.mark.parametrize("reference", [0, 1, None])
    def test_groups_are_in_step(self, tmp_path: Path, missing: Any, reference: int | None) -> None:
        left = write_source(tmp_path / "left", "avc1/mp4", 60)
        right = tmp_path / "right"
        with imgstore.new_for_format("npy", right, imgshape=(8, 10, 3), chunksize=20) as store:
            with imgstore.open(left) as other:
                numbers = other.frame_numbers.tolist()
            for k, number in enumerate(numbers):
                if not (k < 3 or 20 <= k < 30 or k == 59):
                    store.add_image(np.full((8, 10, 3), k, np.uint8), number, mapped.EPOCH + k / 30)
        with imgstore.StoreGroup([left, right], missing=missing, reference=reference) as group:
            arrays = group.to_dask(10)
            assert len({array.chunks[0] for array in arrays}) == 1
            expected = group.get_images(slice(None)).images
            for array, frames in zip(arrays, expected, strict=True):
                assert (array.shape, array.dtype) == (frames.shape, frames.dtype)
                assert np.array_equal(array.compute(scheduler="threads"), frames)

    @pytest.mark.parametrize("on_error", ["warn", "skip", "raise"])
    def test_damaged_frames_of_groups(self, tmp_path: Path, on_error: Any) -> None:
        path = write_source(tmp_path / "s", "npy", 20)
        (path / "000000" / "000007.npy").write_bytes(b"damaged")
        with imgstore.StoreGroup([path], on_error=on_error) as group:
            (array,) = group.to_dask()
        if on_error == "raise":
            with pytest.raises(FrameDecodeError, match=r"000007\.npy"):
                array.compute(scheduler="threads")
            return
        with imgstore.open(path) as store, contextlib.ExitStack() as stack:
            if on_error == "warn":
                stack.enter_context(pytest.warns(UserWarning, match=r"black in place of a frame: .*000007\.npy"))
            frames = array.compute(scheduler="synchronous")
            others = [k for k in range(20) if k != 7]
            assert np.array_equal(frames[others], store.get_images(frame_indices=others)[0]) and not frames[7].any()


class TestWholeStores:
    def test_same_as_one_process(self, tmp_path: Path, client: Client, source: Path) -> None:
        assert typed("save", "--source", source, "--format", "avc1/mp4", "--chunksize", 10, tmp_path / "one").returncode == 0
        made = map_store(None, source, tmp_path / "d", format="avc1/mp4", chunksize=10, client=client)
        assert made.frame_count == COUNT
        assert contents(tmp_path / "d") == contents(tmp_path / "one")

    def test_functions_are_sent_that_no_module_has(self, tmp_path: Path, client: Client, source: Path) -> None:
        most, told = np.uint8(200), []
        map_store(
            lambda frames, metadata: np.minimum(frames, most)[:, ::2, ::2] + (metadata.frame_numbers[0] < 0),
            source, tmp_path / "d", format="npy", chunksize=10, client=client, progress=lambda *done: told.append(done),
        )  # fmt: skip
        with imgstore.open(source) as given, imgstore.open(tmp_path / "d") as made:
            assert np.array_equal(made[:], np.minimum(given[:], most)[:, ::2, ::2])
        assert sorted(told) == told and (told[0], told[-1], len(told)) == ((0, COUNT), (COUNT, COUNT), 7)

    def test_a_function_that_raises_on_one_chunk(self, tmp_path: Path, client: Client, source: Path) -> None:
        with pytest.raises(UnfinishedStoreError, match="5 of 6 chunks .* chunk 3, frames 30 to 39") as failed:
            map_store(mapped.fails_in_the_middle, source, tmp_path / "d", format="npy", chunksize=10, client=client)
        assert failed.value.failures == [(3, "RuntimeError: no such frame can be made")]

    def test_without_a_client(self, tmp_path: Path, client: Client, source: Path) -> None:
        with client.as_current():
            map_store(mapped.inverted, source, tmp_path / "d", format="npy", chunksize=10)
        assert verify_store(tmp_path / "d", deep=True) == []

    def test_command(self, tmp_path: Path, client: Client, source: Path) -> None:
        keywords = ("--source", source, "--format", "png", "--chunksize", 10, "--gray")
        assert typed("save", *keywords, tmp_path / "one").returncode == 0
        result = typed("save", *keywords, "--cluster", client.scheduler.address, tmp_path / "d")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == f"saved {COUNT} frames of {source} to {tmp_path / 'd'}\n"
        assert contents(tmp_path / "d") == contents(tmp_path / "one")

    @pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nothing://there", "127.0.0.1"])
    def test_a_cluster_that_is_not_there(self, tmp_path: Path, address: str) -> None:
        source = write_source(tmp_path / "s", "npy", 3)
        result = typed("save", "--source", source, "--cluster", address, tmp_path / "d")
        assert result.returncode == 1
        assert result.stderr.startswith(f"imgstore: error: {address}: no Dask scheduler answers there: ")
        assert result.stderr.count("\n") == 1
        assert not (tmp_path / "d").exists()


@pytest.mark.long
def test_a_worker_is_killed_and_then_the_client(tmp_path: Path) -> None:
    """40 chunks on four workers; started again, the store is what one process makes, and nothing was made twice."""
    source = write_source(tmp_path / "s", "npy", 400)
    dest, marks = tmp_path / "d", tmp_path / "marks"
    marks.mkdir()
    assert typed("save", "--source", source, "--format", "avc1/mp4", "--chunksize", 10, tmp_path / "one").returncode == 0
    with cluster(4) as made, Client(made, set_as_default=False) as ours:
        command = [sys.executable, mapped.__file__, source, dest, "avc1/mp4", made.scheduler_address, marks]
        first = subprocess.Popen(command, env=WITH_HELPERS)
        wait_until(lambda: len(whole_chunks(dest)) >= 6)
        killed = next(iter(ours.run(os.getpid).values()))
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: len(whole_chunks(dest)) >= 16)
        first.kill()
        first.wait()
        # what the workers were at when the client went they may end: wait until they have
        began = []
        while not began or began[-1] != len(list(marks.iterdir())) or len(began) < 2:
            began.append(len(list(marks.iterdir())))
            time.sleep(1)
        kept, before = whole_chunks(dest), batches_begun(marks)
        assert 16 <= len(kept) < 40 and not imgstore.is_imgstore(dest)
        subprocess.run(command, env=WITH_HELPERS, check=True)
    assert contents(dest) == contents(tmp_path / "one")
    assert verify_store(dest, deep=True) == []
    again = list(batches_begun(marks))
    for mark in before:
        again.remove(mark)
    expected = {f"{mapped.EPOCH + k / 3:.3f}" for k in range(40) if f"{k:06d}" not in kept}
    assert sorted(again) == sorted(expected), "what was whole is not begun again"
    assert len(before) <= 1 + len(kept) + 1 + 4, "a look, the chunks, the one of the worker, those of the client"




@pytest.mark.long
def test_across_a_network(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    """Scheduler, workers and client are each in a network of their own, and reach each other through cables alone."""
    ip = need_tool("ip")
    names = [f"imgs{os.getpid() % 100000}{end}" for end in "swc"]
    bridge = f"imgb{os.getpid() % 100000}"

    def call(*arguments: object) -> None:
        done = subprocess.run([ip, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode:
            raise OSError(done.stderr.strip())

    with contextlib.ExitStack() as stack:
        try:
            for k, name in enumerate(names):
                call("netns", "add", name)
                stack.callback(call, "netns", "del", name)
                call("-n", name, "link", "set", "lo", "up")
                if not k:  # the scheduler's is where the others' cables end
                    call("-n", name, "link", "add", bridge, "type", "bridge")
                    call("-n", name, "addr", "add", "10.83.0.1/24", "dev", bridge)
                    call("-n", name, "link", "set", bridge, "up")
                    continue
                call("link", "add", f"{name}0", "type", "veth", "peer", "name", f"{name}1")
                call("link", "set", f"{name}0", "netns", name)
                call("link", "set", f"{name}1", "netns", names[0])
                call("-n", name, "addr", "add", f"10.83.0.{k + 1}/24", "dev", f"{name}0")
                call("-n", name, "link", "set", f"{name}0", "up")
                call("-n", names[0], "link", "set", f"{name}1", "master", bridge)
                call("-n", names[0], "link", "set", f"{name}1", "up")
        except OSError as error:
            pytest.skip(f"needs the right to make networks ({error})")
        source = write_source(tmp_path / "s", "npy", COUNT)
        assert typed("save", "--source", source, "--format", "avc1/mp4", "--chunksize", 10, tmp_path / "one").returncode == 0
        address = "tcp://10.83.0.1:8786"

        def begin(name: str, *arguments: str) -> None:
            command = [ip, "netns", "exec", name, sys.executable, "-m", *arguments]
            program = subprocess.Popen(command, env=WITH_HELPERS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(program.wait)
            stack.callback(program.terminate)

        begin(names[0], "distributed.cli.dask_scheduler", "--host", "10.83.0.1", "--port", "8786", "--no-dashboard")
        worker = ("distributed.cli.dask_worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard")
        begin(names[1], *worker, "--local-directory", str(tmp_path / "worker"))
        save = ["imgstore", "save", "--source", str(source), "--format", "avc1/mp4", "--chunksize", "10"]
        command = [ip, "netns", "exec", names[2], sys.executable, "-m", *save, "--cluster", address, str(tmp_path / "d")]
        for _ in range(20):  # until the scheduler answers
            done = subprocess.run(command, env=WITH_HELPERS, capture_output=True, text=True, timeout=PATIENCE)
            if "no Dask scheduler answers" not in done.stderr:
                break
        assert done.returncode == 0, done.stderr
        assert contents(tmp_path / "d") == contents(tmp_path / "one")
        counted = subprocess.run(
            [ip, "-n", names[1], "-s", "link", "show", f"{names[1]}0"], capture_output=True, text=True, check=True
        )
        assert int(counted.stdout.split("RX:")[1].split("\n")[1].split()[0]) > 10_000, "bytes that went through the cable"
