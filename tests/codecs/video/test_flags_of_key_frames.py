"""Files that flag every packet as a key frame: what is in a packet says where decoding may begin."""

from pathlib import Path

import av
import numpy as np
import pytest
import video_samples

import imgstore
from imgstore_codecs.video.bitstream.key_frames import SeekPoint, seek_point

COUNT, GOP = 30, 8


def _flag_all(packets):
    for packet in packets:
        packet.is_keyframe = True
    return packets


def _encode(path: Path, codec: str, options: dict[str, str], **how: object) -> None:
    size = (288, 352) if codec == "h263" else (video_samples.HEIGHT, video_samples.WIDTH)
    video_samples.encode(path, range(COUNT), codec, options=options, gop=GOP, size=size, **how)


@pytest.mark.parametrize(
    ("codec", "extension", "options"),
    [
        ("mpeg4", "mp4", {}),
        ("mpeg4", "avi", {}),
        ("mpeg4", "mp4", {"bf": "2"}),
        ("msmpeg4", "avi", {}),
        ("mpeg2video", "mkv", {"bf": "2"}),
        ("libvpx-vp9", "mkv", {"deadline": "realtime", "cpu-used": "8"}),
    ],
)
def test_every_packet_flagged_as_a_key_frame(tmp_path, codec, extension, options):
    path = tmp_path / f"video.{extension}"
    _encode(path, codec, options, tweak=_flag_all)
    format = {"mp4": "avc1/mp4", "mkv": "h264/mkv", "avi": "mjpeg/avi"}[extension]
    shape = (video_samples.HEIGHT, video_samples.WIDTH)
    with imgstore.new_for_format(format, tmp_path / "store", imgshape=shape) as store:
        store.insert_chunk(path, range(COUNT), range(COUNT))
    with imgstore.new_for_filename(tmp_path / "store") as store:
        for k in np.random.default_rng(0).permutation(COUNT).tolist():
            assert video_samples.number_of(store.get_image(k)[0]) == k


@pytest.mark.parametrize(
    ("codec", "muxer"),
    [
        ("mpeg4", "avi"),
        ("mpeg2video", "avi"),
        ("mpeg1video", "avi"),
        ("h263", "avi"),
        ("h263p", "avi"),
        ("flv", "flv"),
        ("msmpeg4v2", "avi"),
        ("msmpeg4", "avi"),
        ("wmv1", "avi"),
        ("wmv2", "avi"),
        ("libvpx-vp9", "matroska"),
    ],
)
def test_intra_pictures_and_no_others_are_where_decoding_may_begin(tmp_path, codec, muxer):
    path = tmp_path / "video"
    speed = {"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx-vp9" else {}
    _encode(path, codec, speed, muxer=muxer)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        name, extradata = stream.codec_context.name, stream.codec_context.extradata
        may_begin, is_intra = [], []
        for packet in file.demux(stream):
            if packet.size:
                may_begin.append(seek_point(name, extradata, memoryview(packet)) is not SeekPoint.NONE)
            is_intra += [frame.pict_type == av.video.frame.PictureType.I for frame in packet.decode()]
    assert may_begin == is_intra
    assert 1 < sum(is_intra) < COUNT


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video", "h263", "flv", "msmpeg4", "wmv2", "theora", "svq1", "vp9"])
def test_decoding_does_not_begin_at_what_is_empty(codec):
    assert seek_point(codec, None, memoryview(b"")) is SeekPoint.NONE


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video", "h263", "flv", "svq1"])
def test_decoding_does_not_begin_at_what_is_cut_off(codec):
    for head in (b"\0\0\1\xb6", b"\0\0\1\0", b"\0\0\x80"):
        assert seek_point(codec, None, memoryview(head)[:3]) is SeekPoint.NONE
