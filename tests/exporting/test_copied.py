"""Packets that are copied: the same bytes, and the same frames when they are decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
from rounds import long_but
from scenes import coded_frame, shown_number
from video_samples import SAMPLES as VIDEOS
from video_samples import Sample, number_of

import imgstore
from imgstore.errors import ArgumentError, ImgStoreError

IN_STORES = ("motif-mp4", "fork-divx-avi", "video-avc1-mp4", "video-avc1-mp4-colour", "video-h264-mkv", "video-mjpeg-avi",
             "numbers-wrap-mjpeg", "odd-size-mp4", "reindexed", "motif-h5", "interrupted-mjpeg")  # fmt: skip
SOME = {"video-avc1-mp4-colour", "reindexed"}
# pictures out of order that are copied, and such whose order is not known
SOME_VIDEOS = {"h264-open-gop.mkv", "h264-out-of-avi.mp4"}
# whose order, parameters or streams cannot be had in another file
REFUSED = {"h264-start-without-idr.mp4", "h264-start-without-idr.mkv", "h264-edit-list-3.mp4", "h264-edit-list-17.mp4",
           "h264-edit-list-end.mp4", "h264-2000-fps.mkv", "h264-2000-fps-no-b.mkv", "h264-with-sound.mp4",
           "h264-with-sound.mkv", "h264-b-frames.avi", "h264-no-b.avi", "h264-empty-packets.avi", "h264-out-of-avi.mkv",
           "h264-out-of-avi.mp4", "mpeg4-b-frames.avi", "mpeg4-packed-b-frames.avi", "mpeg2.mkv", "clock-jumps-back.mkv",
           "raw-with-palette.mp4", "single-h264.avi"}  # fmt: skip


def packets(path: str | Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("fmt", ["mp4", "mkv"])
@pytest.mark.parametrize("name", long_but(SOME, IN_STORES))
def test_bytes_and_frames_are_those_of_the_store(name: str, fmt: str, samples: Path, tmp_path: Path) -> None:
    out = tmp_path / f"clip.{fmt}"
    color: Any = "gray"
    with imgstore.new_for_filename(samples / name) as store:
        color = "gray" if len(store.image_shape) == 2 else "bgr"
        result = imgstore.export(store, out, copy=True)
        assert result.copied and (result.start, result.end) == (0, store.frame_count)
        assert packets(out) == [p for file in store.chunk_files for p in packets(file.path)][: len(packets(out))]
        table = pd.read_csv(f"{out}.frames.csv")
        assert table["frame_number"].tolist() == store.frame_numbers.tolist()
        with imgstore.open(out, color=color) as again, av.open(str(out)) as container:
            assert again.frame_count == store.frame_count
            assert [frame.pts for frame in container.decode(video=0)] == table["pts"].tolist()
            for k in range(store.frame_count):
                wanted, img = (s.get_image(None, frame_index=k)[0] for s in (store, again))
                if color == "gray" and not np.array_equal(img, wanted):
                    # the store's is the luma alone, where the file's own is colour brought to gray
                    assert np.abs(img.astype(int) - wanted).max() <= 1
                else:
                    np.testing.assert_array_equal(img, wanted)


def test_joined_from_the_key_frame_before(tmp_path: Path) -> None:
    with imgstore.new_for_format(
        "avc1/mp4", tmp_path / "s", imgshape=(96, 128), chunksize=20, fps=25, gop_size=6
    ) as store:
        for k in range(50):
            store.add_image(coded_frame(500 + k, (96, 128)), 500 + k, 10 + k / 25)
    result = imgstore.export(tmp_path / "s", tmp_path / "clip.mp4", start=15, end=43, copy=True)
    assert (result.start, result.end) == (12, 43) and "3 earlier" in result.notes[0]
    with av.open(str(tmp_path / "clip.mp4")) as container:
        shown = [shown_number(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
    assert shown == list(range(512, 543))


def test_chunks_of_other_parameters_are_not_joined(tmp_path: Path) -> None:
    for name, crf in (("a", 18), ("s", 30)):
        with imgstore.new_for_format("h264/mkv", tmp_path / name, imgshape=(48, 64), chunksize=5, crf=crf) as store:
            for k in range(5):
                store.add_image(coded_frame(k), k, k / 10)
            if name == "s":
                other = tmp_path / "a" / "000000.mkv"
                store.insert_chunk(str(other), list(range(5, 10)), [k / 10 for k in range(5, 10)], move=False)
    with pytest.raises(ArgumentError, match=r"000001\.mkv: was encoded with other parameters than .*000000\.mkv"):
        imgstore.export(tmp_path / "s", tmp_path / "clip.mp4", copy=True)
    assert not list(tmp_path.glob("*clip*"))
    imgstore.export(tmp_path / "s", tmp_path / "clip.mp4", start=5, copy=True)  # one of them
    imgstore.export(tmp_path / "s", tmp_path / "clip.mkv")  # encoded they are one video


@pytest.mark.parametrize("sample", long_but([s for s in VIDEOS if s.name in SOME_VIDEOS], VIDEOS), ids=str)
def test_videos_of_every_kind(sample: Sample, videos: Any, tmp_path: Path) -> None:
    """A cut shows the frames that it says, or is refused: pictures out of order, open groups, edit lists, odd times."""
    path, numbers = videos(sample)
    refused = 0
    third = len(numbers) // 3
    whole, part = (0, len(numbers)), (third, max(third + 1, 2 * third))
    for (start, stop), formats in {whole: ["mp4"], part: ["mp4", "mkv"]}.items():
        for fmt in formats:
            out = tmp_path / f"{start}-{stop}.{fmt}"
            try:
                result = imgstore.export(path, out, start=start, end=stop, copy=True)
            except ImgStoreError as error:
                assert "encoded" in str(error) or "increase" in str(error)
                assert sample.name in REFUSED or "does not hold" in str(error)
                refused += 1
                continue
            assert result.start <= start and stop <= result.end
            with av.open(str(out)) as container:
                frames = list(container.decode(video=0))
            kinds = ["gray16le" if frame.format.components[0].bits > 8 else "gray" for frame in frames]
            shown = [number_of(f.to_ndarray(format=kind)) for f, kind in zip(frames, kinds, strict=True)]
            assert shown == numbers[result.start : result.end]
            assert [f.pts for f in frames] == pd.read_csv(f"{out}.frames.csv")["pts"].tolist()
    assert bool(refused) == (sample.name in REFUSED or sample.name == "vp8-alt-ref.mkv")
