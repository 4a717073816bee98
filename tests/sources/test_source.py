"""Reading asks a source for bytes, whatever kind of place it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from video_samples import number_of, picture

from imgstore import plugins
from imgstore.codec import FrameCodec, FrameSpec
from imgstore.errors import FrameDecodeError
from imgstore.pixels.shown import Shown
from imgstore.plain.chunks import ImageChunks
from imgstore.reading.chunk_frames import ChunkFrames
from imgstore.reading.reader import Reader
from imgstore.sources.directory import Directory, Files
from imgstore.sources.named import Named
from imgstore.sources.source import Source, Stamp


class Memory(Source):
    """A place that has no paths."""

    def __init__(self, files: dict[str, bytes]):
        self.files = files

    def names(self) -> Sequence[str]:
        return list(self.files)

    def stamp(self, name: str) -> Stamp:
        return (len(self._of(name)),)

    def _of(self, name: str) -> bytes:
        if name not in self.files:
            raise FileNotFoundError(name)
        return self.files[name]

    def read(
        self, name: str, start: int = 0, size: int | None = None, seen: Callable[[memoryview], object] | None = None
    ) -> npt.NDArray[np.uint8]:
        data = self._of(name)[start : None if size is None else start + size]
        if seen is not None:
            seen(memoryview(data))
        return np.frombuffer(bytearray(data), np.uint8)

    def local_path(self, name: str) -> str:
        raise AssertionError("bytes would have done")


def test_images_from_a_place_without_paths() -> None:
    files = {f"far/{k}.png": cv2.imencode(".png", picture(k))[1].tobytes() for k in range(5)}
    named = Named("memory", Memory(files))
    entry = plugins.codec_for_format("png")
    assert isinstance(entry.codec, FrameCodec)
    spec = FrameSpec((128, 192), np.dtype(np.uint8))
    decode = entry.codec.plain_decoder(entry.format, spec, orient=True)
    chunks = ImageChunks(named, [(np.arange(5), np.arange(5) / 25)])
    options = {"seek": True, "threads": 1, "cache_size": 0}
    reader = Reader(chunks, ChunkFrames(chunks, entry, spec, options, checksums=True, decode=decode), Shown())
    assert [number_of(reader.read_next()[0]) for _ in range(5)] == list(range(5))
    assert [number_of(img) for img in reader.read_many(lambda: [3, 1], None, Shown())[0]] == [3, 1]
    del files["far/2.png"]
    with pytest.raises(FrameDecodeError, match=r"far/2\.png: the file of this frame is missing"):
        reader.read(2)
    reader.close()


def test_files_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    data = bytes(range(256)) * 10
    (tmp_path / "below" / "a").write_bytes(data)
    whole = Files("", [str(tmp_path / "below" / "a")])
    for source, name in ((Directory(str(tmp_path)), "below/a"), (whole, whole.names()[0])):
        for start, size in ((0, None), (0, 10), (100, 50), (2500, 1000), (5000, 3), (7, 0)):
            pieces: list[bytes] = []
            got = source.read(name, start, size, lambda piece, pieces=pieces: pieces.append(bytes(piece)))
            expected = data[start:] if size is None else data[start : start + size]
            assert got.tobytes() == b"".join(pieces) == expected
        assert source.local_path(name) == source.shown(name) == str(tmp_path / "below" / "a")
        before = source.stamp(name)
        assert before == source.stamp(name)
    (tmp_path / "below" / "a").write_bytes(data[:-1])
    assert source.stamp(name) != before
    for missing in (source.stamp, source.read):
        with pytest.raises(OSError):
            missing(str(tmp_path / "absent"))
