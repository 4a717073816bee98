"""What Motif puts beside frames: JSON and HDF5, read as 0.4.0 does."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from extra_data_files import CAMERA, columns_of, write_h5
from hypothesis import given
from hypothesis import strategies as st

from imgstore import util
from imgstore.beside.extra_data import (
    extra_data_samplerate,
    read_extra_data,
)
from imgstore.beside.records import dumps_record, write_records
from imgstore.errors import ExtraDataError, ImgStoreWarning


@pytest.mark.parametrize(
    ("records", "columns"),
    [
        (
            [
                {"a": 1, "frame_number": 3, "frame_index": 1},
                {"a": 2, "frame_number": -1, "frame_index": 0},
                {"a": 3, "frame_number": 2, "frame_index": 0},
                {"a": 4, "frame_number": None, "frame_index": 0},
            ],
            {"a": [3, 1], "frame_number": [2, 3], "frame_index": [0, 1]},
        ),
        (
            [
                {"a": i, "frame_number": n, "frame_index": k, "sensor_time": t}
                for i, (n, k, t) in enumerate(
                    [(5, 1, 2.0), (5, 1, 1.0), (4, 0, 9.0), (4, 0, 3.0), (-1, 0, 0), (3, 2, None), (3, 2, 1.0)]
                )
            ],
            {
                "a": [3, 2, 1, 0, 6, 5],
                "frame_number": [4, 4, 5, 5, 3, 3],
                "frame_index": [0, 0, 1, 1, 2, 2],
                "sensor_time": [3, 9, 1, 2, 1, None],
            },
        ),
        (
            {"a": [1, 2, 3], "frame_number": [3, 2, -1], "frame_index": [1, 0, 0]},
            {"a": [2, 1], "frame_number": [2, 3], "frame_index": [0, 1]},
        ),
    ],
)
def test_motifs_json_without_padding_and_sorted(tmp_path: Path, records: Any, columns: dict[str, list[Any]]) -> None:
    path = tmp_path / "000000.extra_data.json"
    path.write_text(json.dumps(records))
    assert columns_of(util.motif_extra_data_json_to_df(None, path)) == columns
    assert columns_of(read_extra_data([str(path)])) == columns


@given(st.lists(st.tuples(st.integers(-1, 5), st.integers(0, 4)), min_size=1, max_size=60))
def test_rows_of_one_frame_stay_in_order(tmp_path_factory: Any, rows: list[tuple[int, int]]) -> None:
    path = tmp_path_factory.mktemp("motif") / "000000.extra_data.json"
    path.write_text(json.dumps([{"i": i, "frame_number": n, "frame_index": k} for i, (n, k) in enumerate(rows)]))
    want = sorted((k, i) for i, (n, k) in enumerate(rows) if n >= 0)
    table = util.motif_extra_data_json_to_df(None, path)
    assert list(zip(table["frame_index"], table["i"], strict=True)) == want
    if not want:
        assert read_extra_data([str(path)]) is None


@pytest.mark.parametrize(
    "records",
    [
        [{"frame_index": 1}],
        [{"frame_number": 1}],
        [{"frame_number": "x", "frame_index": 1}],
        [{"frame_number": 1, "frame_index": 1}, {"frame_number": 1, "frame_index": "x"}],
    ],
)
def test_motifs_json_without_frame_numbers_is_an_error(tmp_path: Path, records: Any) -> None:
    path = tmp_path / "000000.extra_data.json"
    path.write_text(json.dumps(records))
    with pytest.raises(ExtraDataError, match="000000.extra_data.json"):
        util.motif_extra_data_json_to_df(None, path)


@pytest.mark.parametrize(
    "text", [str, np.bytes_, lambda s: np.array(s.split(","), "S")], ids=["str", "bytes", "array of bytes"]
)
@pytest.mark.parametrize("numbers", [[3, 3, 4, 5, -1, -1], [1, 2, 3], [1, -1, 3, -2, 5], [0]])
def test_motifs_hdf5_has_a_row_per_used_sample(tmp_path: Path, numbers: list[int], text: Any) -> None:
    path = write_h5(tmp_path / "000000.extra_data.h5", numbers, text=text)
    used = [i for i, n in enumerate(numbers) if n >= 0]
    table = util.motif_extra_data_h5_to_df(None, path)
    assert columns_of(table) == {
        "x": [float(i) for i in used],
        "y": [float(i + len(numbers)) for i in used],
        "frame_number": [numbers[i] for i in used],
        "frame_time": [i * 10.0 for i in used],
        "frame_index": [i * 100 for i in used],
        "sample_delay": [i / 8 for i in used],
    }
    assert [str(d) for d in table.dtypes] == ["float64", "float64", "int64", "float64", "int64", "float64"]


def test_datasets_come_in_the_order_of_the_list_and_keep_their_dtypes(tmp_path: Path) -> None:
    datasets = {
        "b": ("v", np.array([[1.5, 2.5, 3.5]], "f4")),
        "a": ("ttl, word", np.array([[0, 1, 0], [7, 8, 9]], "u1")),
        "s": ("text", np.array([[b"k", b"l", b"m"]])),
        "one": ("flat", np.array([4, 5, 6], "i2")),
    }
    camera = np.dtype([("frame_number", "i4"), ("frame_index", "u2"), ("frame_time", "f8"), ("more", "f4")])
    table = util.motif_extra_data_h5_to_df(
        None, write_h5(tmp_path / "x.h5", [5, -1, 6], datasets, camera=camera, rates=None)
    )
    assert {name: (str(table[name].dtype), table[name].tolist()) for name in table.columns} == {
        "v": ("float32", [1.5, 3.5]),
        "ttl": ("uint8", [0, 0]),
        "word": ("uint8", [7, 9]),
        "text": ("object", [b"k", b"m"]),
        "flat": ("int16", [4, 6]),
        "frame_number": ("int32", [5, 6]),
        "frame_index": ("uint16", [0, 20]),
        "frame_time": ("float64", [0.0, 200.0]),
        "more": ("float32", [0.0, 2000.0]),
        "sample_delay": ("float64", [0.0, 0.25]),
    }
    assert list(table.columns)[:5] == ["v", "ttl", "word", "text", "flat"]


def test_file_without_used_samples_adds_nothing(tmp_path: Path) -> None:
    empty = write_h5(tmp_path / "000000.extra_data.h5", [-1, -1])
    assert len(util.motif_extra_data_h5_to_df(None, empty)) == 0
    assert read_extra_data([empty]) is None
    write_records(str(tmp_path / "000001"), [dumps_record({"a": 1})])
    table = read_extra_data([empty, str(tmp_path / "000001.extra.json")])
    assert columns_of(table) == {"a": [1]}
    assert table is not None and table["a"].dtype == "int64"


def test_column_that_is_named_twice_is_said_so(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "x.h5", [1, 2], {"a": ("q, q", np.arange(4).reshape(2, 2))})
    with pytest.warns(ImgStoreWarning, match="'q'"):
        table = util.motif_extra_data_h5_to_df(None, path)
    assert table["q"].tolist() == [2, 3]


def remove(name: str) -> Callable[[h5py.File], Any]:
    return lambda file: file.pop(name)


def replace(name: str, data: Any) -> Callable[[h5py.File], Any]:
    def change(file: h5py.File) -> None:
        file.pop(name)
        file.create_dataset(name, data=data)

    return change


@pytest.mark.parametrize(
    "change",
    [
        remove("camera"),
        remove("ai"),
        lambda file: file.attrs.pop("datasets"),
        lambda file: file["ai"].attrs.pop("column_names"),
        lambda file: file["ai"].attrs.modify("column_names", "x"),
        lambda file: file["ai"].attrs.modify("column_names", "x,y,z"),
        lambda file: file["ai"].attrs.create("column_names", np.bytes_(b"x,\xff")),
        replace("camera", np.arange(3)),
        replace("camera", np.zeros((3, 1), CAMERA)),
        replace("camera", np.zeros(2, CAMERA)),
        replace("camera", np.zeros(4, CAMERA)),
        replace("camera", np.zeros(3, [("frame_number", "S3")])),
        replace("sample_delay", np.zeros(2)),
        replace("sample_delay", np.zeros((1, 3))),
        lambda file: file.attrs.modify("datasets", "camera"),
        lambda file: (file.create_group("g"), file.attrs.modify("datasets", "g")),
        lambda file: (file.pop("camera"), file.create_dataset("camera", data=["a"])),
        lambda file: (file.__setitem__("t", np.dtype("i4")), file.attrs.modify("datasets", "t")),
    ],
)
def test_hdf5_that_is_not_as_motif_writes_it_is_an_error_that_names_it(tmp_path: Path, change: Any) -> None:
    path = write_h5(tmp_path / "000000.extra_data.h5", [1, 2, 3], change=change)
    with pytest.raises(ExtraDataError, match="000000.extra_data.h5"):
        util.motif_extra_data_h5_to_df(None, path)
    with pytest.warns(ImgStoreWarning, match="000000.extra_data.h5"):
        assert read_extra_data([path], ignore_corrupt_chunks=True) is None


def test_sample_delay_may_be_absent(tmp_path: Path) -> None:
    table = util.motif_extra_data_h5_to_df(None, write_h5(tmp_path / "x.h5", [1, 2], change=remove("sample_delay")))
    assert list(table.columns) == ["x", "y", "frame_number", "frame_time", "frame_index"]


def test_a_dataset_larger_than_the_memory_is_an_error(tmp_path: Path) -> None:
    def more(file: h5py.File) -> None:
        names = file["ai"].attrs["column_names"]
        del file["ai"]
        file.create_dataset("ai", shape=(1 << 40, 4), dtype="f8", chunks=(1024, 4))  # takes no place in the file
        file["ai"].attrs["column_names"] = names

    with pytest.raises(ExtraDataError, match="is of shape"):
        read_extra_data([str(write_h5(tmp_path / "000000.extra_data.h5", [3, 3, 4, -1], change=more))])


@pytest.mark.parametrize("at", [16, 40])
def test_a_list_of_objects_without_end_in_hdf5_is_an_error(tmp_path: Path, at: int) -> None:
    path = Path(write_h5(tmp_path / "000000.extra_data.h5", [1, 2]))
    content = bytearray(path.read_bytes())
    at += content.index(b"GCOL")  # a heap begins there: the library would go round in it for ever
    content[at : at + 16] = bytes(16)
    path.write_bytes(content)
    with pytest.raises(ExtraDataError, match=r"000000.extra_data.h5.*heap"):
        read_extra_data([str(path)])


def test_hdf5_whose_elements_would_have_to_be_converted_is_an_error(tmp_path: Path) -> None:
    def more(file: h5py.File) -> None:
        del file["ai"]
        short = h5py.h5t.STD_I64LE.copy()
        short.set_precision(40)  # the rest is padding
        h5py.h5d.create(file.id, b"ai", short, h5py.h5s.create_simple((2, 2)))
        file["ai"].attrs["column_names"] = "x, y"

    with pytest.raises(ExtraDataError, match="'ai' is no dataset of numbers"):
        read_extra_data([write_h5(tmp_path / "000000.extra_data.h5", [1, 2], change=more)])


def test_attributes_of_variable_length_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    def more(file: h5py.File) -> None:
        file["ai"].attrs.create("ragged", np.array([np.arange(2), np.arange(3)], object), dtype=h5py.vlen_dtype("i8"))
        file["ai"].attrs["texts"] = ["a", "ä"]

    path = write_h5(tmp_path / "x.h5", [1, 2], change=more)
    attributes = util.motif_extra_data_h5_attrs(path)["ai"]
    assert sorted(attributes) == ["column_names", "samplerate", "texts"]
    assert attributes["texts"].tolist() == ["a", "ä"]
    assert len(util.motif_extra_data_h5_to_df(None, path)) == 2


@contextlib.contextmanager
def at_most_a_gigabyte_more() -> Iterator[None]:
    """Let no damage take the machine's memory: in one file of many the library reads a list that goes round."""
    if sys.platform != "linux":
        yield
        return
    import resource

    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30), limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.skipif(h5py.version.hdf5_version_tuple[:2] < (2, 0), reason="the HDF5 library itself crashes on some damage")
