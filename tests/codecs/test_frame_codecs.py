"""The codecs with a file per frame: npy, OpenCV's image formats, bloscpack. Files are checked against other readers."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import struct
import sys
import threading
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgstore.codec import Codec, Format, FrameCodec, FrameSpec
from imgstore.errors import ArgumentError, FormatError, FrameDecodeError
from imgstore_codecs import bloscpack, npy, opencv

try:
    import blosc
except ImportError:
    blosc = None

needs_blosc = pytest.mark.skipif(blosc is None, reason="needs the module blosc")

CODECS: dict[str, tuple[FrameCodec, Format]] = {
    fmt.name: (codec, fmt)
    for module in (npy, opencv, bloscpack)
    for codec in module.imgstore_codecs()
    for fmt in codec.formats
}
FORMATS = [pytest.param(name, marks=needs_blosc) if name == "bpk" else name for name in CODECS]
IMAGE_FORMATS = [fmt.name for fmt in opencv.OpenCVCodec.formats]


def encode(name: str, img: np.ndarray, **options: Any) -> np.ndarray:
    """The content of the file, as a store would read it back."""
    codec, fmt = CODECS[name]
    spec = FrameSpec(img.shape, img.dtype)
    codec.check_options(fmt, spec, options)
    buffers = codec.encoder(fmt, spec, options)(img.copy(order="C"))
    return as_file(b"".join(bytes(memoryview(buffer).cast("B")) for buffer in buffers))


def decode(name: str, data: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    codec, fmt = CODECS[name]
    return codec.decoder(fmt, FrameSpec(shape, np.dtype(dtype)))(data)


def as_file(content: bytes | bytearray) -> np.ndarray:
    return np.frombuffer(bytearray(content), np.uint8)


def scene(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> np.ndarray:
    """A noisy picture that uses all of an integer type's bits."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return (rng.standard_normal(shape) * 1e4).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, size=shape, dtype=dtype, endpoint=True)


