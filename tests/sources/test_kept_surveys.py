"""What is kept of videos in the user's cache directory: found again, never believed when damaged, bounded, not needed."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from video_samples import B_FRAMES, encode, number_of

import imgstore
import imgstore.plain.surveys as surveys
from imgstore_codecs.video.codec import PyAVCodec


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    encode(path, range(40), options=B_FRAMES)
    return path


@pytest.fixture
def surveyed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are surveyed anew."""
    found: list[str] = []
    real = PyAVCodec.survey

    def survey(self: PyAVCodec, path: str, options: Any) -> Any:
        found.append(path)
        return real(self, path, options)

    monkeypatch.setattr(PyAVCodec, "survey", survey)
    return found


def numbers(path: Path, **options: Any) -> list[int]:
    with imgstore.open(path, **options) as store:
        backwards = [number_of(store.get_image(frame_index=k)[0]) for k in range(len(store) - 1, -1, -7)]
        assert backwards == [number_of(img) for img in store[::-7]]
        return [number_of(img) for img, _ in store]


def test_found_again(clip: Path, tmp_path: Path, surveyed: list[str]) -> None:
    cache = tmp_path / "deep" / "cache"
    for _ in range(3):
        assert numbers(clip, cache=cache) == list(range(40))
    assert len(surveyed) == 1 and len(os.listdir(cache)) == 1
    with imgstore.open(clip, cache=cache) as kept, imgstore.open(clip, cache=False) as fresh:
        assert kept.frame_times.tolist() == fresh.frame_times.tolist() and kept.uuid == fresh.uuid
        assert (kept.format, kept.fps, kept.created) == (fresh.format, fresh.fps, fresh.created)
        np.testing.assert_array_equal(kept[5], fresh[5])
    assert len(surveyed) == 2 and len(os.listdir(cache)) == 1 and sorted(os.listdir(clip.parent)) == ["clip.mkv"]


def test_the_users_cache_is_used(clip: Path, tmp_path: Path, user_cache: Path, surveyed: list[str]) -> None:
    path = shutil.copy(clip, tmp_path / "own.mkv")
    assert numbers(path) == numbers(path) == list(range(40)) and len(surveyed) == 1
    assert any(name.endswith(".survey") for _, _, names in os.walk(user_cache) for name in names)


@pytest.mark.parametrize("change", ["time", "size", "content"])
def test_a_file_that_has_changed_is_surveyed_anew(clip: Path, tmp_path: Path, surveyed: list[str], change: str) -> None:
    path = Path(shutil.copy(clip, tmp_path / "clip.mkv"))
    facts = path.stat()
    assert numbers(path, cache=tmp_path / "cache") == list(range(40))
    if change == "time":
        os.utime(path, ns=(0, facts.st_mtime_ns - 1000))
    else:
        other = tmp_path / "other.mkv"
        encode(other, range(100, 130), options=B_FRAMES)
        data = other.read_bytes()
        if change == "content":  # as if the clock had stood still
            size = facts.st_size - len(data)
            assert size > 200
            data += b"\xec" + (size - 9 | 1 << 56).to_bytes(8, "big") + bytes(size - 9)  # RFC 8794, 11.3.2: Void
        path.write_bytes(data)
        os.utime(path, ns=(0, facts.st_mtime_ns))
    assert numbers(path, cache=tmp_path / "cache") == (list(range(40)) if change == "time" else list(range(100, 130)))
    assert len(surveyed) == 2


def test_a_damaged_cache_is_made_anew(clip: Path, tmp_path: Path, surveyed: list[str]) -> None:
    cache = tmp_path / "cache"
    assert numbers(clip, cache=cache) == list(range(40))
    (kept,) = cache.iterdir()
    good = kept.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [b"", good[:10], good[:-1], b"x" * 1000, good + b"x"]
    for _ in range(12):
        data = bytearray(good)
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(data))
    for count, data in enumerate(damaged):
        kept.write_bytes(data)
        with imgstore.open(clip, cache=cache) as store:
            assert number_of(store[33]) == 33
        assert len(surveyed) == count + 2 and kept.read_bytes() == good


def test_another_version_of_the_library(
    clip: Path, tmp_path: Path, surveyed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert numbers(clip, cache=tmp_path) == list(range(40))
    monkeypatch.setattr(PyAVCodec, "survey_version", property(lambda self: "another"))
    assert numbers(clip, cache=tmp_path) == list(range(40)) and len(surveyed) == 2


def test_no_more_than_so_much_is_kept(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surveyed: list[str]
) -> None:
    monkeypatch.setattr(surveys, "_MOST_FILES", 3)
    cache = tmp_path / "cache"
    paths = [Path(shutil.copy(clip, tmp_path / f"{k}.mkv")) for k in range(5)]
    for k, path in enumerate(paths):
        imgstore.open(path, cache=cache).close()
        for age, kept in enumerate(sorted(cache.iterdir(), key=lambda p: p.stat().st_mtime_ns, reverse=True)):
            os.utime(kept, ns=(0, (1000 + k - age) * 10**9))
    assert len(list(cache.iterdir())) == 3
    del surveyed[:]
    for path in reversed(paths):
        imgstore.open(path, cache=cache).close()
    assert [Path(path).name for path in surveyed] == ["1.mkv", "0.mkv"]
    monkeypatch.setattr(surveys, "_MOST_KEPT", 10)
    imgstore.open(shutil.copy(clip, tmp_path / "last.mkv"), cache=cache).close()
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_none(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert numbers(clip, cache=tmp_path / "file") == list(range(40))
    assert numbers(clip, cache=tmp_path / "file" / "below") == list(range(40))
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert numbers(clip, cache=closed) == list(range(40))
    closed.chmod(stat.S_IRWXU)
