"""A program written for imgstore 0.x: all that its public page promises, and the private names people use.

    python program.py DIRECTORY RESULTS.json SAMPLES

It runs unchanged under 0.4.0 and under ours, and writes down every answer under a label, for test_program.py to
compare. An error is written down as the built-in errors that it is.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import shutil
import sqlite3
import sys
import warnings

import cv2
import numpy as np

if not hasattr(np, "complex"):  # see runner.py
    np.complex = complex

import imgstore  # noqa: E402
from imgstore import (  # noqa: E402
    VideoImgStore,
    align,
    apps,
    constants,
    index,  # noqa: E402
    new_for_format,
    stores,
    util,
)
from imgstore.stores import new_for_filename  # noqa: E402

BUILTIN = (
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    AttributeError,
)
answers = {}


def plain(value):
    """What JSON can hold, with the type where it matters to a program: arrays, tuples, numbers."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value != value:
        return "nan"
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(v) for v in value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if type(value).__name__ == "DataFrame":
        return {
            "columns": {str(c): plain(list(value[c])) for c in sorted(value.columns)},
            "index": plain(list(value.index)),
        }
    if isinstance(value, (datetime.datetime, datetime.date, bytes)):
        return repr(value)
    return str(type(value).__name__)


def note(label, function):
    """Write down what the function gives, or which built-in error it raises."""
    assert label not in answers, label
    try:
        answers[label] = plain(function())
    except Exception as error:
        names = [e.__name__ for e in BUILTIN if isinstance(error, e)] or ["Exception"]
        answers[label] = {"raises": names, "says": f"{type(error).__name__}: {error}"}


def load(path):
    with open(path) as f:
        return json.load(f)


def frame(n, shape=(20, 30), dtype=np.uint8):
    rng = np.random.RandomState(n)
    info = np.iinfo(dtype)
    return rng.randint(info.min, info.max, shape, dtype=dtype)


def record(base, fmt="npy", count=25, shape=(20, 30), chunksize=10, start=0, step=1, extra=False, **keywords):
    close = {"save_index": keywords.pop("save_index")} if "save_index" in keywords else {}
    store = new_for_format(fmt, basedir=base, imgshape=shape, imgdtype=np.uint8, chunksize=chunksize, **keywords)
    for i in range(count):
        store.add_image(frame(i, shape), start + i * step, 1000.0 + i / 10.0)
        if extra:
            store.add_extra_data(position=i, value=i * 0.5, name="n%d" % i)
    store.close(**close)
    return base