@given(st.data())
def test_damaged_hdf5_is_an_error_of_ours_or_a_table(tmp_path_factory: Any, data: Any) -> None:
    path = tmp_path_factory.mktemp("h5") / "000000.extra_data.h5"
    write_h5(path, [3, 3, 4, -1])
    content = bytearray(path.read_bytes())
    cut = data.draw(st.integers(0, len(content)))
    if data.draw(st.booleans()):
        content = content[:cut]
    else:
        for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=30)):
            content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        with at_most_a_gigabyte_more():
            table = read_extra_data([str(path)])
    except ExtraDataError as error:
        assert "000000.extra_data.h5" in str(error)
    else:
        assert table is None or isinstance(table, pd.DataFrame)


def test_attributes_of_hdf5(tmp_path: Path) -> None:
    def more(file: h5py.File) -> None:
        file["ai"].attrs["units"] = "V"
        file["camera"].attrs["z"] = 3
        file.create_group("grp").attrs["q"] = 1

    path = write_h5(tmp_path / "x.h5", [1, 2], text=np.bytes_, change=more)
    assert util.motif_extra_data_h5_attrs(path) == {
        "_datasets": ["ai"],
        "ai": {"column_names": b"x, y", "samplerate": 10.0, "units": "V"},
        "camera": {"z": 3},
        "grp": {"q": 1},
        "sample_delay": {},
    }
    assert util.motif_extra_data_h5_attrs(write_h5(tmp_path / "y.h5", [1, 2]))["ai"]["column_names"] == "x, y"
    (tmp_path / "z.h5").write_bytes(b"garbage")
    with pytest.raises(ExtraDataError, match=r"z\.h5"):
        util.motif_extra_data_h5_attrs(tmp_path / "z.h5")
    with pytest.raises(FileNotFoundError):
        util.motif_extra_data_h5_attrs(tmp_path / "none.h5")


