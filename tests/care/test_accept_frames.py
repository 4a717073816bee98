"""Frames that somebody has changed on purpose: taken on request alone, whole, and with what follows from it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from damage import fingerprint
from scenes import SHAPE, coded_frame, shown_number, write_store

import imgstore
from imgstore import cli
from imgstore.errors import ChunkError, StoreWriteError
from imgstore.repair import Action, repair_store
from imgstore.verify import check_store, verify_store

Change = Callable[[Any], Any]
VIDEOS = {"avc1/mp4": ("libx264", "yuv420p"), "h264/mkv": ("libx264", "yuv420p"), "mjpeg/avi": ("mjpeg", "yuvj420p")}


def accept(path: Path, **options: Any) -> list[Action]:
    """Take what is there; a dry run says the same and changes nothing, and a second run finds nothing to do."""
    before = fingerprint(path.parent)
    planned = repair_store(path, accept_frames=True, dry_run=True, **options)
    assert fingerprint(path.parent) == before
    done = repair_store(path, accept_frames=True, **options)
    assert [(action.kind, action.path, action.message) for action in planned] == [
        (action.kind, action.path, action.message) for action in done
    ]
    contents = {digest for name, (size, digest) in before.items() if size > 0 and not name.endswith(".imgstore-index")}
    assert contents <= {digest for _, digest in fingerprint(path.parent).values()}, "nothing is deleted"
    assert [a for a in repair_store(path, accept_frames=True) if a.kind != "left"] == []
    return done


def made_anew(video: Path, change: Change = lambda img: img, *, drop: int = 0) -> None:
    """Do to a video what other programs do: decode it, change its frames, and encode them."""
    codec, pix_fmt = next(how for fmt, how in VIDEOS.items() if fmt.endswith(video.suffix[1:]))
    with av.open(str(video)) as container:
        frames = [change(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
    with av.open(str(video), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.height, stream.width = frames[0].shape
        stream.pix_fmt = pix_fmt
        for k, img in enumerate(frames[: len(frames) - drop]):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(img), format="gray").reformat(format=pix_fmt)
            frame.pts, frame.time_base = k, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def edited(file: Path, change: Change) -> None:
    if file.suffix == ".npy":
        np.save(file, change(np.load(file)))
    else:
        cv2.imwrite(str(file), change(cv2.imread(str(file), cv2.IMREAD_UNCHANGED)))


def half(img: Any) -> Any:
    return np.ascontiguousarray(img[: SHAPE[0] // 2])


@pytest.mark.parametrize("fmt", VIDEOS)
def test_a_video_that_was_made_anew(tmp_path: Path, fmt: str) -> None:
    path = Path(write_store(tmp_path / "s", fmt, 25, metadata={"animal": "mouse"}))
    (video,) = path.glob("000001.[ma]*")
    made_anew(video)
    with imgstore.new_for_filename(path) as store, pytest.raises(ChunkError, match="imgstore repair --accept-frames"):
        store.get_image(112)
    assert [a.kind for a in repair_store(path)] == ["left"], "not without being asked"
    assert [(action.kind, action.chunk) for action in accept(path)] == [("accepted", 1)]
    assert verify_store(path, deep=True) == []
    assert any("when it was repaired" in note.message for note in check_store(path).notes)
    with imgstore.new_for_filename(path) as store:
        assert [shown_number(img) for img, _ in store] == store.frame_numbers.tolist() == list(range(100, 125))
    flipped = bytearray(video.read_bytes())
    flipped[len(flipped) // 2] ^= 4
    video.write_bytes(flipped)
    assert verify_store(path), "it is compared with the new checksums"


@pytest.mark.parametrize("fmt", ["npy", "png", "tif"])
@pytest.mark.parametrize("which", [[13], [18, 19], list(range(25))], ids=["one", "the last", "all"])
def test_files_that_were_edited(tmp_path: Path, fmt: str, which: list[int]) -> None:
    path = Path(write_store(tmp_path / "s", fmt, 25))
    for k in which:
        edited(
            path / f"{k // 10:06d}" / f"{k % 10:06d}.{fmt}",
            lambda img: np.where(np.eye(*SHAPE) > 0, 77, img).astype(np.uint8),
        )
    with imgstore.new_for_filename(path) as store, pytest.raises(ChunkError, match="imgstore repair --accept-frames"):
        store.get_image(None, frame_index=which[0])
    accepted = accept(path)
    assert {action.kind for action in accepted} == {"accepted"}
    assert {action.chunk for action in accepted} == {k // 10 for k in which}
    assert f"(number{'s' if len(which) > 1 else ''} {100 + which[0]}" in accepted[0].message
    assert verify_store(path, deep=True) == []
    with imgstore.new_for_filename(path) as store:
        for k, (img, (number, _)) in enumerate(store):
            assert number == 100 + k and (img[5, 5] == 77) == (k in which)


@pytest.mark.parametrize("fmt", [*VIDEOS, "png", "npy"])
def test_another_size_is_taken_of_all_chunks_or_of_none(tmp_path: Path, fmt: str) -> None:
    path = Path(write_store(tmp_path / "s", fmt, 25, metadata={"animal": "mouse"}))

    def change(chunk: int) -> None:
        if fmt in VIDEOS:
            made_anew(next(path.glob(f"{chunk:06d}.[ma]*")), half)
        else:
            for file in (path / f"{chunk:06d}").glob(f"*.{fmt}"):
                edited(file, half)

    change(1)
    refused = accept(path)
    assert [(action.kind, action.chunk) for action in refused] == [("left", 1)]
    assert "24 x 64" in refused[0].message and "48 x 64" in refused[0].message
    assert not (path.parent / "s.set-aside").exists(), "nor is it taken for torn without being asked"
    assert [a.kind for a in repair_store(path)] == ["left"]
    change(0)
    change(2)
    assert [a.kind for a in accept(path)] == ["metadata", *["accepted"] * 3]
    assert verify_store(path, deep=True) == []
    with imgstore.new_for_filename(path) as store:
        assert store.image_shape == (24, 64) and store.user_metadata == {"animal": "mouse"}
        assert store.get_image(117)[0].shape == (24, 64)
    with imgstore.new_for_filename(path, mode="a") as store:
        store.add_image(half(coded_frame(7)), 7, 7.0)
    assert verify_store(path) == []


def test_an_adoption_that_was_interrupted_can_be_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 25))
    for file in path.glob("*/*.npy"):
        edited(file, half)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        from imgstore.care import accept_frames

        renew, done = accept_frames.renew_checksums, []

        def interrupted(*arguments: Any) -> None:
            if done:
                raise KeyboardInterrupt
            done.append(renew(*arguments))

        patch.setattr(accept_frames, "renew_checksums", interrupted)
        repair_store(path, accept_frames=True)
    repair_store(path, accept_frames=True)
    assert verify_store(path, deep=True) == []


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "a", "avc1/mp4", 25))
    made_anew(path / "000001.mp4", drop=2)
    (refused,) = accept(path)
    assert refused.kind == "left" and "holds 8 frames, its index lists 10" in refused.message

    path = Path(write_store(tmp_path / "b", "npy", 25))
    edited(path / "000001" / "000003.npy", lambda img: img.astype(np.uint16))
    edited(path / "000001" / "000004.npy", lambda img: 255 - img)
    os.truncate(path / "000001" / "000005.npy", 300)
    (path / "000001" / "000006.npy").unlink()
    done = accept(path)
    assert [action.kind for action in done if action.kind == "accepted"] == ["accepted"]
    left = {(f.frame, f.last_frame) for f in verify_store(path)}
    assert left == {(3, 3), (5, 5), (6, 6)}
    with imgstore.new_for_filename(path) as store:
        np.testing.assert_array_equal(store.get_image(114)[0], 255 - coded_frame(114))


def test_a_cropped_store_of_0x(samples: Path, tmp_path: Path) -> None:
    import shutil

    path = tmp_path / "dir-png"
    shutil.copytree(samples / "dir-png", path)
    for file in path.glob("*/*.png"):
        edited(file, half)
    with imgstore.new_for_filename(samples / "dir-png") as store:
        count = store.frame_count
    assert "metadata" in {action.kind for action in accept(path)}
    assert verify_store(path, deep=True) == []
    with imgstore.new_for_filename(path) as store:
        assert store.frame_count == count and store.image_shape[0] == SHAPE[0] // 2


def test_nothing_changed_nothing_taken(tmp_path: Path) -> None:
    for fmt in ("png", "h264/mkv"):
        path = Path(write_store(tmp_path / fmt[:3], fmt, 25))
        assert accept(path) == []


def test_command(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 25))
    edited(path / "000001" / "000003.npy", lambda img: 255 - img)
    assert "--accept-frames" in CliRunner().invoke(cli.main, ["verify", str(path)]).stdout
    result = CliRunner().invoke(cli.main, ["repair", "--accept-frames", str(path)])
    assert result.exit_code == 0 and "frame 3 (number 113) of chunk 1" in result.stdout
    assert json.loads(CliRunner().invoke(cli.main, ["verify", "--json", str(path)]).stdout)["ok"] is True


def test_what_the_system_refuses_is_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 5))
    real = os.unlink

    def unlink(name: Any, *arguments: Any, **keywords: Any) -> None:
        if os.fspath(name).endswith(".lock"):
            raise PermissionError(13, "Permission denied", name)
        real(name, *arguments, **keywords)

    monkeypatch.setattr(os, "unlink", unlink)
    with pytest.raises(StoreWriteError, match=r"Permission denied.*\.lock"):
        repair_store(path)