def assert_same(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert got.tobytes() == expected.tobytes()


# --- all of them


def exact_cases() -> list[Any]:
    cases: list[Any] = []
    for name, (_, fmt) in CODECS.items():
        dtypes = fmt.dtypes or ("bool", "uint8", "int16", "uint32", "int64", "float16", "float32", "float64")
        for dtype in dtypes if fmt.lossless else ():
            colors = (False, True) if fmt.holds_color else (False,)
            marks = (needs_blosc,) if name == "bpk" else ()
            cases += [pytest.param(name, dtype, color, marks=marks) for color in colors]
    return cases


@pytest.mark.parametrize(("name", "dtype", "color"), exact_cases())
def test_lossless_formats_give_back_every_bit(name: str, dtype: str, color: bool) -> None:
    shape = (37, 53, 3) if color else (37, 53)
    img = scene(shape, dtype) if np.dtype(dtype).kind in "uif" else (scene(shape, "uint8") > 99).astype(dtype)
    data = encode(name, img)
    got = decode(name, data, shape, dtype)
    assert_same(got, img)
    assert got.flags.writeable and got.flags.c_contiguous and got.flags.aligned


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_listed_under_their_names(name: str) -> None:
    codec, fmt = CODECS[name]
    assert fmt.extension == "." + name
    assert codec.missing(fmt) is None
    assert codec.missing_for_reading(fmt) is None
    assert fmt.decoded_variant == (name in ("png", "tif", "bmp", "jpg"))
    assert codec.lossless(fmt, {}) == (name != "jpg")


def test_order_of_listing() -> None:
    assert IMAGE_FORMATS == ["png", "tif", "bmp", "jpg", "ppm", "pgm"]


@pytest.mark.parametrize("name", FORMATS)
def test_encoding_leaves_the_frame_alone_and_one_encoder_serves_threads(name: str) -> None:
    codec, fmt = CODECS[name]
    frames = [scene((40, 50), "uint8", seed) for seed in range(16)]
    originals = [frame.copy() for frame in frames]
    spec = FrameSpec((40, 50), np.dtype("uint8"))
    encoder, decoder = codec.encoder(fmt, spec, {}), codec.decoder(fmt, spec)
    wrong: list[int] = []

    def work(numbers: Sequence[int]) -> None:
        for _ in range(10):
            for n in numbers:
                data = as_file(b"".join(bytes(memoryview(b).cast("B")) for b in encoder(frames[n])))
                got = decoder(data)
                if not fmt.lossless:
                    if np.abs(got.astype(int) - originals[n]).mean() > 20:
                        wrong.append(n)
                elif not np.array_equal(got, originals[n]):
                    wrong.append(n)

    threads = [threading.Thread(target=work, args=(range(k, 16, 4),)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(np.array_equal(a, b) for a, b in zip(frames, originals, strict=True))


@pytest.mark.parametrize("name", FORMATS)
def test_truncated_at_every_byte_is_an_error(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    img = np.repeat(scene((12, 7), "uint8"), 2, axis=1)
    data = encode(name, img)
    codec, fmt = CODECS[name]
    for size in range(len(data)):
        decoder = codec.decoder(fmt, FrameSpec(img.shape, img.dtype))
        try:
            got = decoder(data[:size].copy())
        except FrameDecodeError as error:
            assert name in str(error).lower() or "TIFF" in str(error) or "JPEG" in str(error) or "Netpbm" in str(error)
        else:
            # a format may end with bytes that no reader needs; then the frame is nevertheless the right one
            assert_same(got, decode(name, data.copy(), img.shape, img.dtype))
    if name not in ("tif", "png"):  # libtiff and OpenCV's PNG reader have the last word there
        assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("color", [False, True])
def test_flipped_bytes_never_crash(name: str, color: bool) -> None:
    rng = np.random.default_rng(1)
    shape = (24, 32, 3) if color else (24, 32)
    data = encode(name, np.cumsum(scene(shape, "uint8") % 3, axis=1).astype(np.uint8))
    codec, fmt = CODECS[name]
    decoder = codec.decoder(fmt, FrameSpec(shape, np.dtype("uint8")))
    for _ in range(400):
        damaged = data.copy()
        where = rng.integers(0, len(data) if rng.random() < 0.5 else min(len(data), 80), size=rng.integers(1, 5))
        damaged[where] = rng.integers(0, 256, size=where.size)
        try:
            got = decoder(damaged)
        except FrameDecodeError:
            continue
        # where nothing in the file tells, another picture may come out, but never one of another size
        assert got.ndim <= 3 and (name in ("npy", "bpk") or got.shape == shape)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("other", [*FORMATS, "empty", "zeros", "text"])
def test_a_file_of_another_format_is_an_error(name: str, other: str) -> None:
    if name == other:
        return
    img = scene((16, 24), "uint8")
    content = {"empty": b"", "zeros": bytes(5000), "text": b"not an image\n" * 40}
    data = as_file(content[other]) if other in content else encode(other, img)
    with pytest.raises(FrameDecodeError):
        decode(name, data, img.shape, img.dtype)


@pytest.mark.parametrize("name", ["npy", "bpk"])
def test_python_objects_are_refused(name: str) -> None:
    codec, fmt = CODECS[name]
    spec = FrameSpec((2,), np.dtype(object))
    with pytest.raises(FormatError, match="pickled"):
        codec.check_options(fmt, spec, {})
    with pytest.raises(FormatError, match="pickled"):
        codec.encoder(fmt, spec, {})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("png", {"compression": 10}),
        ("png", {"compression": -1}),
        ("png", {"compression": True}),
        ("png", {"compression": "fast"}),
        ("png", {"compression": 2.5}),
        ("tif", {"compression": "jpeg"}),
        ("tif", {"compression": 5}),
        ("jpg", {"quality": 0}),
        ("jpg", {"quality": 101}),
        ("jpg", {"quality": None}),
        ("bpk", {"compressor": "gzip"}),
        ("bpk", {"compressor": ["lz4"]}),
        ("bpk", {"level": 10}),
        ("bpk", {"level": "9"}),
        ("bpk", {"shuffle": "yes"}),
        ("bpk", {"shuffle": 1}),
    ],
)
def test_options_that_cannot_be_are_refused(name: str, options: dict[str, Any]) -> None:
    codec, fmt = CODECS[name]
    (option,) = options
    assert option in codec.write_options(fmt)
    with pytest.raises(ArgumentError, match=option):
        codec.check_options(fmt, FrameSpec((4, 4), np.dtype("uint8")), options)


@pytest.mark.parametrize("name", ["npy", "bmp", "ppm", "pgm"])
def test_formats_without_options_name_none(name: str) -> None:
    codec, fmt = CODECS[name]
    assert codec.write_options(fmt) == {}


SAMPLES = ["dir-npy", "dir-npy-uint16", "dir-png", "dir-png-colour", "dir-bmp", "dir-tif", "dir-ppm", "dir-pgm"]
SAMPLES_BPK = [pytest.param(n, marks=needs_blosc) for n in ("dir-bpk", "dir-bpk-colour", "dir-bpk-float32")]


@pytest.mark.parametrize("name", [*SAMPLES, *SAMPLES_BPK])
def test_samples_read_as_expected(samples: Any, name: str) -> None:
    store = yaml.safe_load((samples / name / "metadata.yaml").read_text())["__store"]
    codec, fmt = CODECS[store["format"]]
    decoder = codec.decoder(fmt, FrameSpec(tuple(store["imgshape"]), np.dtype(store["imgdtype"])))
    files = sorted((samples / name).glob("0*/0*" + fmt.extension))
    hashes = [hashlib.sha256(decoder(np.fromfile(f, np.uint8)).tobytes()).hexdigest()[:16] for f in files]
    expected = json.loads((samples / f"{name}.expected.json").read_text())["frames"]
    assert hashes == [frame[3] for frame in expected]


# --- npy

ARRAYS = hnp.arrays(
    dtype=st.one_of(
        hnp.scalar_dtypes(),
        st.sampled_from(["S3", "U2", "M8[ns]", "m8[s]", "f2", "g", "G", ">i4", ">f8"]).map(np.dtype),
    ),
    shape=hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6),
)


@given(ARRAYS)
def test_npy_files_are_those_of_numpy(img: np.ndarray) -> None:
    stream = io.BytesIO()
    np.save(stream, img, allow_pickle=False)
    data = encode("npy", img)
    assert data.tobytes() == stream.getvalue()
    native = img.astype(img.dtype.newbyteorder("="))
    assert_same(decode("npy", data, img.shape, img.dtype), native)


@given(ARRAYS)
def test_npy_reads_fortran_order(img: np.ndarray) -> None:
    stream = io.BytesIO()
    np.save(stream, img.copy(order="F"), allow_pickle=False)
    got = decode("npy", as_file(stream.getvalue()), img.shape, img.dtype)
    assert_same(got, img.astype(img.dtype.newbyteorder("=")))
    assert got.flags.c_contiguous


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_reads_every_version(version: tuple[int, int]) -> None:
    img = scene((5, 6), "uint16")
    stream = io.BytesIO()
    np.lib.format.write_array(stream, img, version=version)
    assert_same(decode("npy", as_file(stream.getvalue()), img.shape, img.dtype), img)


def npy_file(header: str, samples: bytes = b"") -> np.ndarray:
    text = header.encode("latin1")
    return as_file(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + samples)


def test_npy_of_python_2_and_unaligned() -> None:
    # Python 2 on Windows wrote longs, and nothing says that the header must be padded
    data = npy_file("{'descr': '<u2', 'fortran_order': False, 'shape': (2L, 3L), }\n", bytes(range(12)))
    got = decode("npy", data, (2, 3), "<u2")
    assert_same(got, np.frombuffer(bytes(range(12)), "<u2").reshape(2, 3))
    assert got.flags.aligned and got.flags.writeable


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (2.0,), }",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (True,), }",
        "{'descr': '<u2', 'fortran_order': False, 'shape': [1], }",
        "{'descr': '<u2', 'fortran_order': 0, 'shape': (1,), }",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "{'descr': '<u2', 'fortran_order': False}",
        "{'descr': '<q9', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '|S0', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (4611686018427387903, 4), }",
        "{'descr': '<u2', 'fortran_order': False, 'shape': (100000, 100000), }",
        "__import__('os').system('touch pwned')",
        "[1, 2, 3]",
        "(" * 3000,
        "-" * 9000 + "1",
        "",
    ],
)
def test_npy_headers_that_cannot_be(header: str) -> None:
    with pytest.raises(FrameDecodeError):
        decode("npy", npy_file(header, bytes(64)), (1,), "<u2")


