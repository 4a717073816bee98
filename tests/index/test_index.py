"""The index of a store, against brute force, and against everything that can happen to its cache file."""

from __future__ import annotations

import itertools
import math
import pickle
import sqlite3
import struct
import sys
import warnings
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rounds import long_but

from imgstore.disk.chunk_index import read_chunk_index, write_chunk_index
from imgstore.errors import (
    ArgumentError,
    ChunkIndexError,
    FrameIndexError,
    ImgStoreWarning,
    StaleIndexError,
    StoreClosedError,
    StoreWriteError,
)
from imgstore.index._index import MAX_RUNS, ROW_SIZE, FrameIndex, encode_block
from imgstore.index.cache import CACHE_FILENAME, IndexBuilder
from imgstore.index.frame_index import ImgStoreIndex

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


# ---- brute force


def first_equal(values, wanted):
    return next((i for i, value in enumerate(values) if value == wanted), -1)


def nearest_number(numbers, wanted):
    if not numbers:
        return -1
    return min(range(len(numbers)), key=lambda i: (abs(Fraction(numbers[i]) - Fraction(wanted)), i))


def nearest_time(times, wanted):
    def distance(i):
        time = times[i]
        if time == wanted:
            return (0, 0, i)
        if math.isinf(wanted):
            return (1, -time if wanted > 0 else time, i)
        return (2, 0, i) if math.isinf(time) else (1, abs(Fraction(time) - Fraction(wanted)), i)

    return min((i for i in range(len(times)) if not math.isnan(times[i])), key=distance, default=-1)


def agree(index, chunks, number_queries, time_queries):
    """Compare an index in every respect with lists of (chunk, numbers, times)."""
    numbers = list(itertools.chain.from_iterable(n for _, n, _ in chunks))
    times = list(itertools.chain.from_iterable(t for _, _, t in chunks))
    places = [(chunk, i) for chunk, n, _ in chunks for i in range(len(n))]
    assert index.frame_count == len(index) == len(numbers)
    assert index.chunks == tuple(chunk for chunk, n, _ in chunks if len(n))
    assert index.frame_numbers.dtype == np.int64 and index.frame_times.dtype == np.float64
    assert index.frame_numbers.tolist() == numbers
    np.testing.assert_array_equal(index.frame_times, times)
    everything = index.get_all_metadata()
    assert everything["frame_number"] == numbers
    np.testing.assert_array_equal(everything["frame_time"], times)
    np.testing.assert_equal(index.frame_min, min(numbers, default=math.nan))
    np.testing.assert_equal(index.frame_max, max(numbers, default=math.nan))
    true_times = [time for time in times if not math.isnan(time)]
    np.testing.assert_equal(index.frame_time_min, min(true_times, default=math.nan))
    np.testing.assert_equal(index.frame_time_max, max(true_times, default=math.nan))
    for chunk, n, t in chunks:
        metadata = index.get_chunk_metadata(chunk)
        assert metadata["frame_number"] == list(n)
        np.testing.assert_array_equal(metadata["frame_time"], t)
        assert index.chunk_count(chunk) == len(n)
        if len(n):
            assert places[index.chunk_start(chunk)] == (chunk, 0)
    for position, place in enumerate(places):
        assert index.locate(position) == place
        number, time = index.frame(position)
        assert number == numbers[position]
        np.testing.assert_equal(time, times[position])

    def check(what, value, exact, nearest):
        assert index.find(what, value) == exact, (what, value)
        assert index.find_nearest(what, value) == nearest, (what, value)
        assert index.find_chunk(what, value) == (places[exact] if exact >= 0 else (-1, -1))
        assert index.find_chunk_nearest(what, value) == (places[nearest] if nearest >= 0 else (-1, -1))

    for value in number_queries:
        check("frame_number", value, first_equal(numbers, value), nearest_number(numbers, value))
    for value in time_queries:
        check("frame_time", value, first_equal(times, value), nearest_time(times, value))
    for value in (-1, 0, len(numbers) - 1, len(numbers), INT64_MAX):
        inside = 0 <= value < len(numbers)
        check("index", value, value if inside else -1, min(max(value, 0), len(numbers) - 1))


