"""Making stores whole: what a killed writer left, what a disk has lost, and that nothing is ever deleted."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from damage import fingerprint, read_frames, wanted_formats, write_template
from rounds import long_but
from scenes import HELPERS, SHAPE, coded_frame, shown_number, write_store

import imgstore
from imgstore import cli
from imgstore.disk.chunk_index import read_all_arrays, read_chunk_index, write_chunk_index
from imgstore.disk.journal import RECORD_DTYPE
from imgstore.disk.lock import lock_state
from imgstore.errors import NotAStoreError, StoreLockedError
from imgstore.index import ImgStoreIndex
from imgstore.repair import Action, repair_store
from imgstore.verify import check_store, verify_store

KILLED = [f for f in ("npy", "png", "bpk", "mjpeg/avi", "avc1/mp4", "h264/mkv", "ffv1/mkv", "hevc/mp4", "av1/mp4")
          if f in wanted_formats()]  # fmt: skip
EXTENSIONS = {"mjpeg/avi": ".avi", "avc1/mp4": ".mp4", "h264/mkv": ".mkv", "ffv1/mkv": ".mkv"}

_RECORDER = """
import sys, time
sys.path.insert(0, sys.argv[3])
import imgstore
from scenes import coded_frame
store = imgstore.new_for_format(sys.argv[1], sys.argv[2], imgshape=(48, 64), chunksize=20)
for k in range(10_000):
    store.add_image(coded_frame(100 + k), 100 + k, 1000 + 0.5 * k)
    if k % 5 == 0:
        store.add_extra_data(temperature=k)
    if k == int(sys.argv[4]):
        print(k, flush=True)
    if k >= int(sys.argv[4]):
        time.sleep(0.01)