def top_level(root):
    base = record(os.path.join(root, "top"), metadata={"who": "me", "n": 3})
    md = os.path.join(base, "metadata.yaml")
    for name in [
        "new_for_filename",
        "new_for_format",
        "extract_only_frame",
        "get_supported_formats",
        "VideoImgStore",
        "DirectoryImgStore",
        "ensure_color",
        "ensure_grayscale",
        "test",
        "__version__",
    ]:
        note("imgstore has " + name, lambda name=name: hasattr(imgstore, name))
    for label, function in {
        "directory": lambda: new_for_filename(base).frame_count,
        "metadata.yaml": lambda: new_for_filename(md).frame_count,
        "basedir": lambda: new_for_filename(basedir=base).frame_count,
        "mode": lambda: new_for_filename(base, mode="r").mode,
        "basedir names the file": lambda: new_for_filename(basedir=md),
        "both": lambda: new_for_filename(md, basedir=base),
        "neither": lambda: new_for_filename(),
        "no store": lambda: new_for_filename(os.path.join(root, "nowhere")),
        "no store, the file": lambda: new_for_filename(os.path.join(root, "nowhere", "metadata.yaml")),
        "empty directory": lambda: new_for_filename(root),
        "seek": lambda: new_for_filename(base, seek=False).get_image(7)[1],
        "gpu_id": lambda: new_for_filename(base, gpu_id=0).get_image(7)[1],
        "videosize": lambda: new_for_filename(base, videosize=(20, 30)).get_image(7)[1],
        "index": lambda: new_for_filename(base, index=new_for_filename(base)._index).get_image(12)[1],
    }.items():
        note("new_for_filename: " + label, function)
    for label, function in {
        "reads": lambda: new_for_format("npy", basedir=base, mode="r").frame_count,
        "reads a path": lambda: new_for_format("npy", md, mode="r").frame_count,
        "unknown": lambda: new_for_format("nonsense", basedir=os.path.join(root, "x1"), imgshape=(2, 2)),
        "format twice": lambda: (
            new_for_format(
                "npy", format="npy", basedir=os.path.join(root, "x2"), imgshape=(2, 2), imgdtype=np.uint8
            )._format
        ),
        "no shape": lambda: new_for_format("npy", basedir=os.path.join(root, "x3")),
        "neither path": lambda: new_for_format("npy", imgshape=(2, 2)),
        "path given by place": lambda: new_for_format(
            "npy", os.path.join(root, "x4"), imgshape=(2, 2), imgdtype=np.uint8
        ).filename.endswith("x4"),
    }.items():
        note("new_for_format: " + label, function)
    for n in (0, 9, 10, 24):
        note("extract_only_frame %d" % n, lambda n=n: imgstore.extract_only_frame(md, n))
    note("extract_only_frame of the directory", lambda: imgstore.extract_only_frame(base, 3))
    note(
        "supported",
        lambda: sorted(set(imgstore.get_supported_formats()) & {"npy", "png", "tif", "jpg", "bmp", "ppm", "pgm"}),
    )
    note(
        "supports",
        lambda: [
            imgstore.VideoImgStore.supports_format("mjpeg/avi"),
            imgstore.VideoImgStore.supports_format("npy"),
            imgstore.DirectoryImgStore.supports_format("npy"),
            imgstore.DirectoryImgStore.supports_format("mjpeg/avi"),
        ],
    )
    note("supported by video", lambda: "mjpeg/avi" in imgstore.VideoImgStore.supported_formats())
    note(
        "is a kind",
        lambda: [
            isinstance(new_for_filename(base), imgstore.DirectoryImgStore),
            isinstance(new_for_filename(base), VideoImgStore),
        ],
    )
    gray, color = frame(1), frame(1, (20, 30, 3))
    note("ensure_color of gray", lambda: imgstore.ensure_color(gray))
    note("ensure_color of color", lambda: imgstore.ensure_color(color) is color)
    note("ensure_grayscale of gray", lambda: imgstore.ensure_grayscale(gray) is gray)
    note("ensure_grayscale of color", lambda: imgstore.ensure_grayscale(color))


