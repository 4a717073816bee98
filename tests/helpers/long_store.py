"""A store as long as months of recording, made in seconds: what its indexes say is real, its videos are all the same one."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
from coded_frames import START, record

import imgstore

CHUNK = 10_000  # frames
RATE = 25.0


def make_long_store(path: Path, chunks: int, *, lost: int = -1, samples: int = 0) -> Path:
    """Write a store of which each chunk shows the positions in it.

    Parameters
    ----------
    path : Path
        Where.
    chunks : int
        How many, of 10,000 frames each.
    lost : int
        A frame number that is missing.
    samples : int
        How many values lie beside the frames of each chunk.
    """
    record(path, "mjpeg/avi", CHUNK, rate=RATE, chunksize=CHUNK)
    (path / ".imgstore-index").unlink()
    for chunk in range(chunks):
        base = path / f"{chunk:06d}"
        numbers = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK)
        numbers += (numbers >= lost) & (lost >= 0)
        times = START + numbers / RATE
        np.savez(f"{base}.npz", frame_number=numbers, frame_time=times)
        if chunk:
            os.link(path / "000000.avi", f"{base}.avi")
        if samples:
            _write_samples(Path(f"{base}.extra_data.h5"), chunk, numbers, times, samples)
    with imgstore.new_for_filename(path) as store:
        store.cache_index()  # as every writer leaves one
    return path


def _write_samples(path: Path, chunk: int, numbers: np.ndarray, times: np.ndarray, samples: int) -> None:
    at = np.arange(samples) * CHUNK // samples
    camera = np.zeros(samples, np.dtype([("frame_number", "i8"), ("frame_time", "f8"), ("frame_index", "i8")]))
    camera["frame_number"], camera["frame_time"], camera["frame_index"] = numbers[at], times[at], chunk * CHUNK + at
    force = np.sin(np.arange(samples) / 500 + chunk).astype(np.float32)
    with h5py.File(path, "w") as file:
        file.attrs["datasets"] = "ai"
        data = file.create_dataset("ai", data=force[np.newaxis])
        data.attrs["column_names"], data.attrs["samplerate"] = "force", 1000.0
        file.create_dataset("camera", data=camera, compression="gzip", compression_opts=1, shuffle=True)
        file.create_dataset("sample_delay", data=np.zeros(samples))
