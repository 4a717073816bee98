"""The compiled conversion of planes: every level as the equations have it, whatever the sizes."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgstore_codecs.video.pixels._yuv import Helper, bgr_to_yuv, limited_luma_to_gray, yuv_to_bgr

MATRICES = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "240m": (0.212, 0.087), "2020": (0.2627, 0.0593)}
# 32 pixels at a time where the processor can do that, the rest one by one
WIDTHS = st.one_of(st.integers(1, 70), st.sampled_from([95, 96, 97, 128, 200]))


def make_planes(height: int, width: int, halved: bool, padding: int, seed: int) -> tuple[np.ndarray, ...]:
    """Planes of all levels, with padding at the end of their rows as decoders have it."""
    rng = np.random.default_rng(seed)
    rows, columns = (height + 1) // 2 if halved else height, (width + 1) // 2
    shapes = ((height, width), (rows, columns), (rows, columns))
    return tuple(rng.integers(0, 256, (h, w + padding)).astype(np.uint8)[:, :w] for h, w in shapes)


def between(count: int, samples: int, offset: float) -> np.ndarray:
    """Weights of samples, of which there is one for two places, at each place; the ends go on beyond themselves.

    At the third place one is left out, as swscale does.
    """
    weights = np.zeros((count, samples))
    for place in range(count):
        where = (place - offset) / 2
        for k in range(math.floor(where) - 1, math.floor(where) + 3):
            d = abs(where - k)
            weight = 1.4 * d**3 - 2.4 * d**2 + 1 if d < 1 else -0.6 * d**3 + 3 * d**2 - 4.8 * d + 2.4
            if place != 2 or k >= 0:
                weights[place, min(max(k, 0), samples - 1)] += weight
        weights[place] /= weights[place].sum()
    return weights


def by_the_equations(
    luma: np.ndarray, cb: np.ndarray, cr: np.ndarray, red: float, blue: float, limited: bool, centered: bool
) -> np.ndarray:
    height, width = luma.shape
    black, luma_levels, chroma_levels = (16, 219, 224) if limited else (0, 255, 255)
    y = (luma.astype(float) - black) / luma_levels
    rows = between(height, len(cb), 0.5) if len(cb) != height else np.eye(height)
    columns = between(width, cb.shape[1], 0.5 if centered else 0)
    # swscale goes from column to column first, and what it keeps in between ends at 255.99
    pb, pr = ((rows @ np.minimum(c @ columns.T, 32767 / 128) - 128) / chroma_levels for c in (cb, cr))
    r = y + 2 * (1 - red) * pr
    b = y + 2 * (1 - blue) * pb
    g = (y - red * r - blue * b) / (1 - red - blue)
    return (np.stack([b, g, r], axis=-1) * 255).clip(0, 255)


def to_bgr(planes: tuple[np.ndarray, ...], out: np.ndarray, matrix: str, limited: bool, centered: bool) -> None:
    yuv_to_bgr(*planes, out, *MATRICES[matrix], limited, centered)


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
@given(st.integers(1, 9), WIDTHS, st.booleans(), st.booleans(), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_bgr_is_within_a_level(
    matrix: str, limited: bool, height: int, width: int, halved: bool, centered: bool, padding: int, seed: int
) -> None:
    planes = make_planes(height, width, halved, padding, seed)
    out = np.full((height + 2, width, 3), 77, np.uint8)
    to_bgr(planes, out[1:-1], matrix, limited, centered)
    assert np.abs(out[1:-1] - by_the_equations(*planes, *MATRICES[matrix], limited, centered)).max() <= 0.7
    assert (out[[0, -1]] == 77).all()


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_chroma_that_goes_from_end_to_end(matrix: str, limited: bool) -> None:
    """What is interpolated is beyond the ends then: nothing may wrap around."""
    rng = np.random.default_rng(6)
    luma = rng.integers(0, 256, (64, 96)).astype(np.uint8)
    cb, cr = (rng.choice([0, 255], (32, 48)).astype(np.uint8) for _ in range(2))
    for centered in (False, True):
        out = np.empty((64, 96, 3), np.uint8)
        to_bgr((luma, cb, cr), out, matrix, limited, centered)
        exact = by_the_equations(luma, cb, cr, *MATRICES[matrix], limited, centered)
        assert np.abs(out - exact).max() <= 0.7


@pytest.mark.parametrize("limited", [False, True])
def test_every_level_of_luma_with_every_one_of_chroma(limited: bool) -> None:
    levels = np.arange(256, dtype=np.uint8)
    luma = np.repeat(np.tile(levels, (256, 1)), 2, axis=1)
    cb = np.tile(levels[:, np.newaxis], (1, 256))
    for cr in (cb, cb[::-1], np.full_like(cb, 128), np.tile(levels, (256, 1))):
        out = np.empty((256, 512, 3), np.uint8)
        to_bgr((luma, cb, cr), out, "709", limited, False)
        assert np.abs(out - by_the_equations(luma, cb, cr, *MATRICES["709"], limited, False)).max() <= 0.7


@contextmanager
def helpers_at_work(count: int) -> Iterator[list[Helper]]:
    helpers = [Helper() for _ in range(count)]
    threads = [threading.Thread(target=helper.serve, daemon=True) for helper in helpers]
    for thread in threads:
        thread.start()
    yield helpers
    for helper, thread in zip(helpers, threads, strict=True):
        helper.dismiss()
        thread.join()


def test_rows_do_not_depend_on_who_converts_them_and_how_many_at_a_time() -> None:
    with helpers_at_work(3) as helpers:

        @given(
            st.integers(1, 80),
            WIDTHS,
            st.booleans(),
            st.booleans(),
            st.integers(0, 85),
            st.integers(0, 3),
            st.booleans(),
        )
        def check(height: int, width: int, halved: bool, centered: bool, part: int, count: int, woken: bool) -> None:
            planes = make_planes(height, width, halved, 0, 1)
            whole, parts = (np.full((height, width, 3), fill, np.uint8) for fill in (0, 77))
            to_bgr(planes, whole, "601", True, centered)
            if woken:
                for helper in helpers:
                    helper.wake()
            yuv_to_bgr(*planes, parts, *MATRICES["601"], True, centered, helpers[:count], part)
            np.testing.assert_array_equal(parts, whole)

        check()


@pytest.mark.skipif(
    (os.cpu_count() or 1) < 2, reason="there is one core: who asks may convert all before a helper runs"
)
def test_helpers_take_their_share() -> None:
    planes = make_planes(2000, 2000, True, 0, 1)
    out = np.empty((2000, 2000, 3), np.uint8)

    def time_used(convert: Callable[[], None]) -> float:
        begin = time.thread_time()
        convert()
        return time.thread_time() - begin

    alone = min(time_used(partial(to_bgr, planes, out, "601", True, False)) for _ in range(10))
    with helpers_at_work(1) as helpers:
        convert = partial(yuv_to_bgr, *planes, out, *MATRICES["601"], True, False, helpers, 5)
        deadline = time.monotonic() + 60  # others may use the cores
        while time_used(convert) > 0.8 * alone:
            assert time.monotonic() < deadline


def test_a_helper_without_a_thread_is_not_waited_for() -> None:
    planes = make_planes(100, 96, True, 0, 1)
    whole, out = np.empty((100, 96, 3), np.uint8), np.empty((100, 96, 3), np.uint8)
    to_bgr(planes, whole, "601", True, False)
    idle, gone = Helper(), Helper()
    thread = threading.Thread(target=gone.serve, daemon=True)
    thread.start()
    gone.dismiss()
    thread.join()
    idle.wake()
    yuv_to_bgr(*planes, out, *MATRICES["601"], True, False, [idle, gone], 4)
    np.testing.assert_array_equal(out, whole)
    idle.dismiss()
    idle.serve()  # comes too late, and returns
    out[:] = 77
    yuv_to_bgr(*planes, out, *MATRICES["601"], True, False, [idle, gone], 4)
    np.testing.assert_array_equal(out, whole)
    with pytest.raises(TypeError):
        yuv_to_bgr(*planes, out, *MATRICES["601"], True, False, [gone, "another"], 4)


def test_a_helper_that_is_woken_waits_for_as_long_as_it_takes() -> None:
    planes = make_planes(100, 96, True, 0, 1)
    whole, out = np.empty((100, 96, 3), np.uint8), np.empty((100, 96, 3), np.uint8)
    to_bgr(planes, whole, "601", True, False)
    with helpers_at_work(2) as helpers:
        for pause in (0.0, 0.05, 0.0):
            for helper in helpers:
                helper.wake()
                helper.wake()
            time.sleep(pause)
            out[:] = 77
            yuv_to_bgr(*planes, out, *MATRICES["601"], True, False, helpers, 4)
            np.testing.assert_array_equal(out, whole)
        helpers[0].wake()  # and is dismissed then


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("width", [1312, 1302])
@pytest.mark.parametrize("offset", [0, 1, 16, 32])
def test_large_pictures_are_as_their_parts(offset: int, width: int, halved: bool) -> None:
    """They may be written past the caches, where they are aligned: to others that is the same."""
    height, pad = 1024, 64
    planes = make_planes(height, width, halved, 3, 4)
    room = np.full(3 * height * width + 3 * pad, 77, np.uint8)
    first = -room.ctypes.data % pad + offset
    out = room[first : first + 3 * height * width].reshape(height, width, 3)
    with helpers_at_work(1) as helpers:
        yuv_to_bgr(*planes, out, *MATRICES["709"], True, False, helpers)
    for top in range(0, height - 16, 40):
        chroma = slice(top // 2, top // 2 + 8) if halved else slice(top, top + 16)
        part = np.empty((16, width, 3), np.uint8)
        luma, cb, cr = planes
        to_bgr((luma[top : top + 16], cb[chroma], cr[chroma]), part, "709", True, False)
        np.testing.assert_array_equal(out[top + 4 : top + 12], part[4:12])  # chroma around the others is not there
    assert (room[:first] == 77).all()
    assert (room[first + out.size :] == 77).all()


@pytest.mark.parametrize("centered", [False, True])
def test_pixels_do_not_depend_on_their_place(centered: bool) -> None:
    """However many pixels are converted at a time, what is left over comes out the same."""
    luma, cb, cr = make_planes(32, 512, True, 0, 1)
    whole = np.empty((32, 512, 3), np.uint8)
    to_bgr((luma, cb, cr), whole, "601", True, centered)
    gray = np.empty((32, 512), np.uint8)
    limited_luma_to_gray(luma, gray)
    for x in range(0, 504, 8):
        part, pixels = np.empty((32, 16, 3), np.uint8), np.s_[:, x : x + 16]
        chroma = np.s_[:, x // 2 : x // 2 + 8]
        to_bgr((luma[pixels], cb[chroma], cr[chroma]), part, "601", True, centered)
        inside = np.s_[:, 4:12]  # chroma of the others is not there
        np.testing.assert_array_equal(part[inside], whole[pixels][inside])
        gray_part = np.empty((32, 16), np.uint8)
        limited_luma_to_gray(luma[pixels], gray_part)
        np.testing.assert_array_equal(gray_part, gray[pixels])


def test_neutral_chroma_gives_gray() -> None:
    luma = np.arange(256, dtype=np.uint8)[np.newaxis]
    neutral = np.full((1, 128), 128, np.uint8)
    out = np.empty((1, 256, 3), np.uint8)
    to_bgr((luma, neutral, neutral), out, "601", False, True)
    np.testing.assert_array_equal(out, np.repeat(luma[..., np.newaxis], 3, axis=2))


@given(st.integers(1, 4), WIDTHS, st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_gray_is_exact(height: int, width: int, padding: int, seed: int) -> None:
    luma = make_planes(height, width, True, padding, seed)[0]
    out = np.empty((height, width), np.uint8)
    limited_luma_to_gray(luma, out)
    np.testing.assert_array_equal(out, np.rint((luma.astype(float) - 16) * 255 / 219).clip(0, 255))


def test_every_level_of_gray_is_exact() -> None:
    luma = np.arange(256, dtype=np.uint8)
    expected = np.rint((luma.astype(float) - 16) * 255 / 219).clip(0, 255)
    for rows in (luma.reshape(1, 256), luma.reshape(16, 16)):
        out = np.empty_like(rows)
        limited_luma_to_gray(rows, out)
        np.testing.assert_array_equal(out.ravel(), expected)


def back_by_the_equations(img: np.ndarray, red: float, blue: float, limited: bool) -> tuple[np.ndarray, ...]:
    black, luma_levels, chroma_levels = (16, 219, 224) if limited else (0, 255, 255)
    height, width = img.shape[:2]
    mean = img.astype(float).reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3)) / 255

    def luma_of(pixels: np.ndarray) -> np.ndarray:
        return pixels @ np.array([blue, 1 - red - blue, red])

    cb = (mean[..., 0] - luma_of(mean)) / (2 * (1 - blue))
    cr = (mean[..., 2] - luma_of(mean)) / (2 * (1 - red))
    return luma_of(img / 255) * luma_levels + black, cb * chroma_levels + 128, cr * chroma_levels + 128


def check_back(img: np.ndarray, matrix: str, limited: bool, padding: int) -> None:
    height, width = img.shape[:2]
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    planes = [np.full((h + 2, w + padding), 77, np.uint8) for h, w in shapes]
    bgr_to_yuv(img, *(p[1:-1, : s[1]] for p, s in zip(planes, shapes, strict=True)), *MATRICES[matrix], limited)
    expected = back_by_the_equations(img, *MATRICES[matrix], limited)
    for plane, shape, exact in zip(planes, shapes, expected, strict=True):
        assert np.abs(plane[1:-1, : shape[1]] - exact.clip(0, 255)).max() <= 0.56
        assert (plane[[0, -1]] == 77).all()
        assert (plane[:, shape[1] :] == 77).all()


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
@given(st.integers(1, 5), WIDTHS, st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_luma_and_chroma_are_within_a_level(
    matrix: str, limited: bool, height: int, width: int, padding: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    img = rng.integers(0, 256, (2 * height, 2 * width, 3)).astype(np.uint8)
    img[rng.random(img.shape[:2]) < 0.3] = rng.choice([0, 255], 3)  # the ends as well
    check_back(img, matrix, limited, padding)


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_corners_of_the_colours_are_within_a_level(matrix: str, limited: bool) -> None:
    corners = np.array([(b, g, r) for b in (0, 255) for g in (0, 255) for r in (0, 255)], np.uint8)
    check_back(np.repeat(np.repeat(corners[np.newaxis], 2, axis=0), 10, axis=1), matrix, limited, 0)


@pytest.mark.parametrize("limited", [False, True])
def test_gray_is_gray_there_and_back(limited: bool) -> None:
    img = np.repeat(np.repeat(np.arange(256, dtype=np.uint8), 2)[np.newaxis, :, np.newaxis], 3, axis=2).repeat(
        2, axis=0
    )
    luma, cb, cr = np.empty((2, 512), np.uint8), np.empty((1, 256), np.uint8), np.empty((1, 256), np.uint8)
    bgr_to_yuv(img, luma, cb, cr, *MATRICES["601"], limited)
    assert (cb == 128).all()
    assert (cr == 128).all()
    if not limited:
        np.testing.assert_array_equal(luma, img[..., 0])
    back = np.empty_like(img)
    to_bgr((luma, cb, cr), back, "601", limited, True)
    assert np.abs(back.astype(int) - img).max() <= 1


def test_luma_and_chroma_do_not_depend_on_their_place() -> None:
    img = np.random.default_rng(2).integers(0, 256, (2, 512, 3)).astype(np.uint8)
    whole = [np.empty((2, 512), np.uint8), np.empty((1, 256), np.uint8), np.empty((1, 256), np.uint8)]
    bgr_to_yuv(img, *whole, *MATRICES["601"], True)
    for x in range(0, 512, 8):
        part = [np.empty((2, 8), np.uint8), np.empty((1, 4), np.uint8), np.empty((1, 4), np.uint8)]
        bgr_to_yuv(np.ascontiguousarray(img[:, x : x + 8]), *part, *MATRICES["601"], True)
        for got, all_of_it, at in zip(part, whole, (x, x // 2, x // 2), strict=True):
            np.testing.assert_array_equal(got, all_of_it[:, at : at + got.shape[1]])


@pytest.mark.parametrize(
    ("img", "luma", "cb", "cr"),
    [
        ((3, 4, 3), (3, 4), (1, 2), (1, 2)),
        ((2, 5, 3), (2, 5), (1, 2), (1, 2)),
        ((2, 4, 4), (2, 4), (1, 2), (1, 2)),
        ((2, 4, 3), (2, 6), (1, 2), (1, 2)),
        ((2, 4, 3), (2, 4), (2, 2), (1, 2)),
        ((2, 4, 3), (2, 4), (1, 2), (1, 3)),
    ],
)
def test_planes_that_do_not_fit_a_picture(img: object, luma: object, cb: object, cr: object) -> None:
    with pytest.raises(ValueError, match="plane|fit"):
        bgr_to_yuv(*(np.zeros(shape, np.uint8) for shape in (img, luma, cb, cr)), 0.299, 0.114, True)


@pytest.mark.parametrize(
    ("luma", "cb", "cr", "out"),
    [
        ((4, 6), (2, 3), (2, 3), (4, 5, 3)),
        ((4, 6), (2, 3), (2, 3), (5, 6, 3)),
        ((4, 6), (2, 3), (2, 3), (4, 6, 4)),
        ((4, 6), (2, 2), (2, 3), (4, 6, 3)),
        ((4, 6), (2, 3), (4, 3), (4, 6, 3)),
        ((4, 6), (3, 3), (3, 3), (4, 6, 3)),
        ((4, 6), (4, 6), (4, 6), (4, 6, 3)),
    ],
)
def test_shapes_that_do_not_go_together(luma: object, cb: object, cr: object, out: object) -> None:
    with pytest.raises(ValueError, match="plane|fit"):
        yuv_to_bgr(*(np.zeros(shape, np.uint8) for shape in (luma, cb, cr, out)), 0.299, 0.114, True, True)


def test_columns_that_are_apart() -> None:
    apart = np.zeros((4, 12), np.uint8)[:, ::2]
    chroma = np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match="columns"):
        to_bgr((apart, chroma, chroma), np.zeros((4, 6, 3), np.uint8), "601", True, True)
    with pytest.raises(ValueError, match="columns"):
        limited_luma_to_gray(apart, np.zeros((4, 6), np.uint8))
    with pytest.raises(ValueError, match="fit"):
        limited_luma_to_gray(np.zeros((4, 6), np.uint8), np.zeros((4, 5), np.uint8))


def test_nothing_is_converted_to_nothing() -> None:
    nothing = np.empty((4, 0), np.uint8)
    limited_luma_to_gray(nothing, nothing.copy())
    to_bgr((nothing, nothing[:2], nothing[:2]), np.empty((4, 0, 3), np.uint8), "601", True, True)
    bgr_to_yuv(np.empty((4, 0, 3), np.uint8), nothing, nothing[:2], nothing[:2], 0.299, 0.114, True)