def two(rate_a: float, rate_b: float) -> dict[str, Any]:
    data = np.zeros((1, 2))
    return {"datasets": {"a": ("x", data), "b": ("y", data)}, "rates": {"a": rate_a, "b": rate_b}}


def test_sample_rate(tmp_path: Path) -> None:
    one = write_h5(tmp_path / "000000.extra_data.h5", [1, 2])
    assert extra_data_samplerate([one]) == 10.0
    same = write_h5(tmp_path / "000001.extra_data.h5", [1, 2], **two(20.0, 20.0))
    assert extra_data_samplerate([same]) == 20.0
    without = write_h5(tmp_path / "000002.extra_data.h5", [1, 2], rates=None)
    assert extra_data_samplerate(["000000.extra.json", without, one, same]) == 10.0
    different = write_h5(tmp_path / "000003.extra_data.h5", [1, 2], **two(20.0, 30.0))
    with pytest.raises(ExtraDataError, match="000003.*motif_extra_data_h5_attrs"):
        extra_data_samplerate([different])
    no_number = write_h5(tmp_path / "000004.extra_data.h5", [1, 2], rates=None)
    with h5py.File(no_number, "r+") as file:
        file["ai"].attrs["samplerate"] = "fast"
    with pytest.raises(ExtraDataError, match="000004.*no number"):
        extra_data_samplerate([no_number])
    for files in ([], [without], ["000000.extra.json", "000001.extra_data.json"]):
        with pytest.raises(ExtraDataError, match="no file"):
            extra_data_samplerate(files)