"""


def killed_store(path: Path, fmt: str, after: int = 52) -> Path:
    """Record in another process and kill it."""
    arguments = [sys.executable, "-c", _RECORDER, fmt, str(path), str(HELPERS), str(after)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None and process.stdout.readline()
        time.sleep(0.03)
        process.kill()
    return path


def mend(path: Path, **options: Any) -> list[Action]:
    """Repair a store, and see that a dry run changes nothing, a second run neither, and that nothing is deleted."""
    before = fingerprint(path.parent)
    planned = repair_store(path, dry_run=True, **options)
    assert fingerprint(path.parent) == before, "a dry run changes nothing"
    contents = {digest for name, (size, digest) in before.items() if size > 0 and not _is_ours(name)}
    done = repair_store(path, **options)
    assert _kinds(planned) == _kinds(done)
    after = fingerprint(path.parent)
    assert contents <= {digest for _, digest in after.values()}, "nothing is deleted"
    again = repair_store(path, **options)
    assert [action for action in again if action.kind != "left"] == []
    assert fingerprint(path.parent) == after, "a second run changes nothing"
    return done


def _kinds(actions: list[Action]) -> list[str]:
    """Return what is done to chunks; whether the indexes of all chunks need work, a dry run can only expect."""
    return [action.kind for action in actions if action.kind not in ("cache", "sqlite index")]


def _is_ours(name: str) -> bool:
    """Whether a file says only what others say too: journals that have become indexes, locks, cached indexes."""
    return name.rpartition("/")[2] in (".lock", ".imgstore-index") or name.endswith((".journal", ".records"))


def left(actions: list[Action]) -> list[Action]:
    return [action for action in actions if action.kind == "left"]


# -- killed recordings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", long_but({"npy", "mjpeg/avi", "avc1/mp4", "h264/mkv"}, KILLED))
def test_a_killed_recording_becomes_whole(tmp_path: Path, fmt: str) -> None:
    path = killed_store(tmp_path / "s", fmt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = read_frames(path)
        with imgstore.new_for_filename(path) as store:
            extra = store.get_extra_data()
    assert len(before) > 50
    assert left(mend(path)) == []
    report = check_store(path, deep=True)
    assert report.faults == []
    assert read_frames(path) == before, "the frames that could be read before, as they were"
    with imgstore.new_for_filename(path) as store:
        for k in range(len(before)):
            img, (number, seconds) = store.get_image(None, frame_index=k)
            assert number == 100 + k == shown_number(img)
            assert seconds == 1000 + 0.5 * k
        assert store.get_extra_data().equals(extra)
    assert [p.name for p in path.iterdir() if p.name.startswith(".")] == [".imgstore-index"]


@pytest.mark.parametrize("fmt", long_but({"avc1/mp4", "h264/mkv"}, [f for f in KILLED if f in EXTENSIONS]))
def test_a_repair_that_is_interrupted_before_the_index_is_written(
    tmp_path: Path, fmt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The video has been replaced by then, and its journal must not tell of the old one's bytes."""

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    path = killed_store(tmp_path / "s", fmt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = read_frames(path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("imgstore.care.mend_index.write_chunk_index", interrupted)
        repair_store(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_frames(path) == before
    done = mend(path)
    # where the process was killed between two chunks, both were unfinished, and only the first had been begun
    first = min(action.chunk for action in done if action.kind == "index" and action.chunk is not None)
    assert {action.kind for action in done if action.chunk in (None, first)} <= {"index", "cache", "lock"}
    assert read_frames(path) == before
    assert verify_store(path, deep=True) == []


@pytest.mark.parametrize("fmt", ["npy", "avc1/mp4"])
def test_recording_goes_on_after_repair(tmp_path: Path, fmt: str) -> None:
    path = killed_store(tmp_path / "s", fmt)
    repair_store(path)
    count = imgstore.new_for_filename(path).frame_count
    with imgstore.new_for_filename(path, mode="a") as store:
        store.add_image(coded_frame(9), 9, 9.0)
    assert imgstore.new_for_filename(path).frame_count == count + 1
    assert verify_store(path) == []


def test_frames_after_the_last_noted_one_are_set_aside(tmp_path: Path) -> None:
    path = write_template(tmp_path, "npy", unfinished=True)
    (path / "000002" / "000003.npy").write_bytes(b"torn")
    done = mend(path)
    assert left(done) == []
    assert (tmp_path / f"{path.name}.set-aside" / "000002" / "000003.npy").read_bytes() == b"torn"
    assert len(read_frames(path)) == 23


def test_a_frame_that_was_not_written_to_its_end_is_cut_off(tmp_path: Path) -> None:
    path = write_template(tmp_path, "npy", unfinished=True)
    os.truncate(path / "000002" / "000002.npy", 200)
    done = mend(path)
    assert left(done) == []
    assert len(read_frames(path)) == 22
    assert verify_store(path, deep=True) == []


def test_a_damaged_frame_before_a_good_one_keeps_its_place(tmp_path: Path) -> None:
    path = write_template(tmp_path, "npy", unfinished=True)
    frame = path / "000002" / "000001.npy"
    data = bytearray(frame.read_bytes())
    data[-5] ^= 1
    frame.write_bytes(data)
    done = mend(path)
    assert [Path(action.path).name for action in left(done)] == ["000001.npy"]
    assert [(f.kind, f.chunk, f.frame) for f in verify_store(path)] == [("checksum", 2, 1)]
    with imgstore.new_for_filename(path) as store:
        assert shown_number(store.get_image(122)[0]) == 122


def test_a_chunk_that_had_begun_and_has_no_frame_is_set_aside(tmp_path: Path) -> None:
    from imgstore.disk.journal import Journal

    for fmt, extension in (("npy", ""), ("mjpeg/avi", ".avi")):
        path = Path(write_store(tmp_path / fmt[:3], fmt, 20))
        Journal(str(path), 2).close()
        target = path / f"000002{extension}"
        if extension:
            target.write_bytes(b"")
        else:
            target.mkdir()
        assert left(mend(path)) == []
        assert verify_store(path) == []
        assert len(read_frames(path)) == 20


def test_a_journal_left_beside_a_finished_chunk_goes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    unfinished = write_template(tmp_path / "a", "npy", unfinished=True)
    journal = (unfinished / ".000002.journal").read_bytes()
    records = (unfinished / ".000002.records").read_bytes()
    path = Path(write_template(tmp_path, "npy"))
    (path / ".000002.journal").write_bytes(journal)
    (path / ".000002.records").write_bytes(records)
    assert [action.kind for action in mend(path)] == ["journal"]
    assert verify_store(path) == []


def test_a_damaged_journal_is_not_taken_for_a_torn_one(tmp_path: Path) -> None:
    path = write_template(tmp_path, "npy", unfinished=True)
    journal = path / ".000002.journal"
    data = bytearray(journal.read_bytes())
    data[16 + RECORD_DTYPE.itemsize + 3] ^= 1  # the second of three records
    journal.write_bytes(data)
    assert len(left(mend(path))) == 1
    assert journal.exists() and len(list((path / "000002").glob("*.npy"))) == 3


# -- what a killed writer of 0.x leaves ------------------------------------------------------------------------------


def _sample(samples: Path, name: str, tmp_path: Path) -> Path:
    shutil.copytree(samples / name, tmp_path / name)
    for p in [tmp_path / name, *(tmp_path / name).rglob("*")]:
        p.chmod(0o755 if p.is_dir() else 0o644)
    return tmp_path / name


def test_times_are_estimated_on_request_alone_and_marked(samples: Path, tmp_path: Path) -> None:
    path = _sample(samples, "interrupted-npy", tmp_path)
    assert len(left(mend(path))) == 1
    assert not (path / "000002" / "index.npz").exists()
    assert left(mend(path, estimate_times=True)) == []
    expected = json.loads((samples / "interrupted-npy.expected.json").read_text())["frames"]
    with imgstore.new_for_filename(path) as store:
        assert store.frame_numbers.tolist() == [frame[1] for frame in expected]
        np.testing.assert_allclose(store.frame_times, [frame[2] for frame in expected], atol=1e-3)
        for index, number, _, _ in expected:
            assert shown_number(store.get_image(None, frame_index=index)[0]) == number & 0xFFFF
    assert read_all_arrays(path / "000002" / "index")["_estimated"].all()
    report = check_store(path)
    assert report.faults == []
    assert any("estimated" in note.message for note in report.notes)
    assert (path / ".lock").exists(), "nobody knows whose it is"
    repair_store(path, break_lock=True)
    assert not (path / ".lock").exists()


def test_a_video_of_nothing_is_set_aside(samples: Path, tmp_path: Path) -> None:
    path = _sample(samples, "interrupted-mjpeg", tmp_path)
    done = mend(path)
    assert left(done) == []
    assert {Path(a.path).name for a in done if a.kind == "set aside"} == {"000002.avi", "000002.extra.json"}
    assert check_store(path, deep=True).faults == []
    assert len(read_frames(path)) == 20


_WITHOUT_RIGHTS = """
import os, sys
from pathlib import Path
from imgstore.repair import repair_store
path, other, unreadable = map(Path, sys.argv[1:])
repair_store(other)  # imports what is needed, and where that lies may be out of reach later
if os.geteuid() == 0:
    for place in (path, *path.iterdir()):
        os.chown(place, 65534, 65534)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
unreadable.chmod(0)
for action in repair_store(path):
    print(action.kind, action.path, action.message)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file that its owner may not read")
@pytest.mark.parametrize("fmt", long_but({"avc1/mp4"}, ["avc1/mp4", "h264/mkv", "mjpeg/avi", "npy"]))
def test_what_may_not_be_read_is_left(fmt: str) -> None:
    """That is a lack of rights, and not of frames."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        path, other = killed_store(Path(place, "s"), fmt), killed_store(Path(place, "other"), fmt)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before = read_frames(path)
        (unreadable,) = path.glob("000002*")
        mode = unreadable.stat().st_mode
        command = [sys.executable, "-c", _WITHOUT_RIGHTS, str(path), str(other), str(unreadable)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert f"left {unreadable}" in done.stdout and "Permission denied" in done.stdout
        assert not Path(place, "s.set-aside", unreadable.name).exists()
        unreadable.chmod(mode)
        assert left(repair_store(path)) == []
        assert read_frames(path) == before


def test_whole_samples_need_nothing(samples: Path, tmp_path: Path) -> None:
    for source in sorted(p for p in samples.iterdir() if p.is_dir() and not p.name.startswith("interrupted")):
        path = _sample(samples, source.name, tmp_path)
        before = fingerprint(tmp_path)
        assert repair_store(path) == [], source.name
        assert fingerprint(tmp_path) == before


# -- damage to finished chunks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", EXTENSIONS)
@pytest.mark.parametrize("kept", long_but([0.6], [0.6, 0.97]))
def test_a_video_that_ends_early_is_cut_after_its_last_good_frame(tmp_path: Path, fmt: str, kept: float) -> None:
    """What is whole is kept with its numbers, also of an mp4, whose index stands at its end."""
    path = tmp_path / "s"
    with imgstore.new_for_format(fmt, path, imgshape=SHAPE, chunksize=100) as store:
        for k in range(230):
            store.add_image(coded_frame(k), 7 * k, 1000 + k)
            store.add_extra_data(k=k)
    video = path / f"000001{EXTENSIONS[fmt]}"
    os.truncate(video, int(video.stat().st_size * kept))
    damaged = video.read_bytes()
    assert left(mend(path)) == []
    assert verify_store(path, deep=True) == []
    aside = tmp_path / "s.set-aside"
    assert (aside / video.name).read_bytes() == damaged
    with imgstore.new_for_filename(path) as store:
        count = store.frame_count
        assert 130 + 100 * kept - 40 <= count <= (230 if kept > 0.9 else 229)
        for img, (number, seconds) in store:
            assert number == 7 * (seconds - 1000)
            assert shown_number(img) == number // 7


def test_a_directory_whose_last_frames_are_gone_gets_a_shorter_index(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 25))
    (path / "000001" / "000009.npy").unlink()
    os.truncate(path / "000001" / "000008.npy", 10)
    assert left(mend(path)) == []
    assert verify_store(path, deep=True) == []
    with imgstore.new_for_filename(path) as store:
        assert store.frame_numbers.tolist() == [*range(100, 118), *range(120, 125)]


def test_what_0x_put_beside_the_numbers_stays(samples: Path, tmp_path: Path) -> None:
    """Values of the whole store, of which one may have as many entries as the chunk has frames."""
    path = _sample(samples, "dir-npy", tmp_path)
    before = read_all_arrays(path / "000000" / "index")
    for k in range(2, len(before["frame_number"])):
        (path / "000000" / f"{k:06d}.npy").unlink()
    assert left(mend(path)) == []
    after = read_all_arrays(path / "000000" / "index")
    assert len(after["frame_number"]) == 2 < len(before["frame_number"])
    assert {name: values.tolist() for name, values in after.items() if not name.startswith("frame_")} == {
        name: values.tolist() for name, values in before.items() if not name.startswith("frame_")
    }
    (path / "000000" / "000001.npy").unlink()  # as many entries as imgshape has
    assert left(mend(path)) == []
    assert read_all_arrays(path / "000000" / "index")["imgshape"].tolist() == [48, 64]
    assert verify_store(path, deep=True) == []


def test_a_frame_missing_in_the_middle_is_left_to_be_known(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 25))
    (path / "000001" / "000004.npy").unlink()
    assert [Path(action.path).name for action in left(mend(path))] == ["000004.npy"]
    with imgstore.new_for_filename(path) as store:
        assert store.frame_count == 25
        assert shown_number(store.get_image(115)[0]) == 115


@pytest.mark.parametrize("fmt", ["png", "h264/mkv"])
@pytest.mark.parametrize("source", ["cached", "sqlite", "nothing"])
def test_a_lost_index_is_made_from_what_else_knows_it(tmp_path: Path, fmt: str, source: str) -> None:
    path = tmp_path / "s"
    store = imgstore.new_for_format(fmt, path, imgshape=SHAPE, chunksize=10)
    for k in range(25):
        store.add_image(coded_frame(k), k * k - 30, 1000 + 1.5 * k)
    store.close(save_index=source == "sqlite")
    before = read_frames(path)
    index = path / ("000001/index.npz" if fmt == "png" else "000001.npz")
    index.write_bytes(b"garbage") if fmt == "png" else index.unlink()
    if source != "cached":
        (path / ".imgstore-index").unlink()
    done = mend(path)
    if source == "nothing":
        assert len(left(done)) == 1
        return
    assert left(done) == []
    assert read_frames(path) == before
    assert verify_store(path, deep=True) == []


def test_a_stale_copy_of_the_index_is_not_believed(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "png", 25))
    numbers, times = read_chunk_index(path / "000000" / "index")
    write_chunk_index(path / "000000" / "index", numbers + 5, times)  # now the cached index is of another store
    (path / "000001" / "index.npz").unlink()
    assert len(left(mend(path))) == 1


def test_a_video_that_is_whole_and_another_is_left_alone(tmp_path: Path) -> None:
    """Nobody knows which frames are missing, so none may be given a number."""
    path = Path(write_store(tmp_path / "s", "h264/mkv", 25))
    shutil.copyfile(path / "000002.mkv", path / "000001.mkv")
    (action,) = left(mend(path))
    assert action.chunk == 1 and "cannot be told" in action.message
    assert len(read_chunk_index(path / "000001")[0]) == 10


def test_extra_data_is_saved_up_to_where_it_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with imgstore.new_for_format("npy", path, imgshape=SHAPE) as store:
        for k in range(10):
            store.add_image(coded_frame(k), k, k)
            store.add_extra_data(text="x" * 20, k=k)
    records = path / "000000" / "index.extra.json"
    os.truncate(records, records.stat().st_size // 2)
    assert left(mend(path)) == []
    with imgstore.new_for_filename(path) as store:
        table = store.get_extra_data()
    assert 3 <= len(table) <= 5 and table["k"].tolist() == list(range(len(table)))
    assert verify_store(path) == []


def test_changed_metadata_is_accepted_on_request(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 25))
    with open(path / "metadata.yaml", "a") as file:
        file.write("animal: 7\n")
    assert [Path(action.path).name for action in left(mend(path))] == ["metadata.yaml"]
    assert left(mend(path, accept_metadata=True)) == []
    assert verify_store(path) == []


def test_both_indexes_of_the_store_are_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "s"
    store = imgstore.new_for_format("npy", path, imgshape=SHAPE, chunksize=10)
    for k in range(25):
        store.add_image(coded_frame(k), k, k)
    store.close(save_index=True)
    shutil.rmtree(path / "000001")
    assert {action.kind for action in mend(path)} == {"cache", "sqlite index"}
    assert verify_store(path) == []
    assert ImgStoreIndex.new_from_file(path / ".index.sqlite").frame_count == 15


def test_a_user_s_directory_is_left_and_told_of(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 5))
    (path / "notes").mkdir()
    (action,) = left(mend(path))
    assert action.path.endswith("notes") and (path / "notes").is_dir()


