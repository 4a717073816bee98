"""Stores in xarray, Dask, napari and PIMS: through their own doors, bit for bit what `get_images` gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import dask.array
import dask.base
import npe2
import numpy as np
import pims
import pytest
import xarray as xr
from scenes import write_store

import imgstore
from imgstore.bridges import napari
from imgstore.bridges import pims as pims_bridge

COUNT = 25
TIMES = 1_700_000_000.1 + np.arange(COUNT) / 3


@pytest.fixture(scope="module", params=[(48, 64), (48, 64, 3)], ids=["gray", "color"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bridges") / "s"
    rng = np.random.default_rng(2)
    with imgstore.new_for_format("ffv1/mkv", path, imgshape=request.param, chunksize=10) as store:
        for k in range(COUNT):
            store.add_image(rng.integers(0, 255, request.param, np.uint8), 7 + 2 * k, TIMES[k])
            store.add_extra_data(temperature=20.5 + k, label="a", frames=k)
    return path


@pytest.fixture
def frames(path: Path) -> Any:
    with imgstore.new_for_filename(path) as store:
        return store.get_images(frame_indices=range(COUNT))[0]


def test_dask_takes_an_array(path: Path, frames: Any) -> None:
    with imgstore.new_for_filename(path) as store:
        array = dask.array.from_array(store.as_array(), chunks=(10, -1, -1, -1)[: frames.ndim])
        with dask.config.set(scheduler="threads"):
            assert np.array_equal(array.compute(), frames)
            assert np.array_equal(array[3:9, ::2, 5].compute(), frames[3:9, ::2, 5])
        with dask.config.set(scheduler="processes", num_workers=2):
            assert np.array_equal(array[8:13].sum(axis=0).compute(), frames[8:13].sum(axis=0))


def test_token_is_the_same_in_two_processes_and_another_when_the_store_has_grown(path: Path, tmp_path: Path) -> None:
    root = write_store(tmp_path / "grows", "npy", 5)

    def token() -> str:
        with imgstore.new_for_filename(root) as store:
            return str(dask.base.tokenize(store.as_array()))

    program = (
        "import sys, imgstore, dask.base\n"
        "print(dask.base.tokenize(imgstore.new_for_filename(sys.argv[1]).as_array()))"
    )
    done = subprocess.run([sys.executable, "-c", program, root], capture_output=True, text=True, check=True)
    before = token()
    assert done.stdout.strip() == before
    with imgstore.new_for_filename(path) as store:  # grayscale frames stay gray, and are the same frames then
        tokens = {dask.base.tokenize(store.as_array(color=color)) for color in (None, "rgb", "gray")}
        assert len(tokens) == (3 if len(store.image_shape) == 3 else 1)
    with imgstore.new_for_filename(root, mode="a") as store:
        store.add_image(np.zeros((48, 64), np.uint8), 900, 9000.0)
    assert token() != before


class TestXarray:
    def test_opens_a_store(self, path: Path, frames: Any) -> None:
        with xr.open_dataset(path) as dataset:
            assert dataset.frames.dims == ("time", "y", "x", "channel")[: frames.ndim]
            assert np.array_equal(dataset.frames.values, frames)
            assert np.array_equal(dataset.frames[3:9, ::2, 5].values, frames[3:9, ::2, 5])
            assert np.array_equal(dataset.frames[[5, 2], 3].values, frames[[5, 2], 3])
            assert np.array_equal(dataset.frames[4, [5, 2]].values, frames[4, [5, 2]])
            assert np.array_equal(dataset.frames[1:3, 4, [5, 2]].values, frames[1:3, 4, [5, 2]])
            assert np.array_equal(dataset.frames.isel(time=[1, 4], y=[2, 5]).values, frames[[1, 4]][:, [2, 5]])
            assert dataset.frame_number.values.tolist() == list(range(7, 7 + 2 * COUNT, 2))
            assert np.array_equal(dataset.frame_time.values, TIMES)
            assert np.abs(dataset.time.values.astype(np.int64) / 1e9 - TIMES).max() < 1e-6
            assert dataset.temperature.dims == ("record",) and dataset.temperature.values[3] == 23.5
            assert dataset.extra_frames.values.tolist() == list(range(COUNT))
            assert "label" not in dataset

    def test_frames_at_a_time(self, path: Path, frames: Any) -> None:
        with xr.open_dataset(path) as dataset:
            at = dataset.frames.sel(time=np.datetime64("2023-11-14T22:13:22"), method="nearest")
            assert np.array_equal(at.values, frames[6])

    def test_with_dask(self, path: Path, frames: Any) -> None:
        with xr.open_dataset(path, chunks={"time": 10}) as dataset:
            assert np.array_equal(dataset.frames.mean("time").values, frames.mean(0))

    def test_drops_variables(self, path: Path) -> None:
        with xr.open_dataset(path, drop_variables=["temperature", "frame_time"]) as dataset:
            assert {"temperature", "frame_time"}.isdisjoint(dataset.variables)

    def test_leaves_others_alone(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="did not find a match"):
            xr.open_dataset(tmp_path)


class TestNapari:
    def test_manifest_is_valid(self) -> None:
        manifest = npe2.PluginManifest.from_distribution("imgstore")
        manifest.validate_imports()
        assert manifest.name == "imgstore"

    def test_reads_through_its_plugin_manager(self, path: Path, frames: Any) -> None:
        npe2.PluginManager.instance().discover()
        ((data, options, kind),) = npe2.read([str(path)], plugin_name="imgstore", stack=False)
        assert kind == "image"
        color = frames.ndim == 4
        assert options["rgb"] == color
        assert np.array_equal(data[3:5], frames[3:5, ..., ::-1] if color else frames[3:5])
        assert options["scale"][0] == pytest.approx(1 / 3)

    def test_several_are_in_step(self, path: Path, tmp_path: Path) -> None:
        other = tmp_path / "later"
        with imgstore.new_for_format("npy", other, imgshape=(4, 4)) as store:
            store.add_image(np.zeros((4, 4), np.uint8), 0, TIMES[0] + 5)
        layers = napari.read_layers([str(path), str(other)])
        assert [layer[1]["translate"][0] for layer in layers] == pytest.approx([0, 5], abs=1e-6)

    def test_answers_none_for_what_is_no_store(self, path: Path, tmp_path: Path) -> None:
        assert napari.get_reader(str(tmp_path)) is None
        assert napari.get_reader([str(path), str(tmp_path)]) is None
        assert napari.get_reader([]) is None


def test_pims_opens_a_store(path: Path, frames: Any) -> None:
    opened = pims.open(str(path / "metadata.yaml"))
    assert isinstance(opened, pims_bridge.ImgStoreSequence)
    assert (len(opened), opened.frame_shape, opened.pixel_type) == (COUNT, frames.shape[1:], np.uint8)
    assert np.array_equal(opened[4], frames[4]) and opened[4].frame_no == 4
    assert opened[4].metadata == {"frame_number": 15, "frame_time": TIMES[4]}
    assert np.array_equal(np.stack(list(opened[2:9:3])), frames[2:9:3])
    assert opened.frame_rate == pytest.approx(3)
    opened.close()