# what is not in the file

SECRET = b"password=hunter2 "


def external_storage(file: h5py.File, elsewhere: Path) -> None:
    elsewhere.write_bytes(SECRET)
    file.create_dataset("ai", shape=(2, 4), dtype="u1", external=[(elsewhere, 0, 8)])


def external_link(file: h5py.File, elsewhere: Path) -> None:
    with h5py.File(elsewhere, "w") as other:
        other.create_dataset("x", data=np.zeros((2, 4))).attrs["column_names"] = "x, y"
    file["ai"] = h5py.ExternalLink(elsewhere, "/x")


def link_within_a_link(file: h5py.File, elsewhere: Path) -> None:
    with h5py.File(elsewhere, "w") as other:
        other.create_dataset("ai", data=np.zeros((2, 4))).attrs["column_names"] = "x, y"
    file["group"] = h5py.ExternalLink(elsewhere, "/")
    file["ai"] = h5py.SoftLink("/group/ai")


def path_through_a_link(file: h5py.File, elsewhere: Path) -> None:
    link_within_a_link(file, elsewhere)
    del file["ai"]
    file.attrs["datasets"] = "group/ai"


def virtual(file: h5py.File, elsewhere: Path) -> None:
    with h5py.File(elsewhere, "w") as other:
        other["x"] = np.zeros((2, 4))
    layout = h5py.VirtualLayout((2, 4), "f8")
    layout[:] = h5py.VirtualSource(elsewhere, "x", (2, 4))
    file.create_virtual_dataset("ai", layout)


