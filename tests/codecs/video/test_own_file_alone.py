"""A store opens its own files and no others, whatever is in them and whatever they are called."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from mp4_boxes import box
from video_samples import HEIGHT, WIDTH, encode, number_of

from imgstore.codec import FrameSpec
from imgstore.errors import ChunkError
from imgstore_codecs.opencv_video import OpenCVVideoCodec
from imgstore_codecs.video.codec import PyAVCodec

GRAY = FrameSpec((HEIGHT, WIDTH), np.dtype(np.uint8))
CODECS = {"pyav": PyAVCodec, "opencv": OpenCVVideoCodec}

PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\n{}\n#EXT-X-ENDLIST\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" '
    'type="static" mediaPresentationDuration="PT5S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
    'bandwidth="1" width="192" height="128"><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>'
)
SESSION = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 96\r\n"
TEXTS = {
    "a list of files": "ffconcat version 1.0\nfile '{}'\n",
    "a playlist": PLAYLIST,
    "a playlist of addresses": PLAYLIST.replace("{}", "http://127.0.0.1:9/x.mp4"),
    "a manifest": DASH,
    "a session": SESSION,
    "a redirection": "[Reference]\r\nRef1=http://127.0.0.1:9/x\r\n",
    "a text": "{}\n" * 500,
}
EXTENSIONS = [".mp4", ".mkv", ".avi", ".m3u8", ".mpd", ".sdp", ".ffconcat", ".txt", ".ts"]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that is none of the store's."""
    path = tmp_path_factory.mktemp("other") / "other.mp4"
    encode(path, range(5))
    return path


def with_external_data(path: Path, other: Path) -> None:
    """Let an MP4 say that its data are in another file, by an alias as QuickTime has it, and have none itself."""
    data = other.read_bytes()
    name, parts = other.name.encode(), b""
    for kind, text in ((0, other.parent.name.encode()), (2, b"disk" + os.fsencode(other).replace(b"/", b":"))):
        parts += struct.pack(">HH", kind, len(text)) + text + bytes(len(text) % 2)
    alias = bytes(10) + b"\4disk" + bytes(23) + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    reference = box(b"alis", bytes(4) + alias + struct.pack(">HH", 1, 1) + bytes(16) + parts + b"\xff\xff\0\0")
    at = data.index(b"url \0\0\0\1") - 4
    moov = data.index(b"moov") - 4
    grown = bytearray(data[:at] + reference + data[at + 12 :])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        place = grown.index(kind, moov) - 4
        (size,) = struct.unpack_from(">I", grown, place)
        struct.pack_into(">I", grown, place, size + len(reference) - 12)
    path.write_bytes(grown)


def candidates(directory: Path, other: Path) -> list[Path]:
    """Write files that lead to another one, or to an address."""
    shutil.copy(other, directory / "beside.mp4")
    paths = []
    for k, text in enumerate(TEXTS.values()):
        for extension in EXTENSIONS:
            for target in (str(other), f"file:{other}", "beside.mp4"):
                path = directory / f"{len(paths):04}-{k}{extension}"
                path.write_text(text.replace("{}", target))
                paths.append(path)
    external = directory / "external.mp4"
    with_external_data(external, other)
    # what looks like a container to begin with, and like a manifest further on
    for name, head in (
        ("riff.avi", b"RIFF\1\1\1\1AVI "),
        ("box.mp4", b"\1\1\1\1free"),
        ("ebml.mkv", b"\x1aE\xdf\xa3\1\1"),
    ):
        (directory / name).write_bytes(head + DASH.replace("{}", str(other)).encode())
        paths.append(directory / name)
    return [*paths, external]


OPEN = """
import sys
import imgstore
from imgstore.errors import ImgStoreError
for path in sys.stdin.read().splitlines():
    try:
        store = imgstore.open(path, cache=False)
    except ImgStoreError:
        continue
    for k in range(len(store)):
        try:
            store.get_image(frame_index=k)
        except ImgStoreError:
            continue
        sys.exit(f"{path} gives a frame")
"""

