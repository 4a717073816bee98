"""Stores in PyTorch's own DataLoader: every frame the right one, once an epoch, whatever the workers, and none decoded twice."""

from __future__ import annotations

import gc
import json
import math
import multiprocessing
import os
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scenes import coded_frame, shown_number, write_store
from torch.utils.data import DataLoader, RandomSampler, Subset, get_worker_info
from video_samples import B_FRAMES, encode, number_of

import imgstore
from imgstore import StoreGroup
from imgstore.bridges import torch as bridge
from imgstore.bridges.torch import ChunkSampler, ClipDataset, FrameDataset, torchcodec_mappings
from imgstore.bridges.torch.order import Epoch, Plan, merged
from imgstore.errors import ArgumentError, ChunkError, FrameIndexError
from imgstore_codecs.video.reading.stretch import Stretch

STARTS = multiprocessing.get_all_start_methods()
FIRST, GOP, CHUNK = 100, 12, 60
# reading has threads in the parent, and forking beside them is what is tried here
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    """310 frames of H.264, numbers from 100, in groups of 12 and chunks of 60."""
    path = tmp_path_factory.mktemp("torch") / "video"
    return write_store(path, "avc1/mp4", 310, first=FIRST, chunksize=CHUNK, gop_size=GOP)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> str:
    """90 frames in two chunks, numbers from 2000."""
    path = tmp_path_factory.mktemp("torch") / "second"
    return write_store(path, "avc1/mp4", 90, first=2000, chunksize=CHUNK, gop_size=GOP)


@pytest.fixture(scope="module", params=[((48, 64), np.uint8), ((48, 64, 3), np.uint8), ((48, 64, 3), np.uint16)],
                ids=["gray", "color", "16 bits"])  # fmt: skip
