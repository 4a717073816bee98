"""Images that are in no store: folders, patterns, stacks; their order, numbers and times."""

from __future__ import annotations

import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_samples import number_of, picture

import imgstore
from imgstore.errors import ArgumentError, ChunkError, FrameDecodeError, ImgStoreWarning, NotAStoreError
from imgstore.sources.named import natural_order


def write(folder: Path, name: str, numbers: Any, **how: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / name.format(number)), picture(number, **how))
    return folder


def shown(store: imgstore.ImgStore) -> list[int]:
    return [number_of(img) for img, _ in store]


def test_a_folder_in_natural_order(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", "img_{}.png", [10, 9, 1, 100, 2])
    (folder / "notes.txt").write_text("no image")
    (folder / ".img_3.png").write_bytes(b"hidden")
    for what in (folder, folder / "*.png", folder / "img_%d.png", str(folder) + os.sep, folder / "img_[0-9]*.png"):
        if "%" in str(what):
            with pytest.warns(ImgStoreWarning, match="95 numbers have no image"):
                store = imgstore.open(what)
        else:
            store = imgstore.open(what)
        with store:
            assert isinstance(store, imgstore.DirectoryImgStore) and store.format == "png" and store.lossless
            assert shown(store) == [1, 2, 9, 10, 100] and store.frame_numbers.tolist() == [0, 1, 2, 3, 4]
            assert store.frame_times.tolist() == [k / 25 for k in range(5)] and store.fps == 25
            assert [number_of(img) for img in store.get_images(frame_indices=[4, 0, 4])[0]] == [100, 1, 100]
            assert not store.has_extra_data and [number_of(pickle.loads(pickle.dumps(store))[3])] == [10]
    with imgstore.open(folder, numbers="names", fps=10, start_time=5) as store:
        assert store.frame_numbers.tolist() == [1, 2, 9, 10, 100] and number_of(store.get_image(9)[0]) == 9
        assert store.frame_times.tolist() == [5.0, 5.1, 5.2, 5.3, 5.4]
        table = store.frames_table()
        assert table["frame_number"].tolist() == [1, 2, 9, 10, 100]
    with imgstore.open(folder / "img_9.png") as store:
        assert shown(store) == [9] and store.chunk_files[0].path == str(folder / "img_9.png")
    assert sorted(os.listdir(folder)) == sorted(
        ["notes.txt", ".img_3.png", *(f"img_{k}.png" for k in (1, 2, 9, 10, 100))]
    )


@given(st.lists(st.text("ab01239._", min_size=1, max_size=8), unique=True, max_size=8))
def test_natural_order_is_that_of_numbers_and_texts(names: list[str]) -> None:
    """Whichever way it takes: names that differ in one number alone are sorted in a faster one."""

    def parts(name: str) -> list[Any]:
        found: list[Any] = [""]
        for letter in name:
            if letter.isdigit() == isinstance(found[-1], int):
                found[-1] = int(f"{found[-1]}{letter}") if letter.isdigit() else found[-1] + letter
            else:
                found.append(int(letter) if letter.isdigit() else letter)
        return found

    ordered = natural_order(names)
    assert sorted(ordered) == sorted(names)
    assert [parts(name) for name in ordered] == sorted(parts(name) for name in names)
    numbered = [f"x{len(name)}_{k}.png" for k, name in enumerate(names * 3)]
    same = [f"frame {k}.png" for k in random.Random(0).sample(range(200), 30)]
    assert [int(name[6:-4]) for name in natural_order(same)] == sorted(int(name[6:-4]) for name in same)
    assert sorted(natural_order(numbered)) == sorted(numbered)


def test_many_images_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "many", "{:05}.png", [0])
    for k in range(1, 2000):
        (folder / f"{k:05}.png").touch()
    opened: list[Any] = []
    monkeypatch.setattr(np, "fromfile", lambda path, *rest, real=np.fromfile: opened.append(path) or real(path, *rest))
    with imgstore.open(folder) as store:
        assert len(store) == 2000 and number_of(store[0]) == 0
        with pytest.raises(FrameDecodeError, match=r"00007\.png"):
            store.get_image(7)
    assert [Path(path).name for path in opened] == ["00000.png"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("ending", [".png", ".tif", ".TIFF"])
def test_as_the_files_are(tmp_path: Path, dtype: type, color: bool, ending: str) -> None:
    rng = np.random.default_rng(0)
    top = np.iinfo(dtype).max
    images = [rng.integers(0, top + 1, (20, 30, 3) if color else (20, 30), dtype) for _ in range(3)]
    for k, img in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{k}{ending}"), img)
    with imgstore.open(tmp_path) as store:
        assert store.image_dtype == dtype and store.image_shape == images[0].shape
        np.testing.assert_array_equal(store[:], images)
    for wanted in ("bgr", "rgb", "gray"):
        with imgstore.open(tmp_path, color=wanted) as store:
            got = store.get_image(1)[0]
            expected = imgstore.ensure_grayscale(images[1]) if wanted == "gray" else imgstore.ensure_color(images[1])
            np.testing.assert_array_equal(got, expected[..., ::-1] if wanted == "rgb" else expected)
            np.testing.assert_array_equal(store.get_images([1])[0][0], got)
            assert store.image_shape == got.shape
    with imgstore.open(tmp_path, dtype="uint8") as store:
        assert store.image_dtype == np.uint8
        np.testing.assert_array_equal(store.get_image(2)[0], np.rint(images[2] / top * 255))


def test_arrays(tmp_path: Path) -> None:
    for k in range(3):
        np.save(tmp_path / f"{k}.npy", np.full((4, 5), k / 2, np.float32))
    with imgstore.open(tmp_path) as store:
        assert store.image_dtype == np.float32 and store[:, 0, 0].tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("count", [1, 7])
def test_pages_of_a_file(tmp_path: Path, count: int) -> None:
    pages = [picture(k, color=True) for k in range(count)]
    cv2.imwritemulti(str(tmp_path / "stack.tif"), pages)
    with imgstore.open(tmp_path / "stack.tif", fps=5) as store:
        assert len(store) == count and store.frame_times.tolist() == [k / 5 for k in range(count)]
        np.testing.assert_array_equal(store[::-1], pages[::-1])
        np.testing.assert_array_equal(store.get_image(count - 1)[0], pages[-1])
    cv2.imwritemulti(str(tmp_path / "odd.tif"), [picture(0), picture(1, color=True), picture(2)])
    with imgstore.open(tmp_path / "odd.tif") as store:
        assert number_of(store[2]) == 2
        with pytest.raises(FrameDecodeError, match="page 2"):
            store.get_images([0, 1])


def test_times_that_came_along(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", "{}.png", range(4))
    moments = [1700000000.123456789, 1700000000.2, 1700000001.3, 1700000002.4]
    (folder / "a.csv").write_text("frame, time\n" + "\n".join(f"{k}, {t!r}" for k, t in enumerate(moments)))
    (folder / "bare.txt").write_text("\n".join(map(repr, moments)))
    (folder / "codes.txt").write_text("# timestamp format v2\n" + "\n".join(f"{t * 1000:.6f}" for t in moments) + "\n")
    (folder / "a.json").write_text(json.dumps([{"n": k, "t": t} for k, t in enumerate(moments)]))
    (folder / "columns.json").write_text(json.dumps({"t": moments, "other": [1]}))
    (folder / "list.json").write_text(json.dumps(moments))
    np.save(folder / "a.npy", np.array(moments))
    np.save(folder / "rows.npy", np.array([range(4), moments]))
    np.save(folder / "columns.npy", np.array([range(9), [0.0] * 9]).T)
    for times, column in (
        (moments, None), (np.array(moments), None),
        (folder / "a.csv", "time"), ("a.csv", "time"), ("a.csv", 1), ("bare.txt", None),
        ("a.json", "t"), ("columns.json", "t"), ("list.json", None), ("a.npy", None), ("rows.npy", 1),
    ):  # fmt: skip
        with imgstore.open(folder, times=times, column=column) as store:
            assert store.frame_times.tolist() == moments, (times, column)
            assert store.get_image(2)[1] == (2, moments[2])
    with imgstore.open(folder, times="codes.txt") as store:  # milliseconds, as `imgstore timecodes` writes them
        assert store.frame_times == pytest.approx(moments, abs=1e-6)
    for k in range(4):
        os.utime(folder / f"{k}.png", ns=(0, 10**18 + k * 10**9))
    with imgstore.open(folder, times="files") as store:
        assert store.frame_times.tolist() == [1e9 + k for k in range(4)]
    (folder / "short.csv").write_text("t\n1\n2\n")
    (folder / "bad.csv").write_text("t\n1\nyesterday\n3\n4\n")
    np.save(folder / "pickled.npy", np.array([object()]), allow_pickle=True)
    for times, column, message in (
        ("short.csv", None, "4 frames, and 2 times"),
        ("bad.csv", None, r"bad\.csv: these are no times"),
        ("a.csv", None, "column must be one of 'frame', 'time'"),
        ("a.csv", "no", "column must be one of 'frame', 'time'"),
        ("a.json", None, "column must be one of 'n', 't'"),
        ("rows.npy", None, "column says which"),
        ("pickled.npy", None, r"pickled\.npy: the times cannot be read"),
        ("absent.csv", None, r"absent\.csv: the times cannot be read"),
        ("times.xls", None, "times are read from"),
    ):
        with pytest.raises(ArgumentError, match=message):
            imgstore.open(folder, times=times, column=column)


def test_an_image_that_is_gone_or_is_another_is_an_error_for_it_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "frames", "{}.png", range(6))
    with imgstore.open(folder) as store:
        (folder / "2.png").unlink()
        cv2.imwrite(str(folder / "3.png"), np.zeros((10, 10), np.uint8))
        cv2.imwrite(str(folder / "4.png"), picture(4, color=True))
        for position, message in ((2, r"2\.png: the file of this frame is missing"), (3, "10, 10"), (4, "128, 192, 3")):
            with pytest.raises(FrameDecodeError, match=message):
                store.get_image(frame_index=position)
            with pytest.raises(FrameDecodeError, match=message):
                store.get_images(frame_indices=[0, position])
        assert [number_of(img) for img, _ in store.iter_images(on_error="skip")] == [0, 1, 5]


def test_what_is_no_image_or_several(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NotAStoreError, match="holds no images"):
        imgstore.open(empty)
    for what in (tmp_path / "absent", tmp_path / "*.png", tmp_path / "%04d.png", [tmp_path / "absent.png"]):
        with pytest.raises(NotAStoreError) as raised:
            imgstore.open(what)
        assert isinstance(raised.value, (FileNotFoundError, ValueError))
    (empty / "a.png").write_bytes(b"no image")
    with pytest.raises(ChunkError, match=r"a\.png: cannot be opened as an image"):
        imgstore.open(empty)
    write(empty, "{}.bmp", [1])
    with pytest.raises(ArgumentError, match=r"several kinds \(\.bmp, \.png\)"):
        imgstore.open(empty)
    write(tmp_path / "named", "img{}.png", [1])
    for options, message in (
        ({"stream": 0}, "for videos"),
        ({"start_time": "creation"}, "for videos"),
        ({"index": 1}, "index"),
    ):
        with pytest.raises(ArgumentError, match=message):
            imgstore.open(tmp_path / "named", **options)
    write(tmp_path / "nameless", "no number.png", [1])
    with pytest.raises(ArgumentError, match=r"no number\.png: has no number"):
        imgstore.open(tmp_path / "nameless", numbers="names")
    for what in (17, [17], None, "http://127.0.0.1/x.mp4", "s3://bucket/x", [], "a\0b"):
        with pytest.raises(ArgumentError):
            imgstore.open(what)  # type: ignore[arg-type]


def test_a_store_opens_as_before(samples: Path) -> None:
    for name in ("dir-png-colour", "video-mjpeg-avi"):
        with imgstore.open(samples / name) as store, imgstore.new_for_filename(samples / name) as same:
            assert type(store) is type(same) and store.uuid == same.uuid
            np.testing.assert_array_equal(store[:2], same[:2])
    with imgstore.open(samples / "dir-png-colour" / "metadata.yaml", color="rgb") as store:
        np.testing.assert_array_equal(store.get_image(frame_index=1)[0], store.as_array(color="bgr")[1][..., ::-1])
        np.testing.assert_array_equal(store.as_array()[1], store[1])
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(store))[1], store[1])
    with imgstore.open(samples / "bayer", color="gray") as store:
        assert store.image_shape == store.get_image(frame_index=0)[0].shape and store.ndim == 3
    with pytest.raises(ArgumentError, match="is a store"):
        imgstore.open(samples / "dir-png", fps=10)
    with pytest.raises(ValueError, match=r"imgstore\.open"):
        imgstore.new_for_filename(samples / "dir-png" / "000000")