def test_where_things_are_set_aside_can_be_said(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 5))
    (path / "000009.npz").write_bytes(b"?")
    repair_store(path, set_aside=tmp_path / "there")
    assert (tmp_path / "there" / "000009.npz").exists()
    (path / "000009.npz").write_bytes(b"!")
    repair_store(path, set_aside=tmp_path / "there")
    assert (tmp_path / "there" / "000009.npz.1").read_bytes() == b"!"


# -- who is writing --------------------------------------------------------------------------------------------------


def test_a_store_that_is_being_written_is_refused(tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE) as store:
        store.add_image(coded_frame(1), 1, 1.0)
        for options in ({}, {"dry_run": True}, {"break_lock": True}):
            with pytest.raises(StoreLockedError, match="being written by process"):
                repair_store(tmp_path / "s", **options)


def test_a_writer_on_another_machine_is_for_a_person_to_judge(tmp_path: Path) -> None:
    path = killed_store(tmp_path / "s", "npy")
    lock = json.loads((path / ".lock").read_text())
    (path / ".lock").write_text(json.dumps({**lock, "host": "elsewhere"}))
    with pytest.raises(StoreLockedError, match="elsewhere.*--break-lock"):
        repair_store(path)
    assert left(repair_store(path, break_lock=True)) == []
    assert lock_state(str(path)) == "free"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells who has a file open")
