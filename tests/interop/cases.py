"""The stores that the interop tests write with one imgstore and read with the other.

Executed by both, under Python 3.8 and later, so it uses numpy alone and nothing newer.
"""

from __future__ import annotations

import datetime

import numpy as np

GRAY, COLOR = (48, 64), (48, 64, 3)
EPOCH = 1_500_000_000.25
LOSSY = ("jpg", "mjpeg/avi", "h264/mkv", "avc1/mp4")
FILE_FORMATS = ("npy", "png", "tif", "bmp", "ppm", "pgm", "jpg")


def case(name, fmt, shape=GRAY, **more):
    """Describe one store; see `runner.write` for what each key does."""
    spec = {
        "name": name,
        "format": fmt,
        "shape": list(shape),
        "dtype": "uint8",
        "chunksize": 10,
        "count": 25,
        "numbers": "consecutive",
        "writers": ["ours", "0.4.0"],
        "readers": ["ours", "0.4.0"],
    }
    unknown = set(more) - set(spec) - {
        "encoding", "metadata", "extra", "save_index", "reindex", "drop_chunk", "assemble", "fps", "bpk"
    }  # fmt: skip
    assert not unknown, unknown
    spec.update(more)
    return spec


def all_cases():
    found = []
    for fmt in FILE_FORMATS:
        # ppm makes colour of gray and pgm gray of colour; readers give what imgshape says
        found += [case(fmt + "-gray", fmt), case(fmt + "-color", fmt, COLOR)]
    found += [case("mjpeg-gray", "mjpeg/avi"), case("mjpeg-color", "mjpeg/avi", COLOR)]
    for fmt in ("h264/mkv", "avc1/mp4"):  # OpenCV from the registry has no encoder for these
        for kind, shape in (("gray", GRAY), ("color", COLOR)):
            found.append(case(fmt.replace("/", "-") + "-" + kind, fmt, shape, writers=["ours"]))
    for dtype in ("bool", "int8", "uint16", "int16", "uint32", "int64", "float32", "float64", "complex64"):
        found.append(case("npy-" + dtype, "npy", dtype=dtype))
    for fmt in ("png", "tif"):
        for kind, shape in (("gray", GRAY), ("color", COLOR)):  # 0.4.0 reads 8 of the 16 bits
            found.append(case(fmt + "-uint16-" + kind, fmt, shape, dtype="uint16", readers=["ours"]))
    for fmt in ("png+color", "tif+color", "bmp+color", "jpg+color"):
        found.append(case(fmt, fmt, encoding="cv_bayerbg"))
    found += [
        case("npy-bayer", "npy", encoding="cv_bayergb"),
        case("png-bayer", "png", encoding="cv_bayerrg"),
        case("npy-rgb", "npy", COLOR, encoding="cv_rgb"),
        case("npy-odd", "npy", (7, 5)),
        case("png-odd", "png", (7, 5, 3)),
        case("mjpeg-odd", "mjpeg/avi", (49, 67)),
        case("mjpeg-alias", "mjpeg"),
        case("mjpeg-fps", "mjpeg/avi", fps=100, writers=["ours"]),  # 0.4.0 knows no fps
        case("npy-empty", "npy", count=0),
        case("mjpeg-empty", "mjpeg/avi", count=0),
        case("npy-one", "npy", count=1),
        case("npy-whole-chunks", "npy", count=20),
        case("npy-chunk-of-one", "npy", count=5, chunksize=1),
    ]
    for fmt in ("npy", "mjpeg/avi"):
        short = fmt.split("/")[0]
        for numbers in ("skip", "negative", "wrap", "repeat", "huge", "backwards"):
            found.append(case(short + "-numbers-" + numbers, fmt, numbers=numbers))
        found += [
            case(short + "-extra", fmt, extra=True),
            case(short + "-metadata", fmt, metadata=True),
            case(short + "-saved-index", fmt, save_index=True, numbers="skip", extra=True),
            # reading in order, 0.4.0 stops at the gap
            case(short + "-missing-chunk", fmt, drop_chunk=1, readers=["ours"]),
            case(short + "-reindexed", fmt, reindex=True, numbers="zero-within", extra=True),
            case(short + "-reindexed-saved-index", fmt, reindex=True, numbers="zero-within", save_index=True),
        ]
    found += [
        case("mjpeg-assembled", "mjpeg/avi", assemble=True),
        case("h264-mkv-assembled", "h264/mkv", assemble=True, writers=["ours"]),
    ]
    for kind, shape, dtype in (
        ("gray", GRAY, "uint8"),
        ("color", COLOR, "uint8"),
        ("uint16", GRAY, "uint16"),
        ("float32", COLOR, "float32"),
        ("float64", GRAY, "float64"),
        ("large", (600, 900), "uint16"),
    ):
        found.append(case("bpk-" + kind, "bpk", shape, dtype=dtype, bpk=True))
    return found


def numbers_and_times(spec):
    """Frame numbers as a list of int, times as a list of float."""
    n = np.arange(spec["count"])
    numbers = {
        "consecutive": n,
        "skip": n * 3 + n // 7 * 100 + 5,
        "negative": n - 40,
        "wrap": (n + 65530) % 65536,
        "repeat": n // 3,
        "huge": n + 2**40,
        "backwards": 100 - n,
        "zero-within": n - 13,
    }[spec["numbers"]]
    times = EPOCH + n * 0.04 + (n % 3) * 0.001
    return [int(v) for v in numbers], [float(v) for v in times]


def frame(spec, position):
    """The frame at a position: noise where the format keeps it, a soft moving pattern where it does not."""
    shape, dtype = tuple(spec["shape"]), np.dtype(spec["dtype"])
    rng = np.random.RandomState(position)
    if spec["format"].split("+")[0] in LOSSY or spec["format"] == "mjpeg":
        y, x = np.mgrid[: shape[0], : shape[1]]
        soft = 128 + 60 * np.sin((x + 3 * position) / 11.0) + 50 * np.cos((y - 2 * position) / 13.0)
        if len(shape) == 3:
            soft = np.stack([soft, 255 - soft, soft * 0.5 + 40], axis=2)
        return np.clip(soft, 0, 255).astype(dtype)
    if dtype.kind == "b":
        return rng.rand(*shape) > 0.5
    if dtype.kind == "c":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.randint(info.min, info.max, shape, dtype=dtype)


def metadata(spec):
    """User metadata, where the case wants some."""
    if not spec.get("metadata"):
        return None
    return {
        "camera_serial": "20123",
        "acquisitionframerate": 25.0,
        "timezone": "Europe/Vienna",
        "nested": {"list": [1, 2.5, "drei", None, True], "empty": {}},
        "unicode": "Mäuse, 鼠",
        "looks like a number": "0123",
        "when": datetime.datetime(2020, 2, 29, 12, 30),
    }


def extra(spec, position):
    """The record to add after a frame, or None."""
    if not spec.get("extra") or position % 4 == 1:
        return None
    return {
        "whole": position,
        "real": position / 3.0,
        "text": f"frame {position}",
        "list": [position, position + 1],
        "np_whole": np.int64(position * 2),
        "np_real": np.float32(position / 4.0),
        "np_array": np.arange(3) + position,
        "nothing": None,
    }
