"""Writes and reads the stores of cases.py with whichever imgstore the interpreter has; results go to files.

    python runner.py write|read DIRECTORY RESULTS NAME...

Executed by both sides, under Python 3.8 and later. What goes wrong with one store is written down as its result,
and the others go on.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
import warnings

import numpy as np

if not hasattr(
    np, "complex"
):  # 0.4.0 cannot write numpy values as extra data where this alias has gone, and drops them
    np.complex = complex

import imgstore  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases  # noqa: E402


def fill(store, spec, positions):
    numbers, times = cases.numbers_and_times(spec)
    for position in positions:
        store.add_image(cases.frame(spec, position), numbers[position], times[position])
        record = cases.extra(spec, position)
        if record is not None:
            store.add_extra_data(**record)


def write(spec, base):
    keywords = {
        "imgshape": tuple(spec["shape"]),
        "imgdtype": np.dtype(spec["dtype"]),
        "chunksize": spec["chunksize"],
    }
    for key in ("encoding", "fps"):
        if key in spec:
            keywords[key] = spec[key]
    if spec.get("metadata"):
        keywords["metadata"] = cases.metadata(spec)
    if spec.get("assemble"):
        assemble(spec, base, keywords)
    else:
        store = imgstore.new_for_format(spec["format"], basedir=base, **keywords)
        fill(store, spec, range(spec["count"]))
        store.close(save_index=bool(spec.get("save_index")))
    if "drop_chunk" in spec:
        drop_chunk(base, spec["drop_chunk"])
    if spec.get("reindex"):
        store = imgstore.new_for_filename(os.path.join(base, "metadata.yaml"))
        store.reindex()
        store.close()


def assemble(spec, base, keywords):
    """A store of finished videos, which come from another store."""
    parts = base + ".parts"
    store = imgstore.new_for_format(spec["format"], basedir=parts, **keywords)
    fill(store, spec, range(spec["count"]))
    store.close()
    extension = {"mjpeg/avi": ".avi", "h264/mkv": ".mkv"}[spec["format"]]
    store = imgstore.new_for_format(spec["format"], basedir=base, **keywords)
    store.empty()
    numbers, times = cases.numbers_and_times(spec)
    for chunk, start in enumerate(range(0, spec["count"], spec["chunksize"])):
        part = slice(start, start + spec["chunksize"])
        video = os.path.join(parts, f"{chunk:06d}{extension}")
        store.insert_chunk(video, np.array(numbers[part]), np.array(times[part]), move=chunk % 2 == 0)
    store.close()


def drop_chunk(base, chunk):
    for name in os.listdir(base):
        path = os.path.join(base, name)
        if name.split(".")[0] == f"{chunk:06d}":
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def plain(value):
    """What JSON can hold, and the same for equal values whichever library they are of."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float) and value != value:
        return "nan"
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def frame_of(table):
    """A pandas.DataFrame as plain data."""
    if table is None:
        return None
    return {
        "index": plain(list(table.index)),
        "columns": {str(c): plain(list(table[c])) for c in sorted(table.columns)},
        # pandas 3 has a type of its own for text
        "dtypes": {str(c): str(table[c].dtype).replace("str", "object") for c in sorted(table.columns)},
    }


def read(spec, base):
    """Everything that a reader can learn of a store, and its frames in order."""
    store = imgstore.new_for_filename(os.path.join(base, "metadata.yaml"))
    images, answers = [], []
    while True:
        try:
            img, (number, time) = store.get_next_image()
        except EOFError:
            break
        images.append(img)
        answers.append([int(number), float(time)])
    metadata = store.get_frame_metadata()
    created, zone = store.created
    found = {
        "answers": answers,
        "frame_count": store.frame_count,
        "len": len(store),
        "chunks": plain(list(store.chunks)),
        "frame_metadata": {key: plain(list(metadata[key])) for key in ("frame_number", "frame_time")},
        "frame_min": plain(store.frame_min),
        "frame_max": plain(store.frame_max),
        "frame_time_min": plain(store.frame_time_min),
        "frame_time_max": plain(store.frame_time_max),
        "duration": plain(store.duration),
        "image_shape": plain(list(store.image_shape)),
        "lossless": plain(store.lossless),
        "user_metadata": plain(store.user_metadata),
        "uuid": store.uuid,
        "created": created.isoformat(),
        "zone": str(zone),
        "has_extra_data": plain(store.has_extra_data),
        "extra_data": frame_of(store.get_extra_data()) if store.has_extra_data else None,
        "dtypes": sorted({str(img.dtype) for img in images}),
    }
    if answers:
        found["by_number"] = look_up(store, images, [number for number, _ in answers])
        found["nearest"] = plain(
            [list(store.get_nearest_image(t + 0.002)[1]) for _, t in answers[:: len(answers) // 4 + 1]]
        )
    store.close()
    return found, images


def look_up(store, images, numbers):
    """By number, jumping: what comes back, and how far the image is from the one read in order."""
    found = []
    for number in numbers[::4] + numbers[::-5]:
        img, (got, time) = store.get_image(number)
        difference = np.abs(img.astype("c16") - images[numbers.index(number)].astype("c16")).mean()
        found.append([int(got), float(time), float(difference)])
    return found


def main(action, *arguments):
    warnings.simplefilter("ignore")
    directory, results = arguments[0], arguments[1]
    specs = {spec["name"]: spec for spec in cases.all_cases()}
    for name in arguments[2:]:
        base = os.path.join(directory, name)
        target = os.path.join(results, name)
        try:
            if action == "write":
                write(specs[name], base)
                found = {}
            else:
                found, images = read(specs[name], base)
                np.save(target + ".npy", np.array(images))
        except Exception:
            found = {"error": traceback.format_exc()}
        with open(target + ".json", "w") as f:
            json.dump(found, f)


if __name__ == "__main__":
    main(*sys.argv[1:])
