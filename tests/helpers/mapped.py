"""Sources for workers to make stores of, functions that are sent to them, and comparing what was made.

    python mapped.py SOURCE DEST FORMAT WORKERS MARKS

makes DEST with so many processes, or with the workers of the Dask cluster at that address; each chunk that is begun leaves a
mark in the folder MARKS. For tests that kill.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scenes import coded_frame

import imgstore
from imgstore import mapping

Frames = npt.NDArray[Any]
EPOCH = 1.7e9


def write_source(path: Path, fmt: str, count: int, *, chunksize: int = 25, shape: tuple[int, ...] = (48, 64)) -> Path:
    """Write frames that show their numbers, which repeat and skip, with records beside some, before all and behind."""
    with imgstore.new_for_format(
        fmt, path, imgshape=shape, chunksize=chunksize, fps=30, metadata={"animal": "fly 12", "list": [1, 2.5, None]}
    ) as store:
        store.add_extra_data(before="all")
        for k in range(count):
            number = 100 + 2 * k - k // 10
            store.add_image(coded_frame(number, shape), number, EPOCH + k / 30)
            if k % 4 == 0:
                store.add_extra_data(value=k, text=f"beside {k}")
                store.add_extra_data(again=True)
    return path


def contents(path: Path) -> dict[str, Any]:
    """Return all that a store holds, chunk by chunk, but for who it is and when it was made."""
    with imgstore.new_for_filename(path) as store:
        of_store = {k: v for k, v in store._meta.values.items() if k not in ("uuid", "created_utc")}
        chunks: dict[str, Any] = {}
        for file in store.chunk_files:
            where = range(file.position, file.position + file.frame_count)
            images, (numbers, times) = store.get_images(frame_indices=where)
            chunks[Path(file.path).name] = (images.tobytes(), images.shape, numbers.tolist(), times.tolist())
            if os.path.isfile(file.path) and not file.path.endswith(".mkv"):  # whose muxer makes up a number
                chunks[Path(file.path).name] += (Path(file.path).read_bytes(),)
        files = {Path(p).name: Path(p).read_bytes() for p in store.find_extra_data_files() if p.startswith(str(path))}
        return {
            "store": of_store,
            "metadata": dict(store.user_metadata),
            "chunks": chunks,
            "records": repr(store.get_extra_records()),
            "files": files,
        }


def marked(marks: Path, frames: Frames, metadata: mapping.BatchMetadata) -> None:
    """Leave a mark for each batch: which frames it began with, and who had it."""
    (marks / f"{metadata.frame_times[0]:.3f}-{os.getpid()}-{uuid.uuid4().hex}").touch()


def slowly(marks: Path, frames: Frames, metadata: mapping.BatchMetadata) -> None:
    """The same, taking its time."""
    marked(marks, frames, metadata)
    time.sleep(0.1)


def inverted(frames: Frames) -> Frames:
    return np.asarray(255 - frames)


def cropped_to_16_bits(frames: Frames) -> Frames:
    return frames[:, 8:40, 16:48].astype(np.uint16) * 257


def fails_in_the_middle(frames: Frames, metadata: mapping.BatchMetadata) -> Frames:
    if np.any(metadata.frame_times == EPOCH + 30 / 30):
        raise RuntimeError("no such frame can be made")
    return inverted(frames)


def kills_its_worker(frames: Frames, metadata: mapping.BatchMetadata) -> None:
    """And all that are at work beside it, which takes them longer."""
    if np.any(metadata.frame_times == EPOCH + 30 / 30):
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    time.sleep(0.5)


def kills_its_worker_once(marks: Path, frames: Frames, metadata: mapping.BatchMetadata) -> None:
    marked(marks, frames, metadata)
    if np.any(metadata.frame_times == EPOCH + 30 / 30) and not (marks / "killed").exists():
        (marks / "killed").touch()
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def returns_too_few(frames: Frames) -> Frames:
    return frames[1:]


def changes_its_mind(frames: Frames, metadata: mapping.BatchMetadata) -> Frames:
    return frames if metadata.frame_times[0] < EPOCH + 1 else frames[:, :10]


def batches_begun(marks: Path) -> list[str]:
    """Return which batches have been begun, by their first frames' times."""
    return sorted(path.name.partition("-")[0] for path in marks.iterdir() if "-" in path.name)


if __name__ == "__main__":
    from functools import partial

    import mapped

    source, dest, fmt, workers, marks = sys.argv[1:]
    function = partial(mapped.slowly, Path(marks))
    if workers.isdecimal():
        mapping.map_store(function, source, dest, format=fmt, chunksize=10, workers=mapping.processes(int(workers)))
    else:
        from distributed import Client

        from imgstore.bridges.dask import map_store

        with Client(workers) as client:
            map_store(function, source, dest, format=fmt, chunksize=10, client=client)
