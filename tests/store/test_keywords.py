"""What people see of the interface before they call it: signatures, completion, types; and that each keyword arrives."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenes import SHAPE, coded_frame, shown_number, write_store

import imgstore
from imgstore.errors import ArgumentError, ImgStoreError, UnknownOptionError

NOT_KEYWORDS = {"self", "path", "fmt", "basedir", "mode", "codec_options"}
DOORS = [imgstore.new_for_filename, imgstore.new_for_format, imgstore.VideoImgStore, imgstore.DirectoryImgStore]
every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)


def keywords(door: Any) -> dict[str, inspect.Parameter]:
    found = inspect.signature(door).parameters
    return {name: parameter for name, parameter in found.items() if name not in NOT_KEYWORDS}


@every_door
def test_keywords_have_names_types_and_defaults(door: Any) -> None:
    found = keywords(door)
    assert {"imgshape", "imgdtype", "chunksize", "metadata", "index", "seek", "checksums", "backend"} <= found.keys()
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in found.values())
    hints = typing.get_type_hints(door if inspect.isfunction(door) else door.__init__)
    assert not [name for name in found if hints[name] is Any]
    (rest,) = [p for p in inspect.signature(door).parameters.values() if p.kind is p.VAR_KEYWORD]
    assert rest.name == "codec_options"


@every_door
def test_all_doors_take_the_same_keywords(door: Any) -> None:
    of_class = {name: p.default for name, p in keywords(imgstore.ImgStore).items()}
    assert {name: p.default for name, p in keywords(door).items()} == of_class


@pytest.mark.parametrize("door", [imgstore.new_for_filename, imgstore.new_for_format])
@pytest.mark.parametrize("name", sorted(keywords(imgstore.ImgStore).keys() - {"format", "backend"}))
def test_every_keyword_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: Any, name: str) -> None:
    arrived: dict[str, Any] = {}

    def opened(self: Any, path: Any, **given: Any) -> None:
        arrived.update(given)

    monkeypatch.setattr(imgstore.VideoImgStore, "__init__", opened)
    value: Any = object()
    if door is imgstore.new_for_format:
        door("mjpeg/avi", tmp_path, **{name: value}, quality=90)
    else:
        door(tmp_path, mode="w", format="mjpeg/avi", **{name: value}, quality=90)
    ignored = name in ("gpu_id", "videosize")
    assert ignored or arrived[name] is value
    assert arrived["format"] == "mjpeg/avi" and arrived["quality"] == 90 and arrived["mode"] == "w"


def test_dir_shows_what_is_public() -> None:
    names = dir(imgstore)
    assert set(imgstore.__all__) <= set(names)
    assert not [name for name in names if name.startswith("_") and name != "__version__"]
    assert not {"store", "opening", "options", "disk", "reading", "writing", "care", "Any", "annotations"} & set(names)
    assert [name for name in names if not hasattr(imgstore, name)] == []


def test_help_names_the_keywords() -> None:
    program = "import imgstore; help(imgstore.new_for_format); help(imgstore.VideoImgStore)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    told = told.replace("'", "")  # before Python 3.14 types stand in quotes
    assert told.count("chunksize: int | None = None") >= 2 and told.count("**codec_options") >= 2


def test_frames_by_position_alone(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "npy", 12)
    with imgstore.new_for_filename(path) as store:
        for ask in ({"frame_index": 5}, {"frame_number": None, "frame_index": 5}, {"frame_number": 105}):
            assert store.get_image(**ask)[1][0] == 105
        assert store.get_image(None, True, 5)[1][0] == store.get_image(105, False)[1][0] == 105
        with pytest.raises(ArgumentError, match="frame_index"):
            store.get_image()
    assert shown_number(imgstore.extract_only_frame(path, frame_index=7)) == 107


def test_keywords_of_the_other_direction(tmp_path: Path) -> None:
    """0.x took one set of keywords for both; those that are new and would do nothing are refused."""
    path = write_store(
        tmp_path / "s", "npy", 3, index=None, seek=False, gpu_id=0, videosize=(1, 2), chunksize=20.0, threads=None
    )
    imgstore.new_for_filename(path, imgshape=(1, 1), metadata={}, fps=3, gpu_id=1, chunksize=7, overwrite=True).close()
    for name, value in {"sync": True, "break_lock": True, "flush_interval": 2.0, "crf": 3}.items():
        with pytest.raises(UnknownOptionError, match=name):
            imgstore.new_for_filename(path, **{name: value})
    for options in ({"cache_size": 1}, {"checksums": False}, {"threads": 2}, {"crf": 3}):
        with pytest.raises(UnknownOptionError, match=next(iter(options))):
            imgstore.new_for_format("npy", tmp_path / "t", imgshape=SHAPE, **options)
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("chunksize", [20.0, np.float32(20), np.uint8(20), 20])
def test_whole_numbers_of_any_type(tmp_path: Path, chunksize: Any) -> None:
    path = write_store(tmp_path / "s", "npy", 50, chunksize=chunksize)
    with imgstore.new_for_filename(path) as store:
        assert store.chunks == [0, 1, 2] and store._metadata["chunksize"] == 20
    assert type(store._metadata["chunksize"]) is int


def test_writing_on_in_another_way_is_refused(tmp_path: Path) -> None:
    """What cannot be changed any more would be forgotten."""
    path = write_store(tmp_path / "s", "npy", 3, metadata={"animal": 3, "at": (1, 2)}, fps=25)
    same = {"imgshape": list(SHAPE), "imgdtype": "uint8", "metadata": {"animal": 3, "at": [1, 2]}, "fps": 25}
    imgstore.new_for_filename(path, mode="a", format="npy", chunksize=7, **same).close()
    for change in (
        {"imgshape": (4, 4)}, {"imgdtype": "uint16"}, {"metadata": {"animal": 4}}, {"fps": 30}, {"format": "png"},
        {"encoding": "cv_bayerbg"}, {"imgdtype": "nonsense"}, {"imgshape": 3},
    ):  # fmt: skip
        with pytest.raises(ImgStoreError) as caught:
            imgstore.new_for_filename(path, mode="a", **change)
        assert isinstance(caught.value, ValueError) and next(iter(change)) in str(caught.value)
    with imgstore.new_for_format("npy", path, mode="a") as store:
        store.add_image(coded_frame(3), 3, 3.0)
    assert imgstore.new_for_filename(path).frame_count == 4


PROGRAM = """
import numpy as np
import imgstore

with imgstore.new_for_format("npy", "s", imgshape=(4, 6), chunksize=10, metadata={"a": 1}, fps=3.0) as store:
    store.add_image(np.zeros((4, 6), np.uint8), 0, 0.0)
with imgstore.new_for_filename("s", checksums=False) as store:
    img, (number, time) = store.get_image(frame_index=0)
    reveal_type(number)
imgstore.new_for_format("npy", "s", imgshape="four")
imgstore.new_for_filename("s", mode="x", chunksize=[3])
"""


@pytest.mark.long
def test_type_checkers_see_the_keywords(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="needs mypy")
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "program.py"]
    where = {**os.environ, "MYPYPATH": str(Path(imgstore.__file__).parents[1])}  # it follows no editable installation
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=where).stdout.splitlines()
    assert len([line for line in told if line.startswith("program.py:9:") and '"int"' in line]) == 1
    wrong = [line for line in told if line.startswith("program.py:") and "error:" in line]
    assert [line.split(":")[1] for line in wrong] == ["10", "11", "11"], told
    assert all(name in "\n".join(wrong) for name in ("imgshape", "mode", "chunksize"))