def test_a_writer_without_a_name_is_known_by_its_open_files(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 5))
    (path / ".lock").write_bytes(b"")
    code = "import sys; f = open(sys.argv[1], 'wb'); print(1, flush=True); sys.stdin.read()"
    arguments = [sys.executable, "-c", code, str(path / "000001.avi")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        with pytest.raises(StoreLockedError, match=f"process {process.pid} has files"):
            repair_store(path)


# -- the command -----------------------------------------------------------------------------------------------------


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli.main, ["repair", *map(str, arguments)])


def test_command(tmp_path: Path) -> None:
    path = killed_store(tmp_path / "s", "avc1/mp4")
    before = hashlib.sha256((path / "000002.mp4").read_bytes()).hexdigest()
    plan = run(path, "--dry-run")
    assert plan.exit_code == 0 and "would: index" in plan.stdout
    assert hashlib.sha256((path / "000002.mp4").read_bytes()).hexdigest() == before
    told = json.loads(run(path, "--json").stdout)
    assert told["ok"] is True and {"index", "video"} <= {action["kind"] for action in told["actions"]}
    again = run(path)
    assert again.exit_code == 0 and again.stdout.startswith("nothing to do")


def test_command_tells_what_it_could_not_repair(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 25))
    (path / "000001" / "000004.npy").unlink()
    result = run(path)
    assert result.exit_code == 1 and "not repaired: " in result.stdout


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
@pytest.mark.parametrize("damage", ["frames", "extra data", "metadata", "place"])
def test_status_0_means_that_verify_finds_nothing(tmp_path: Path, damage: str, dry: tuple[str, ...]) -> None:
    """Also of what repair does not look at: whether files hold what was written."""
    path = tmp_path / "s"
    with imgstore.new_for_format("npy", path, imgshape=SHAPE, chunksize=10) as store:
        for k in range(25):
            store.add_image(coded_frame(k), 7 * k, k)
            store.add_extra_data(k=k)
    if damage == "frames":
        for k in range(2, 6):
            data = bytearray((path / "000001" / f"{k:06d}.npy").read_bytes())
            data[-1] ^= 1
            (path / "000001" / f"{k:06d}.npy").write_bytes(data)
    elif damage == "extra data":
        (path / "000001" / "index.extra.json").write_text("[]")
    elif damage == "metadata":
        (path / "metadata.yaml").write_text((path / "metadata.yaml").read_text() + "a: 1\n")
    else:
        shutil.copyfile(path / "000000" / "index.npz", path / "000001" / "index.npz")
    assert verify_store(path)
    result = run(path, *dry)
    assert result.exit_code == 1 and "nothing to do" not in result.stdout
    told = [line for line in result.stdout.splitlines() if line.startswith("not repaired: ")]
    assert told
    if damage == "frames":
        assert len(told) == 1 and "frames 12 to 15 (numbers 84 to 105)" in told[0]
    answer = json.loads(run(path, "--json", *dry).stdout)
    assert answer["ok"] is False
    assert {f["kind"] for f in answer["faults"]} == {f.kind for f in verify_store(path)} - ({"cache"} if dry else set())


