"""Read files in a process that may take little memory, and tell of each what came of it.

``python bounded_reader.py MEGABYTES KIND PATH [KIND PATH ...]`` prints a line of JSON for each: the kind, the error's class
and text (or ``null`` and what was read), and how many megabytes the process had taken until then. The memory is what it may
take beside what it has when everything is imported.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

import cv2  # noqa: F401 - before memory is short
import h5py  # noqa: F401
import numpy as np
import pandas as pd  # noqa: F401

import imgstore
from imgstore import plugins, util
from imgstore.beside.extra_data import read_extra_data
from imgstore.codec import FrameCodec, FrameSpec
from imgstore.disk.chunk_index import read_all_arrays, read_chunk_index
from imgstore.disk.metadata import read_metadata
from imgstore.index.frame_index import ImgStoreIndex


def _frame(path: str) -> Any:
    entry = plugins.codec_for_format(Path(path).suffix[1:], None)
    assert isinstance(entry.codec, FrameCodec)
    decode = entry.codec.decoder(entry.format, FrameSpec((48, 64), np.dtype(np.uint8)))
    return decode(np.fromfile(path, np.uint8)).shape


READERS = {
    "index": lambda path: read_chunk_index(path.rpartition(".")[0])[0].size,
    "all of an index": lambda path: len(read_all_arrays(path.rpartition(".")[0])),
    "metadata": lambda path: read_metadata(str(Path(path).parent)).format,
    "records": lambda path: len(read_extra_data([path])),  # type: ignore[arg-type]
    "attributes": lambda path: len(util.motif_extra_data_h5_attrs(path)),
    "sqlite": lambda path: ImgStoreIndex.new_from_file(path).frame_count,
    "frame": _frame,
}


def main(megabytes: int, wanted: list[str]) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for kind, path in zip(wanted[::2], wanted[1::2], strict=True):
        result: list[Any]
        try:
            result = [None, str(READERS[kind](path))]
        except imgstore.errors.ImgStoreError as error:
            result = ["ImgStoreError", str(error)]
        except BaseException as error:  # what it is, is the test's to judge
            result = [type(error).__name__, str(error)]
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(json.dumps([kind, *result, taken]), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