# ---- stores to look things up in

int64s = st.one_of(st.integers(-20, 20), st.integers(INT64_MIN, INT64_MAX), st.sampled_from([INT64_MIN, INT64_MAX]))
largest = sys.float_info.max
finite = st.one_of(
    st.integers(-8, 8).map(lambda i: i / 4),
    st.floats(-largest, largest),
    st.floats(1.6e9, 1.6e9 + 1),
    st.sampled_from([sign * size for sign in (-1, 1) for size in (largest, largest / 2, 1e308, 9.98e291)]),
)
any_time = st.one_of(finite, st.sampled_from([math.nan, math.inf, -math.inf]))


@st.composite
def number_lists(draw):
    kind = draw(st.sampled_from(["any", "sorted", "skips", "wraps", "runs"]))
    if kind == "any":
        return draw(st.lists(int64s, max_size=60))
    if kind == "sorted":
        return sorted(draw(st.lists(int64s, max_size=60)))
    count = draw(st.integers(0, 80))
    first = draw(st.integers(-(2**40), 2**40))
    if kind == "skips":
        steps = draw(st.lists(st.sampled_from([0, 1, 1, 1, 2, 40000]), min_size=count, max_size=count))
        return [first + total for total in itertools.accumulate(steps)]
    period = draw(st.integers(1, 9)) if kind == "wraps" else draw(st.integers(10, 80))
    return [(first + i) % period for i in range(count)]


@st.composite
def stores(draw):
    """Lists of (chunk, numbers, times), chunks without frames among them."""
    numbers = draw(number_lists())
    times = draw(st.lists(draw(st.sampled_from([finite, any_time])), min_size=len(numbers), max_size=len(numbers)))
    if draw(st.booleans()):
        times.sort(key=lambda time: (math.isnan(time), time))
    cuts = sorted(draw(st.lists(st.integers(0, len(numbers)), max_size=5)))
    chunk = itertools.accumulate(itertools.chain([0], itertools.repeat(draw(st.integers(1, 3)))))
    return [
        (next(chunk), numbers[a:b], times[a:b]) for a, b in itertools.pairwise([0, *cuts, len(numbers)])
    ]  # fmt: skip


