"""Make the pictures of docs/page.md: recordings are made, and the page is photographed in a browser.

    python docs/pictures/make.py [FOLDER]

Needs ``pip install 'imgstore[web]' selenium`` and the programs chromium and chromedriver. Without FOLDER the pictures of the
documentation are made anew; into another folder go those of all sizes, light and dark, for
whoever wants to see how the page looks.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import imgstore

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests" / "helpers"))
from page_browser import Page, browser, resize  # noqa: E402

START = 1_764_424_980.0  # 2025-11-29 14:03:00 UTC
FPS, SECONDS, HEIGHT, WIDTH = 25, 60, 480, 640
SIZES = {"wide": (1280, 860), "tablet": (820, 1100), "phone": (390, 844)}
IN_THE_DOCS = {"viewer-wide-light", "cameras-wide-dark", "start-wide-light", "viewer-phone-light"}


def arena(frame: int, side: int) -> Any:
    """Draw a dish with a few animals, seen from one side or the other."""
    img = np.full((HEIGHT, WIDTH), 70, np.uint8)
    cv2.circle(img, (WIDTH // 2, HEIGHT // 2), 225, 205, -1, cv2.LINE_AA)
    cv2.circle(img, (WIDTH // 2, HEIGHT // 2), 225, 120, 4, cv2.LINE_AA)
    for n in range(7):
        angle = frame / (60 + 9 * n) + n * 2.1
        x, y = np.cos(angle) * (40 + 24 * n), np.sin(angle * 1.3) * (40 + 24 * n)
        at = (int(WIDTH / 2 + side * x), int(HEIGHT / 2 + y))
        cv2.ellipse(img, at, (17, 8), np.degrees(angle) * side, 0, 360, 45, -1, cv2.LINE_AA)
    return img


def record(folder: Path) -> None:
    """Write two cameras, of which each has lost frames, and one of another kind."""
    for name, side, lost in (("arena left", 1, {500, 501, 502, 1100}), ("arena right", -1, set(range(780, 830)))):
        with imgstore.new_for_format("avc1/mp4", folder / name, imgshape=(HEIGHT, WIDTH), fps=FPS, chunksize=500) as store:
            for n in range(SECONDS * FPS):
                if n not in lost:
                    store.add_image(arena(n, side), n, START + n / FPS + (1.5 if n > 1300 else 0))
                    store.add_extra_data(temperature=21 + np.sin(n / 90), **({"valve": "open"} if n % 400 == 40 else {}))
    with imgstore.new_for_format("npy", folder / "thermal", imgshape=(120, 160), imgdtype=np.uint16) as store:
        y, x = np.mgrid[:120, :160]
        for n in range(100):
            img = 20_000 + 8_000 * np.exp(-((x - 40 - n / 2) ** 2 + (y - 60) ** 2) / 900)
            store.add_image(img.astype(np.uint16), n, START + n / 9)


def photograph(driver: Any, folder: Path, view: str, picture: Path) -> None:
    """Bring a view of the page onto the screen, and keep what is seen."""
    if view == "start":
        with imgstore.serve(folder) as server:
            seen = Page(driver)
            driver.get(server.url)
            seen.wait("return document.querySelectorAll('.card img:not([hidden])').length === 3")
            seen.wait("return Array.from(document.querySelectorAll('.card img'), i => i.complete).every(Boolean)")
            driver.save_screenshot(str(picture))
        return
    names = ["arena left"] if view == "viewer" else ["arena left", "arena right"]
    with imgstore.serve(*(folder / name for name in names)) as server:
        seen = Page(driver, server.url + ("#frame=499" if view == "viewer" else "#frame=800"))
        if view == "viewer":
            seen.at(499)
            seen.run("document.getElementById('beside-panel').open = true")
            seen.wait("return document.querySelectorAll('#columns input').length === 3")
            seen.run("document.querySelectorAll('#columns input')[1].click()")
        strip = "document.querySelectorAll('#strip button').length > 3 && !document.querySelector('#strip button:empty')"
        seen.wait(f"return {strip}")
        time.sleep(1)  # plots and time line
        driver.save_screenshot(str(picture))


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, browser() as driver:
        folder = Path(place) / "recordings"
        folder.mkdir()
        record(folder)
        for view, size, dark in itertools.product(("start", "viewer", "cameras"), SIZES, (False, True)):
            name = f"{view}-{size}-{'dark' if dark else 'light'}"
            if out == HERE and name not in IN_THE_DOCS:
                continue
            resize(driver, *SIZES[size], dark=dark)
            photograph(driver, folder, view, out / f"{name}.png")


if __name__ == "__main__":
    main()