def virtual_of_nothing(file: h5py.File, elsewhere: Path) -> None:
    virtual(file, elsewhere)
    elsewhere.unlink()


def filter_of_a_plugin(file: h5py.File, elsewhere: Path) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((2, 4))
    properties.set_filter(32_999, h5py.h5z.FLAG_OPTIONAL)  # nobody's: the library looks for it among its plugins
    space = h5py.h5s.create_simple((2, 4))
    h5py.h5d.create(file.id, b"ai", h5py.h5t.IEEE_F64LE, space, properties)


ELSEWHERE = [
    external_storage,
    external_link,
    link_within_a_link,
    path_through_a_link,
    virtual,
    virtual_of_nothing,
    filter_of_a_plugin,
]


def leads_elsewhere(path: Path, how: Callable[[h5py.File, Path], None], elsewhere: Path) -> str:
    def change(file: h5py.File) -> None:
        del file["ai"]
        how(file, elsewhere)
        if isinstance(file.get("ai", getlink=True), h5py.HardLink):
            file["ai"].attrs["column_names"] = "x, y"

    return write_h5(path, [1, 2, 3, 4], change=change)


@pytest.mark.parametrize("how", ELSEWHERE)
def test_no_data_come_from_elsewhere(tmp_path: Path, how: Any) -> None:
    path = leads_elsewhere(tmp_path / "000000.extra_data.h5", how, tmp_path / "elsewhere")
    with pytest.raises(ExtraDataError, match=r"000000.extra_data.h5.*(somewhere else|other files|filters|has no)"):
        util.motif_extra_data_h5_to_df(None, path)


