"""The plugin within a program that records."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from imgstore_archive import VARIABLE, Archive, ArchiveError, archive_store, plugin
from imgstore_archive.__main__ import main
from imgstore_archive.copying import copy_verified

import imgstore
from imgstore import plugins
from imgstore.care.verify import check_store
from imgstore.errors import ImgStoreWarning

SHAPE = (48, 64)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory to which a plugin that is registered archives."""
    monkeypatch.delenv(VARIABLE, raising=False)  # that of the installed plugin
    directory = tmp_path / "archive"
    registered = Archive(directory)
    plugins.register(registered, name=f"archive-of-{tmp_path.name}")  # so that a warning tells which it was
    yield directory
    plugins.unregister(registered)


def frame(number: int) -> np.ndarray:
    """Draw a bright square on a place that depends on the number."""
    img = np.full(SHAPE, 40, np.uint8)
    img[10:30, number % 40 : number % 40 + 20] = 200
    return img


def add(store: imgstore.ImgStore, numbers: range) -> None:
    for number in numbers:
        store.add_image(frame(number), number, number / 10)
        store.add_extra_data(temperature=number)


def content(root: Path) -> dict[str, bytes]:
    """Every file that 0.x and others see, and what is in it."""
    files = (path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("fmt", ["npy", "png", "mjpeg/avi", "avc1/mp4"])
def test_the_archive_is_the_store(tmp_path: Path, archive: Path, fmt: str) -> None:
    with imgstore.new_for_format(fmt, tmp_path / "s", imgshape=SHAPE, chunksize=10) as store:
        add(store, range(35))
    assert content(archive / "s") == content(tmp_path / "s")
    assert list(check_store(archive / "s", deep=True).faults) == []
    with imgstore.new_for_filename(archive / "s") as copy, imgstore.new_for_filename(tmp_path / "s") as store:
        for number in (34, 0, 17):
            assert np.array_equal(copy.get_image(number)[0], store.get_image(number)[0])
        assert copy.get_extra_data().equals(store.get_extra_data())


def test_a_recording_that_goes_on_is_archived_so_far(tmp_path: Path, archive: Path) -> None:
    store = imgstore.new_for_format("png", tmp_path / "s", imgshape=SHAPE, chunksize=10)
    add(store, range(31))
    end = time.monotonic() + 60
    while not (archive / "s" / "000002" / "index.npz").exists():  # the store is not closed for it
        assert time.monotonic() < end
        time.sleep(0.01)
    with imgstore.new_for_filename(archive / "s") as copy:
        assert copy.frame_numbers.tolist() == list(range(30))
    store.close()
    assert content(archive / "s") == content(tmp_path / "s")


def test_what_was_recorded_before_is_caught_up_with(tmp_path: Path, archive: Path) -> None:
    with imgstore.new_for_format("mjpeg/avi", tmp_path / "s", imgshape=SHAPE, chunksize=10) as store:
        add(store, range(25))
    for path in (archive / "s").glob("000001.*"):
        path.unlink()
    with imgstore.new_for_filename(tmp_path / "s", mode="a") as store:
        add(store, range(25, 30))
    assert content(archive / "s") == content(tmp_path / "s")


def test_two_stores_of_one_name(tmp_path: Path, archive: Path) -> None:
    roots = [tmp_path / place / "s" for place in ("left", "right")]
    for root in roots:
        with imgstore.new_for_format("npy", root, imgshape=SHAPE) as store:
            add(store, range(3))
            uuid = store.uuid
    assert [content(archive / name) for name in ("s", f"s-{uuid}")] == [content(root) for root in roots]


def test_reading_archives_nothing(tmp_path: Path, archive: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE) as store:
        add(store, range(3))
    before = content(archive)
    imgstore.new_for_filename(archive / "s").close()
    assert content(archive) == before


def test_the_environment_names_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "named"))
    installed = plugin in plugins.plugin_manager().get_plugins()
    if not installed:
        plugins.register(plugin, name="by-environment")
    try:
        with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE) as store:
            add(store, range(3))
        monkeypatch.delenv(VARIABLE)
        with imgstore.new_for_format("npy", tmp_path / "t", imgshape=SHAPE) as store:
            add(store, range(3))
    finally:
        if not installed:
            plugins.unregister(plugin)
    assert content(tmp_path / "named" / "s") == content(tmp_path / "s")
    assert not (tmp_path / "named" / "t").exists()


@pytest.mark.parametrize("fails", [".avi", "metadata"])
def test_a_copy_that_fails_is_made_later(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    from imgstore_archive import copying

    failing = [2]
    original = copying.disk_checksum

    def wrong(path: Path) -> int:
        if fails in path.name and failing[0]:
            failing[0] -= 1
            return 0
        return original(path)

    monkeypatch.setattr(copying, "disk_checksum", wrong)
    with pytest.warns(ImgStoreWarning, match="archive-of-test_a_copy.* came out wrong"):  # noqa: SIM117
        with imgstore.new_for_format("mjpeg/avi", tmp_path / "s", imgshape=SHAPE, chunksize=10) as store:
            add(store, range(35))
    assert failing == [0]
    assert ("chunk 0 is not in the archive" in caplog.text) == (fails == ".avi")
    assert content(archive / "s") == content(tmp_path / "s")


def test_a_damaged_chunk_is_not_archived(tmp_path: Path) -> None:
    with imgstore.new_for_format("png", tmp_path / "s", imgshape=SHAPE, chunksize=10) as store:
        add(store, range(20))
    frame_file = tmp_path / "s" / "000001" / "000003.png"
    data = bytearray(frame_file.read_bytes())
    data[-20] ^= 1
    frame_file.write_bytes(data)
    with pytest.raises(ArchiveError, match="000003.png: is not what was recorded"):
        archive_store(tmp_path / "s", tmp_path / "archive")
    with (
        pytest.warns(ImgStoreWarning, match="chunk 1 is left out"),
        imgstore.new_for_filename(tmp_path / "archive" / "s") as copy,
    ):
        assert copy.chunks == [0]


def test_another_chunk_is_not_replaced(tmp_path: Path, archive: Path) -> None:
    with imgstore.new_for_format("png", tmp_path / "s", imgshape=SHAPE, chunksize=10) as store:
        add(store, range(10))
    before = content(archive / "s")
    with pytest.warns(ImgStoreWarning, match="another chunk of this number"):  # noqa: SIM117
        with imgstore.new_for_filename(tmp_path / "s", mode="a") as store:
            store.empty()
            add(store, range(100, 110))
    assert content(archive / "s") == before


def test_copy_of_another_content_than_noted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    with pytest.raises(ArchiveError, match="not what was recorded"):
        copy_verified(tmp_path / "a", tmp_path / "b", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE, chunksize=10) as store:
        add(store, range(25))
    arguments = ["imgstore-archive", str(tmp_path / "s"), str(tmp_path / "archive")]
    monkeypatch.setattr("sys.argv", arguments)
    assert main() == 0
    assert "3 of 3 chunks copied" in capsys.readouterr().out
    assert content(tmp_path / "archive" / "s") == content(tmp_path / "s")
    assert main() == 0
    assert "0 of 3 chunks copied" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*arguments[:2], str(tmp_path)])
    assert main() == 1
    assert "its own archive" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["imgstore-archive", str(tmp_path / "nothing"), str(tmp_path / "archive")])
    assert main() == 1
    assert "nothing" in capsys.readouterr().err