def test_npy_claiming_a_long_header_is_refused_unread() -> None:
    data = as_file(b"\x93NUMPY\x02\x00" + struct.pack("<I", 0xFFFFFFF0) + bytes(100))
    with pytest.raises(FrameDecodeError, match="header"):
        decode("npy", data, (1,), "u1")


def test_npy_frames_of_one_store_may_differ() -> None:
    # the decoder remembers the last header; it must notice another one
    codec, fmt = CODECS["npy"]
    decoder = codec.decoder(fmt, FrameSpec((4, 4), np.dtype("uint8")))
    for img in (scene((4, 4), "uint8"), scene((2, 8), "uint8"), scene((4, 4), "uint16"), scene((4, 4), "uint8", 3)):
        assert_same(decoder(encode("npy", img)), img)


def test_npy_frame_is_a_view_of_the_file() -> None:
    data = encode("npy", scene((4, 4), "uint8"))
    assert np.shares_memory(decode("npy", data, (4, 4), "uint8"), data)


# --- images


@pytest.mark.parametrize("name", IMAGE_FORMATS)
@pytest.mark.parametrize("color", [False, True])
def test_other_readers_see_the_same(name: str, color: bool, tmp_path: Any) -> None:
    img = scene((31, 45, 3) if color else (31, 45), "uint8")
    path = tmp_path / f"frame.{name}"
    encode(name, img).tofile(path)
    got = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if name == "jpg":
        assert_same(got, decode(name, np.fromfile(path, np.uint8), img.shape, "u1"))
    elif name == "ppm" and not color:
        assert_same(got, cv2.merge([img] * 3))
    elif name == "pgm" and color:
        assert_same(got, cv2.cvtColor(img, cv2.COLOR_BGR2GRAY))
    else:
        assert_same(got, img)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_gray_survives_a_colour_file_at_every_level(dtype: str) -> None:
    bits = np.dtype(dtype).itemsize * 8
    img = np.arange(2**bits, dtype=dtype).reshape(2 ** (bits // 2), -1)
    assert_same(decode("ppm", encode("ppm", img), img.shape, dtype), img)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colour_in_pgm_comes_back_as_three_equal_channels(dtype: str) -> None:
    img = scene((20, 30, 3), dtype)
    got = decode("pgm", encode("pgm", img), img.shape, dtype)
    assert_same(got, cv2.merge([cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)] * 3))


@pytest.mark.parametrize("name", ["png", "tif", "bmp", "jpg"])
def test_files_of_the_other_kind_are_converted(name: str) -> None:
    gray = cv2.GaussianBlur(scene((20, 30), "uint8"), (5, 5), 0)
    color = cv2.merge([gray] * 3)
    for stored, wanted in ((gray, color), (color, gray)):
        got = decode(name, encode(name, stored), wanted.shape, "uint8")
        assert got.shape == wanted.shape
        assert np.abs(got.astype(int) - wanted).max() <= (6 if name == "jpg" else 0)


def test_alpha_is_dropped() -> None:
    for dtype in ("uint8", "uint16"):
        img = scene((20, 30, 4), dtype)
        data = as_file(cv2.imencode(".png", img)[1].tobytes())
        assert_same(decode("png", data, (20, 30, 3), dtype), np.ascontiguousarray(img[:, :, :3]))


def test_exif_orientation_is_ignored() -> None:
    img = cv2.GaussianBlur(scene((20, 30, 3), "uint8"), (5, 5), 0)
    plain = encode("jpg", img)
    # an APP1 segment whose TIFF structure holds one entry: orientation (0x0112), short, 6 (turn right)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    turned = as_file(plain[:2].tobytes() + segment + plain[2:].tobytes())
    assert cv2.imdecode(turned, cv2.IMREAD_COLOR).shape == (30, 20, 3)  # OpenCV by itself obeys it
    assert_same(decode("jpg", turned, img.shape, "uint8"), decode("jpg", plain, img.shape, "uint8"))


@pytest.mark.parametrize("name", IMAGE_FORMATS)
def test_an_image_of_another_size_is_not_decoded(name: str) -> None:
    data = encode(name, scene((20, 30), "uint8"))
    with pytest.raises(FrameDecodeError, match="20 x 30, not 30 x 20"):
        decode(name, data, (30, 20), "uint8")


def test_an_image_of_another_depth_is_left_for_the_store_to_find() -> None:
    img = scene((20, 30), "uint16")
    assert decode("png", encode("png", img), img.shape, "uint8").dtype == np.uint16


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "packbits"])
@pytest.mark.parametrize("color", [False, True])
def test_tif_compressions_are_exact(dtype: str, compression: str, color: bool) -> None:
    img = scene((33, 20, 3) if color else (33, 20), dtype)
    assert_same(decode("tif", encode("tif", img, compression=compression), img.shape, dtype), img)