def test_status_0_of_a_dry_run_means_that_nothing_would_be_left(tmp_path: Path) -> None:
    path = killed_store(tmp_path / "s", "npy")
    assert run(path, "--dry-run").exit_code == 0
    data = bytearray((path / "000000" / "000003.npy").read_bytes())
    data[-1] ^= 1
    (path / "000000" / "000003.npy").write_bytes(data)
    result = run(path, "--dry-run")
    assert result.exit_code == 1 and "frame 3 (number 103)" in result.stdout


def test_command_without_a_store(tmp_path: Path) -> None:
    assert run(tmp_path).exit_code == 2
    with pytest.raises(NotAStoreError):
        repair_store(tmp_path)


@pytest.mark.parametrize("fmt", ["mjpeg/avi", "png"])
def test_the_place_in_which_a_store_was_made_goes_when_that_is_done(tmp_path: Path, fmt: str) -> None:
    """A `save` that was killed when all was done but to tidy up leaves it without its plan. With a plan it can be completed."""
    path = Path(write_store(tmp_path / "s", fmt, 6))
    left = path / ".unfinished"
    left.mkdir()
    (left / "plan.json").write_text("{}")
    repair_store(path)
    assert (left / "plan.json").exists()
    (left / "plan.json").unlink()
    (left / "metadata.yaml").write_text("x: 1\n")
    (fault,) = check_store(path).faults
    assert (fault.kind, fault.path) == ("stray", str(left))
    repair_store(path)
    assert not left.exists() and not check_store(path).faults
    with imgstore.open(path) as store:
        assert [shown_number(img) for img, _ in store] == list(range(100, 106))