def queries(chunks):
    """Values at, beside, between and beyond those that are there."""
    numbers = {n for _, ns, _ in chunks for n in ns}
    wanted = {0, INT64_MIN, INT64_MAX, 2**70, -(2**70), 0.5, -0.5, 1e30, -1e30}
    for n in numbers:
        wanted |= {n, n - 1, n + 1, float(n)}
        if abs(n) < 2**40:
            wanted |= {n + 0.5, n - 0.25, n + 0.75}
    for a, b in itertools.pairwise(sorted(numbers)):
        wanted |= {(a + b) // 2, -(-(a + b) // 2)}
    times = {t for _, _, ts in chunks for t in ts if not math.isnan(t)}
    moments = {0.0, 1e9, -1e300, largest, -largest, math.inf, -math.inf, *times}
    for a, b in itertools.pairwise(sorted(times)):
        if math.isfinite(a) and math.isfinite(b):
            middle = a / 2 + b / 2
            moments |= {middle, math.nextafter(middle, a), math.nextafter(middle, b)}
    return wanted, moments


def in_memory(chunks):
    builder = IndexBuilder()
    for chunk, numbers, times in chunks:
        builder.add_chunk(chunk, f"{chunk:06d}", np.array(numbers, np.int64), np.array(times, np.float64))
    return ImgStoreIndex(builder.finish())


def on_disk(root, chunks):
    """Write the chunks' own indexes and return their paths as a listing gives them."""
    paths = []
    for chunk, numbers, times in chunks:
        paths.append((chunk, f"{root}/{chunk:06d}"))
        write_chunk_index(paths[-1][1], numbers, times, sync=False)
    return paths


# ---- look-ups


@given(stores())
@example([(0, [0, 0, 0], [math.nan, math.inf, 9.9792015476736e291])])  # so far from -inf that its distance overflows
def test_look_ups_in_memory(chunks):
    agree(in_memory(chunks), chunks, *queries(chunks))


@given(stores(), st.data())
def test_look_ups_in_an_index_that_grows(chunks, data):
    """However it came to be, and whatever was looked up on the way, an index says the same."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(chunks)), max_size=3)))
    parts = [chunks[a:b] for a, b in itertools.pairwise([0, *cuts, len(chunks)])]
    index, done = in_memory(parts[0]), list(parts[0])
    for part in parts[1:]:
        if data.draw(st.booleans()):
            index.find("frame_number", 0)
        if data.draw(st.booleans()):
            index.find("frame_time", 0)
        before, index = index, index.extended(part)
        agree(before, done, [0], [0.0])
        done += part
    agree(index, chunks, *queries(chunks))


@pytest.mark.long
@given(stores())
def test_look_ups_in_a_cached_index(tmp_path_factory, chunks):
    root = tmp_path_factory.mktemp("store")
    paths = on_disk(root, chunks)
    made = ImgStoreIndex.new_from_chunks(paths)
    agree(made, chunks, *queries(chunks))
    assert made.verified
    made.write_cache(root / CACHE_FILENAME, sync=False)
    assert {p.name for p in root.iterdir()} == {CACHE_FILENAME, *(f"{chunk:06d}.npz" for chunk, _, _ in chunks)}
    cached = ImgStoreIndex.open_cached(root, paths)
    agree(cached, chunks, *queries(chunks))
    cached.verify_all()
    assert cached.verified
    further = [(1000, [7, 6, INT64_MAX], [0.5, math.nan, 0.25])]
    agree(cached.extended(further), chunks + further, *queries(chunks + further))


def test_many_runs_use_an_order_and_few_do_not():
    for wraps in (1, MAX_RUNS, MAX_RUNS + 1, 500):
        numbers = list(range(5)) * wraps
        index = in_memory([(0, numbers[:7], [0.0] * 7), (1, numbers[7:], [0.0] * (len(numbers) - 7))] if wraps > 1
                          else [(0, numbers, [0.0] * 5)])  # fmt: skip
        assert (index._frames.order("frame_number") is not None) == (wraps > MAX_RUNS)
        assert index._frames.order("frame_time") is None
        assert [index.find("frame_number", n) for n in range(-1, 6)] == [-1, 0, 1, 2, 3, 4, -1]


def test_a_frame_takes_eight_bytes():
    """Consecutive numbers cost nothing, a few gaps little, and only wild ones a whole int64."""
    times = np.arange(1000.0)
    for numbers, width in (
        (np.arange(5, 1005), 0),
        (np.arange(1000) * 2, 2),
        (np.arange(1000) * 100, 8),
    ):
        row, block = encode_block(3, 0, 0, numbers, times)
        assert (len(row), len(block)) == (ROW_SIZE, 1000 * (8 + width))
        frames = FrameIndex(row, block)
        np.testing.assert_array_equal(frames.numbers(), numbers)


def test_every_kind_of_number():
    index = in_memory([(0, [5, 6, 2**40, 250], [1.0, 2.0, 3.5, 4.0])])
    for dtype in "bBhHiIqQfd":
        assert index.find("frame_number", np.dtype(dtype).type(6)) == 1
        assert index.find_nearest("frame_time", np.dtype(dtype).type(4)) == 3
        assert index.find("index", np.dtype(dtype).type(3)) == 3
    assert index.find("frame_number", np.array(250)) == 3
    assert index.find("frame_number", 6.0) == 1 and index.find("frame_number", 6.5) == -1
    assert index.find("frame_number", Fraction(5)) == 0
    assert index.find("frame_number", math.nan) == index.find("frame_time", math.nan) == -1
    assert index.find("frame_time", 2) == 1
    assert index.find("frame_time", 10**400) == -1 and index.find_nearest("frame_time", -(10**400)) == 0
    assert index.find_nearest("index", 1.5) == 1 and index.find_nearest("index", 1.75) == 2
    for found in (index.find_chunk("frame_number", np.int64(6)), index.find_chunk_nearest("frame_time", 1)):
        assert [type(value) for value in found] == [int, int]
    number, time = index.frame(np.int16(2))
    assert (number, time, type(number), type(time)) == (2**40, 3.5, int, float)


@pytest.mark.parametrize("value", ["6", b"6", None, [6], np.str_("6"), {}, 1j, object()])
@pytest.mark.parametrize("what", ["frame_number", "frame_time", "index"])
def test_what_is_no_number_is_refused(what, value):
    index = in_memory([(0, [5, 6], [1.0, 2.0])])
    for find in (index.find, index.find_nearest, index.find_chunk, index.find_chunk_nearest):
        with pytest.raises(ArgumentError, match="not a number"):
            find(what, value)


def test_other_bad_arguments():
    index = in_memory([(0, [5, 6], [1.0, 2.0])])
    for what in ("frame_number", "frame_time", "index"):
        with pytest.raises(ArgumentError, match="NaN"):
            index.find_nearest(what, math.nan)
    for find in (index.find, index.find_nearest):
        with pytest.raises(ArgumentError, match="bogus"):
            find("bogus", 1)
    for position in (-1, 2, 2**80, 0.5):
        with pytest.raises(FrameIndexError):
            index.frame(position)
        with pytest.raises(FrameIndexError):
            index.locate(position)
    with pytest.raises(ArgumentError, match="chunk 9"):
        index.chunk_start(9)
    for bad in ([1.5], [1, 2]):
        with pytest.raises(ArgumentError, match="chunk 1"):
            index.extended([(1, bad, [0.0])])


def test_arrays_are_read_only_and_outlive_the_index(tmp_path):
    chunks = [(0, [5, 6], [1.0, 2.0]), (1, [7], [3.0])]
    paths = on_disk(tmp_path, chunks)
    ImgStoreIndex.new_from_chunks(paths).write_cache(tmp_path / CACHE_FILENAME)
    index = ImgStoreIndex.open_cached(tmp_path, paths)
    times, numbers, longer = index.frame_times, index.frame_numbers, index.extended([(2, [8], [4.0])])
    for array in (times, numbers, longer.frame_times):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 9
    index.close()
    index.close()
    assert times.tolist() == [1.0, 2.0, 3.0] and numbers.tolist() == [5, 6, 7]
    assert longer.find("frame_number", 6) == 1 and longer.frame_times.tolist() == [1.0, 2.0, 3.0, 4.0]
    for use in (lambda: index.find("frame_number", 5), lambda: index.find_nearest("frame_time", 5.0),
                lambda: index.frame(0), lambda: index.extended([]), index.get_all_metadata):  # fmt: skip
        with pytest.raises(StoreClosedError):
            use()


@settings(max_examples=30)
@given(stores())
def test_pickle(chunks):
    index = pickle.loads(pickle.dumps(in_memory(chunks)))
    agree(index, [chunk for chunk in chunks if len(chunk[1])], *queries(chunks))
    assert index.verified


# ---- chunks that cannot be read


def test_unreadable_chunks_are_left_out_with_a_warning(tmp_path):
    paths = on_disk(tmp_path, [(0, [5], [1.0]), (1, [6], [2.0]), (2, [], []), (3, [7], [3.0])])
    (tmp_path / "000001.npz").write_bytes(b"garbage")
    with pytest.warns(ImgStoreWarning, match=r"chunk 1 .*000001\.npz"):
        index = ImgStoreIndex.new_from_chunks(paths)
    agree(index, [(0, [5], [1.0]), (3, [7], [3.0])], [5, 6, 7], [1.0, 2.0])
    index.write_cache(tmp_path / CACHE_FILENAME)
    with pytest.warns(ImgStoreWarning, match=r"chunk 1 .*000001\.npz"):
        cached = ImgStoreIndex.open_cached(tmp_path, paths)
    agree(cached, [(0, [5], [1.0]), (3, [7], [3.0])], [5, 6, 7], [1.0, 2.0])
    write_chunk_index(paths[1][1], [6], [2.0])  # repaired
    with pytest.warns(ImgStoreWarning, match="chunk 1"):
        assert ImgStoreIndex.open_cached(tmp_path, paths) is None


# ---- the cache file

# Three chunks; numbers and times with more runs than are searched one by one, so that the file has orders.
CHUNKS = [
    (0, [4, 3, 2, 1, 0, 100], [5.0, 4.0, 3.0, 2.0, math.nan, 0.0]),
    (1, list(range(40, 0, -2)), [float(x) for x in range(20, 0, -1)]),
    (2, [7, 8], [1.5, 2.5]),
]


@pytest.fixture
def store(tmp_path):
    root = tmp_path / "store"
    root.mkdir()
    paths = on_disk(root, CHUNKS)
    ImgStoreIndex.new_from_chunks(paths).write_cache(root / CACHE_FILENAME)
    return root, paths


def open_quietly(root, paths):
    """Open the cache; an index without a warning, or None with one that names the file, unless it is of another version."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        index = ImgStoreIndex.open_cached(root, paths)
    file = Path(root) / CACHE_FILENAME
    start = file.read_bytes()[:16] if file.is_file() else b""
    if index is None and start[:8] == b"imgstidx" and start[8:] not in (b"", struct.pack("=II", 2, 0x01020304)):
        assert len(start) < 16 or not caught
    elif index is None:
        assert len(caught) == 1 and caught[0].category is ImgStoreWarning
        assert CACHE_FILENAME in str(caught[0].message)
    else:
        assert not caught
    return index


def test_the_cache_holds_orders_where_they_are_needed(store):
    root, paths = store
    index = open_quietly(root, paths)
    order, entries = index._frames.order("frame_number")
    numbers = index.frame_numbers
    assert entries == len(numbers) and (np.diff(numbers[order]) >= 0).all()
    order, entries = index._frames.order("frame_time")
    assert entries == len(numbers) - 1 and math.isnan(index.frame_times[order[-1]])
    assert (root / CACHE_FILENAME).read_bytes().endswith(order.tobytes())


def test_no_cache_is_no_fault(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ImgStoreIndex.open_cached(tmp_path, []) is None


@pytest.mark.long
@pytest.mark.parametrize("step", long_but([5], [5, 1]))
def test_every_changed_byte_is_found_or_harmless(store, step):
    root, paths = store
    whole = bytearray((root / CACHE_FILENAME).read_bytes())
    wanted = queries(CHUNKS)
    found = 0
    positions = range(0, len(whole), step)
    for position in positions:
        mask = 1 << (position % 8)
        whole[position] ^= mask
        (root / CACHE_FILENAME).write_bytes(whole)
        whole[position] ^= mask
        index = open_quietly(root, paths)
        if index is None:
            found += 1
            continue
        try:
            agree(index, CHUNKS, *wanted)
        except StaleIndexError:
            found += 1
    # all but the padding and the orders, which are made anew
    assert found > len(positions) - (128 + 2 * 4 * 28) / step


def test_every_truncation_is_found(store):
    root, paths = store
    whole = (root / CACHE_FILENAME).read_bytes()
    for size in [*range(0, len(whole), 7), len(whole) - 1]:
        (root / CACHE_FILENAME).write_bytes(whole[:size])
        assert open_quietly(root, paths) is None
    (root / CACHE_FILENAME).write_bytes(whole + b"\0")
    assert open_quietly(root, paths) is None
    (root / CACHE_FILENAME).unlink()
    (root / CACHE_FILENAME).mkdir()
    assert open_quietly(root, paths) is None


@settings(max_examples=2 * settings.default.max_examples)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4))
def test_forged_files_do_no_harm(tmp_path_factory, changes):
    """With checksums that are right for what is wrong, answers may be anything until verified, but never a crash."""
    root = tmp_path_factory.mktemp("store")
    paths = on_disk(root, CHUNKS)
    ImgStoreIndex.new_from_chunks(paths).write_cache(root / CACHE_FILENAME, sync=False)
    data = bytearray((root / CACHE_FILENAME).read_bytes())
    header = struct.Struct("=8sII6Q2QI2QI")
    orders = header.unpack_from(data)[9:]
    for position, value in changes:
        position %= len(data) - 8
        data[position : position + len(value)] = value
    fields = list(header.unpack_from(data))
    for which in (0, 3):  # the orders' checksums
        if fields[9 + which] == orders[which]:
            start = orders[which]
            fields[11 + which] = zlib.crc32(data[start : start + 4 * 28])
    header.pack_into(data, 0, *fields)
    table = 128 + fields[5]
    for row in range(table, min(table + fields[6] * ROW_SIZE, len(data) - ROW_SIZE), ROW_SIZE):
        count, offset, width = (struct.unpack_from("=q", data, row + 8 * field)[0] for field in (2, 3, 7))
        block = (
            bytes(data[128 + offset : 128 + offset + 8 * count + (width * count + 7) // 8 * 8]) if offset >= 0 else b""
        )
        struct.pack_into("=Q", data, row + 8 * 12, xxhash.xxh3_64_intdigest(block))
    end = table + fields[6] * ROW_SIZE + fields[7] * 24 + fields[8]
    struct.pack_into("=I", data, header.size, zlib.crc32(data[table:end], zlib.crc32(data[: header.size])))
    (root / CACHE_FILENAME).write_bytes(data)
    index = open_quietly(root, paths)
    if index is not None:
        for value in (-5, 0, 3, 8, 39, 41, 10**6):
            for find, what in itertools.product((index.find, index.find_nearest), ("frame_number", "frame_time")):
                position = find(what, value)
                assert -1 <= position < index.frame_count
        index.get_all_metadata()
        index.close()


def test_a_table_that_points_outside_is_refused():
    row, block = encode_block(0, 0, 0, np.arange(3), np.arange(3.0))
    assert FrameIndex(row, block).frame_count == 3
    with pytest.raises(ValueError, match="outside"):
        FrameIndex(row, block[:-1])
    with pytest.raises(ValueError, match="whole number of rows"):
        FrameIndex(row[:-1], block)
    for field, value in ((2, 0), (2, -1), (2, 4), (2, 2**61), (3, 8), (3, -8), (3, 4), (7, 1), (7, 8)):
        forged = bytearray(row)
        struct.pack_into("=q", forged, 8 * field, value)
        with pytest.raises(ValueError, match="outside"):
            FrameIndex(forged, block)


def test_a_store_that_was_moved_keeps_its_cache(store):
    root, paths = store
    there = root.rename(root.with_name("000000"))  # looks like the name of a chunk
    agree(open_quietly(there, [(n, path.replace(str(root), str(there))) for n, path in paths]), CHUNKS, [7], [1.5])


@pytest.mark.parametrize("at", ["", "/"])
def test_chunks_that_are_directories(tmp_path, at):
    paths = []
    for chunk, numbers, times in CHUNKS:
        (tmp_path / f"{chunk:06d}").mkdir()
        paths.append((chunk, str(tmp_path / f"{chunk:06d}" / "index")))
        write_chunk_index(paths[-1][1], numbers, times)
    ImgStoreIndex.new_from_chunks(paths).write_cache(tmp_path / CACHE_FILENAME)
    agree(open_quietly(str(tmp_path) + at, paths), CHUNKS, [7], [1.5])


def test_other_chunks_than_the_cache_knows(store):
    root, paths = store
    for other in (
        [],
        paths[:-1],
        paths[1:],
        [*paths, (3, f"{root}/000003")],
        [paths[0], (9, paths[1][1]), paths[2]],
        [paths[0], (1, f"{root}/001"), paths[2]],
        [(0, "/elsewhere/000000"), *paths[1:]],
    ):
        assert open_quietly(root, other) is None


@pytest.mark.parametrize("change", ["number", "time", "length", "gone", "garbage", "nan"])
def test_a_changed_chunk_is_found_on_opening(store, change):
    root, paths = store
    _, numbers, times = CHUNKS[1]
    numbers, times = list(numbers), list(times)
    if change == "number":
        numbers[3] += 1
    elif change == "time":
        times[-1] = math.nextafter(times[-1], 0)
    elif change == "nan":
        times[5] = math.nan
    elif change == "length":
        numbers, times = numbers[:-1], times[:-1]
    write_chunk_index(paths[1][1], numbers, times)
    if change == "gone":
        Path(f"{paths[1][1]}.npz").unlink()
    elif change == "garbage":
        Path(f"{paths[1][1]}.npz").write_bytes(b"PK")
    assert open_quietly(root, paths) is None
    on_disk(root, CHUNKS)
    agree(open_quietly(root, paths), CHUNKS, [7], [1.5])  # other times of files, and all is well again


def test_a_cache_written_chunk_by_chunk(tmp_path):
    paths = on_disk(tmp_path, CHUNKS)
    path = tmp_path / CACHE_FILENAME
    builder = IndexBuilder(path)
    for chunk, numbers, times in CHUNKS:
        builder.add_chunk(chunk, f"{chunk:06d}", np.array(numbers), np.array(times))
        assert not path.exists()
    assert builder.frame_count == 28
    assert builder.finish() is None
    builder.abort()  # too late to do anything
    agree(open_quietly(tmp_path, paths), CHUNKS, *queries(CHUNKS))
    assert len(list(tmp_path.iterdir())) == 4
    again = path.read_bytes()
    ImgStoreIndex.new_from_chunks(paths).write_cache(path)
    assert path.read_bytes() == again


def test_giving_up_leaves_the_cache_that_was_there(store):
    root, _ = store
    before = (root / CACHE_FILENAME).read_bytes()
    builder = IndexBuilder(root / CACHE_FILENAME)
    builder.add_chunk(0, "000000", np.arange(3), np.arange(3.0))
    builder.abort()
    builder.abort()
    assert (root / CACHE_FILENAME).read_bytes() == before and len(list(root.iterdir())) == 4
    with pytest.raises(StoreWriteError):
        builder.add_chunk(1, "000001", np.arange(3), np.arange(3.0))


def test_a_cache_that_cannot_be_written(store):
    root, paths = store
    index = ImgStoreIndex.new_from_chunks(paths)
    with pytest.raises(StoreWriteError, match="nowhere"):
        IndexBuilder(root / "nowhere" / CACHE_FILENAME)
    with pytest.raises(ArgumentError, match="lie in"):
        index.write_cache(root.parent / CACHE_FILENAME / "x")
    with pytest.raises(ArgumentError, match="chunk 3 has no path"):
        index.extended([(3, [1], [1.0])]).write_cache(root / CACHE_FILENAME)
    full = index.extended([(3, [1], [1.0])], [*paths, (3, f"{root}/000003")])
    write_chunk_index(root / "000003", [1], [1.0])
    full.write_cache(root / CACHE_FILENAME)
    assert open_quietly(root, [*paths, (3, f"{root}/000003")]).frame_count == 29


def test_a_full_disk(store, monkeypatch):
    """The error names the file, and nothing is left of the attempt."""
    root, paths = store
    before = (root / CACHE_FILENAME).read_bytes()
    builder = IndexBuilder(root / CACHE_FILENAME)

    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(builder, "_file", Full())
    with pytest.raises(StoreWriteError, match=r"No space.*\.imgstore-index") as caught:
        builder.add_chunk(0, "000000", np.arange(3), np.arange(3.0))
    assert caught.value.errno == 28
    assert (root / CACHE_FILENAME).read_bytes() == before and len(list(root.iterdir())) == 4


# ---- SQLite


@settings(max_examples=30)
@given(stores())
def test_sqlite_round_trip(tmp_path_factory, chunks):
    chunks = [(n, numbers, [t + 0.0 for t in times]) for n, numbers, times in chunks]  # SQLite has no negative zero
    root = tmp_path_factory.mktemp("store")
    paths = on_disk(root, chunks)
    path = root / ".index.sqlite"
    ImgStoreIndex.new_from_chunks(paths).to_file(path)
    ImgStoreIndex.new_from_chunks(paths).to_file(path)  # in place of the first
    index = ImgStoreIndex.new_from_file(path)
    full = [chunk for chunk in chunks if len(chunk[1])]
    agree(index, full, *queries(full))
    assert index.verified == (not full)
    index.verify_all()
    index.bind([(n, f"{root}/elsewhere") for n, _ in paths])
    index.verify_all()  # done already
    assert not list(root.glob(".index.sqlite?*"))


def test_sqlite_follows_the_schema(store):
    root, paths = store
    ImgStoreIndex.new_from_chunks(paths).to_file(root / ".index.sqlite")
    with sqlite3.connect(root / ".index.sqlite") as db:
        assert db.execute("SELECT * FROM index_information").fetchall() == [("version", "1")]
        assert db.execute("SELECT * FROM chunks").fetchall() == paths
        frames = db.execute("SELECT * FROM frames").fetchall()
        assert frames[:2] == [(0, 0, 4, 5.0), (0, 1, 3, 4.0)] and frames[4] == (0, 4, 0, None)
        assert frames[-1] == (2, 1, 8, 2.5)
        summary = {"frame_time_min": 0.0, "frame_time_max": 20.0, "frame_min": 0.0, "frame_max": 100.0}
        assert dict(db.execute("SELECT * FROM summary")) == summary
        assert db.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall() == [("chunk_index",)]
    db.close()


def test_sqlite_of_another_machine_is_bound_to_the_chunks_here(samples):
    root = samples / "dir-npy-saved-index"
    before = sorted(root.iterdir())
    index = ImgStoreIndex.new_from_file(root / ".index.sqlite")
    assert index.chunks == (0, 1, 2) and index.frame_min == 100 and index.frame_time_min == 1.7e9
    with pytest.raises(StaleIndexError):
        index.verify(0)  # its paths are those of where it was written
    paths = [(n, str(root / f"{n:06d}" / "index")) for n in index.chunks]
    index.bind(paths)
    index.verify_all()
    own = ImgStoreIndex.new_from_chunks(paths)
    assert index.get_all_metadata() == own.get_all_metadata()
    assert sorted(root.iterdir()) == before


def test_sqlite_faults_are_named(store):
    root, paths = store
    path = root / ".index.sqlite"
    with pytest.raises(ChunkIndexError, match=r"\.index\.sqlite"):
        ImgStoreIndex.new_from_file(path)
    assert not path.exists()
    for content in (b"", b"garbage" * 100, b"SQLite format 3\0" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(ChunkIndexError, match=r"\.index\.sqlite"):
            ImgStoreIndex.new_from_file(path)
    for damage in (
        "UPDATE index_information SET value = '2'",
        "UPDATE frames SET frame_idx = 7 WHERE frame_idx = 1",
        "UPDATE frames SET frame_number = 'x' WHERE frame_idx = 1",
        "UPDATE frames SET frame_number = NULL WHERE frame_idx = 1",
        "UPDATE frames SET frame_number = 1.5 WHERE frame_idx = 1",
        "UPDATE frames SET frame_time = 'x' WHERE frame_idx = 1",
        "UPDATE frames SET chunk = 'x' WHERE chunk = 1",
        "UPDATE chunks SET chunk = 'x'",
        "DROP TABLE frames",
        "DROP TABLE chunks",
    ):
        ImgStoreIndex.new_from_chunks(paths).to_file(path)
        with sqlite3.connect(path) as db:
            db.execute(damage)
        db.close()
        with pytest.raises(ChunkIndexError, match=r"\.index\.sqlite"):
            ImgStoreIndex.new_from_file(path)
    with pytest.raises(StoreWriteError, match="nowhere"):
        ImgStoreIndex.new_from_chunks(paths).to_file(root / "nowhere" / "index.sqlite")


def test_the_samples(samples):
    for name in ("numbers-wrap", "numbers-wrap-mjpeg", "motif-mp4"):
        root = samples / name
        bases = sorted(p.with_suffix("") for p in root.rglob("*.npz"))
        paths = list(enumerate(map(str, bases)))
        own = [(n, *(array.tolist() for array in read_chunk_index(path))) for n, path in paths]
        assert own
        agree(ImgStoreIndex.new_from_chunks(paths), own, *queries(own))
