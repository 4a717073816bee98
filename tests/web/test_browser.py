"""The page in a real browser: what is seen is what the label says, and the keys do what they say."""

from __future__ import annotations

import random
import re
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from coded_frames import HEIGHT, WIDTH, coded, decoded, record
from page_browser import Page, resize
from rounds import long_but
from slow_proxy import PREFIX, proxy
from video_samples import SAMPLES, Sample, number_of

import imgstore

SCRIPT = "<img src=x onerror=\"document.title='hurt'\">"


def check(found: dict[str, Any], pixels: Any, camera_lost: Any = ()) -> None:
    """What is seen is what it is called."""
    assert pixels.shape == (HEIGHT, WIDTH)
    assert str(decoded(pixels)) == found["number"], found


def test_frames_by_number_position_time_and_key(page: Callable[..., Page], tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    seen = page(record(tmp_path / "store", "h264/mkv", 400, lost=range(100, 110), rate=20))
    found, pixels = seen.at(0)
    with imgstore.new_for_filename(tmp_path / "store") as store:
        assert np.array_equal(pixels, store[0])  # exact, not a picture of it
        check(found, pixels)
        assert "token" not in seen.driver.current_url
        for keys, wanted in (
            (Keys.ARROW_RIGHT, 1), (".", 2), (",", 1), (Keys.ARROW_LEFT, 0), (Keys.ARROW_LEFT, 0), (Keys.END, 389),
            (Keys.HOME, 0), (Keys.PAGE_DOWN, 100),
        ):  # fmt: skip
            seen.press(keys)
            found, pixels = seen.at(wanted)
            check(found, pixels)
            assert np.array_equal(pixels, store[wanted])
    assert found["number"] == "110" and "frame 110" in found["said"]
    seen.press(Keys.PAGE_UP)
    seen.wait("return document.getElementById('message').textContent.includes('before this frame')")
    seen.press(Keys.ARROW_RIGHT, holding=Keys.SHIFT)
    check(*seen.at(120))  # a second
    seen.press(Keys.ARROW_LEFT, holding=Keys.CONTROL)
    check(*seen.at(0))
    seen.type("number", "222")
    check(*seen.at(212))
    seen.wait("return location.hash === '#frame=222'")
    seen.type("number", "105")
    seen.wait("return document.getElementById('message').textContent.includes('missing')")
    seen.type("index", "37")
    check(*seen.at(37))
    seen.wait("return location.hash === '#index=37'")
    seen.type("time", "22:13:25.5")
    found, _ = seen.at(100)
    assert found["number"] == "110"  # the nearest: 5.5 s of 20 per second
    seen.press("g")
    assert seen.run("return document.activeElement.id") == "number"
    seen.press(Keys.ESCAPE)


HASHES = {"#frame=12": 9, "#index=12": 12, "#time=1700000000.52": 10, "#index=9999": 46, "#<b>": 0, "#%": 0}


@pytest.mark.parametrize("hash, index", long_but(list(HASHES.items())[:2], HASHES.items()))
def test_addresses_of_frames(page: Callable[..., Page], tmp_path: Path, hash: str, index: int) -> None:
    seen = page(record(tmp_path / "store", "npy", 50, lost={3, 4, 5}), hash=hash)
    check(*seen.at(index))


def test_jumps_steps_and_playing(page: Callable[..., Page], tmp_path: Path) -> None:
    jump_about(page(record(tmp_path / "store", "avc1/mp4", 300, lost={50, 51})), 298, jumps=25, steps=15)


@pytest.mark.long
@pytest.mark.parametrize("fmt, frames, jumps, steps", [
    ("avc1/mp4", 2000, 2000, 500), *((fmt, 500, 60, 40) for fmt in ("h264/mkv", "mjpeg/avi", "png"))
])  # fmt: skip
def test_many_jumps(page: Callable[..., Page], tmp_path: Path, fmt: str, frames: int, jumps: int, steps: int) -> None:
    jump_about(page(record(tmp_path / "store", fmt, frames, lost={50, 51})), frames - 2, jumps=jumps, steps=steps)


@pytest.mark.long
@pytest.mark.parametrize("sample", SAMPLES[::8], ids=lambda sample: sample.name)
def test_odd_videos(page: Callable[..., Page], videos: Any, sample: Sample) -> None:
    """What makes seeking go wrong: each frame is the one that `imgstore.open` gives at its position."""
    path, numbers = videos(sample)
    seen = page(path)
    generator = random.Random(1)
    with imgstore.open(path) as store:
        for index in [0, len(numbers) - 1, *generator.choices(range(len(numbers)), k=8)]:
            seen.run("location.hash = '#index=' + arguments[0]", index)
            found, pixels = seen.at(index)
            img = store[index]
            if img.dtype == np.uint8:  # of more bits the page shows a range
                assert np.array_equal(pixels, img if img.ndim == 2 else img[:, :, 2])
            assert number_of(img) == numbers[index] and found["number"] == str(store.frame_numbers[index])


@pytest.mark.long
def test_four_cameras_of_different_rates(page: Callable[..., Page], tmp_path: Path) -> None:
    """Played for a minute by one clock: whatever is seen is what it is called, and belongs to the step."""
    rates = (25, 30, 50, 12.5)
    paths = [record(tmp_path / f"camera{n}", "mjpeg/avi", int(60 * rate), rate=rate) for n, rate in enumerate(rates)]
    seen = page(*paths)
    seen.run("const s = document.getElementById('align'); s.value = 'time'; s.dispatchEvent(new Event('change'));")
    seen.wait("return location.search.includes('align=time') && document.body.dataset.ready")
    with imgstore.StoreGroup(paths, align="time") as group:
        seen.press(" ")
        deadline, looked = time.monotonic() + 60, 0
        while time.monotonic() < deadline:
            for camera in range(4):
                found, pixels = seen.seen(camera)
                if found["kind"] in ("raw", "jpeg"):
                    assert str(decoded(np.where(pixels > 128, 255, 0))) == found["number"]
                    assert found["number"] == str(group.table.positions[int(found["index"]), camera])
                    looked += 1
        assert looked > 400


def jump_about(seen: Page, count: int, *, jumps: int, steps: int) -> None:
    from selenium.webdriver.common.keys import Keys

    generator = random.Random(jumps)
    for _ in range(jumps):
        wanted = generator.randrange(count)
        seen.run("location.hash = '#index=' + arguments[0]", wanted)
        if generator.random() < 0.3:  # one that is in a hurry
            continue
        check(*seen.at(wanted))
    seen.press(Keys.HOME)
    seen.at(0)
    seen.press(*[Keys.ARROW_RIGHT] * steps)
    check(*seen.at(steps))
    seen.press(*[Keys.ARROW_LEFT] * steps)
    check(*seen.at(0))
    for direction, start in (("l", 0), ("j", count - 1)):
        seen.run("location.hash = '#index=' + arguments[0]", start)
        seen.at(start)
        seen.press(direction)
        last = start
        for _ in range(12):
            found, pixels = seen.seen()
            if found["kind"] != "raw":
                pixels = np.where(pixels > 128, 255, 0)  # a preview is a JPEG
            check(found, pixels)
            assert (int(found["index"]) - last) * (1 if direction == "l" else -1) >= 0
            last = int(found["index"])
            time.sleep(0.03)
        seen.press("k")
        assert last != start
        time.sleep(0.3)
        check(*seen.seen())


@pytest.mark.long
def test_behind_a_proxy(driver: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    """Under a path of the proxy's, and over a line on which the frames' samples are too much while the reader moves."""
    img = np.add.outer(np.arange(1024) // 5, np.arange(1280) // 40).astype(np.uint8)
    with imgstore.new_for_format("npy", tmp_path / "store", imgshape=img.shape) as store:
        for n in range(12):
            img[:64, :64] = coded(n)
            store.add_image(img, n, n / 10)
    with proxy(serve(tmp_path / "store").url, round_trip=0.05, bits=20e6) as url:
        seen = Page(driver, url)
        seen.at(0)
        seen.run(  # a preview may be gone by the time that it is asked for from here
            "window.previews = {}; const c = document.querySelector('.camera canvas');"
            "const red = () => c.getContext('2d').getImageData(0, 0, 64, 64).data.filter((_, i) => i % 4 === 0);"
            "const note = () => { if (c.dataset.kind === 'jpeg') window.previews[c.dataset.index] ??= Array.from(red()); };"
            "new MutationObserver(note).observe(c, {attributes: true, attributeFilter: ['data-index', 'data-kind']});"
        )
        for wanted in (1, 2, 3, 9):
            seen.run("location.hash = '#index=' + arguments[0]", wanted)
            preview = np.array(seen.wait("return window.previews[arguments[0]]", str(wanted)), np.uint8)
            assert decoded(preview.reshape(64, 64)) == wanted
        _, pixels = seen.at(9)  # it rests
        with imgstore.new_for_filename(tmp_path / "store") as store:
            assert np.array_equal(pixels, store[9])
        assert PREFIX in driver.current_url and "token" not in driver.current_url
        assert seen.faults() == []
        driver.get("about:blank")


def test_a_little_that_comes_at_once_does_not_make_a_way_fast(page: Callable[..., Page], tmp_path: Path) -> None:
    """As what a proxy has put by; what takes its time, or comes again and again, does tell."""
    seen = page(record(tmp_path / "store", "npy", 2))
    measure = """return (async function (each) {
        const {Frames} = await import(document.querySelector('script[type=module][src]').src.replace('page.js', 'frames.js'));
        const frames = new Frames({}), slow = [], label = {shape: [1024, 1280], dtype: '|u1'};
        for (const [size, took, kind] of each) {
            frames.measure({label, data: new ArrayBuffer(size), took}, kind);
            slow.push(frames.slow);
        }
        return slow;
    }).apply(null, arguments)"""
    whole, little = (1310720, 520, "raw"), (25000, 0.5, "jpeg")
    assert seen.run(measure, [whole, little, little]) == [True, True, True]
    near = (1310720, 4, "raw")
    assert seen.run(measure, [near, whole, near, near, near]) == [False, True, True, False, False]


def test_what_is_seen_can_be_drawn_again(page: Callable[..., Page], tmp_path: Path) -> None:
    """However little room there is for previews; and what is fetched twice takes the room of one."""
    seen = page(record(tmp_path / "store", "npy", 2))
    keep = """return (async function () {
        const {Frames} = await import(document.querySelector('script[type=module][src]').src.replace('page.js', 'frames.js'));
        const frames = new Frames({}), bitmap = async () => createImageBitmap(new ImageData(4, 2));
        const made = [];
        for (const key of ['0/jpeg', '1/jpeg', '2/jpeg', '2/jpeg']) {
            made.push({bytes: 20e6, bitmap: await bitmap()});
            frames.keep(key, made.at(-1));
            frames.shown ??= made[0];
        }
        const before = frames.bytes;
        frames.keep('3/jpeg', {bytes: 20e6, bitmap: await bitmap()});
        return [before, frames.bytes, [...frames.kept.keys()], made.map(({bitmap}) => bitmap.width)];
    }).apply(null)"""
    assert seen.run(keep) == [40e6, 40e6, ["2/jpeg", "3/jpeg"], [4, 0, 0, 4]]


@pytest.mark.long
def test_every_frame_is_played(page: Callable[..., Page], tmp_path: Path) -> None:
    seen = page(record(tmp_path / "store", "avc1/mp4", 80, rate=50))
    seen.at(0)
    seen.run(
        "window.all = []; const c = document.querySelector('.camera canvas');"
        "const note = () => window.all.push(Number(c.dataset.index));"
        "new MutationObserver(note).observe(c, {attributes: true, attributeFilter: ['data-index']});"
        "const mode = document.getElementById('mode'); mode.value = 'every'; mode.dispatchEvent(new Event('change'));"
    )
    seen.press(" ")
    check(*seen.at(79))
    # the step that is seen and the same again where it was drawn as what it was
    assert sorted(set(seen.run("return window.all"))) in ([*range(80)], [*range(1, 80)])
    seen.wait("return document.getElementById('play').getAttribute('aria-label') === 'Play'")


@pytest.mark.long
def test_several_cameras(page: Callable[..., Page], tmp_path: Path) -> None:
    left = record(tmp_path / "left", "mjpeg/avi", 60, rate=30)
    right = record(tmp_path / "right", "npy", 200, rate=100, lost=range(50, 80))
    seen = page(left, right)
    seen.run("const s = document.getElementById('align'); s.value = 'time'; s.dispatchEvent(new Event('change'));")
    seen.wait("return location.search.includes('align=time') && document.body.dataset.ready")
    with imgstore.StoreGroup([left, right], align="time") as group:
        for step in (0, 9, 16, 18, 30, 59):
            seen.run("location.hash = '#index=' + arguments[0]", step)
            wanted = group[step]
            for camera in (0, 1):
                if wanted.images[camera] is None:
                    found, _ = seen.at(step, camera, "absent")
                    assert "No frame at this instant" in found["over"] and found["number"] == ""
                else:
                    found, pixels = seen.at(step, camera)
                    check(found, pixels)
                    assert found["number"] == str(wanted.frame_numbers[camera])
        assert any(group[s].images[1] is None for s in (16, 18))


def test_a_damaged_frame_is_shown_in_its_place(page: Callable[..., Page], tmp_path: Path) -> None:
    record(tmp_path / "store", "npy", 10)
    (broken,) = (tmp_path / "store").rglob("000004.npy")
    broken.write_bytes(broken.read_bytes()[:-100])
    seen = page(tmp_path / "store", hash="#index=4")
    found, _ = seen.at(4, kind="error")
    assert "000004.npy" in found["over"] and found["number"] == "4"
    seen.press(".")
    found, pixels = seen.at(5)
    check(found, pixels)
    assert found["over"] == ""


def test_pixels_levels_and_pictures(page: Callable[..., Page], tmp_path: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    img = (np.arange(40 * 60).reshape(40, 60) * 20).astype(np.uint16)
    with imgstore.new_for_format("npy", tmp_path / "store", imgshape=img.shape, imgdtype=np.uint16) as store:
        for n in range(5):
            store.add_image(img + n, n, n / 10)
    seen = page(tmp_path / "store")
    _, pixels = seen.at(0)
    assert (pixels[0, 0], pixels[-1, -1]) == (0, 255)  # spread from the lowest to the highest
    window = seen.driver.find_element("css selector", ".camera .window")
    ActionChains(seen.driver, duration=0).move_to_element_with_offset(window, 7, 5).perform()
    said = seen.wait("const t = document.getElementById('pixel').textContent; return t.startsWith('x') && t")
    x, y, value = map(int, re.findall(r"\d+", said))
    assert value == img[y, x]
    seen.press(".")
    seen.at(1)
    seen.wait("return document.getElementById('pixel').textContent.endsWith(': ' + arguments[0])", str(value + 1))
    for field, text in (("low", "0"), ("high", "100")):
        seen.run(
            "const f = document.getElementById(arguments[0]); f.value = arguments[1]; f.dispatchEvent(new Event('change'))",
            field, text,
        )  # fmt: skip
    _, pixels = seen.seen()
    assert np.array_equal(pixels == 255, img + 1 >= 100)
    seen.run("const m = document.getElementById('map'); m.value = 'invert'; m.dispatchEvent(new Event('change'))")
    _, pixels = seen.seen()
    assert np.array_equal(pixels == 0, img + 1 >= 100)
    before = seen.run("return document.querySelector('.camera canvas').style.transform")
    seen.press("+")
    assert seen.run("return document.querySelector('.camera canvas').style.transform") != before
    seen.press("0")
    assert seen.run("return document.querySelector('.camera canvas').style.transform") == before


def test_colours_are_those_of_the_frame(page: Callable[..., Page], tmp_path: Path) -> None:
    img = np.zeros((16, 24, 3), np.uint8)
    img[..., 0], img[..., 1], img[..., 2] = 10, 120, 230  # BGR
    with imgstore.new_for_format("npy", tmp_path / "store", imgshape=img.shape) as store:
        store.add_image(img, 0, 0.0)
    seen = page(tmp_path / "store")
    seen.at(0)
    rgba = seen.run(
        "const c = document.querySelector('.camera canvas'); return Array.from(c.getContext('2d').getImageData(3, 3, 1, 1).data)"
    )
    assert rgba == [230, 120, 10, 255]


def test_the_time_line(page: Callable[..., Page], tmp_path: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    seen = page(record(tmp_path / "store", "npy", 4000, lost={2345}, chunksize=1000))
    seen.at(0)
    seen.wait("return document.getElementById('legend').textContent.includes('1 missing number')")
    red = (
        "const c = document.getElementById(arguments[0]); const d = c.getContext('2d').getImageData(0, 3, c.width, 1).data;"
        "const at = []; for (let x = 0; x < c.width; x++) if (d[4*x] > 180 && d[4*x+1] < 80) at.push(x / c.width);"
        "return at.length ? at : null"
    )
    columns = seen.wait(red, "whole")
    assert len(columns) >= 2 and abs(np.mean(columns) - 2345 / 3999) < 0.004
    whole = seen.driver.find_element("id", "whole")
    half = whole.size["width"] // 2
    ActionChains(seen.driver, duration=0).move_to_element_with_offset(whole, 2345 * 2 * half // 3999 - half, 0).click().perform()
    seen.wait("return Math.abs(Number(document.querySelector('.camera canvas').dataset.index) - 2345) < 8")
    for _ in range(6):
        seen.driver.find_element("css selector", "[data-do=line-in]").click()
    seen.wait("const s = document.getElementById('span').textContent.match(/[0-9]+/g); return s[1] - s[0] < 100")
    seen.wait(red, "part")
    assert seen.wait("return document.querySelectorAll('#strip img').length > 3")


def test_extra_data(page: Callable[..., Page], tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "store", imgshape=(8, 8)) as store:
        for n in range(50):
            store.add_image(np.zeros((8, 8), np.uint8), n, n / 10)
            store.add_extra_data(**{"temperature": n / 2, SCRIPT: SCRIPT})
    seen = page(tmp_path / "store", hash="#index=30")
    seen.run("document.getElementById('beside-panel').open = true")
    seen.wait("return document.querySelectorAll('#columns input').length === 3")
    for box in seen.driver.find_elements("css selector", "#columns input"):
        seen.run("arguments[0].click()", box)
    seen.wait("return document.querySelectorAll('.plot output')[1]?.textContent === '15.0'")
    seen.wait("return document.querySelectorAll('.plot output')[2]?.textContent === arguments[0]", SCRIPT)
    seen.press(".")
    seen.wait("return document.querySelectorAll('.plot output')[1]?.textContent === '15.5'")
    assert seen.run("return document.title") != "hurt"


@pytest.mark.long
def test_the_start_page(driver: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    record(tmp_path / "mice", "npy", 20, lost={3})
    record(tmp_path / "fish", "mjpeg/avi", 200)
    with imgstore.new_for_format("npy", tmp_path / "<b>bold", imgshape=(8, 8), metadata={"camera_serial": SCRIPT}) as store:
        store.add_image(np.zeros((8, 8), np.uint8), 0, 0.0)
    seen = Page(driver)
    driver.get(serve(tmp_path).url)
    seen.wait("return document.querySelectorAll('.card .bad').length === 1")
    text = seen.run("return document.body.innerText")
    assert "1 missing" in text and "<b>bold" in text and "mjpeg/avi, 64 × 64" in text
    seen.run("const s = document.getElementById('search'); s.value = 'fish'; s.dispatchEvent(new Event('input'))")
    assert [c.text.split("\n")[0] for c in driver.find_elements("class name", "card")] == ["fish"]
    driver.find_element("css selector", ".card .name").click()
    seen.wait("return document.body.dataset.ready")
    check(*seen.at(0))
    driver.find_element("id", "home").click()
    seen.wait("return document.querySelectorAll('.card').length === 3")
    seen.run("document.querySelectorAll('.card')[0].querySelector('.name').click()")
    seen.wait("return document.body.dataset.ready")
    assert seen.run("return document.title") == f"{SCRIPT} – imgstore"
    assert seen.faults() == []


@pytest.mark.long
def test_a_recording_is_followed(page: Callable[..., Page], tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "store", imgshape=(HEIGHT, WIDTH), chunksize=20) as store:
        for n in range(5):
            store.add_image(coded(n), n, time.time())
        stop = threading.Event()

        def go_on() -> None:
            n = 5
            while not stop.wait(0.05):
                store.add_image(coded(n), n, time.time())
                n += 1 + (n % 20 == 0)

        recording = threading.Thread(target=go_on)
        seen = page(tmp_path / "store")
        recording.start()
        try:
            said = seen.wait(
                "const l = document.getElementById('live');"
                "return !l.hidden && l.textContent.includes('following') && l.textContent"
            )
            assert "per second" in said and "dropped" in said and "newest" in said
            seen.wait("return Number(document.querySelector('.camera canvas').dataset.index) > 30")
            check(*seen.seen())
            seen.press(",")  # looks back, and stays there
            at = int(seen.seen()[0]["index"])
            seen.wait("return document.getElementById('live').textContent.includes('press to follow')")
            # it says how long it is
            seen.wait("return parseInt(document.getElementById('subtitle').textContent.split(', ')[2]) > 30")
            time.sleep(1.2)
            assert abs(int(seen.seen()[0]["index"]) - at) <= 1
        finally:
            stop.set()
            recording.join()


def test_sizes_names_and_keys(page: Callable[..., Page], driver: Any, tmp_path: Path) -> None:
    """Nothing is wider than the window, a screen reader has a name for everything, and help opens by key."""
    seen = page(record(tmp_path / "store", "npy", 50, lost={7}))
    try:
        for width, height in ((360, 740), (640, 450), (1400, 900)):  # a phone, 200 % of a laptop's, a desk
            resize(driver, width, height, dark=width > 1000)
            seen.wait("return document.documentElement.scrollWidth <= window.innerWidth")
        unnamed = seen.run(
            "return Array.from(document.querySelectorAll('button, input, select, canvas, a[href], summary')).filter(e => {"
            " const labels = Array.from(e.labels ?? [], l => l.textContent).join('');"
            " const name = e.getAttribute('aria-label') || e.textContent.trim() || e.title || labels;"
            " return !name && e.offsetParent }).map(e => e.outerHTML)"
        )
        assert unnamed == []
        seen.press("?")
        assert seen.run("return document.getElementById('help').open")
    finally:
        resize(driver, 1280, 900)


def test_what_is_saved(page: Callable[..., Page], driver: Any, tmp_path: Path) -> None:
    """The frame as PNG, with number and time in its name; a marked range; and what is said of a time without a frame."""
    seen = page(record(tmp_path / "store", "avc1/mp4", 60, lost=range(20, 30), rate=10))
    seen.at(0)
    saved = tmp_path / "saved"
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(saved)})

    def wait_for(pattern: str) -> Path:
        deadline = time.monotonic() + 60
        while not (found := [*saved.glob(pattern)]):
            assert time.monotonic() < deadline, [*saved.glob("*")]
            time.sleep(0.02)
        return found[0]

    seen.type("time", "22:13:22.3")  # in the gap
    found, _ = seen.at(19)
    assert found["number"] == "19"
    said = seen.wait("return document.getElementById('message').textContent")
    assert "no frame at that time" in said and "0.4 s before" in said
    seen.press(".")
    seen.at(20)
    assert seen.run("return document.getElementById('message').textContent") == ""  # that was about another frame
    seen.press("s")
    picture = cv2.imread(str(wait_for("*.png")), cv2.IMREAD_UNCHANGED)
    assert wait_for("*.png").name == "store_frame-30_2023-11-14-22-13-23.000-UTC.png"
    with imgstore.new_for_filename(tmp_path / "store") as store:
        assert np.array_equal(picture, store[20])
    seen.press("i", ".")
    seen.at(21)
    seen.press("o")
    driver.find_element("css selector", "[data-do=export-video]").click()
    with imgstore.open(wait_for("*.mp4")) as video, imgstore.open(tmp_path / "store") as store:
        assert [decoded(img) for img, _ in video] == [decoded(store[k]) for k in (20, 21)]
        assert video.frame_times.tolist() == pytest.approx([0, 0.1], abs=1e-4)
    driver.find_element("css selector", "[data-do=export-frames]").click()
    with zipfile.ZipFile(wait_for("*.zip")) as archive:
        assert len(archive.namelist()) == 3 and "frames.csv" in archive.namelist()


@pytest.mark.long
def test_the_newest_wish_counts(page: Callable[..., Page], tmp_path: Path) -> None:
    """An answer that comes late moves nothing; keys that are pressed faster than answers come are all counted."""
    from selenium.webdriver.common.keys import Keys

    seen = page(record(tmp_path / "store", "npy", 400, lost={100, 200, 300}, rate=20))
    seen.at(0)
    seen.run(
        "const before = window.fetch; window.late = 0;"
        "window.fetch = async (...given) => {"
        " const answer = await before(...given);"
        " if (/fault|find/.test(given[0])) { await new Promise(done => setTimeout(done, 300)); window.late++; }"
        " return answer; }"
    )
    seen.press(Keys.PAGE_DOWN)
    seen.run("location.hash = '#index=37'")
    seen.at(37)
    seen.wait("return window.late === 1")
    time.sleep(0.1)
    check(*seen.at(37))
    seen.press(*[Keys.PAGE_DOWN] * 3)
    check(*seen.at(298))  # the third
    seen.press(*[Keys.ARROW_LEFT] * 3, holding=Keys.SHIFT)
    found, _ = seen.at(239)  # three seconds before number 301
    assert found["number"] == "241"


@pytest.mark.parametrize(("key", "holding", "step"), [("\ue00f", "", 100), ("\ue012", "\ue008", 40)], ids=["fault", "second"])
def test_what_is_left_to_do_is_given_up(page: Callable[..., Page], tmp_path: Path, key: str, holding: str, step: int) -> None:
    """Of keys that were pressed before, where the reader goes elsewhere while the first frame on the way is not seen yet."""
    seen = page(record(tmp_path / "store", "npy", 240, lost={100, 200}, rate=20), hash="#index=60")
    seen.at(60)
    seen.run(
        "const before = window.fetch; window.asked = 0;"
        "window.fetch = async (...given) => {"
        " if (/fault|find/.test(given[0])) window.asked++;"
        " const answer = await before(...given);"
        " if (new URL(given[0]).searchParams.get('index') === arguments[0]) await new Promise(done => (window.release = done));"
        " return answer; }",
        str(step),
    )
    seen.press(key, key, holding=holding)
    seen.wait("return Boolean(window.release)")
    seen.run("location.hash = '#index=37'")
    seen.at(37)
    seen.run("window.release()")
    time.sleep(0.3)
    check(*seen.at(37))
    assert seen.run("return window.asked") == 1
