"""What somebody who has never seen the page stumbled over: what moves, what is out of sight, what says nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from coded_frames import decoded, record
from page_browser import Page, resize

import imgstore

LONG = "2025-11-29_a-name-that-is-longer-than-any-line-of-a-page-can-be-expected-to-be_animal-000417_session-03_camera-overhead"
TOP = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
TEXT = "return document.getElementById(arguments[0]).textContent"


def test_nothing_moves(page: Callable[..., Page], tmp_path: Path) -> None:
    """Panels, messages, the pixel under the pointer and the offline banner leave everything in its place."""
    from selenium.webdriver.common.action_chains import ActionChains

    seen = page(record(tmp_path / LONG, "npy", 20), record(tmp_path / "b", "npy", 20), record(tmp_path / "c", "npy", 20))
    seen.at(0)
    before = [seen.run(TOP, place) for place in (".controls", "#whole", "#strip")]

    def moved() -> bool:
        return [seen.run(TOP, place) for place in (".controls", "#whole", "#strip")] != before

    for panel in seen.driver.find_elements("css selector", ".panel:not([open]) summary"):
        panel.click()
    seen.wait("return document.getElementById('about').textContent.includes('Format')")
    assert seen.run("const p = document.querySelector('.panels'); return p.offsetHeight > window.innerHeight")
    assert not moved()
    seen.type("time", "+7")
    assert "nearest" in seen.wait(TEXT, "message")
    assert not moved()
    window = seen.driver.find_elements("css selector", ".camera .window")[1]
    ActionChains(seen.driver, duration=0).move_to_element(window).perform()
    assert seen.wait(TEXT, "pixel").startswith("b: x ")
    assert not moved()
    seen.run("document.getElementById('offline').hidden = false")
    assert not moved()
    colours = seen.run("const s = getComputedStyle(document.getElementById('offline')); return [s.color, s.backgroundColor]")
    assert contrast(*colours) > 7
    try:
        resize(seen.driver, 1280, 900, dark=True)
        colours = seen.run("const s = getComputedStyle(document.getElementById('offline')); return [s.color, s.backgroundColor]")
        assert contrast(*colours) > 7
    finally:
        resize(seen.driver, 1280, 900)


def contrast(one: str, other: str) -> float:
    """Return the ratio of contrast of two colours, as WCAG has it."""
    light = []
    for text in (one, other):
        rgb = np.array([int(part) for part in text[text.index("(") + 1 : -1].split(",")[:3]]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        light.append(float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)
    return max(light) / min(light)


def test_cameras_are_beside_each_other_and_in_step_by_time(page: Callable[..., Page], driver: Any, tmp_path: Path) -> None:
    """Of other rates they are in step by time without a word, and that is said in sight; the controls are within the window."""
    seen = page(record(tmp_path / "left", "npy", 60, rate=25), record(tmp_path / "right", "npy", 80, rate=30))
    try:
        for width, height in ((1440, 900), (1024, 768), (390, 844)):
            resize(driver, width, height)
            seen.wait(
                "const [a, b] = Array.from(document.querySelectorAll('.camera .window'), w => w.getBoundingClientRect());"
                "return a.top === b.top && a.right <= b.left"
            )
            assert seen.run("return document.getElementById('play').getBoundingClientRect().bottom < window.innerHeight")
            help_ = seen.run("const b = document.getElementById('help-button').getBoundingClientRect(); return [b.right, b.top]")
            assert help_[0] > width - 40 and help_[1] < 40
    finally:
        resize(driver, 1280, 900)
    align = driver.find_element("id", "align")
    assert align.is_displayed() and align.get_attribute("value") == "time"
    seen.run("location.hash = '#index=50'")
    seen.at(50)
    right, _ = seen.at(50, 1)
    assert right["number"] == "60"


def test_pixels_by_place_and_by_tap(page: Callable[..., Page], driver: Any, tmp_path: Path) -> None:
    img = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60) * 20
    with imgstore.new_for_format("npy", tmp_path / "store", imgshape=img.shape, imgdtype=np.uint16) as store:
        for n in range(3):
            store.add_image(img + np.uint16(n), n, n / 10)
    seen = page(tmp_path / "store")
    seen.at(0)
    # the levels that are used stand in their fields
    assert seen.run("return ['low', 'high'].map(id => document.getElementById(id).value)") == ["0", str(img.max())]
    seen.press("p")
    assert seen.run("return document.activeElement.id") == "pixel-at"
    seen.type("pixel-at", "7, 5")
    seen.wait("return document.getElementById('pixel').textContent === arguments[0]", f"x 7, y 5: {img[5, 7]}")
    seen.run("document.activeElement.blur()")
    seen.press(".")
    seen.at(1)
    seen.wait("return document.getElementById('pixel').textContent === arguments[0]", f"x 7, y 5: {img[5, 7] + 1}")
    seen.type("pixel-at", "seven")
    assert "no place of a pixel" in seen.wait(TEXT, "message")
    seen.wait("return document.getElementById('pixel').textContent === '–'")
    x, y = seen.run(
        "const b = document.querySelector('.camera canvas').getBoundingClientRect();"
        "return [b.left + b.width * 30.5 / 60, b.top + b.height * 20.5 / 40]"
    )
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        seen.wait("return document.getElementById('pixel').textContent === arguments[0]", f"x 30, y 20: {img[20, 30] + 1}")
    finally:
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_what_is_missing_is_told_with_its_amount(page: Callable[..., Page], tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    seen = page(record(tmp_path / "store", "npy", 60, lost=range(20, 30), rate=10))
    seen.at(0)
    seen.press(Keys.PAGE_DOWN)
    seen.at(20)
    assert seen.wait(TEXT, "message") == "Here: 10 missing numbers."
    seen.type("number", "25")
    seen.wait("return document.getElementById('message').textContent.includes('missing, between 19 and 30')")


def test_damage_that_is_met_is_counted(page: Callable[..., Page], tmp_path: Path) -> None:
    record(tmp_path / "store", "npy", 40)
    for number in (4, 5, 6):
        (broken,) = (tmp_path / "store").rglob(f"{number:06d}.npy")
        broken.write_bytes(broken.read_bytes()[:-100])
    seen = page(tmp_path / "store", hash="#index=5")
    seen.at(5, kind="error")
    seen.wait("return document.getElementById('legend').textContent.includes('3 frames that cannot be read')")
    for _ in range(3):
        seen.driver.find_element("css selector", "[data-do=line-in]").click()
    seen.wait("return document.querySelectorAll('#strip .bad').length > 0")


def test_a_button_says_that_it_was_heard(page: Callable[..., Page], driver: Any, tmp_path: Path) -> None:
    seen = page(record(tmp_path / "store", "npy", 5))
    seen.at(0)
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "saved")})
    save = driver.find_element("css selector", "[data-do=save]")
    seen.run(
        "const [b] = arguments; window.said = [];"
        "new MutationObserver(() => window.said.push(b.textContent)).observe(b, {childList: true})",
        save,
    )
    save.click()
    seen.wait("return window.said.join() === 'Saved,Save PNG'")


def test_what_is_seen_is_saved(page: Callable[..., Page], driver: Any, tmp_path: Path) -> None:
    """And not what is on its way, under the number of what is seen."""
    seen = page(record(tmp_path / "store", "npy", 100))
    seen.at(0)
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "saved")})
    seen.run(
        "const before = window.fetch;"
        "window.fetch = (...given) => (/index=77/.test(given[0]) ? new Promise(() => {}) : before(...given));"
        "location.hash = '#index=77'"
    )
    seen.wait("return document.getElementById('whole').getAttribute('aria-valuenow') === '77'")
    seen.press("s")
    deadline = time.monotonic() + 60
    while not (found := [*(tmp_path / "saved").glob("*.png")]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "_frame-0_" in found[0].name
    assert decoded(cv2.imread(str(found[0]), cv2.IMREAD_UNCHANGED)) == 0


def test_the_controls_stay_in_sight_and_a_range_can_be_cleared(page: Callable[..., Page], driver: Any, tmp_path: Path) -> None:
    seen = page(*(record(tmp_path / f"camera{n}", "npy", 10) for n in range(9)))
    seen.at(0)
    for top in (0, 150):
        seen.run("window.scrollTo(0, arguments[0])", top)
        seen.wait("return document.getElementById('play').getBoundingClientRect().bottom < window.innerHeight")
    clear = driver.find_element("css selector", "[data-do=mark-none]")
    assert not clear.is_enabled()
    seen.press("i", "o")
    assert seen.run(TEXT, "range") == "0 to 0, 1 frame" and clear.is_enabled()
    clear.click()
    assert "mark" in seen.run(TEXT, "range") and not clear.is_enabled()
    assert driver.find_elements("css selector", "button.range:enabled") == []


def test_the_start_page_goes_on_after_the_server_was_away(driver: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    for n in range(30):
        record(tmp_path / f"store{n:02d}", "npy", 2)
    seen = Page(driver)
    driver.get(serve(tmp_path).url)
    seen.wait("return document.querySelector('.card')?.textContent.includes('2 frames')")
    seen.run("window.before = window.fetch; window.fetch = () => Promise.reject(new TypeError('away')); window.scrollTo(0, 1e6)")
    seen.wait("return !document.getElementById('offline').hidden")
    seen.run("window.fetch = window.before")
    seen.wait("return Array.from(document.querySelectorAll('.card')).at(-1).textContent.includes('2 frames')")
    assert seen.run("return document.getElementById('offline').hidden")
    assert seen.faults() == []
    driver.get("about:blank")


def test_every_card_has_a_state(driver: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    """Empty and damaged stores say so where others have their picture; what was chosen is counted in sight."""
    record(tmp_path / "whole", "npy", 5)
    record(tmp_path / "torn", "npy", 5)
    (tmp_path / "torn" / "metadata.yaml").write_text("__store: [")
    imgstore.new_for_format("npy", tmp_path / "empty", imgshape=(8, 8)).close()
    seen = Page(driver)
    driver.get(serve(tmp_path).url)
    seen.wait("return document.querySelectorAll('.thumb span').length === 2 && document.querySelector('.card img:not([hidden])')")
    text = "\n".join(card.text for card in driver.find_elements("class name", "card"))
    assert "No frame has been recorded yet" in text and "This cannot be shown" in text and "metadata.yaml" in text
    compare = driver.find_element("id", "compare")
    assert not compare.is_enabled()
    for box in driver.find_elements("css selector", ".card input")[1:]:
        box.click()
    assert compare.is_enabled() and compare.text == "Show 2 side by side"
    driver.find_element("id", "choose-none").click()
    assert not compare.is_enabled() and not driver.find_elements("css selector", ".card input:checked")
    assert seen.faults() == []
    driver.get("about:blank")
