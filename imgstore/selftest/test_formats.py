"""Every codec for every format: write a store, open it again, and compare everything that comes back.

Each frame shows its own number as a row of bright and dark bars over a gradient, which lossy compression does not blur
away: so a wrong frame is told from a right one in every format.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import imgstore
from imgstore.plugins import RegisteredCodec, registered_codecs

HEIGHT, WIDTH = 64, 128
BARS = 16  # the first is bright and the last dark in every frame; between them are the bits of its number
BITS = BARS - 2
COUNT = 25
CHUNKSIZE = 10  # so that there are three chunks, the last one shorter
# numbers skip, and begin anywhere; times are those of a camera with jitter
NUMBERS = [1000 + 3 * k + (k > 12) * 40 for k in range(COUNT)]
TIMES = [1.7e9 + k / 30 + (k % 3) * 1e-3 for k in range(COUNT)]
# the mean error that lossy compression may leave in a frame, of 255 levels
LOSSY_ERROR = 6.0

Frame = npt.NDArray[Any]


def _id(entry: RegisteredCodec) -> str:
    return f"{entry.format.name}-{entry.codec.name}"


def make_frame(number: int, shape: tuple[int, ...], dtype: Any) -> Frame:
    """Return a frame that shows the number; the low bits of its samples are all in use."""
    bars = np.repeat([1, *((number >> bit) & 1 for bit in range(BITS)), 0], WIDTH // BARS)
    ramp = np.arange(HEIGHT)[:, None] + np.arange(WIDTH)[None, :] + number
    levels = np.where(bars[None, :] == 1, 180, 20) + ramp % 56  # 20 .. 75 and 180 .. 235
    if len(shape) == 3:
        levels = np.stack([levels, levels * 0.9 + 10, levels * 0.8 + 5], axis=2)
    kind = np.dtype(dtype)
    values: Frame = levels
    if kind.kind == "b":
        values = levels > 128
    elif kind.kind in "ui" and kind.itemsize > 1:
        values = levels.astype(np.int64) * 113 + ramp.reshape(ramp.shape + (1,) * (len(shape) - 2)) % 113
    elif kind.kind in "fc":
        values = levels / 3
    elif kind == np.int8:
        values = levels // 2
    return values.astype(kind)


def shown_number(img: Frame) -> int:
    """Read the number off a frame."""
    gray = img if img.ndim == 2 else img.astype(np.float64).mean(axis=2)
    bars = np.asarray(gray, np.float64).reshape(HEIGHT, BARS, WIDTH // BARS).mean(axis=(0, 2))
    bright = bars[1:-1] > (bars[0] + bars[-1]) / 2
    return sum(int(on) << bit for bit, on in enumerate(bright))


def check_frame(got: tuple[Frame, tuple[int, float]], k: int, shape: tuple[int, ...], dtype: Any, exact: bool) -> None:
    """Fail unless it is the frame at position `k`, with its number and time."""
    img, (number, time) = got
    expected = make_frame(NUMBERS[k], shape, dtype)
    assert (number, time) == (NUMBERS[k], TIMES[k])
    assert img.shape == expected.shape and img.dtype == expected.dtype
    assert shown_number(img) == NUMBERS[k], "another frame than the one asked for"
    if exact:
        np.testing.assert_array_equal(img, expected)
    else:
        assert np.abs(img.astype(float) - expected).mean() < LOSSY_ERROR


def _kinds(entry: RegisteredCodec) -> list[tuple[str, tuple[int, ...], str]]:
    """Return the name, shape and dtype of every kind of frame that a format is checked with."""
    dtypes = entry.format.dtypes if entry.format.dtypes is not None else ("uint8", "uint16", "float32")
    shapes = {"gray": (HEIGHT, WIDTH)} | ({"colour": (HEIGHT, WIDTH, 3)} if entry.format.holds_color else {})
    return [(f"{name} {dtype}", shape, dtype) for dtype in dtypes for name, shape in shapes.items()]


MISSING = [(entry, entry.codec.missing(entry.format)) for entry in registered_codecs()]
USABLE = [entry for entry, missing in MISSING if missing is None]
ROUND_TRIPS = [
    pytest.param(entry, shape, dtype, id=f"{_id(entry)}-{name}".replace(" ", "-"))
    for entry in USABLE
    for name, shape, dtype in _kinds(entry)
] + [
    pytest.param(entry, (), "", id=_id(entry), marks=pytest.mark.skip(f"{_id(entry)} cannot be used here: {missing}"))
    for entry, missing in MISSING
    if missing is not None
]


@pytest.mark.parametrize("entry, shape, dtype", ROUND_TRIPS)
def test_round_trip(tmp_path: Path, entry: RegisteredCodec, shape: tuple[int, ...], dtype: str) -> None:
    """What is written comes back: in order, at random, by number, by time, with its extra data."""
    path = tmp_path / "store"
    with imgstore.new_for_format(
        entry.format.name,
        path,
        imgshape=shape,
        imgdtype=dtype,
        chunksize=CHUNKSIZE,
        metadata={"experiment": "check"},
        backend=entry.codec.name,
    ) as writer:
        for k, (number, time) in enumerate(zip(NUMBERS, TIMES, strict=True)):
            writer.add_image(make_frame(number, shape, dtype), number, time)
            if k % 5 == 0:
                writer.add_extra_data(temperature=20 + k / 10, label=f"frame {number}")
    with imgstore.new_for_filename(path, backend=entry.codec.name) as store:
        exact = bool(store.lossless)
        assert store.frame_count == len(store) == COUNT
        assert store.image_shape == shape
        assert store.user_metadata == {"experiment": "check"}
        assert store.frame_numbers.tolist() == NUMBERS
        assert store.frame_times.tolist() == TIMES
        for k in range(COUNT):
            check_frame(store.get_next_image(), k, shape, dtype, exact)
        with pytest.raises(EOFError):
            store.get_next_image()
        for k in np.random.default_rng(1).permutation(COUNT):
            check_frame(store.get_image(NUMBERS[k]), k, shape, dtype, exact)
            check_frame(store.get_image(None, frame_index=COUNT - 1 - k), COUNT - 1 - k, shape, dtype, exact)
            check_frame(store.get_nearest_image(TIMES[k] + 0.004), k, shape, dtype, exact)
        with pytest.raises(ValueError):
            store.get_image(NUMBERS[0] + 1)
        extra = store.get_extra_data()
        assert extra["frame_index"].tolist() == list(range(0, COUNT, 5))
        assert extra["frame_number"].tolist() == NUMBERS[::5]
        assert extra["frame_time"].tolist() == TIMES[::5]
        assert extra["temperature"].tolist() == [20 + k / 10 for k in range(0, COUNT, 5)]
        assert extra["label"].tolist() == [f"frame {number}" for number in NUMBERS[::5]]


@pytest.mark.parametrize("entry", [e for e in USABLE if "uint8" in (e.format.dtypes or ("uint8",))], ids=_id)
def test_raw_camera_frames_are_decoded(tmp_path: Path, entry: RegisteredCodec) -> None:
    """Frames of a colour sensor come back as BGR."""
    # one colour all over, seen through a Bayer filter: blue, green, green, red
    raw = np.empty((HEIGHT, WIDTH), np.uint8)
    raw[::2, ::2], raw[::2, 1::2], raw[1::2, ::2], raw[1::2, 1::2] = 40, 120, 120, 200
    names = [entry.format.name] + ([f"{entry.format.name}+color"] if entry.format.decoded_variant else [])
    for name in names:
        path = tmp_path / name.replace("/", "-")
        with imgstore.new_for_format(
            name, path, imgshape=raw.shape, encoding="cv_bayerrg", backend=entry.codec.name
        ) as writer:
            writer.add_image(raw, 0, 0.0)
        with imgstore.new_for_filename(path, backend=entry.codec.name) as store:
            img, _ = store.get_next_image()
            assert store.image_shape == img.shape == (HEIGHT, WIDTH, 3)
            error = 0 if store.lossless else 12
            assert np.abs(img[8:-8, 8:-8].reshape(-1, 3).mean(axis=0) - (40, 120, 200)).max() <= error


def test_list_of_formats() -> None:
    """The formats that are listed are those whose codecs say that they work, and each is listed once."""
    listed = imgstore.get_supported_formats()
    working = {entry.format.name for entry in registered_codecs() if entry.codec.missing(entry.format) is None}
    assert len(listed) == len(set(listed))
    assert {name.removesuffix("+color") for name in listed} == working
    assert "npy" in listed


def test_compiled_index() -> None:
    """The module that a C compiler made is there and is the one for this Python."""
    from imgstore.index import _index

    assert _index.__file__ is not None and not _index.__file__.endswith(".py")
