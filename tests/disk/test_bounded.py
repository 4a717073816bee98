"""Small files that would be large: read in a process with little memory, each is an error of ours that names the file."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from extra_data_files import CAMERA, write_h5

from imgstore import plugins
from imgstore.beside.extra_data import read_extra_data, read_extra_records
from imgstore.beside.records import dumps_record, write_records
from imgstore.codec import FrameCodec, FrameSpec
from imgstore.errors import ArgumentError, ExtraDataError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited as Linux does it")

BOUNDED_READER = Path(__file__).parents[1] / "helpers" / "bounded_reader.py"
MEGABYTES = 130
LISTS = "\n".join(["a0: &a0 [1]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10))])


def index_file(path: Path, megabytes: int = 128, method: int = zipfile.ZIP_DEFLATED, names: Sequence[str] = ()) -> Path:
    """An index of frames that all have number 0 and time 0, and maybe with more arrays of the same."""
    zeros = bytes(1 << 20)
    text = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({megabytes << 17},)}}"
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that are there twice are what it is about
        for name in ["frame_number", "frame_time", *names]:
            with archive.open(f"{name}.npy", "w") as member:
                member.write(b"\x93NUMPY\1\0\x76\0" + text.encode().ljust(0x75) + b"\n")
                for _ in range(megabytes):
                    member.write(zeros)
    return path


def index_with_names_twice(path: Path) -> Path:
    return index_file(path, 1, zipfile.ZIP_STORED, ["frame_time"] * 20)


def yaml_index(path: Path) -> Path:
    path.write_text(LISTS + "\nframe_number: *a9\nframe_time: *a9\n")
    return path


def yaml_metadata(path: Path) -> Path:
    path.write_text("__store: {version: 2, class: DirectoryImgStore, format: npy, imgshape: [48, 64]}\n" + LISTS)
    return path


def records_of_different_keys(path: Path) -> Path:
    records = [{f"key {n}": n, "frame_number": n, "frame_index": n} for n in range(8000)]
    path.write_text(json.dumps(records))
    return path


def deep_records(path: Path) -> Path:
    path.write_text("[" * 500_000)
    return path


def hdf5_never_written(path: Path) -> Path:
    def change(file: Any) -> None:
        for name, dtype, shape in (("camera", CAMERA, ()), ("ai", "f8", (2,)), ("sample_delay", "f8", ())):
            attributes = dict(file[name].attrs)
            del file[name]
            file.create_dataset(name, (*shape, 200_000_000), dtype, chunks=(*shape, 1 << 16), compression="gzip")
            file[name].attrs.update(attributes)

    return Path(write_h5(path, [], change=change))


def database(path: Path, *statements: str) -> Path:
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        for statement in (
            "CREATE TABLE index_information (name TEXT, value TEXT)",
            "INSERT INTO index_information VALUES ('version', '1')",
            "CREATE TABLE chunks (chunk INTEGER, chunk_path TEXT)",
            "INSERT INTO chunks VALUES (0, 'x')",
            *statements,
        ):
            db.execute(statement)
    return path


def endless_view(path: Path) -> Path:
    return database(
        path,
        "CREATE VIEW frames AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n)"
        " SELECT 0 AS chunk, i AS frame_idx, i AS frame_number, 0.0 AS frame_time FROM n",
    )


def computed_column(path: Path) -> Path:
    column = "frame_time BLOB AS (zeroblob(900000000))"
    return database(
        path,
        f"CREATE TABLE frames (chunk INTEGER, frame_idx INTEGER, frame_number INTEGER, {column})",
        "INSERT INTO frames VALUES (0, 0, 0)",
    )


def compressed_frame(path: Path) -> Path:
    pytest.importorskip("blosc")
    entry = plugins.codec_for_format("bpk", None)
    assert isinstance(entry.codec, FrameCodec)
    frame = np.zeros((15_000, 10_000), np.uint8)
    buffers = entry.codec.encoder(entry.format, FrameSpec(frame.shape, frame.dtype), {})(frame)
    path.write_bytes(b"".join(map(bytes, buffers)))
    return path


def blanks(path: Path) -> Path:
    path.write_bytes(b"P5" + b"\n" * 4000 + b"x" + bytes(48 * 64))
    return path


BOMBS: dict[str, tuple[str, str, Callable[[Path], Path]]] = {
    "index": ("index", "a/000000.npz", index_file),
    "index, by another method": ("index", "b/000000.npz", lambda path: index_file(path, 1, zipfile.ZIP_BZIP2)),
    "index, twice": ("index", "c/000000.npz", index_with_names_twice),
    "index, of many arrays": (
        "all of an index",
        "d/000000.npz",
        lambda path: index_file(path, 16, names=list("abcdefgh")),
    ),
    "index in YAML": ("index", "e/000000.yaml", yaml_index),
    "metadata": ("metadata", "f/metadata.yaml", yaml_metadata),
    "records": ("records", "000000.extra.json", records_of_different_keys),
    "Motif's records": ("records", "000000.extra_data.json", records_of_different_keys),
    "deep records": ("records", "000001.extra.json", deep_records),
    "HDF5": ("records", "000000.extra_data.h5", hdf5_never_written),
    "SQLite, a view": ("sqlite", "view.sqlite", endless_view),
    "SQLite, a column": ("sqlite", "column.sqlite", computed_column),
    "bpk": ("frame", "frame.bpk", compressed_frame),
    "pgm": ("frame", "frame.pgm", blanks),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What a process with little memory says of each file; one process, for starting it takes longer than all of them."""
    root = tmp_path_factory.mktemp("bombs")
    arguments = []
    for kind, name, make in BOMBS.values():
        (root / name).parent.mkdir(exist_ok=True)
        arguments += [kind, str(make(root / name))]
    run = subprocess.run(
        [sys.executable, str(BOUNDED_READER), str(MEGABYTES), *arguments], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    return dict(zip(BOMBS, lines, strict=True))


@pytest.mark.long
@pytest.mark.parametrize("bomb", BOMBS)
def test_small_files_take_little_memory(bomb: str, outcomes: dict[str, list[Any]]) -> None:
    _, error, text, _ = outcomes[bomb]
    assert error == "ImgStoreError", text
    assert "emory" not in text  # it was not tried
    kind, name, _ = BOMBS[bomb]
    assert kind == "frame" or Path(name).name in text or "get_extra_records" in text


def test_what_is_accepted_can_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As records where a table would be too large, and no value is taken that JSON's reader would not give back."""
    records = [{f"key {n}": n} for n in range(8000)]
    write_records(str(tmp_path / "000000"), map(dumps_record, records))
    path = str(tmp_path / "000000.extra.json")
    assert read_extra_records([path]) == records
    with pytest.raises(ExtraDataError, match="get_extra_records"):
        read_extra_data([path])

    monkeypatch.setattr("imgstore.beside.table._ALWAYS_ENOUGH", 10_000)  # chunks that are well, and not together
    with pytest.raises(ExtraDataError, match="get_extra_records"):
        read_extra_data([[{f"key {n}": n} for n in range(k, k + 90)] for k in range(0, 900, 90)])

    value: Any = 1
    for _ in range(99):  # the record itself is a level
        value = [value]
    assert json.loads(dumps_record({"deep": value, "text": "[" * 1000})) == {"deep": value, "text": "[" * 1000}
    with pytest.raises(ArgumentError, match="100 levels"):
        dumps_record({"deep": [value]})


def test_a_record_larger_than_a_journal_reads_is_refused() -> None:
    with pytest.raises(ArgumentError, match="larger than"):
        dumps_record({"x": "y" * (1 << 26)})