def both_modes(root):
    metadata = {"who": "me", "deep": {"a": [1, 2]}}
    base = os.path.join(root, "both")
    store = new_for_format("npy", basedir=base, imgshape=(20, 30), imgdtype=np.uint8, chunksize=10, metadata=metadata)
    note("metadata is not altered", lambda: metadata)

    def describe(store):
        return {
            "frame_count": store.frame_count,
            "len": len(store),
            "frame_min": store.frame_min,
            "frame_max": store.frame_max,
            "frame_number": store.frame_number,
            "frame_time": store.frame_time,
            "time_min": store.frame_time_min,
            "time_max": store.frame_time_max,
            "duration": store.duration,
            "image_shape": list(store.image_shape),
            "user_metadata": store.user_metadata,
            "uuid": len(store.uuid),
            "mode": store.mode,
            "filename": os.path.relpath(store.filename, root),
            "full_path": os.path.relpath(store.full_path, root),
            "lossless": store.lossless,
        }

    note("written: before the first frame", lambda: describe(store))
    for i in range(25):
        store.add_image(frame(i), i, 1000 + i * 0.1)
        if i in (0, 9, 10):
            note("written: after frame %d" % i, lambda: describe(store))
    created = store.created[0]
    note("created is in UTC", lambda: created.utcoffset().total_seconds())
    note(
        "created is now",
        lambda: abs((datetime.datetime.now(datetime.timezone.utc) - created).total_seconds()) < 60,
    )
    store.close()
    store = new_for_filename(base)
    note("read: before the first frame", lambda: describe(store))
    note("read: chunks", lambda: list(store.chunks))
    store.get_image(12)
    note("read: after frame 12", lambda: describe(store))
    note("read: created", lambda: store.created[0] == created)
    note("read: zone", lambda: store.created[1] is not None)
    zone = datetime.timezone(datetime.timedelta(hours=2))
    note("time in a zone", lambda: str(store.convert_frame_time_to_datetime(1000.5, zone)))
    note("time in the store's zone", lambda: store.convert_frame_time_to_datetime(1000.5).timestamp())
    with new_for_filename(base) as inside:
        note("context manager", lambda: inside.frame_count)
    empty = record(os.path.join(root, "none"), count=0)
    note("empty", lambda: describe(new_for_filename(empty)))
    note("empty: chunks", lambda: list(new_for_filename(empty).chunks))
    note("empty: next", lambda: new_for_filename(empty).get_next_image())
    note("empty: number", lambda: new_for_filename(empty).get_image(0))
    note(
        "defaults: chunksize",
        lambda: [
            new_for_format(f, basedir=os.path.join(root, "d" + f[:3]), imgshape=(4, 4), imgdtype=np.uint8)._metadata[
                "chunksize"
            ]
            for f in ("npy", "mjpeg/avi")
        ],
    )


def reading(root):
    for label, fmt, keywords in (
        ("npy", "npy", {}),
        ("video", "mjpeg/avi", {}),
        ("skipping", "npy", {"start": 5, "step": 3}),
        ("negative", "npy", {"start": -12}),
    ):
        base = record(os.path.join(root, "r" + label), fmt, **keywords)
        store = new_for_filename(base)
        exact = fmt == "npy"

        def read(got, exact=exact):
            img, (number, time) = got
            return [img if exact else list(img.shape), number, time]

        def all_of(store, read=read):
            found = []
            while True:
                try:
                    found.append(read(store.get_next_image())[1:])
                except EOFError:
                    return found

        note(label + ": in order", lambda: all_of(store))
        note(label + ": past the end", lambda: store.get_next_image())
        note(label + ": past the end again", lambda: store.get_next_image())
        note(label + ": last number stays", lambda: [store.frame_number, store.frame_time])
        numbers = store.get_frame_metadata()["frame_number"]
        note(label + ": metadata", lambda: store.get_frame_metadata())
        for position in (0, 9, 10, 24, 3):
            number = numbers[position]
            note(label + ": get_image of frame at %d" % position, lambda: read(store.get_image(number)))
            note(label + ": next after %d" % position, lambda: read(store.get_next_image()))
            note(
                label + ": get_image at index %d" % position,
                lambda: read(store.get_image(None, frame_index=position)),
            )
        store.get_image(numbers[4])
        note(label + ": next number", lambda: store.get_next_framenumber())
        note(label + ": next number moves", lambda: read(store.get_next_image())[1:])
        for number in (numbers[3] + 1, numbers[-1] + 1000, numbers[0] - 1000):
            note(
                label + ": number %d exactly" % number,
                lambda number=number: read(store.get_image(number))[1:],
            )
            note(
                label + ": number %d nearly" % number,
                lambda number=number: read(store.get_image(number, exact_only=False))[1:],
            )
        note(label + ": index -1", lambda: read(store.get_image(None, frame_index=-1))[1:])
        note(label + ": index past the end", lambda: store.get_image(None, frame_index=25))
        for time in (999.0, 1000.0, 1000.04, 1000.06, 1001.3, 2000.0):
            note(label + f": nearest {time}", lambda time=time: read(store.get_nearest_image(time))[1:])
        note(label + ": numpy integer", lambda: read(store.get_image(np.int64(numbers[7])))[1:])
        note(label + ": numpy float time", lambda: read(store.get_nearest_image(np.float64(1000.7)))[1:])
        note(
            label + ": no extra data",
            lambda: [store.has_extra_data, store.get_extra_data(), store.find_extra_data_files()],
        )
        note(label + ": disable_decoding", lambda: store.disable_decoding())
        store.close()
    first = record(os.path.join(root, "first"), start=0)
    note("first number", lambda: new_for_filename(first).get_next_framenumber())


