"""What `imgstore save` takes from a server: a video as it is in a file, whatever it says of itself."""

from __future__ import annotations

import functools
import http.server
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from commands import typed
from quiet_damage import COUNT, encode_bursts, quietly_damaged
from video_samples import HEIGHT, WIDTH, encode, number_of

import imgstore
from imgstore.cli._sources import open_live
from imgstore.errors import ArgumentError


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server that has the files of the test's directory."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def changed(path: Path, word: bytes, other: bytes) -> None:
    data = path.read_bytes()
    assert word in data and len(word) == len(other)
    path.write_bytes(data.replace(word, other))


def test_a_video(tmp_path: Path, server: str) -> None:
    encode(tmp_path / "clip.mkv", range(12))
    done = typed("save", "--source", f"{server}/clip.mkv", "--format", "npy", tmp_path / "s")
    assert done.returncode == 0, done.stderr
    with imgstore.open(tmp_path / "s") as store:
        assert [number_of(img) for img, _ in store] == list(range(12))
        np.testing.assert_allclose(store.frame_times, np.arange(12) / 25)


def test_what_it_says_of_itself_in_another_encoding(tmp_path: Path, server: str) -> None:
    encode(tmp_path / "clip.mkv", range(12))
    changed(tmp_path / "clip.mkv", b"Lavf", b"L\xe9vf")
    source = open_live(f"{server}/clip.mkv", deep=True)
    assert [number_of(frame.img) for frame in source.frames] == list(range(12))


def test_turned_and_mirrored_as_a_file_is(tmp_path: Path, server: str) -> None:
    encode(tmp_path / "clip.mp4", range(3))
    movie = bytearray((tmp_path / "clip.mp4").read_bytes())
    at = movie.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2
    movie[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, 1 << 16, 0, 0, 0, 0, 1 << 30)
    (tmp_path / "clip.mp4").write_bytes(movie)
    source = open_live(f"{server}/clip.mp4", deep=True)
    with imgstore.open(tmp_path / "clip.mp4") as file:
        for frame, (img, _) in zip(source.frames, file, strict=True):
            assert frame.img.shape[:2] == img.shape[:2] == (WIDTH, HEIGHT)
            assert np.abs(frame.img.astype(int) - img).mean() < 2  # swscale there, our own conversion here


def test_a_torn_picture_is_left_out(tmp_path: Path, server: str) -> None:
    encode_bursts(tmp_path / "whole.mkv", 2, 2)
    for _, position in zip(range(2), quietly_damaged(tmp_path / "whole.mkv", tmp_path / "damaged.mkv", 20), strict=False):
        source = open_live(f"{server}/damaged.mkv", deep=False)
        times = [frame.time for frame in source.frames]
        assert source.left_out.uncounted == 1
        np.testing.assert_allclose(times, np.delete(np.arange(COUNT), position) / 25, atol=1e-3)


def test_a_torn_picture_of_motion_jpeg_is_left_out(tmp_path: Path, server: str) -> None:
    encode(tmp_path / "clip.mkv", range(12), "mjpeg", pix_fmt="yuvj420p")
    with av.open(str(tmp_path / "clip.mkv")) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][5]
        middle, end = packet.pos + packet.size // 2, packet.pos + packet.size
    data = (tmp_path / "clip.mkv").read_bytes()
    (tmp_path / "clip.mkv").write_bytes(data[:middle] + bytes(end - middle) + data[end:])
    source = open_live(f"{server}/clip.mkv", deep=False)
    assert [number_of(frame.img) for frame in source.frames] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert source.left_out.uncounted == 1


def test_a_codec_that_nobody_knows(tmp_path: Path, server: str) -> None:
    encode(tmp_path / "clip.mkv", range(12))
    changed(tmp_path / "clip.mkv", b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/AVQ")
    with pytest.raises(ArgumentError, match=r"clip\.mkv.*codec"):
        open_live(f"{server}/clip.mkv", deep=True)
