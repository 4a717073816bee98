"""One chunk's own index: what is read exactly, and what is refused and why."""

from __future__ import annotations

import io
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgstore.disk.atomic import atomic_file, replace_file
from imgstore.disk.chunk_index import (
    as_frame_numbers,
    as_frame_times,
    read_all_arrays,
    read_chunk_index,
    write_chunk_index,
)
from imgstore.errors import ArgumentError, ChunkIndexError, StoreWriteError

NUMBERS = np.array([3, 4, -1, 2**40, 4])
TIMES = np.array([0.5, 0.25, np.nan, 1e9, -1.0])


class Bomb:
    """Unpickling it leaves a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def savez(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)
    return path.with_name(path.name.removesuffix(".npz"))


def check(base: Path) -> None:
    numbers, times = read_chunk_index(base)
    assert numbers.dtype == np.int64 and times.dtype == np.float64
    assert numbers.flags.c_contiguous and times.flags.c_contiguous
    np.testing.assert_array_equal(numbers, NUMBERS)
    np.testing.assert_array_equal(times, TIMES)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_what_numpy_writes(tmp_path, save):
    save(tmp_path / "000000.npz", frame_number=NUMBERS, frame_time=TIMES, version=2)
    check(tmp_path / "000000")
    check(os.fspath(tmp_path / "000000"))


def test_archive_comment_and_other_members_do_not_matter(tmp_path):
    base = savez(tmp_path / "0.npz", frame_time=TIMES, uuid="abc", frame_number=NUMBERS)
    with zipfile.ZipFile(f"{base}.npz", "a") as archive:
        archive.comment = b"made elsewhere"
        archive.writestr("notes.txt", "hello")
    check(base)


def test_yaml(tmp_path):
    (tmp_path / "0.yaml").write_text(
        "frame_number: [3, 4, -1, 1099511627776, 4]\nframe_time: [0.5, 0.25, .nan, 1.0e+9, -1]"
    )
    check(tmp_path / "0")
    assert read_all_arrays(tmp_path / "0").keys() == {"frame_number", "frame_time"}
    savez(tmp_path / "0.npz", frame_number=[1], frame_time=[2.0])
    assert read_chunk_index(tmp_path / "0")[0].tolist() == [1]  # the newer format wins


@pytest.mark.parametrize("dtype", ["int8", "int16", ">i4", ">i8", "<i8", "uint8", "uint64", ">u2", "f4", ">f8"])
def test_integers_of_any_type_and_byte_order(tmp_path, dtype):
    numbers, times = np.array([1, 2, 100], dtype), np.array([0, 1, 2], dtype)
    base = savez(tmp_path / "0.npz", frame_number=numbers, frame_time=times)
    numbers, times = read_chunk_index(base)
    assert numbers.tolist() == [1, 2, 100] and numbers.dtype == np.dtype(np.int64)
    assert times.tolist() == [0, 1, 2] and times.dtype == np.dtype(np.float64)


def test_empty(tmp_path):
    base = savez(tmp_path / "0.npz", frame_number=np.array([]), frame_time=np.array([]))
    numbers, times = read_chunk_index(base)
    assert (len(numbers), numbers.dtype, len(times)) == (0, np.int64, 0)


FAULTS = {
    "unequal lengths": ({"frame_number": [1, 2], "frame_time": [1.0]}, "2 frame numbers but 1 frame times"),
    "no times": ({"frame_number": [1, 2]}, "no frame_time"),
    "no numbers": ({"frame_time": [1.0]}, "no frame_number"),
    "two dimensions": ({"frame_number": [[1, 2]], "frame_time": [[1.0, 2.0]]}, "2 dimensions"),
    "no dimension": ({"frame_number": 1, "frame_time": 1.0}, "0 dimensions"),
    "fractions": ({"frame_number": [1.5, 2], "frame_time": [1.0, 2.0]}, "whole"),
    "nan": ({"frame_number": [np.nan, 2], "frame_time": [1.0, 2.0]}, "whole"),
    "bool": ({"frame_number": [True, False], "frame_time": [1.0, 2.0]}, "bool"),
    "too large": ({"frame_number": np.array([2**63], np.uint64), "frame_time": [1.0]}, "64 bits"),
    "too large a float": ({"frame_number": [2.0**63], "frame_time": [1.0]}, "64 bits"),
    "text": ({"frame_number": ["1"], "frame_time": [1.0]}, "integers"),
    "times of text": ({"frame_number": [1], "frame_time": ["1.0"]}, "real"),
    "times of bool": ({"frame_number": [1], "frame_time": [True]}, "real"),
    "complex times": ({"frame_number": [1], "frame_time": [1j]}, "real"),
    "dates": ({"frame_number": [1], "frame_time": np.array(["2020-01-01"], "M8[s]")}, "real"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("read", [read_chunk_index, read_all_arrays])
def test_faults_are_named(tmp_path, fault, read):
    arrays, message = FAULTS[fault]
    base = savez(tmp_path / "000007.npz", **arrays)
    with pytest.raises(ChunkIndexError, match=message) as caught:
        read(base)
    assert str(tmp_path / "000007.npz") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mapping"),
        ("[1, 2]", "mapping"),
        ("frame_number: [1\n", "valid YAML"),
        ("frame_number: !!python/object/apply:os.getcwd []\nframe_time: []", "valid YAML"),
        ("frame_number: [1]\nframe_time: [1.0, 2.0]", "1 frame numbers but 2"),
        ("frame_number: [true, 2]\nframe_time: [1.0, 2.0]", "true or false"),
        (f"frame_number: [{2**70}]\nframe_time: [1.0]", "64 bits"),
        ("frame_number: 5\nframe_time: 5.0", "0 dimensions"),
        ("frame_number: [[1], [1, 2]]\nframe_time: [1.0, 2.0]", "list of numbers"),
        ("frame_number: [1, a]\nframe_time: [1.0, 2.0]", "integers"),
        ("frame_number: [1]\nframe_time: [null]", "real"),
        ("\x00\x01", "valid YAML"),
    ],
)
def test_faults_of_yaml_are_named(tmp_path, text, message):
    (tmp_path / "0.yaml").write_text(text)
    with pytest.raises(ChunkIndexError, match=message) as caught:
        read_chunk_index(tmp_path / "0")
    assert str(tmp_path / "0.yaml") in str(caught.value)


def test_missing_or_unreadable(tmp_path):
    with pytest.raises(ChunkIndexError, match="missing"):
        read_chunk_index(tmp_path / "000000")
    (tmp_path / "1.npz").mkdir()
    with pytest.raises(ChunkIndexError, match=r"1\.npz: .*cannot be read"):
        read_chunk_index(tmp_path / "1")


def test_nothing_is_unpickled(tmp_path):
    trace = tmp_path / "trace"
    bomb = np.array(Bomb(trace), dtype=object)
    base = savez(tmp_path / "0.npz", frame_number=NUMBERS, frame_time=TIMES, created=bomb)
    check(base)
    assert "created" not in read_all_arrays(base)
    base = savez(tmp_path / "1.npz", frame_number=np.array([Bomb(trace)], dtype=object), frame_time=TIMES[:1])
    for read in (read_chunk_index, read_all_arrays):
        with pytest.raises(ChunkIndexError, match="pickle"):
            read(base)
    (tmp_path / "2.npz").write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(ChunkIndexError):
        read_chunk_index(tmp_path / "2")
    assert not trace.exists()
    np.load(tmp_path / "1.npz", allow_pickle=True)["frame_number"]  # the trap does work
    assert trace.exists()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_truncation_is_found(tmp_path, save):
    buffer = io.BytesIO()
    save(buffer, frame_number=NUMBERS, frame_time=TIMES)
    whole = buffer.getvalue()
    for size in range(len(whole)):
        (tmp_path / "0.npz").write_bytes(whole[:size])
        with pytest.raises(ChunkIndexError):
            read_chunk_index(tmp_path / "0")


@pytest.mark.long
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_no_changed_byte_changes_the_frames(tmp_path, save):
    """Each byte in turn: an error of ours, or the very same numbers and times."""
    buffer = io.BytesIO()
    save(buffer, frame_number=NUMBERS, frame_time=TIMES)
    whole = bytearray(buffer.getvalue())
    refused = 0
    for position in range(len(whole)):
        for mask in (0x01, 0x80, 0xFF):
            whole[position] ^= mask
            (tmp_path / "0.npz").write_bytes(whole)
            whole[position] ^= mask
            try:
                check(tmp_path / "0")
            except ChunkIndexError:
                refused += 1
    assert refused > len(whole)


@given(st.binary(max_size=400))
def test_garbage(tmp_path_factory, data):
    directory = tmp_path_factory.mktemp("garbage")
    for content in (data, b"PK\3\4" + data):
        (directory / "0.npz").write_bytes(content)
        with pytest.raises(ChunkIndexError, match=r"0\.npz"):
            read_chunk_index(directory / "0")


ANY_TYPE = hnp.scalar_dtypes() | hnp.nested_dtypes(max_itemsize=64)
ANY_ARRAY = hnp.arrays(ANY_TYPE, hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))


@given(ANY_ARRAY, ANY_ARRAY, ANY_ARRAY, st.booleans())
def test_any_arrays_are_an_error_or_the_same_numbers(tmp_path_factory, numbers, times, other, compressed):
    base = tmp_path_factory.mktemp("any") / "0"
    save = np.savez_compressed if compressed else np.savez
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of names of fields that are not Latin-1
        save(f"{base}.npz", frame_number=numbers, frame_time=times, other=other)
    try:
        read_numbers, read_times = read_chunk_index(base)
    except ChunkIndexError as error:
        assert "0.npz" in str(error)
        return
    assert read_numbers.tolist() == [int(n) for n in numbers.tolist()]
    np.testing.assert_array_equal(read_times, [float(t) for t in times.tolist()])
    read_other = read_all_arrays(base)["other"]  # compared as bytes: NaT in a field is not equal to itself
    assert (read_other.dtype, read_other.shape, read_other.tobytes()) == (other.dtype, other.shape, other.tobytes())


INT64 = st.integers(-(2**63), 2**63 - 1)


@given(hnp.arrays(np.int64, hnp.array_shapes(max_dims=1, min_side=0, max_side=50), elements=INT64), st.data())
def test_round_trip(tmp_path_factory, numbers, data):
    base = tmp_path_factory.mktemp("round") / "000000"
    times = data.draw(hnp.arrays(np.float64, numbers.shape))
    path = write_chunk_index(base, numbers, times, {"_frame_number_before_reindex": numbers[::-1]}, sync=False)
    assert path == base.with_name("000000.npz") and [*base.parent.iterdir()] == [path]
    for read_numbers, read_times in (read_chunk_index(base), pair_of(np.load(path))):
        np.testing.assert_array_equal(read_numbers, numbers)
        assert read_times.tobytes() == times.tobytes()
    np.testing.assert_array_equal(read_all_arrays(base)["_frame_number_before_reindex"], numbers[::-1])


def pair_of(archive):
    return archive["frame_number"], archive["frame_time"]


@pytest.mark.parametrize(
    ("numbers", "times", "extra", "message"),
    [
        ([1, 2], [1.0], None, "2 frame numbers but 1"),
        ([1.5], [1.0], None, "whole"),
        ([1], ["x"], None, "real"),
        ([1], [1.0], {"a": np.array([None])}, "pickle"),
        ([1], [1.0], {"frame_time": [1.0]}, "twice"),
    ],
)
def test_what_cannot_be_written_leaves_the_old_index(tmp_path, numbers, times, extra, message):
    write_chunk_index(tmp_path / "0", NUMBERS, TIMES)
    with pytest.raises(ArgumentError, match=message):
        write_chunk_index(tmp_path / "0", numbers, times, extra)
    check(tmp_path / "0")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_write_that_fails_names_the_path_and_leaves_nothing(tmp_path):
    with pytest.raises(StoreWriteError, match=r"nowhere") as caught:
        write_chunk_index(tmp_path / "nowhere" / "0", NUMBERS, TIMES)
    assert caught.value.errno and caught.value.filename == str(tmp_path / "nowhere" / "0.npz")
    (tmp_path / "0.npz").mkdir()
    with pytest.raises(StoreWriteError):
        write_chunk_index(tmp_path / "0", NUMBERS, TIMES)
    assert [p.name for p in tmp_path.iterdir()] == ["0.npz"]


def test_files_are_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    assert replace_file(path, b"old") == path
    with pytest.raises(ZeroDivisionError), atomic_file(path) as file:
        file.write(b"half")
        assert path.read_bytes() == b"old"
        assert [p.name for p in tmp_path.iterdir() if p != path] == [".file.tmp"]
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    replace_file(path, [b"ne", b"w"])
    assert path.read_bytes() == b"new"
    replace_file(path, lambda file: file.write(b"newer"), sync=False)
    assert path.read_bytes() == b"newer" and len(list(tmp_path.iterdir())) == 1


def test_conversions_give_back_what_fits():
    numbers, times = np.arange(3), np.arange(3.0)
    assert as_frame_numbers(numbers) is numbers and as_frame_times(times) is times
    assert as_frame_numbers([2**63 - 1, -(2**63)]).tolist() == [2**63 - 1, -(2**63)]
    assert as_frame_numbers([-(2.0**63)]).tolist() == [-(2**63)]


def test_samples(samples):
    numbers, times = read_chunk_index(samples / "yaml-index" / "000000" / "index")
    assert numbers.tolist() == list(range(100, 110)) and times[0] == 1.7e9
    arrays = read_all_arrays(samples / "reindexed" / "000000")
    assert "_frame_number_before_reindex" in arrays