def test_no_file_is_opened_that_nobody_named(tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    """Of the system calls of a process that reads them all, none names a file elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    paths = []
    for how in ELSEWHERE:
        name = how.__name__
        paths.append(leads_elsewhere(tmp_path / f"{name}.extra_data.h5", how, tmp_path / "elsewhere" / name))
    program = """
import sys
from imgstore import util
from imgstore.errors import ExtraDataError
for path in sys.argv[1:]:
    for read in (util.motif_extra_data_h5_attrs, lambda path: util.motif_extra_data_h5_to_df(None, path)):
        try: read(path)
        except ExtraDataError: pass
"""
    trace = tmp_path / "trace"
    command = [need_tool("strace"), "-f", "-qq", "-e", "trace=%file", "-o", str(trace)]
    run = subprocess.run([*command, sys.executable, "-c", program, *paths], capture_output=True, text=True)
    if "ptrace" in run.stderr.lower() or not trace.exists():
        pytest.skip("needs strace, which may not look at processes here")
    assert run.returncode == 0, run.stderr
    calls = trace.read_text()
    assert calls.count(".extra_data.h5") >= len(ELSEWHERE)
    assert "/elsewhere/" not in calls
    assert "/hdf5/" not in calls  # where the library looks for filters


def test_samples_that_were_never_written_are_an_error_where_they_are_used(tmp_path: Path) -> None:
    def never(file: h5py.File) -> None:
        del file["ai"]
        file.create_dataset("ai", (2, 6), "f8", chunks=(1, 2), fillvalue=9.0)[:, :4] = np.arange(8).reshape(2, 4)
        file["ai"].attrs["column_names"] = "x, y"

    whole = write_h5(tmp_path / "whole.h5", [1, 2, 3, 4, -1, -1], change=never)
    assert util.motif_extra_data_h5_to_df(None, whole)["y"].tolist() == [4, 5, 6, 7]
    lacking = write_h5(tmp_path / "lacking.h5", [1, 2, 3, 4, 5, -1], change=never)
    with pytest.raises(ExtraDataError, match=r"lacking.h5.*'ai' lacks 1 samples .* sample 4"):
        util.motif_extra_data_h5_to_df(None, lacking)


def test_a_camera_that_was_never_written_has_no_frame_zero(tmp_path: Path) -> None:
    def never(file: h5py.File) -> None:
        del file["camera"]
        file.create_dataset("camera", (4,), CAMERA)

    path = write_h5(tmp_path / "000000.extra_data.h5", [1, 2, 3, 4], change=never)
    with pytest.raises(ExtraDataError, match="'camera' lacks 4 samples"):
        util.motif_extra_data_h5_to_df(None, path)


def test_compressed_data_are_read_within_measure(tmp_path: Path) -> None:
    def compressed(count: int) -> Callable[[h5py.File], None]:
        def change(file: h5py.File) -> None:
            samples = np.zeros(count, CAMERA)
            samples["frame_number"] = np.arange(count)
            for name, data in (("camera", samples), ("ai", np.ones((2, count))), ("sample_delay", np.ones(count))):
                attributes = dict(file[name].attrs)
                del file[name]
                file.create_dataset(name, data=data, compression="gzip", shuffle=True, fletcher32=name != "camera")
                file[name].attrs.update(attributes)

        return change

    path = write_h5(tmp_path / "small.h5", [], change=compressed(100_000))
    assert os.path.getsize(path) * 10 < 100_000 * 48
    table = util.motif_extra_data_h5_to_df(None, path)
    assert table["frame_number"].tolist() == list(range(100_000))

    def bomb(file: h5py.File) -> None:
        for name, dtype, shape in (("camera", CAMERA, ()), ("ai", "f8", (2,)), ("sample_delay", "f8", ())):
            attributes = dict(file[name].attrs)
            del file[name]
            file.create_dataset(name, (*shape, 200_000_000), dtype, chunks=(*shape, 1 << 16), compression="gzip")
            file[name].attrs.update(attributes)

    path = write_h5(tmp_path / "bomb.h5", [], change=bomb)
    with pytest.raises(ExtraDataError, match=r"bomb.h5.* would be \d+ bytes"):
        util.motif_extra_data_h5_to_df(None, path)


def test_a_text_that_is_many_texts_is_an_error(tmp_path: Path) -> None:
    def more(file: h5py.File) -> None:
        file.attrs.create("datasets", np.array(["x" * 500_000] + ["y"] * 999, object), (1000,), h5py.string_dtype())

    path = Path(write_h5(tmp_path / "x.h5", [1, 2], change=more))
    content = bytearray(path.read_bytes())
    at = content.index((500_000).to_bytes(4, "little"))  # of the first reference: length, address, number
    content[at : at + 16_000] = content[at : at + 16] * 1000
    path.write_bytes(content)
    with pytest.raises(ExtraDataError, match=r"x.h5.*'datasets' is larger than the file"):
        util.motif_extra_data_h5_attrs(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "000000.extra_data.h5")
    with pytest.raises(ExtraDataError, match="no regular file"):
        read_extra_data([str(tmp_path / "000000.extra_data.h5")])