READ = """
import sys
import numpy as np
from imgstore.codec import FrameSpec
from imgstore.errors import ChunkError, FrameDecodeError
from imgstore_codecs.{module} import {name} as Codec
codec = Codec()
for path in sys.stdin.read().splitlines():
    try:
        reader = codec.open_reader(path, codec.formats[0], FrameSpec(({height}, {width}), np.dtype("uint8")), {{}})
    except ChunkError:
        continue
    for k in range(3):
        try:
            reader.read(k)
        except (FrameDecodeError, IndexError):
            continue
        sys.exit(f"{{path}} gives a frame")
"""


@pytest.mark.parametrize("backend", [*CODECS, "imgstore.open"])
def test_no_other_file_is_opened(tmp_path: Path, other: Path, backend: str) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs the program strace")
    paths = candidates(tmp_path, other)
    script = OPEN
    if backend in CODECS:
        codec = CODECS[backend]
        script = READ.format(module=codec.__module__.partition(".")[2], name=codec.__name__, height=HEIGHT, width=WIDTH)
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=openat,open,connect,socket,bind", "-o", str(trace)]
    result = subprocess.run(
        [*command, sys.executable, "-c", script],
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    calls = trace.read_text(errors="replace").splitlines()
    own = [call for call in calls if str(tmp_path) in call and "beside.mp4" not in call]
    assert len({call.partition('"')[2].partition('"')[0] for call in own}) == len(paths)
    assert [call for call in calls if "other.mp4" in call or "beside.mp4" in call or "AF_INET" in call] == []


@pytest.mark.parametrize("backend", CODECS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_an_error_that_names_the_file(tmp_path: Path, other: Path, backend: str, text: str) -> None:
    path = tmp_path / "chunk.mp4"
    path.write_text(TEXTS[text].replace("{}", str(other)))
    codec = CODECS[backend]()
    with pytest.raises(ChunkError, match=r"chunk\.mp4|MP4"):
        codec.open_reader(str(path), codec.formats[0], GRAY, {})


@pytest.mark.parametrize("backend", CODECS)
@pytest.mark.parametrize(
    "name", ["12:30:00.mp4", "http://x.mp4", "concat:a|b.mp4", "a,b;c.mkv", "ü.avi", b"caf\xe9.mp4"]
)
def test_a_name_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, name: str | bytes) -> None:
    """Whatever is in it, also where the path is a relative one."""
    if sys.platform == "win32":
        pytest.skip("needs names that Windows does not have")
    if isinstance(name, bytes):
        if sys.platform != "linux":
            pytest.skip("needs names that are no text, as Linux has them")
        name = os.fsdecode(name)
    monkeypatch.chdir(tmp_path)
    plain = tmp_path / f"plain{os.path.splitext(name)[1]}"
    encode(plain, range(12), options={"tune": "zerolatency"})
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    os.rename(plain, name)
    codec = CODECS[backend]()
    if backend == "opencv" and name == "caf\udce9.mp4":
        with pytest.raises(ChunkError, match="no text"):
            codec.open_reader(name, codec.formats[0], GRAY, {})
        return
    reader = codec.open_reader(name, codec.formats[0], GRAY, {})
    assert [number_of(reader.read(k)) for k in (0, 7, 3)] == [0, 7, 3]
    reader.close()


@pytest.mark.parametrize("name", ["clip.mkv", "clip.avi", "clip.mp4", "clip.mov", "clip.ts", "clip.mpg", "clip.webm", "clip.ogv",
                                  "clip.nut", "clip.wmv", "clip.flv"])  # fmt: skip
def test_what_a_store_may_hold(tmp_path: Path, name: str) -> None:
    """Files of every kind that cameras and programs write, which name no others."""
    codec = {".mpg": "mpeg2video", ".webm": "libvpx-vp9", ".ogv": "libvpx", ".wmv": "wmv2", ".flv": "flv"}.get(
        os.path.splitext(name)[1], "mpeg4"
    )
    try:
        av.codec.Codec(codec, "w")
    except ValueError:
        pytest.skip(f"needs an encoder {codec}")
    encode(tmp_path / name, range(12), codec)
    reader = PyAVCodec().open_reader(str(tmp_path / name), PyAVCodec.formats[0], GRAY, {})
    assert [number_of(reader.read(k)) for k in (0, 7, 3, 11)] == [0, 7, 3, 11]
    reader.close()
