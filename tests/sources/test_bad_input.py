"""What is no video: an error that names the file and says why; and no other file is ever opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from video_samples import encode

import imgstore
from imgstore.errors import ArgumentError, ChunkError, ImgStoreError


@pytest.mark.parametrize(
    "content", [b"", b"no video at all\n" * 50, bytes(5000), b"\x00\x00\x00\x18ftypmp42" + bytes(500)]
)
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip", "clip.txt", "clip.gif", "clip.tif", "clip.jpg"])
def test_a_file_that_is_no_video(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ChunkError, match=name) as raised:
        imgstore.open(tmp_path / name, cache=tmp_path / "cache")
    assert isinstance(raised.value, (OSError, ValueError))
    assert not (tmp_path / "cache").exists()


def test_random_bytes_are_an_error_of_ours_or_frames(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    encode(clip, range(8))
    good = clip.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(25):
        data = bytearray(good)
        for at in rng.integers(len(data), size=20).tolist():
            data[at] = int(rng.integers(256))
        clip.write_bytes(data[: int(rng.integers(1, len(data) + 1))])
        try:
            with imgstore.open(clip, cache=False) as store:
                assert len(store) < 10_000
                assert len(store.get_images(frame_indices=range(len(store)), on_error="skip")[0]) <= len(store)
        except ImgStoreError as error:
            assert "clip.mp4" in str(error)


def test_sound_alone(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "sound.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(ChunkError, match=r"sound\.mp4: the file holds no video stream"):
        imgstore.open(tmp_path / "sound.mp4")


def test_no_permission(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("needs files that their owner may not read")
    clip = tmp_path / "clip.mp4"
    encode(clip, range(3))
    clip.chmod(0)
    # root may read everything, unless it becomes somebody else
    script = (
        "import imgstore, os, sys; imgstore.get_supported_formats()\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "imgstore.open(sys.argv[1], cache=False)"
    )
    command = [sys.executable, "-c", script, str(clip)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=os.sep, check=False)
    assert result.returncode == 1 and "imgstore.errors." in result.stderr and "ermission denied" in result.stderr


def test_what_is_no_file(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs pipes with names")
    os.mkfifo(tmp_path / "pipe.mp4")
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("pipe.mp4", "pipe.png"):
        with pytest.raises(ChunkError, match=name):
            imgstore.open(tmp_path / name)
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ChunkError, match=r"dangling\.mp4"):
        imgstore.open(tmp_path / "dangling.mp4")


def test_kinds_are_not_mixed(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(3))
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(ArgumentError, match=r"several kinds \(\.mp4, \.png\)"):
        imgstore.open([tmp_path / "a.mp4", tmp_path / "b.png"])
