"""Motif's extra data in HDF5 as Motif would never write it: for ``benchmarks/fuzz.py``."""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import mutations
import numpy as np


def write_h5(path: Path, rng: random.Random, odd: float, *, latest: bool = False) -> None:
    """Write a file of Motif's; each of its parts is, with a chance of `odd`, something that Motif never wrote."""

    def either(usual: Any, *strange: Any) -> Any:
        return rng.choice(strange) if rng.random() < odd else usual

    samples = either(6, 0, 1, 7, 5000)
    with h5py.File(path, "w", libver="latest" if latest or rng.random() < odd else "earliest") as file:
        file.attrs["datasets"] = either(
            "adc,dac", b"adc", "", "camera", "adc,adc", "none", 3, ["adc", "dac"], np.void(b"ab"), "a" * 9000
        )
        kind = np.dtype([("frame_number", either("<i8", ">i4", "<f8", "u1", "S3", h5py.string_dtype())), ("frame_time", "<f8"),
                         ("frame_index", either("<i8", "<i2", "<f4", ("<i8", (2,))))])  # fmt: skip
        camera = np.zeros(samples, kind)
        with contextlib.suppress(ValueError, TypeError):
            camera["frame_number"] = np.arange(samples) + 100
            camera["frame_index"] = np.arange(samples)
        file["camera"] = either(camera, np.zeros((2, 3), kind), np.arange(3), 5, "text", camera["frame_time"])
        for name, rows in (("adc", 2), ("dac", 1)):
            _add_samples(file, name, rows, samples, either, rng)
        file["sample_delay"] = either(np.zeros(samples), np.zeros((samples, 2)), 4, np.zeros(samples, "S2"))


def _add_samples(file: Any, name: str, rows: int, samples: int, either: Callable[..., Any], rng: random.Random) -> None:
    how = either(
        "plain", "chunked", "huge", "fill", "external", "virtual", "soft", "outer", "group", "text", "null", "reference",
        "named type",
    )  # fmt: skip
    values = rng.random() + np.zeros((rows, samples))
    if how == "chunked" and samples:
        file.create_dataset(name, data=values, compression="gzip", shuffle=True, fletcher32=rng.random() < 0.5)
    elif how == "huge":
        file.create_dataset(name, (rows, 1 << rng.choice((20, 33, 50))), "f8", chunks=(1, 1 << 16))
    elif how == "fill":
        file.create_dataset(
            name, (rows, max(samples, 1)), "f8", chunks=(1, 1 << 27), maxshape=(rows, None), fillvalue=3.0
        )
    elif how == "external":
        file.create_dataset(name, (rows, samples), "f8", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
    elif how == "virtual":
        layout = h5py.VirtualLayout((rows, samples), "f8")
        layout[:] = h5py.VirtualSource(rng.choice(("/etc/passwd", ".", "camera.h5")), "x", (rows, samples))
        file.create_virtual_dataset(name, layout)
    elif how == "soft":
        file[name] = h5py.SoftLink(rng.choice(("/" + name, "/camera", "/none", "/")))
        return
    elif how == "outer":
        file[name] = h5py.ExternalLink(rng.choice(("/etc/passwd", "000000.extra_data.h5", "")), "/camera")
        return
    elif how == "group":
        file.create_group(name)[name] = values
    elif how == "text":
        file[name] = np.array(["a"] * samples, h5py.string_dtype())
    elif how == "null":
        file[name] = h5py.Empty("f8")
    elif how == "reference":
        file.create_dataset(name, (rows, samples), h5py.ref_dtype)
    elif how == "named type":
        file[name] = np.dtype("f8")
    else:
        file[name] = values
    attributes = file[name].attrs
    columns = ",".join(f"{name}{k}" for k in range(rows))
    attributes["column_names"] = either(
        columns, columns.encode(), [columns], "", "a,a", "frame_number,x", 7, b"\xff\xfe", columns * 2000
    )
    attributes["samplerate"] = either(
        100.0, "x", 0, -1, float("nan"), [1, 2], 10**18, b"100", np.float16(3), h5py.Empty("f")
    )


def made_again(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Return another file of the kind, with more or less that is odd: a kind of damage, see `mutations`."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            write_h5(Path(directory) / "h5", rng, rng.choice((0.05, 0.2, 0.5)))
            return (Path(directory) / "h5").read_bytes()
        except (ValueError, TypeError, OSError, RuntimeError, OverflowError, AttributeError, MemoryError):
            raise mutations.Unsuitable from None  # not even HDF5 takes it
