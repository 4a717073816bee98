"""Looking at a store: what is found, and that nothing is changed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from damage import fingerprint, wanted_formats, write_template
from scenes import SHAPE, coded_frame, write_store

import imgstore
from imgstore import cli
from imgstore.disk.chunk_index import read_all_arrays, write_chunk_index
from imgstore.disk.journal import Journal
from imgstore.disk.metadata import read_metadata
from imgstore.errors import MetadataError, NotAStoreError
from imgstore.verify import check_store, verify_store

VIDEO = {"mjpeg/avi": ".avi", "avc1/mp4": ".mp4", "h264/mkv": ".mkv", "ffv1/mkv": ".mkv"}


def kinds(path: Path, **options: Any) -> set[tuple[str, int | None]]:
    """Return kind and chunk of each fault of a store."""
    return {(fault.kind, fault.chunk) for fault in verify_store(path, **options)}


def store_with_extra_data(path: Path, fmt: str) -> Path:
    with imgstore.new_for_format(fmt, path, imgshape=SHAPE, chunksize=10) as store:
        for k in range(25):
            store.add_image(coded_frame(k), k, 1000 + k)
            if k % 5 == 0:
                store.add_extra_data(temperature=20 + k)
    return path


@pytest.mark.parametrize("fmt", wanted_formats())
def test_a_whole_store_has_no_fault(tmp_path: Path, fmt: str) -> None:
    path = write_template(tmp_path, fmt)
    before = fingerprint(path)
    for deep in (False, True):
        report = check_store(path, deep=deep)
        assert report.faults == []
        assert report.notes == []
        assert (report.chunks, report.frames) == (3, 23)
        assert report.decoded == (23 if deep else 3)
        frame_files = 23 if fmt not in VIDEO and "/" not in fmt else 3
        assert report.compared == frame_files + 3
    assert fingerprint(path) == before


def test_samples_have_no_fault_and_a_note_that_nothing_could_be_compared(samples: Path) -> None:
    looked = 0
    for path in sorted(p for p in samples.iterdir() if p.is_dir() and not p.name.startswith("interrupted")):
        report = check_store(path, deep=True)
        assert report.faults == [], path.name
        assert report.compared == 0
        if report.frames:
            assert "checksum" in {note.kind for note in report.notes}
        looked += 1
    assert looked > 20


@pytest.mark.parametrize("name", ["interrupted-npy", "interrupted-mjpeg"])
def test_a_killed_writer_of_0x_is_found(samples: Path, name: str) -> None:
    assert ("unfinished", 2) in kinds(samples / name)
    assert "lock" in {note.kind for note in check_store(samples / name).notes}, "whose lock it is nobody knows"


def _edit(path: Path, change: Callable[[bytearray], Any]) -> None:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


@pytest.mark.parametrize("at", [0, 100, -1])
def test_a_flipped_bit_in_a_frame_is_found(tmp_path: Path, at: int) -> None:
    path = store_with_extra_data(tmp_path / "s", "npy")
    _edit(path / "000001" / "000004.npy", lambda data: data.__setitem__(at, data[at] ^ 1))
    (fault,) = verify_store(path)
    assert (fault.kind, fault.chunk, fault.frame) == ("checksum", 1, 4)
    assert fault.path.endswith("000004.npy")


@pytest.mark.parametrize("fmt", ["npy", "png", "mjpeg/avi"])
def test_frames_in_a_row_are_one_fault_in_the_store_s_numbers(tmp_path: Path, fmt: str) -> None:
    path = Path(write_store(tmp_path / "s", fmt, 60, first=1000, chunksize=30))
    damaged = range(35, 55)  # 5 to 24 of the second chunk
    if fmt == "mjpeg/avi":
        data = bytearray((path / "000001.avi").read_bytes())
        starts = [match.start() for match in re.finditer(rb"\xff\xd8\xff", data)]
        for k in damaged:
            data[starts[k - 30] + 2 : starts[k - 29] - 8] = bytes(starts[k - 29] - starts[k - 30] - 10)
        (path / "000001.avi").write_bytes(data)
    else:
        for k in damaged:
            _edit(path / "000001" / f"{k - 30:06d}.{fmt}", lambda data: data.__setitem__(-3, data[-3] ^ 1))
    (fault,) = [f for f in verify_store(path, deep=True) if f.frame is not None]
    assert (fault.chunk, fault.frame, fault.last_frame, fault.frame_count) == (1, 5, 24, 20)
    assert (fault.frame_index, fault.numbers) == (35, (1035, 1054))
    assert fault.where == "frames 35 to 54 (numbers 1035 to 1054)" and fault.where in str(fault)
    result = CliRunner().invoke(cli.main, ["verify", "--deep", str(path)])
    assert result.exit_code == 1 and len(result.stdout.splitlines()) <= 4


def test_frames_that_differ_are_told_apart(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 20, chunksize=20))
    for k in (3, 4, 5, 7, 8, 12):
        (path / "000000" / f"{k:06d}.npy").unlink()
    _edit(path / "000000" / "000006.npy", lambda data: data.__setitem__(-3, data[-3] ^ 1))
    (path / "000000" / "000009.npy").write_bytes(b"")
    (path / "000000" / "000010.npy").write_bytes(b"12")
    found = [(f.kind, f.where, f.message) for f in verify_store(path)]
    assert [kind_and_place[:2] for kind_and_place in found] == [
        ("missing", "frames 3 to 5 (numbers 103 to 105)"),
        ("missing", "frames 7 to 8 (numbers 107 to 108)"),
        ("missing", "frame 12 (number 112)"),
        ("checksum", "frame 6 (number 106)"),
        ("size", "frames 9 to 10 (numbers 109 to 110)"),
    ]
    assert found[-1][2].startswith("has 0 bytes") and "the others differ" in found[-1][2]


@pytest.mark.parametrize("fmt", VIDEO)
@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_flipped_bit_in_a_video_is_found(tmp_path: Path, fmt: str, where: float) -> None:
    path = store_with_extra_data(tmp_path / "s", fmt)
    video = path / f"000001{VIDEO[fmt]}"
    at = int(video.stat().st_size * where)
    _edit(video, lambda data: data.__setitem__(at, data[at] ^ 1))
    assert ("checksum", 1) in kinds(path)
    assert all(chunk in (1, None) for _, chunk in kinds(path))


@pytest.mark.parametrize("fmt", ["npy", "mjpeg/avi"])
def test_what_is_found(tmp_path: Path, fmt: str) -> None:
    """Each kind of damage alone, with the chunk that it is in."""
    whole = store_with_extra_data(tmp_path / "whole", fmt)
    is_video = fmt in VIDEO

    def index(n: int) -> str:
        return f"{n:06d}.npz" if is_video else f"{n:06d}/index.npz"

    def extra(n: int) -> str:
        return f"{n:06d}.extra.json" if is_video else f"{n:06d}/index.extra.json"

    frames = "000001.avi" if is_video else "000001/000003.npy"

    def remove(name: str) -> Callable[[Path], Any]:
        return lambda s: (s / name).unlink()

    def write(name: str, data: bytes) -> Callable[[Path], Any]:
        return lambda s: (s / name).write_bytes(data)

    def cut(name: str, size: int) -> Callable[[Path], Any]:
        return lambda s: os.truncate(s / name, size)

    def copy(name: str, other: str) -> Callable[[Path], Any]:
        return lambda s: shutil.copyfile(s / name, s / other)

    cases: list[tuple[Callable[[Path], Any], tuple[str, int | None]]] = [
        (remove(index(1)), ("missing" if not is_video else "unfinished", 1)),
        (write(index(1), b"PK"), ("index", 1)),
        (lambda s: _edit(s / index(1), lambda d: d.extend(d)), ("index", 1)),
        (copy(index(0), index(1)), ("place", 1)),
        (remove(frames), ("missing", 1)),
        (cut(frames, 100), ("size", 1)),
        (cut(frames, 0), ("size", 1)),
        (remove(extra(0)), ("extra data", 0)),
        (write(extra(0), b"[]"), ("extra data", 0)),
        (lambda s: shutil.copyfile(s / extra(0), s / "x"), ("none", None)),
        (write(".imgstore-index", b"nonsense"), ("cache", None)),
        (write(".index.sqlite", b"nonsense"), ("sqlite index", None)),
        (write(".000002.npz.tmp", b""), ("stray", None)),
        (write("000077.extra", b""), ("stray", None)),
        (lambda s: _edit(s / "metadata.yaml", lambda d: d.extend(b"animal: 7\n")), ("metadata", None)),
        (write("metadata.yaml", b""), ("metadata", None)),
        (lambda s: Journal(str(s), 1).close(), ("journal", 1)),
        (write(".000007.records", b""), ("journal", 7)),
    ]
    for number, (change, expected) in enumerate(cases):
        store = tmp_path / f"{number}"
        shutil.copytree(whole, store)
        change(store)
        found = kinds(store)
        if expected[0] == "none":
            assert found == set()
        elif expected == ("missing", 1) and number == 0:
            assert ("unfinished", 1) in found
        else:
            assert expected in found, (number, found)


def test_chunks_in_other_places_are_found_without_the_cached_index(tmp_path: Path) -> None:
    path = store_with_extra_data(tmp_path / "s", "png")
    (path / ".imgstore-index").unlink()
    (path / "000000").rename(path / "x")
    (path / "000001").rename(path / "000000")
    (path / "x").rename(path / "000001")
    assert {("place", 0), ("place", 1)} <= kinds(path)


def test_a_chunk_that_is_gone_is_found_by_the_cached_index(tmp_path: Path) -> None:
    path = store_with_extra_data(tmp_path / "s", "png")
    shutil.rmtree(path / "000002")
    assert kinds(path) == {("cache", None)}
    (path / ".imgstore-index").unlink()
    assert kinds(path) == set()


def test_deep_looks_at_every_frame_of_stores_without_checksums(tmp_path: Path) -> None:
    path = store_with_extra_data(tmp_path / "s", "png")
    for chunk in range(3):
        base = path / f"{chunk:06d}" / "index"
        arrays = read_all_arrays(base)
        write_chunk_index(base, arrays["frame_number"], arrays["frame_time"])
    _edit(path / "000001" / "000007.png", lambda data: data.__delitem__(slice(40, None)))
    assert kinds(path) == set()
    (fault,) = verify_store(path, deep=True)
    assert (fault.kind, fault.chunk, fault.frame) == ("frame", 1, 7)


def test_a_store_that_is_being_written_has_a_note_and_no_fault(tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE, chunksize=10) as store:
        for k in range(15):
            store.add_image(coded_frame(k), k, k)
        assert store._writer is not None
        store._writer._finishing.wait(30)
        report = check_store(tmp_path / "s")
        assert report.faults == []
        assert {note.kind for note in report.notes} >= {"lock", "unfinished"}
    assert check_store(tmp_path / "s").faults == []


def test_reindex_keeps_the_checksums(tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE, chunksize=10) as store:
        for k in range(25):
            store.add_image(coded_frame(k), k - 7 if k >= 7 else 1000 + k, k)
            store.add_extra_data(k=k)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        store.reindex()
    report = check_store(tmp_path / "s")
    assert [fault for fault in report.faults if fault.kind != "cache"] == []
    assert report.compared == 28


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(NotAStoreError):
        check_store(tmp_path)
    with pytest.raises(NotAStoreError):
        check_store(tmp_path / "nothing")


# -- files made to hurt ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_yaml_is_refused(tmp_path: Path, opening: str) -> None:
    (tmp_path / "metadata.yaml").write_text("__store: " + "\n" * (opening[0] in "-?") + opening * 200_000)
    with pytest.raises(MetadataError):
        read_metadata(str(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="files with holes")
@pytest.mark.parametrize(
    "name",
    ["000001/index.npz", "000001/000003.npy", "000001/index.extra.json", "metadata.yaml", ".imgstore-index",
     ".index.sqlite", ".lock", ".000003.journal", ".000003.records", "000001.extra_data.h5", "000001.extra_data.json"],
)  # fmt: skip
@pytest.mark.long
def test_ten_gigabytes_of_nothing_cost_neither_memory_nor_time(tmp_path: Path, name: str) -> None:
    path = store_with_extra_data(tmp_path / "s", "npy")
    if name == ".000003.records":
        Journal(str(path), 3).close()
    with open(path / name, "ab") as file:
        file.truncate(10 << 30)
    code = (
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\n"
        "from imgstore.verify import verify_store\nsys.exit(3 if verify_store(sys.argv[1]) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], timeout=60, capture_output=True, text=True)
    expected = 0 if name == ".lock" else 3  # a lock that names nobody is only worth a note
    assert done.returncode == expected, done.stderr


@pytest.mark.parametrize("claimed", ["(1000000000000000,)", "(-1,)", "(9223372036854775807, 9223372036854775807)"])
def test_an_index_that_claims_to_be_huge_is_refused(tmp_path: Path, claimed: str) -> None:
    path = store_with_extra_data(tmp_path / "s", "npy")
    index = path / "000001" / "index.npz"
    data = index.read_bytes()
    old = b"'shape': (10,), }"
    assert old in data
    new = f"'shape': {claimed}, }}".encode()
    index.write_bytes(data.replace(old + b" " * (len(new) - len(old)), new))
    assert ("index", 1) in kinds(path)


# -- the command -----------------------------------------------------------------------------------------------------


def run(*arguments: object) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CliRunner().invoke(cli.main, ["verify", *map(str, arguments)])


def test_command_says_that_all_is_well(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "png", 25)
    result = run(path)
    assert result.exit_code == 0
    assert result.stdout.startswith("no fault: 25 frames in 3 chunks, 25 files compared")
    told = json.loads(run(path, "--deep", "--json").stdout)
    assert told["ok"] is True and told["frames_decoded"] == 25 and told["faults"] == []


def test_command_prints_a_line_for_each_fault(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "png", 25))
    (path / "000000" / "000002.png").unlink()
    (path / "000002" / "000001.png").write_bytes(b"nothing")
    result = run(path)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert len([line for line in lines if line.startswith(("missing: ", "size: "))]) == 2
    assert lines[-1].startswith("2 faults: ")
    told = json.loads(run(path, "--json").stdout)
    assert told["ok"] is False
    assert [(f["kind"], f["chunk"], f["frame"]) for f in told["faults"]] == [("missing", 0, 2), ("size", 2, 1)]


def test_command_without_a_store(tmp_path: Path) -> None:
    assert run(tmp_path).exit_code == 2
    assert run(tmp_path / "nothing").exit_code == 2


def test_progress_is_told(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "npy", 25)
    seen: list[tuple[int, int]] = []
    check_store(path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_index_knows_more_frames_than_there_are_and_the_reverse(tmp_path: Path) -> None:
    for fmt in ("npy", "h264/mkv"):
        path = Path(write_store(tmp_path / fmt[:3], fmt, 25))
        base = path / ("000001/index" if fmt == "npy" else "000001")
        for entries in (9, 11):
            write_chunk_index(base, np.arange(entries), np.arange(entries))
            assert kinds(path) & {("count", 1), ("missing", 1)}