def test_tif_compression_is_what_was_asked_for() -> None:
    flat = np.zeros((200, 200), np.uint8)
    sizes = {name: encode("tif", flat, compression=name).size for name in opencv.TIFF_COMPRESSIONS}
    assert sizes["none"] > flat.size > 10 * max(sizes["lzw"], sizes["deflate"], sizes["packbits"])
    assert sizes["lzw"] == encode("tif", flat).size


def test_png_compression_is_obeyed() -> None:
    img = np.add.outer(np.arange(100), np.arange(120)).astype(np.uint8)
    none, best = encode("png", img, compression=0), encode("png", img, compression=np.int64(9))
    assert none.size > img.size > 4 * best.size
    assert_same(decode("png", best, img.shape, "uint8"), img)


def test_jpg_quality_is_obeyed() -> None:
    img = scene((64, 64), "uint8")
    sizes = [encode("jpg", img, quality=q).size for q in (1, 50, 95, 100)]
    assert sizes == sorted(set(sizes))
    assert encode("jpg", img).size == sizes[2]


@pytest.mark.parametrize(("name", "shape"), [("jpg", (65_501, 1)), ("png", (2**20 + 1, 1)), ("bmp", (32768, 32769))])
def test_images_too_large_for_the_format_are_refused(name: str, shape: tuple[int, int]) -> None:
    codec, fmt = CODECS[name]
    with pytest.raises(FormatError, match="at most"):
        codec.check_options(fmt, FrameSpec(shape, np.dtype("uint8")), {})