def extra_data(root):
    for fmt in ("npy", "mjpeg/avi"):
        base = record(os.path.join(root, "extra-" + fmt[:3]), fmt, extra=True)
        store = new_for_filename(base)
        note(fmt + ": has extra", lambda: store.has_extra_data)
        note(fmt + ": extra", lambda: store.get_extra_data())
        note(fmt + ": extra files", lambda: [os.path.relpath(p, base) for p in store.find_extra_data_files()])
        note(fmt + ": extra files of a kind", lambda: store.find_extra_data_files(extensions=(".nothing",)))
        note(fmt + ": samplerate", lambda: store.get_extra_data_samplerate())
        torn = shutil.copytree(base, base + "-torn")
        name = os.path.relpath(store.find_extra_data_files()[1], base)
        with open(os.path.join(torn, name), "r+") as f:
            f.truncate(os.path.getsize(f.name) // 2)
        note(fmt + ": torn, ignored", lambda: new_for_filename(torn).get_extra_data(ignore_corrupt_chunks=True))
    base = os.path.join(root, "kinds")
    store = new_for_format("npy", basedir=base, imgshape=(4, 4), imgdtype=np.uint8)
    store.add_image(frame(0, (4, 4)), 0, 1.5)
    store.add_extra_data(a=np.arange(3), b=np.float32(0.5), c=b"bytes", d={1, 2}, f=[None, True], g={"k": np.int8(1)})
    store.add_extra_data(e=1 + 2j, h=datetime.datetime(2020, 1, 2, 3, 4, 5))
    store.close()
    note("kinds of extra data", lambda: new_for_filename(base).get_extra_data())
    note("kinds in the file", lambda: load(os.path.join(base, "000000", "index.extra.json")))


def motif(root, samples):
    base = os.path.join(samples, "motif-h5")
    store = new_for_filename(base)
    note("motif: extra", lambda: store.get_extra_data())
    note("motif: samplerate", lambda: store.get_extra_data_samplerate())
    (path,) = store.find_extra_data_files()[:1]
    note("motif: file", lambda: os.path.basename(path))
    note("motif: attributes", lambda: util.motif_extra_data_h5_attrs(path))
    note("motif: table", lambda: util.motif_extra_data_h5_to_df(store, path))
    note("motif: zone", lambda: str(util.motif_get_recording_timezone(store)))
    for label, metadata in {
        "none": {},
        "hw": {"hwframerate": 50, "motifptpframerate": 40},
        "ptp": {"motifptpframerate": 40, "acquisitionframerate": 30, "acquisitionframerateenable": True},
        "acquisition": {"acquisitionframerate": 30, "acquisitionframerateenable": True},
        "acquisition off": {"acquisitionframerate": 30, "acquisitionframerateenable": False},
        "zone": {"timezone": "Asia/Tokyo"},
    }.items():
        made = new_for_filename(record(os.path.join(root, "fps-" + label), metadata=metadata))
        note(f"fps {label}", lambda made=made: util.motif_get_parse_true_fps(made))
        note(
            f"fps {label}, measured",
            lambda made=made: round(util.motif_get_parse_true_fps(made, default=None), 6),
        )
        note(f"fps {label}, default", lambda made=made: util.motif_get_parse_true_fps(made, default=12.5))
        note(
            f"fps {label}, hardware",
            lambda made=made: util.motif_get_parse_true_fps(made, hardware_only=True),
        )
        if label == "zone":
            note("zone of metadata", lambda made=made: str(util.motif_get_recording_timezone(made)))
    padded = os.path.join(record(os.path.join(root, "padded")), "000000.extra_data.json")
    with open(padded, "w") as f:
        rows = [
            {"frame_number": n, "frame_time": n / 2.0, "frame_index": i, "t": i} for i, n in enumerate((0, 1, -1, 2))
        ]
        json.dump(rows, f)
    store = new_for_filename(os.path.dirname(padded))
    note("motif json", lambda: util.motif_extra_data_json_to_df(store, padded))
    note("motif json of the store", lambda: store.get_extra_data())


def indexes(root):
    base = record(os.path.join(root, "indexed"), start=100, step=2, save_index=True)
    saved = os.path.join(base, stores.STORE_INDEX_FILENAME)
    note("close saves the index", lambda: os.path.exists(saved))
    plain_store = record(os.path.join(root, "unindexed"), start=100, step=2)
    note("close saves no index", lambda: os.path.exists(os.path.join(plain_store, stores.STORE_INDEX_FILENAME)))
    elsewhere = os.path.join(root, "elsewhere.sqlite")
    reader = new_for_filename(plain_store)
    reader.save_index(elsewhere)
    note("save_index to a path", lambda: os.path.exists(elsewhere))
    reader.save_index()
    note("save_index", lambda: os.path.exists(os.path.join(plain_store, stores.STORE_INDEX_FILENAME)))
    chunks = [(n, os.path.join(base, "%06d" % n, "index")) for n in range(3)]
    exported = os.path.join(root, "exported.sqlite")
    for label, make in {
        "new_from_chunks": lambda: index.ImgStoreIndex.new_from_chunks(chunks),
        "new_from_file": lambda: index.ImgStoreIndex.new_from_file(saved),
        "new_from_file elsewhere": lambda: index.ImgStoreIndex.new_from_file(elsewhere),
        "_index": lambda: new_for_filename(base)._index,
    }.items():
        found = make()
        note(
            label + ": facts",
            lambda: [
                found.frame_count,
                found.frame_min,
                found.frame_max,
                found.frame_time_min,
                found.frame_time_max,
                list(found.chunks),
            ],
        )
        note(label + ": all", lambda: found.get_all_metadata())
        for chunk in range(3):
            note(label + ": chunk %d" % chunk, lambda chunk=chunk: found.get_chunk_metadata(chunk))
        for what, value in (
            ("frame_number", 100),
            ("frame_number", 118),
            ("frame_number", 120),
            ("frame_number", 148),
            ("frame_number", 101),
            ("frame_number", 150),
            ("frame_number", -5),
            ("frame_time", 1001.0),
            ("frame_time", 1001.05),
            ("frame_time", 0.0),
            ("index", 0),
            ("index", 9),
            ("index", 10),
            ("index", 24),
            ("index", 25),
            ("index", -1),
        ):
            note(
                label + f": find {what} {value}",
                lambda what=what, value=value: list(found.find_chunk(what, value)),
            )
            if what != "index":
                note(
                    label + f": nearest {what} {value}",
                    lambda what=what, value=value: list(found.find_chunk_nearest(what, value)),
                )
    index.ImgStoreIndex.new_from_chunks(chunks).to_file(exported)
    note("to_file", lambda: index.ImgStoreIndex.new_from_file(exported).get_all_metadata())


def reindexing(root):
    for fmt in ("npy", "mjpeg/avi"):
        base = record(os.path.join(root, "reindex-" + fmt[:3]), fmt, start=-3, extra=True)
        for chunk in range(3):  # as a camera that is reset while it records leaves it
            path = (
                os.path.join(base, "%06d" % chunk, "index.npz")
                if fmt == "npy"
                else os.path.join(base, "%06d.npz" % chunk)
            )
            with np.load(path) as arrays:
                numbers, times = arrays["frame_number"], arrays["frame_time"]
            np.savez(path, frame_number=np.where(numbers < 0, numbers + 500, numbers), frame_time=times)
            extra = os.path.splitext(path)[0] + ".extra.json"
            records = load(extra)
            for row in records:
                row["frame_number"] += 500 if row["frame_number"] < 0 else 0
            with open(extra, "w") as f:
                json.dump(records, f)
        store = new_for_filename(base)
        note(fmt + ": before reindex", lambda: store.get_frame_metadata()["frame_number"])
        store.reindex()
        again = new_for_filename(base)
        note(fmt + ": reindexed", lambda: again.get_frame_metadata())
        note(fmt + ": reindexed extra", lambda: again.get_extra_data())
        note(fmt + ": found by new number", lambda: again.get_image(-2)[1])
        path = os.path.join(base, "000000", "index.npz") if fmt == "npy" else os.path.join(base, "000000.npz")
        with np.load(path) as arrays:
            note(fmt + ": old numbers kept", lambda: list(arrays["_frame_number_before_reindex"]))
    none = record(os.path.join(root, "reindex-none"), start=7)
    note("reindex without a zero", lambda: new_for_filename(none).reindex())
    several = record(os.path.join(root, "reindex-several"), step=0)
    note("reindex with several zeros", lambda: new_for_filename(several).reindex())
    note("nothing changed", lambda: new_for_filename(none).get_frame_metadata()["frame_number"])


def writing(root):
    base = os.path.join(root, "direct")
    store = imgstore.DirectoryImgStore(
        basedir=base, mode="w", imgshape=(6, 8), imgdtype=np.uint16, chunksize=2, format="npy", metadata=None
    )
    for i in range(5):
        store.add_image(frame(i, (6, 8), np.uint16), np.int64(i), np.float64(i))
    store.close()
    note("direct: reads", lambda: imgstore.DirectoryImgStore(basedir=base, mode="r").get_image(3))
    note("direct: files", lambda: sorted(n for n in os.listdir(base) if n[0] != "."))
    video = os.path.join(root, "direct-video")
    store = VideoImgStore(
        basedir=video, mode="w", imgshape=(20, 30), imgdtype=np.uint8, chunksize=5, format="mjpeg/avi"
    )
    for i in range(12):
        store.add_image(np.full((20, 30), i * 10, np.uint8), i, i / 2.0)
    store.close()
    note("direct video: reads", lambda: VideoImgStore(basedir=video, mode="r").get_image(7))
    note("direct video: files", lambda: sorted(n for n in os.listdir(video) if n[0] != "."))
    store = new_for_format("mjpeg/avi", basedir=os.path.join(root, "assembled"), imgshape=(20, 30), imgdtype=np.uint8)
    store.add_image(np.zeros((20, 30), np.uint8), 0, 0.0)
    store.empty()
    copy = shutil.copy(os.path.join(video, "000001.avi"), os.path.join(root, "kept.avi"))
    store.insert_chunk(os.path.join(video, "000000.avi"), np.arange(5), np.arange(5) / 2.0)
    store.insert_chunk(copy, np.arange(5, 10), np.arange(5, 10) / 2.0, move=False)
    store.close()
    note("moved", lambda: [os.path.exists(os.path.join(video, "000000.avi")), os.path.exists(copy)])
    assembled = new_for_filename(os.path.join(root, "assembled"))
    note("assembled", lambda: [list(assembled.get_image(n)[1]) for n in (0, 4, 5, 9)])
    note("assembled: pictures", lambda: [round(assembled.get_image(n)[0].mean()) for n in (0, 4, 5, 9)])
    odd = os.path.join(root, "odd")
    store = new_for_format("mjpeg/avi", basedir=odd, imgshape=(21, 31), imgdtype=np.uint8)
    store.add_image(np.zeros((21, 31), np.uint8), 0, 0.0)
    store.close()
    note(
        "odd sizes are cut",
        lambda: [new_for_filename(odd).image_shape, new_for_filename(odd).get_image(0)[0].shape],
    )
    for code, shape in (("cv_bayerbg", (20, 30)), ("cv_rgb", (20, 30, 3)), ("cv_yuv_nv12", (30, 30))):
        base = record(os.path.join(root, "enc-" + code), "npy", count=2, shape=shape, encoding=code)
        note(f"encoding {code}", lambda base=base: new_for_filename(base).get_image(1))
    note("unknown encoding", lambda: record(os.path.join(root, "enc-x"), encoding="cv_nonsense"))
    base = record(os.path.join(root, "enc-png+color"), "png+color", count=2, encoding="cv_bayergr")
    note(
        "png+color",
        lambda: [
            new_for_filename(base).get_image(1)[0],
            new_for_filename(base)._metadata["format"],
            new_for_filename(base)._metadata["encoding"] or None,
        ],
    )


def private(root):
    base = record(os.path.join(root, "private"), metadata={"a": 1})
    video = record(os.path.join(root, "private-video"), "mjpeg/avi")
    for label, path in (("directory", base), ("video", video)):
        store = new_for_filename(path)
        note(
            label + ": _metadata",
            lambda: {k: v for k, v in store._metadata.items() if k not in ("uuid", "created_utc", "timezone_local")},
        )
        note(label + ": _metadata keys", lambda: sorted(store._metadata))
        note(label + ": _format", lambda: store._format)
        note(label + ": _basedir", lambda: os.path.relpath(store._basedir, root))
        note(label + ": _ext", lambda: store._ext)
        note(label + ": _chunk_paths", lambda: sorted(os.path.relpath(p, root) for p in store._chunk_paths))
        note(label + ": _index", lambda: isinstance(store._index, index.ImgStoreIndex))
        note(label + ": _get_chunk_metadata", lambda: store._get_chunk_metadata(1))
        note(
            label + ": _chunk_n_and_chunk_paths",
            lambda: sorted([n, os.path.relpath(p, root)] for n, p in store._chunk_n_and_chunk_paths),
        )
        note(
            label + ": _iter_chunk_n_and_chunk_paths",
            lambda: sorted([n, os.path.relpath(p, root)] for n, p in store._iter_chunk_n_and_chunk_paths()),
        )
        with_index = new_for_filename(path, index=store._index)
        note(label + ": given an index", lambda: with_index._chunk_n_and_chunk_paths)
        note(
            label + ": _extract_store_metadata",
            lambda: {
                k: v
                for k, v in stores._extract_store_metadata(os.path.join(path, "metadata.yaml")).items()
                if k not in ("uuid", "created_utc", "timezone_local")
            },
        )


def modules(root):
    for module, names in (
        (stores, "STORE_MD_FILENAME STORE_LOCK_FILENAME STORE_MD_KEY STORE_INDEX_FILENAME"),
        (
            constants,
            "STORE_MD_FILENAME STORE_LOCK_FILENAME STORE_MD_KEY STORE_INDEX_FILENAME FRAME_MD "
            "EXTRA_DATA_FILE_EXTENSIONS",
        ),
    ):
        for name in names.split():
            note(f"{module.__name__}.{name}", lambda module=module, name=name: getattr(module, name))
    for name in [
        "new_for_filename",
        "new_for_format",
        "extract_only_frame",
        "get_supported_formats",
        "VideoImgStore",
        "DirectoryImgStore",
    ]:
        note("stores has " + name, lambda name=name: hasattr(stores, name))
    note(
        "FourCC",
        lambda: [util.FourCC("M", "J", "P", "G"), util.FourCC(*"H264"), util.FourCC("A", "B", "C", "D")],
    )
    note(
        "JsonCustomEncoder",
        lambda: json.dumps(
            {"a": np.arange(2), "b": np.float64(1.5), "c": b"x", "d": {3}, "e": 1j, "f": datetime.datetime(2020, 1, 1)},
            cls=util.JsonCustomEncoder,
            sort_keys=True,
        ),
    )
    for name in ("main_viewer", "main_saver", "main_test", "main_generate_timecodes", "generate_timecodes"):
        note("apps has " + name, lambda name=name: callable(getattr(apps, name)))
    store = new_for_filename(record(os.path.join(root, "timecodes"), count=4))
    out = io.StringIO()
    apps.generate_timecodes(store, out)
    note("timecodes", lambda: out.getvalue())


def encodings():
    codes = (
        "cv_bayerbg",
        "cv_bayergb",
        "cv_bayerrg",
        "cv_bayergr",
        "cv_rgb",
        "cv_rgba",
        "cv_yuv_nv12",
        "cv_yuv_iyuv",
        "cv_hsv",
        "cv_gray",
        "cv_bgr565",
    )
    for code in (*codes, "cv_nonsense", "bayerbg", "", None):
        note(f"check_code {code}", lambda code=code: util.ImageCodecProcessor().check_code(code))
    for name in ("BayerBG", "BayerGB", "BayerRG", "BayerBG8", "Mono", "", "nonsense"):
        note(
            f"from_pylon_format {name}",
            lambda name=name: util.ImageCodecProcessor.from_pylon_format(name).encoding,
        )
    for name in (
        "COLOR_BayerBG2BGR",
        "COLOR_YUV2BGR_NV12",
        "COLOR_RGB2BGR",
        "COLOR_HSV2BGR",
        "COLOR_GRAY2BGR",
    ):
        value = getattr(cv2, name)
        note(f"cv2_enum_to_code {name}", lambda value=value: util.ImageCodecProcessor().cv2_enum_to_code(value))
        note(
            f"from_cv2_enum {name}",
            lambda value=value: util.ImageCodecProcessor.from_cv2_enum(value).encoding,
        )
    processor = util.ImageCodecProcessor()
    note("processor: new", lambda: [processor.encoding, callable(processor.autoconvert)])
    note("processor: convert without code", lambda: processor.convert_to_bgr(frame(1)))
    note("processor: convert with code", lambda: processor.convert_to_bgr(frame(1), code="cv_bayerbg"))
    note("processor: set_default_code", lambda: processor.set_default_code("cv_bayergr"))
    note("processor: then", lambda: [processor.encoding, callable(processor.autoconvert)])
    note("processor: convert", lambda: processor.convert_to_bgr(frame(1)))
    note("processor: bad default", lambda: processor.set_default_code("nonsense"))


def aligning(root):
    sqlite3.register_adapter(np.int64, int)  # 0.4.0's aligner asks for numbers that its index does not find otherwise
    one = new_for_filename(record(os.path.join(root, "one"), start=0, count=8, shape=(4, 6)))
    two = new_for_filename(record(os.path.join(root, "two"), start=2, count=8, shape=(4, 6)))
    three = new_for_filename(record(os.path.join(root, "three"), start=0, step=2, count=8, shape=(4, 6)))
    for label, made in (("two", (one, two)), ("three", (one, two, three))):
        for policy in ("DROP", "HOLD", "BLACK"):
            note(
                "policy " + label + policy,
                lambda policy=policy: getattr(align.StoreAligner, "MISSING_POLICY_" + policy),
            )

            def aligned(times, made=made, policy=policy):
                aligner = align.StoreAligner(*made)
                aligner.extract_common_frames(getattr(align.StoreAligner, "MISSING_POLICY_" + policy))
                return [list(item) for item in aligner.iter_imgs(return_times=times)]

            note(f"aligned {label} {policy}", lambda: aligned(False))
            note(f"aligned with times {label} {policy}", lambda: aligned(True))


def main(root, results, samples):
    warnings.simplefilter("ignore")
    os.makedirs(root)
    for part in (top_level, both_modes, reading, extra_data, indexes, reindexing, writing, private, modules):
        part(root)
    motif(root, samples)
    encodings()
    aligning(root)
    with open(results, "w") as f:
        json.dump(answers, f, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