def lossless(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Frames of noise, with extra data beside every third of them and before the first."""
    shape, dtype = request.param
    rng = np.random.default_rng(2)
    path = tmp_path_factory.mktemp("torch") / "lossless"
    with imgstore.new_for_format("ffv1/mkv", path, imgshape=shape, imgdtype=dtype, chunksize=10) as store:
        for k in range(25):
            store.add_image(rng.integers(0, np.iinfo(dtype).max, shape, dtype), 7 + 2 * k, 1000 + k / 3)
            if k % 3 == 1:
                store.add_extra_data(temperature=20 + k, label=f"after {k}", box=[k, k])
    return str(path)


def shown(image: torch.Tensor) -> int:
    return shown_number(image.numpy()[0])


def numbers_shown(batch: Any) -> list[int]:
    """Return the numbers of a batch's frames, having compared them with what the pictures show."""
    numbers: list[int] = batch["frame_number"].tolist()
    assert [shown(image) for image in batch["image"]] == numbers
    return numbers


# ------------------------------------------------------------------ frames


class TestFrameDataset:
    @pytest.mark.parametrize("color", ["rgb", "bgr", "gray"])
    def test_samples_are_the_frames(self, lossless: str, color: Any) -> None:
        with imgstore.new_for_filename(lossless) as store:
            wanted, (numbers, times) = store.get_images(frame_indices=range(25))
            wanted = store.as_array(color=color)[:] if wanted.ndim == 4 else wanted
        as_tensors, as_arrays = FrameDataset(lossless, color=color), FrameDataset(lossless, color=color, output="numpy")
        assert len(as_tensors) == len(as_arrays) == 25
        for k in (0, 24, 11, -3):
            sample, array = as_tensors[k], as_arrays[k]
            image = wanted[k]
            assert np.array_equal(array["image"], image)
            planes = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
            assert sample["image"].is_contiguous() and np.array_equal(sample["image"].numpy(), planes)
            rest = {"frame_number": numbers[k], "frame_time": times[k], "store": 0, "position": k % 25}
            assert {name: value for name, value in sample.items() if name != "image"} == rest
            assert {name: type(value) for name, value in sample.items()} == {
                "image": torch.Tensor, "frame_number": int, "frame_time": float, "store": int, "position": int
            }  # fmt: skip

    def test_what_is_not_there(self, lossless: str) -> None:
        dataset = FrameDataset(lossless)
        for wrong in (25, -26):
            with pytest.raises(IndexError, match="there are 25"):
                dataset[wrong]
        with pytest.raises(ArgumentError):
            dataset[1.5]  # type: ignore[index]
        with pytest.raises(FrameIndexError):
            dataset.__getitems__([0, 25])

    def test_a_batch_of_several_stores_is_read_once_of_each(self, video: str, second: str, monkeypatch: Any) -> None:
        asked: list[Any] = []
        read = imgstore.ImgStore.get_images

        def noted(store: Any, *args: Any, **options: Any) -> Any:
            asked.append((os.path.basename(store.filename), list(options["frame_indices"])))
            return read(store, *args, **options)

        monkeypatch.setattr(imgstore.ImgStore, "get_images", noted)
        dataset = FrameDataset([video, second])
        assert len(dataset) == 400
        samples = dataset.__getitems__([315, 3, 399, 200, 3, 310, -1])
        assert [(s["store"], s["position"]) for s in samples] == [(1, 5), (0, 3), (1, 89), (0, 200), (0, 3), (1, 0), (1, 89)]
        assert [shown(s["image"]) for s in samples] == [2005, 103, 2089, 300, 103, 2000, 2089]
        assert sorted(asked) == [("second", [0, 5, 89]), ("video", [3, 200])]

    def test_transform_and_what_it_does_to_a_frame_does_nothing_to_others(self, video: str) -> None:
        dataset = FrameDataset(video, transform=lambda image: image.zero_().add_(7))
        batch = dataset.__getitems__([3, 3])
        assert all(sample["image"].unique().tolist() == [7] for sample in batch)
        batch[0]["image"].fill_(9)
        assert batch[1]["image"].unique().tolist() == [7]

    def test_stores_that_are_open_show_what_they_show(self, lossless: str) -> None:
        with imgstore.open(lossless) as plain, imgstore.open(lossless, color="rgb") as swapped:
            if plain.image_shape[2:] != (3,):
                assert plain.color == swapped.color == "gray" or len(swapped.image_shape) == 3
                return
            assert (plain.color, swapped.color) == ("bgr", "rgb")
            wanted = FrameDataset(lossless)[4]["image"]
            place = plain.get_next_image()[1]
            for store in (plain, swapped):
                assert torch.equal(FrameDataset(store)[4]["image"], wanted)
                assert torch.equal(FrameDataset(store, color="bgr")[4]["image"], wanted.flip(0))
            assert (plain.frame_number, plain.frame_time) == place  # where reading goes on is the store's own

    def test_plain_videos(self, tmp_path: Path) -> None:
        encode(tmp_path / "clip.mp4", range(40), gop=10)
        dataset = FrameDataset(tmp_path / "clip.mp4")
        assert [number_of(s["image"].numpy().transpose(1, 2, 0)) for s in dataset.__getitems__([31, 2])] == [31, 2]

    def test_latest_records(self, lossless: str) -> None:
        dataset = FrameDataset(lossless, extra=True)
        assert math.isnan(dataset[0]["extra"]["temperature"])
        assert [s["extra"] for s in dataset.__getitems__([1, 3, 4, 24])] == [{"temperature": t} for t in (21, 21, 24, 42)]
        named = FrameDataset(lossless, extra=["label", "temperature"])
        assert named[5]["extra"] == {"label": "after 4", "temperature": 24} and named[0]["extra"]["label"] == ""
        batch = next(iter(DataLoader(named, batch_size=3)))
        assert batch["extra"]["label"] == ["", "after 1", "after 1"]
        for wrong in ("weight", "box"):
            with pytest.raises(ArgumentError, match=wrong):
                FrameDataset(lossless, extra=wrong)[0]

    def test_no_records(self, video: str) -> None:
        assert FrameDataset(video, extra=True)[0]["extra"] == {}
        with pytest.raises(ArgumentError, match="no extra data"):
            FrameDataset(video, extra="temperature")[0]

    def test_damaged_frames_are_named_in_a_worker(self, tmp_path: Path) -> None:
        path = write_store(tmp_path / "s", "npy", 30)
        (tmp_path / "s" / "000001" / "000004.npy").write_bytes(b"no frame")
        loader = DataLoader(FrameDataset(path), batch_size=10, num_workers=1, multiprocessing_context="fork")
        batches = iter(loader)
        assert numbers_shown(next(batches)) == list(range(100, 110))
        with pytest.raises(ChunkError, match=r"000001.*000004\.npy"):
            next(batches)

    @pytest.mark.parametrize("wrong", [{"output": "jax"}, {"color": "cmyk"}])
    def test_wrong_arguments(self, video: str, wrong: Any) -> None:
        with pytest.raises(ArgumentError):
            FrameDataset(video, **wrong)
        with pytest.raises(ArgumentError):
            FrameDataset([])
        with pytest.raises(ValueError, match="nowhere"):
            FrameDataset("nowhere")


class TestGroups:
    @pytest.fixture(scope="class")
    def cameras(self, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
        """Two cameras in step; the second lacks every seventh number."""
        directory = tmp_path_factory.mktemp("group")
        paths = [str(directory / "left"), str(directory / "right")]
        for path, lacks in zip(paths, (1000, 7), strict=True):
            with imgstore.new_for_format("avc1/mp4", path, imgshape=(48, 64), chunksize=40, gop_size=GOP) as store:
                for n in range(120):
                    if n % lacks or not n:
                        store.add_image(coded_frame(n), n, 1000 + n / 30)
        return paths

    def test_a_sample_is_a_step(self, cameras: list[str]) -> None:
        with StoreGroup(cameras) as group:
            dataset = FrameDataset(group)
            assert len(dataset) == 120
            there, missing = dataset.__getitems__([50, 49])
        assert list(there["images"]) == ["left", "right"]
        assert [shown(image) for image in there["images"].values()] == [50, 50]
        assert (there["present"].tolist(), missing["present"].tolist()) == ([True, True], [True, False])
        assert shown(missing["images"]["left"]) == 49 and not missing["images"]["right"].any()
        assert missing["frame_number"].tolist() == [49, 0] and there["frame_time"].tolist() == [1000 + 50 / 30] * 2

    @pytest.mark.parametrize("start", STARTS if os.environ.get("CI") else STARTS[:1])
    def test_in_a_loader(self, cameras: list[str], start: str) -> None:
        with StoreGroup(cameras, missing="hold") as group:
            dataset = FrameDataset([group])
            sampler = ChunkSampler(dataset, 8, num_workers=2, window=2, groups=4)
            loader = DataLoader(dataset, batch_sampler=sampler, num_workers=2, multiprocessing_context=start)
            steps = []
            for batch in loader:
                for k, step in enumerate(batch["position"].tolist()):
                    steps.append(step)
                    assert shown(batch["images"]["left"][k]) == step
                    held = step if step % 7 or not step else step - 1
                    assert shown(batch["images"]["right"][k]) == held
                    assert batch["present"][k].tolist() == [True, held == step]
            assert sorted(steps) == list(range(120)) and steps != sorted(steps)
            assert shown_number(group[3].images[0]) == 3

    def test_what_does_not_go_together(self, cameras: list[str], video: str) -> None:
        with StoreGroup(cameras) as group, StoreGroup(cameras, names=["a", "b"]) as other:
            for wrong in ([group, video], [group, other]):
                with pytest.raises(ArgumentError):
                    FrameDataset(wrong)
            with pytest.raises(ArgumentError, match="its stores"):
                ClipDataset(group, 3)


# ------------------------------------------------------------------ clips


class TestClipDataset:
    def test_by_position(self, video: str) -> None:
        dataset = ClipDataset(video, 5, stride=3, step=10)
        assert len(dataset) == 30  # of 310 frames, a clip spans 13
        clip = dataset[7]
        assert clip["clip"].shape == (5, 1, 48, 64) and clip["position"].tolist() == [70, 73, 76, 79, 82]
        assert [shown(image) for image in clip["clip"]] == clip["frame_number"].tolist() == [170, 173, 176, 179, 182]
        assert clip["frame_time"].tolist() == [1035 + 1.5 * k for k in range(5)]
        assert len(ClipDataset(video, 5)) == 62

    @pytest.mark.parametrize("ends, last", [("error", [300, 302, 304, 306]), ("repeat_last", [308, 309, 309, 309]),
                                            ("wrap", [308, 308, 308, 308])])  # fmt: skip
    def test_ends(self, video: str, ends: Any, last: list[int]) -> None:
        dataset = ClipDataset(video, 4, stride=2, step=4, ends=ends)
        assert dataset[0]["position"].tolist() == [0, 2, 4, 6]
        wanted = last if ends != "repeat_last" else [308] * 4
        assert dataset[-1]["position"].tolist() == wanted
        if ends == "wrap":
            assert dataset[-2]["position"].tolist() == [304, 306, 308, 304]
        if ends == "repeat_last":
            assert dataset[-2]["position"].tolist() == [304, 306, 308, 308]

    def test_segments_by_number_and_time(self, video: str) -> None:
        trials = pd.DataFrame({"start": [120, 300], "stop": [131, 309]}, index=["a", "b"])
        dataset = ClipDataset(video, 4, segments=trials)
        assert [(s["segment"], s["position"].tolist()[0]) for s in map(dataset.__getitem__, range(len(dataset)))] == [
            (0, 20), (0, 24), (1, 200), (1, 204)
        ]  # fmt: skip
        by_time = pd.DataFrame({"start": [1010.0], "stop": [1013.0]})
        filled = ClipDataset(video, 4, segments=by_time, segments_by="time", ends="repeat_last")
        assert filled[1]["position"].tolist() == [24, 25, 25, 25] and len(filled) == 2

    def test_by_time_where_frames_are_missing(self, tmp_path: Path) -> None:
        kept = [n for n in range(100) if n % 10 not in (4, 5)]
        with imgstore.new_for_format("npy", tmp_path / "s", imgshape=(48, 64)) as store:
            for n in kept:
                store.add_image(coded_frame(n), n, 50 + n / 100)
        dataset = ClipDataset(tmp_path / "s", 4, by="time", stride=0.02, step=0.05)
        assert [s["frame_number"].tolist() for s in map(dataset.__getitem__, (0, 1))] == [[0, 2, 3, 6], [6, 7, 9, 11]]
        assert all(n == shown(i) for n, i in zip(dataset[5]["frame_number"], dataset[5]["clip"], strict=True))
        assert dataset[-1]["frame_number"].tolist()[-1] <= 99 and len(dataset) == 19

    def test_of_several_stores(self, video: str, second: str) -> None:
        trials = pd.DataFrame({"start": [2010, 120], "stop": [2020, 140], "store": [1, 0]})
        dataset = ClipDataset([video, second], 10, segments=trials)
        assert [(s["store"], s["segment"], shown(s["clip"][0])) for s in map(dataset.__getitem__, range(3))] == [
            (0, 1, 120), (0, 1, 130), (1, 0, 2010)
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "options, told",
        [
            ({"length": 400}, "310 frames"),
            ({"length": 0}, "length"),
            ({"length": 2, "stride": 0.5}, "stride"),
            ({"length": 2, "ends": "loop"}, "ends"),
            ({"segments": {"start": [120], "stop": [123]}, "length": 4}, "segment 0"),
            ({"segments": {"start": [1], "stop": [5]}}, "no frames"),
            ({"segments": {"begin": [1]}}, "'start'"),
            ({"segments": {"start": [1], "stop": [5], "store": [1]}}, "'store'"),
        ],
    )
    def test_wrong_arguments(self, video: str, options: Any, told: str) -> None:
        if "segments" in options:
            options = {**options, "segments": pd.DataFrame(options["segments"])}
        with pytest.raises(ArgumentError, match=told):
            ClipDataset(video, **{"length": 2, **options})

    def test_numbers_that_start_again(self, tmp_path: Path) -> None:
        with imgstore.new_for_format("npy", tmp_path / "s", imgshape=(48, 64)) as store:
            for k in range(40):
                store.add_image(coded_frame(k), k % 20, 50 + k)
        with pytest.raises(ArgumentError, match="do not follow each other"):
            ClipDataset(tmp_path / "s", 2, segments=pd.DataFrame({"start": [3], "stop": [6]}))
        assert len(ClipDataset(tmp_path / "s", 2, segments=pd.DataFrame({"start": [53], "stop": [57]}), segments_by="time")) == 2

    def test_in_a_loader_each_once(self, video: str) -> None:
        dataset = ClipDataset(video, 6, step=4)
        sampler = ChunkSampler(dataset, 8, num_workers=2, window=2)
        loader = DataLoader(dataset, batch_sampler=sampler, num_workers=2, multiprocessing_context="fork")
        begins = []
        for batch in loader:
            assert batch["clip"].shape[1:] == (6, 1, 48, 64)
            for clip, positions in zip(batch["clip"], batch["position"].tolist(), strict=True):
                assert [shown(image) - FIRST for image in clip] == positions
                begins.append(positions[0])
        assert sorted(begins) == list(range(0, 305, 4))


# ------------------------------------------------------------------ order

plans = st.builds(
    lambda sizes, batch, window, streams, lanes, seed, ranks: [
        Plan(merged(np.cumsum([0, *sizes])[:-1], sum(sizes), max(1, window * batch // lanes)), sum(sizes), batch, window, streams,
             lanes, seed, rank, ranks)
        for rank in range(ranks)
    ],
    st.lists(st.integers(1, 60), max_size=40), st.integers(1, 33), st.integers(1, 5), st.integers(1, 5), st.integers(1, 20),
    st.integers(0, 2**63 - 1), st.integers(1, 4),
)  # fmt: skip


@given(plans, st.integers(0, 2**32 - 1))
def test_every_sample_is_in_one_batch_of_one_rank(ranks: list[Plan], number: int) -> None:
    epochs = [Epoch(plan, number) for plan in ranks]
    samples: list[int] = []
    for epoch, plan in zip(epochs, ranks, strict=True):
        assert epoch.count == len(plan.batch_sizes())
        for k, size in enumerate(plan.batch_sizes()):
            batch, stream, _, lanes = epoch.batch(k)
            assert len(batch) == size and 0 < size <= plan.batch_size and stream == k % plan.streams
            assert set(batch) <= {sample for lane in lanes for each in lane for sample in range(*each)}
            samples += batch
    count = ranks[0].count
    assert sorted(samples) == list(range(count))
    if ranks[0].batch_size > 1 and count > ranks[0].batch_size * len(ranks):
        assert len({epoch.count for epoch in epochs}) == 1


def test_the_order_stays_what_it_is() -> None:
    """An order that another version would not make again could not be resumed."""
    plan = Plan(np.arange(0, 40, 8), 40, 4, 2, 2, 3, 5, 0, 1)
    assert [Epoch(plan, 0).batch(k)[0] for k in range(3)] == ORDER


ORDER = [[35, 32, 0, 34], [11, 9, 23, 21], [33, 1, 2, 3]]


class TestChunkSampler:
    def order(self, sampler: ChunkSampler) -> list[list[int]]:
        return [list(batch) for batch in sampler]

    def test_is_a_function_of_seed_and_epoch(self, video: str) -> None:
        dataset = FrameDataset(video)
        sampler = ChunkSampler(dataset, 8, seed=3)
        first, second = self.order(sampler), self.order(sampler)
        assert first != second and len(first) == len(sampler) == 39
        again = ChunkSampler(dataset, 8, seed=3, num_workers=4)
        for epoch, wanted in ((1, second), (0, first)):
            again.set_epoch(epoch)
            assert self.order(again) == wanted
        assert self.order(ChunkSampler(dataset, 8, seed=4)) != first

    def test_a_window_has_frames_of_many_groups(self, video: str) -> None:
        batches = self.order(ChunkSampler(FrameDataset(video), 32, windows=1))
        assert min(len({p // GOP for p in batch}) for batch in batches[:5]) >= 8

    def test_resumes_behind_the_batch_that_was_taken(self, video: str) -> None:
        """Whatever the DataLoader has prefetched; in the midst of a window, and at the end of an epoch."""
        dataset = FrameDataset(video)

        def loader(state: dict[str, int] | None, workers: int) -> tuple[ChunkSampler, Any]:
            sampler = ChunkSampler(dataset, 16, seed=1, num_workers=workers, window=2)
            if state is not None:
                sampler.load_state_dict(state)
            context = "fork" if workers else None
            return sampler, DataLoader(dataset, batch_sampler=sampler, num_workers=workers, multiprocessing_context=context)

        plain = ChunkSampler(dataset, 16, seed=1, window=2)
        whole = self.order(plain) + self.order(plain)
        count = len(plain)
        for workers, step in [(0, 5), (2, 1), (2, 7), (4, count - 1), (2, count), (0, count)]:
            sampler, loading = loader(None, workers)
            batches = iter(loading)
            before = [next(batches)["position"].tolist() for _ in range(step)]
            state = json.loads(json.dumps(sampler.state_dict()))
            del batches
            assert state == {"epoch": step // count, "step": step % count} and before == whole[:step]
            _, loading = loader(state, 2 if workers == 0 else 0)
            after = [batch["position"].tolist() for batch in loading]
            assert after == whole[step : count if step < count else 2 * count]

    def test_goes_on_where_it_was_left(self, video: str) -> None:
        dataset = FrameDataset(video)
        sampler = ChunkSampler(dataset, 16, num_workers=2)
        loader = DataLoader(
            dataset, batch_sampler=sampler, num_workers=2, multiprocessing_context="fork", persistent_workers=True
        )
        whole = self.order(ChunkSampler(dataset, 16))
        batches = iter(loader)
        taken = [next(batches)["position"].tolist() for _ in range(3)]
        taken += [batch["position"].tolist() for batch in loader]
        assert taken == whole
        assert sampler.state_dict() == {"epoch": 1, "step": 0}

    def test_decodes_each_frame_about_once(self, video: str, tmp_path: Path, monkeypatch: Any) -> None:
        fed = Counter[str]()
        feed = Stretch.feed

        def counted(stretch: Stretch, *args: Any) -> Any:
            fed["packets"] += 1
            return feed(stretch, *args)

        monkeypatch.setattr(Stretch, "feed", counted)
        encode(tmp_path / "b-frames.mp4", range(310), gop=30, options=B_FRAMES)
        for path in (video, tmp_path / "b-frames.mp4"):
            dataset = FrameDataset(path, threads=1)
            sampler = ChunkSampler(dataset, 16, groups=8)
            fed.clear()
            for batch in DataLoader(dataset, batch_sampler=sampler):
                read = shown if path is video else lambda image: number_of(image.numpy().transpose(1, 2, 0))
                assert [read(image) for image in batch["image"]] == batch["frame_number"].tolist()
            assert 310 <= fed["packets"] <= 1.5 * 310

    def test_workers_are_told_of(self, video: str) -> None:
        dataset = FrameDataset(video)
        loader = DataLoader(dataset, batch_sampler=ChunkSampler(dataset), num_workers=2, multiprocessing_context="fork")
        with pytest.raises(ArgumentError, match="num_workers=2"):
            next(iter(loader))
        with pytest.raises(ArgumentError, match="windows=3"):
            ChunkSampler(dataset, num_workers=3)

    @pytest.mark.parametrize(
        "wrong",
        [{"batch_size": 0}, {"seed": -1}, {"window": 0}, {"rank": 1}, {"rank": 2, "world_size": 2}, {"num_workers": 1.5}],
        ids=str,
    )
    def test_wrong_arguments(self, video: str, wrong: Any) -> None:
        with pytest.raises(ArgumentError):
            ChunkSampler(FrameDataset(video), **wrong)

    def test_wrong_states_and_datasets(self, video: str) -> None:
        sampler = ChunkSampler(FrameDataset(video), 32)
        for wrong in ({"epoch": 0}, {"epoch": 0, "step": 11}, {"epoch": -1, "step": 0}):
            with pytest.raises(ArgumentError):
                sampler.load_state_dict(wrong)
        with pytest.raises(ArgumentError, match="Subset"):
            ChunkSampler(Subset(FrameDataset(video), [1]))

    def test_empty_store(self, tmp_path: Path) -> None:
        imgstore.new_for_format("npy", tmp_path / "s", imgshape=(4, 4)).close()
        dataset = FrameDataset(tmp_path / "s")
        sampler = ChunkSampler(dataset)
        assert len(dataset) == len(sampler) == len(list(DataLoader(dataset, batch_sampler=sampler))) == 0


# ------------------------------------------------------------------ workers

HOW = [(0, None)] + [(workers, start) for start in STARTS for workers in (2, 4)]
QUICK = {(0, None), (2, "fork"), (4, "fork"), (2, "spawn"), (2, "forkserver")}


@pytest.mark.parametrize(
    "workers, start",
    [pytest.param(*how, marks=[] if how in QUICK else [pytest.mark.long]) for how in HOW],
)
def test_every_frame_once_an_epoch(video: str, second: str, workers: int, start: str | None) -> None:
    """By two ranks, in a parent that has read itself before."""
    dataset = FrameDataset([video, second])
    assert [shown(s["image"]) for s in dataset.__getitems__([301, 5, 390])] == [401, 105, 2080]
    numbers: list[int] = []
    for rank in (0, 1):
        sampler = ChunkSampler(dataset, 16, num_workers=workers, rank=rank, world_size=2, seed=5)
        loader = DataLoader(dataset, batch_sampler=sampler, num_workers=workers, multiprocessing_context=start)
        own = [number for batch in loader for number in numbers_shown(batch)]
        assert len(own) == 200
        numbers += own
    assert sorted(numbers) == [*range(100, 410), *range(2000, 2090)]


def test_plain_shuffling_and_subsets(video: str) -> None:
    dataset = FrameDataset(video)
    loader = DataLoader(dataset, 16, sampler=RandomSampler(dataset), num_workers=2, multiprocessing_context="fork")
    assert sorted(n for batch in loader for n in numbers_shown(batch)) == list(range(100, 410))
    some = DataLoader(Subset(dataset, [7, 300, 21]), 2, num_workers=1, multiprocessing_context="fork")
    assert [n for batch in some for n in numbers_shown(batch)] == [107, 400, 121]


class OpenFiles:
    """Notes which files of the store a worker has open, and what it inherited."""

    def __init__(self, path: str):
        self._path = path

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        worker = get_worker_info()
        assert worker is not None
        return torch.tensor([worker.id, sum(self._path in file.path for file in psutil.Process().open_files())])


def test_a_pickled_dataset_is_small_and_has_nothing_open(video: str) -> None:
    gc.collect()  # what other tests have left open

    def open_files() -> int:
        return sum(video in file.path for file in psutil.Process().open_files())

    before = open_files()
    dataset = FrameDataset(video)
    sampler = ChunkSampler(dataset, 16)
    next(iter(DataLoader(dataset, batch_sampler=sampler)))
    assert open_files() > before
    text = pickle.dumps(dataset)
    assert len(text) < 2000
    again = pickle.loads(text)
    assert shown(again[30]["image"]) == 130
    again.close()
    dataset.close()
    assert open_files() == before
    assert shown(dataset[31]["image"]) == 131


def test_each_worker_opens_stores_of_its_own(video: str) -> None:
    dataset = FrameDataset(video, transform=OpenFiles(video))
    sampler = ChunkSampler(dataset, 16, num_workers=2)
    loader = DataLoader(dataset, batch_sampler=sampler, num_workers=2, multiprocessing_context="fork")
    seen = torch.cat([batch["image"] for batch in loader])
    assert set(seen[:, 0].tolist()) == {0, 1} and bool((seen[:, 1] > 0).all())


def _rank(rank: int, video: str, meeting: str, found: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    try:
        dataset = FrameDataset(video)
        loader = DataLoader(dataset, batch_sampler=ChunkSampler(dataset, 16))
        found.put((rank, [n for batch in loader for n in numbers_shown(batch)]))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.long
def test_ranks_of_torch_distributed(video: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    found = context.Queue()
    processes = [context.Process(target=_rank, args=(rank, video, str(tmp_path / "meeting"), found)) for rank in (0, 1)]
    for process in processes:
        process.start()
    ranks = dict(found.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(60)
    assert sorted(ranks[0] + ranks[1]) == list(range(100, 410))


@pytest.mark.long
def test_memory_stays_flat(video: str) -> None:
    dataset = FrameDataset(video)
    sampler = ChunkSampler(dataset, 16, num_workers=2)
    loader = DataLoader(
        dataset, batch_sampler=sampler, num_workers=2, multiprocessing_context="fork", persistent_workers=True
    )
    used = []
    for _ in range(20):
        for batch in loader:
            numbers_shown(batch)
        mine = psutil.Process()
        used.append(sum(process.memory_info().rss for process in [mine, *mine.children(recursive=True)]))
    assert max(used[10:]) - max(used[3:10]) < 8e6, used


# ------------------------------------------------------------------ torchcodec


def decoded(path: str) -> list[tuple[int, bool]]:
    with av.open(path) as container:
        return [(int(frame.pts or 0), bool(frame.key_frame)) for frame in container.decode(video=0)]


@pytest.mark.parametrize("make", ["ours", "b frames"])
def test_mappings_are_what_decoding_gives(video: str, tmp_path: Path, make: str) -> None:
    if make == "b frames":
        encode(tmp_path / "b.mp4", range(50), gop=20, options=B_FRAMES)
        path = tmp_path / "s"
        with imgstore.VideoImgStore(basedir=path, mode="w", imgshape=(128, 192), format="avc1/mp4") as writing:
            writing.insert_chunk(tmp_path / "b.mp4", range(50), np.arange(50.0))
    with imgstore.new_for_filename(video if make == "ours" else path) as store:
        for file in store.chunk_files:
            frames = json.loads(torchcodec_mappings(store, file.chunk))["frames"]
            assert [(f["pts"], bool(f["key_frame"])) for f in frames] == decoded(file.path)
            assert all(f["duration"] > 0 for f in frames)
        with pytest.raises(ArgumentError, match="no chunk 17"):
            torchcodec_mappings(store, 17)


def test_mappings_of_what_is_no_video(tmp_path: Path) -> None:
    with imgstore.new_for_filename(write_store(tmp_path / "s", "npy", 3)) as store, pytest.raises(ArgumentError):
        torchcodec_mappings(store, 0)
    with imgstore.new_for_filename(write_store(tmp_path / "cut", "avc1/mp4", 20)) as store:
        os.replace(store.chunk_files[1].path, store.chunk_files[0].path)
        write_store(tmp_path / "short", "avc1/mp4", 5)
        os.replace(tmp_path / "short" / "000000.mp4", store.chunk_files[0].path)
        with pytest.raises(ChunkError, match="holds 5 frames"):
            torchcodec_mappings(store, 0)


def test_names() -> None:
    assert sorted(bridge.__all__) == ["ChunkSampler", "ClipDataset", "FrameDataset", "torchcodec_mappings"]
    assert all(hasattr(bridge, name) for name in bridge.__all__)