def test_sizes_are_read_from_other_writers_files() -> None:
    assert image_size("tif", b"MM\0*" + struct.pack(">IHHHIIHHIHH", 8, 2, 256, 3, 1, 640 << 16, 257, 3, 1, 480, 0)) == (
        480,
        640,
    )
    big = b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2)
    big += struct.pack("<HHQQ", 256, 4, 1, 640) + struct.pack("<HHQQ", 257, 16, 1, 480)
    assert image_size("tif", big) == (480, 640)
    assert image_size("pgm", b"P5\n# by a camera\n3 2\n# again\n255\n" + bytes(6)) == (2, 3)
    assert image_size("pgm", b"P5 3 2 65535\n" + bytes(12)) == (2, 3)
    top_down = struct.pack("<2sIHHIIiiHHI", b"BM", 0, 0, 0, 54, 40, 4, -2, 1, 24, 0) + bytes(20 + 24)
    assert image_size("bmp", top_down) == (2, 4)
    progressive = cv2.imencode(".jpg", np.zeros((20, 30), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert image_size("jpg", progressive + bytes(13)) == (20, 30)


def image_size(name: str, content: bytes) -> tuple[int, int]:
    from imgstore_codecs.image_size import image_size

    return image_size("." + name, as_file(content))


@pytest.mark.parametrize("name", ["pgm", "ppm"])
@pytest.mark.parametrize("header", [b"\n" * 4000, b" #\n" * 1000, b"#\n" * 2000, b" \t" * 2000 + b"1"])
def test_a_header_of_blanks_is_an_error_at_once(name: str, header: bytes) -> None:
    """The time of it doubled with each blank: with thirty there was no answer."""
    magic = b"P5" if name == "pgm" else b"P6"
    with pytest.raises(FrameDecodeError, match="binary P"):
        decode(name, as_file(magic + header + b"x" + bytes(100)), (4, 4), "uint8")


BLANK = st.text(" \t\r\n", min_size=1, max_size=3) | st.from_regex(r"#[a-z0-9 #]*[\r\n]", fullmatch=True)


@given(st.lists(st.lists(BLANK, min_size=1, max_size=3).map("".join), min_size=3, max_size=3))
def test_headers_of_netpbm_have_blanks_and_comments(between: list[str]) -> None:
    header = "P5" + "".join(blank + number for blank, number in zip(between, ("4", "3", "255"), strict=True)) + "\n"
    assert image_size("pgm", header.encode() + bytes(12)) == (3, 4)


def test_a_jpeg_of_a_thousand_scans_is_an_error() -> None:
    """Each makes the decoder go through the whole image once more."""
    img = scene((64, 64), "uint8")
    content = cv2.imencode(".jpg", img, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    first = content.index(b"\xff\xda")
    scan = content[first : first + 2 + content[first + 3]]
    assert image_size("jpg", content) == (64, 64)
    with pytest.raises(FrameDecodeError, match="scans"):
        decode("jpg", as_file(content[:-2] + scan * 1000 + content[-2:]), (64, 64), "uint8")


def test_a_tiff_of_tiles_larger_than_memory_is_an_error() -> None:
    tags = [
        (256, 64),
        (257, 48),
        (258, 8),
        (259, 1),
        (262, 1),
        (277, 1),
        (322, 1 << 15),
        (323, 1 << 15),
        (324, 300),
        (325, 9),
    ]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    content = b"II*\0" + struct.pack("<I", 8) + directory + bytes(500)
    with pytest.raises(FrameDecodeError, match="tiles"):
        decode("tif", as_file(content), (48, 64), "uint8")


def test_missing_opencv_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    codec, fmt = CODECS["png"]
    assert "pip install opencv-python" in (codec.missing(fmt) or "")


# --- bloscpack

CHECKSUMS: list[Callable[[bytes], bytes]] = [
    lambda b: b"",
    lambda b: struct.pack("<I", zlib.adler32(b)),
    lambda b: struct.pack("<I", zlib.crc32(b)),
    lambda b: hashlib.md5(b).digest(),
    lambda b: hashlib.sha1(b).digest(),
    lambda b: hashlib.sha224(b).digest(),
    lambda b: hashlib.sha256(b).digest(),
    lambda b: hashlib.sha384(b).digest(),
    lambda b: hashlib.sha512(b).digest(),
]


BPK_HEADER = "<4sBBBBiiqq"
BPK_FIELDS = ("magic", "version", "options", "checksum", "typesize", "chunk", "last", "count", "room")


def bpk_file(
    img: np.ndarray,
    *,
    metadata: Any = None,
    checksum: int = 1,
    meta_checksum: int = 1,
    compressed_metadata: bool = True,
    offsets: bool = True,
    room: int = 30,
    chunk_size: int = 1000,
    cname: str = "blosclz",
    level: int = 7,
    corrupt: Callable[[bytearray], None] = lambda chunk: None,
) -> np.ndarray:
    """A file put together from the format's description, with everything that bloscpack leaves to choose."""
    samples = np.ascontiguousarray(img).tobytes()
    chunks = [samples[k : k + chunk_size] for k in range(0, len(samples), chunk_size)] or [b""]
    if metadata is None:
        metadata = {
            "dtype": repr(np.lib.format.dtype_to_descr(img.dtype)),
            "shape": list(img.shape),
            "order": "C",
            "container": "numpy",
        }
    text = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    stored = zlib.compress(text) if compressed_metadata else text
    out = bytearray(
        struct.pack(
            BPK_HEADER,
            b"blpk",
            3,
            (1 if offsets else 0) | 2,
            checksum,
            min(img.dtype.itemsize, 255),
            len(chunks[0]),
            len(chunks[-1]),
            len(chunks),
            room if offsets else 0,
        )
    )
    allocated = 10 * len(stored)
    out += struct.pack(
        "<8sBBBBIII8s", b"JSON", 0, meta_checksum, int(compressed_metadata), 6, len(text), allocated, len(stored), b""
    )
    out += stored + bytes(allocated - len(stored)) + CHECKSUMS[meta_checksum](stored)
    if offsets:
        out += struct.pack("<q", -1) * (len(chunks) + room)  # unknown: allowed, for writers that were interrupted
    for chunk in chunks:
        packed = bytearray(blosc.compress(chunk, img.dtype.itemsize, level, blosc.SHUFFLE, cname))
        corrupt(packed)
        out += packed + CHECKSUMS[checksum](bytes(packed))
    return as_file(out)


@needs_blosc
@given(ARRAYS, st.sampled_from(bloscpack._COMPRESSORS), st.integers(0, 9), st.sampled_from(sorted(bloscpack._SHUFFLES)))
def test_bpk_round_trip(img: np.ndarray, compressor: str, level: int, shuffle: str) -> None:
    data = encode("bpk", img, compressor=compressor, level=level, shuffle=shuffle)
    assert_same(decode("bpk", data, img.shape, img.dtype), img.astype(img.dtype.newbyteorder("=")))


@needs_blosc
@pytest.mark.parametrize("checksum", range(9))
@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize("level", [0, 7])
def test_bpk_of_other_writers(checksum: int, offsets: bool, level: int) -> None:
    img = scene((40, 50), "uint16") & 0xFF
    data = bpk_file(
        img,
        checksum=checksum,
        meta_checksum=8 - checksum,
        compressed_metadata=offsets,
        offsets=offsets,
        level=level,
        cname="lz4",
    )
    assert_same(decode("bpk", data, img.shape, img.dtype), img)


@needs_blosc
@pytest.mark.parametrize("checksum", range(1, 9))
def test_bpk_checksums_are_verified(checksum: int) -> None:
    img = scene((40, 50), "uint8")
    data = bpk_file(img, checksum=checksum, meta_checksum=checksum, level=0)
    data[-100] ^= 1  # a sample: without checksums nobody would notice
    with pytest.raises(FrameDecodeError, match="checksum"):
        decode("bpk", data, img.shape, img.dtype)
    data[-100] ^= 1
    data[70] ^= 1
    with pytest.raises(FrameDecodeError, match="metadata has another"):
        decode("bpk", data, img.shape, img.dtype)


@needs_blosc
def test_bpk_fortran_order_and_byte_order() -> None:
    img = scene((5, 7, 3), "uint16")
    metadata = {"dtype": "'>u2'", "shape": [5, 7, 3], "order": "F", "container": "numpy"}
    data = bpk_file(np.ascontiguousarray(img.transpose().astype(">u2")), metadata=metadata)
    got = decode("bpk", data, img.shape, img.dtype)
    assert_same(got, img)
    assert got.flags.c_contiguous


@needs_blosc
def test_bpk_writes_several_chunks_of_large_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bloscpack, "_CHUNK_SIZE", 1000)
    for dtype in ("uint8", "float64", "S3", "U99"):
        for size in (0, 1, 999, 1000, 1001, 5000):
            img = (np.arange(size) % 90).astype(dtype)
            data = encode("bpk", img)
            whole = 1000 // img.dtype.itemsize
            assert struct.unpack_from("<q", data, 16)[0] == max(1, -(-size // whole))
            assert_same(decode("bpk", data, img.shape, img.dtype), img)


@needs_blosc
def test_bpk_offsets_point_at_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bloscpack, "_CHUNK_SIZE", 1000)
    img = np.arange(4500, dtype=np.uint16)
    data = encode("bpk", img)
    count, room = struct.unpack_from("<qq", data, 16)
    (allocated,) = struct.unpack_from("<I", data, 32 + 16)
    offsets = struct.unpack_from(f"<{count}q", data, 64 + allocated + 4)
    assert (count, room) == (9, 0)
    for number, offset in enumerate(offsets):
        stored_size = struct.unpack_from("<I", data, offset + 12)[0]
        chunk = data[offset : offset + stored_size].tobytes()
        assert blosc.decompress(chunk) == img[500 * number : 500 * number + 500].tobytes()
        assert struct.unpack_from("<I", data, offset + stored_size)[0] == zlib.adler32(chunk)
    assert offsets[-1] + stored_size + 4 == data.size


@needs_blosc
@pytest.mark.parametrize(
    "metadata",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 30000,
        {"dtype": "'|O'", "shape": [9], "order": "C", "container": "numpy"},
        {"dtype": "[('a', '|O')]", "shape": [9], "order": "C", "container": "numpy"},
        {"dtype": "__import__('os').getcwd()", "shape": [9], "order": "C", "container": "numpy"},
        {"dtype": "'|u1'", "shape": [-9], "order": "C", "container": "numpy"},
        {"dtype": "'|u1'", "shape": [9.0], "order": "C", "container": "numpy"},
        {"dtype": "'|u1'", "shape": 9, "order": "C", "container": "numpy"},
        {"dtype": "'|u1'", "shape": [9], "order": "A", "container": "numpy"},
        {"dtype": "'|u1'", "shape": [9], "order": "C", "container": "list"},
        {"dtype": ["<u1"], "shape": [9], "order": "C", "container": "numpy"},
        {"dtype": "'|u1'", "shape": [10], "order": "C", "container": "numpy"},
        {"dtype": "'|u1'", "shape": [2**61, 2**61], "order": "C", "container": "numpy"},
        {"dtype": "'|V0'", "shape": [9], "order": "C", "container": "numpy"},
    ],
)
def test_bpk_metadata_that_cannot_be(metadata: Any) -> None:
    with pytest.raises(FrameDecodeError):
        decode("bpk", bpk_file(np.arange(9, dtype=np.uint8), metadata=metadata), (9,), "uint8")


@needs_blosc
@pytest.mark.parametrize(
    "header",
    [
        {"version": 2},
        {"version": 4},
        {"options": 1},
        {"checksum": 9},
        {"count": -1},
        {"count": 0},
        {"count": 2},
        {"count": 2**62},
        {"room": -1},
        {"room": 2**62},
        {"chunk": -1},
        {"last": -1},
        {"last": 2**31 - 1},
        {"chunk": 2**31 - 1, "last": 2**31 - 1},
    ],
)
def test_bpk_headers_that_cannot_be(header: dict[str, int]) -> None:
    img = np.arange(9, dtype=np.uint8)
    data = bpk_file(img)
    assert_same(decode("bpk", data, img.shape, img.dtype), img)
    fields = dict(zip(BPK_FIELDS, struct.unpack_from(BPK_HEADER, data), strict=True))
    struct.pack_into(BPK_HEADER, data, 0, *{**fields, **header}.values())
    with pytest.raises(FrameDecodeError):
        decode("bpk", data, img.shape, img.dtype)


@needs_blosc
@pytest.mark.parametrize("shape", [(10, 9), (9, 10), (91,)])
def test_bpk_frames_larger_than_the_stores_are_not_decompressed(shape: tuple[int, ...]) -> None:
    img = scene(shape, "uint8")
    with pytest.raises(FrameDecodeError, match="larger than the frames of the store: uint8 of shape \\(9, 9\\)"):
        decode("bpk", encode("bpk", img), (9, 9), "uint8")


@needs_blosc
def test_bpk_metadata_does_not_inflate_without_end() -> None:
    img = np.arange(9, dtype=np.uint8)
    text = json.dumps({"dtype": "'|u1'", "shape": [9], "order": "C", "container": "numpy"}).encode()
    with pytest.raises(FrameDecodeError):
        decode("bpk", bpk_file(img, metadata=text + b" " * 10_000_000), (9,), "uint8")
    data = bpk_file(img, metadata=text + b" " * 10_000_000)
    struct.pack_into("<I", data, 32 + 12, 100)  # that understates its size
    with pytest.raises(FrameDecodeError, match="another size"):
        decode("bpk", data, (9,), "uint8")


@needs_blosc
@pytest.mark.parametrize("compressor", bloscpack._COMPRESSORS)
def test_bpk_chunks_damaged_under_a_right_checksum_never_crash(compressor: str) -> None:
    # what a checksum cannot tell: the file was written so; blosc is C, and believes what chunks say
    img = np.cumsum(scene((100, 90), "uint16") % 3, axis=1).astype(np.uint16)
    rng = np.random.default_rng(7)
    codec, fmt = CODECS["bpk"]
    decoder = codec.decoder(fmt, FrameSpec(img.shape, img.dtype))
    outcomes = {"frame": 0, "error": 0}

    def damage(chunk: bytearray) -> None:
        for _ in range(rng.integers(1, 5)):
            at = rng.integers(len(chunk) if rng.random() < 0.6 else 40)
            chunk[at] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])

    for _ in range(600):
        try:
            got = decoder(bpk_file(img, corrupt=damage, chunk_size=1 << 20, cname=compressor, checksum=rng.integers(9)))
        except FrameDecodeError:
            outcomes["error"] += 1
        else:
            assert got.shape == img.shape and got.dtype == img.dtype
            outcomes["frame"] += 1
    assert outcomes["error"] > 50


@needs_blosc
def test_bpk_compresses() -> None:
    flat = np.zeros((500, 500), np.uint8)
    assert encode("bpk", flat).size < 2000
    assert encode("bpk", flat, level=0).size > flat.size


def _encode_in_child(img: np.ndarray, result: Any) -> None:
    data = encode("bpk", img)
    assert_same(decode("bpk", data, img.shape, img.dtype), img)
    result.put(bytes(data))


@needs_blosc
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork in a process with threads, which is what is tested
def test_bpk_works_in_a_forked_child_after_use_in_the_parent() -> None:
    # blosc keeps threads, which do not survive a fork
    img = np.arange(2_000_000, dtype=np.uint32).reshape(1000, 2000)
    assert_same(decode("bpk", encode("bpk", img), img.shape, img.dtype), img)
    context = multiprocessing.get_context("fork")
    result = context.Queue()
    child = context.Process(target=_encode_in_child, args=(img, result))
    child.start()
    try:
        assert_same(decode("bpk", as_file(result.get(timeout=60)), img.shape, img.dtype), img)
        child.join(60)
        assert child.exitcode == 0
    finally:
        if child.is_alive():
            child.kill()


def test_missing_blosc_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "blosc", None)
    codec: Codec
    codec, fmt = CODECS["bpk"]
    assert "pip install imgstore[bloscpack]" in (codec.missing(fmt) or "")
