"""Somebody who presses everything for a long time: what is seen stays what it is called, and neither page nor server grows."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from coded_frames import coded, decoded
from page_browser import Page, browser

import imgstore

COUNT = 300
MAY_GROW = 100e6  # bytes: what is kept within bounds fills later where the machine is busy
KEYS = [*",.,.,.,.kjl[]+-0ios", "\ue012", "\ue014", "\ue010", "\ue011", "\ue00e", "\ue00f"]
SETTINGS = {
    "brightness": ("-0.5", "0", "0.3"), "gamma": ("-1", "0", "1"), "map": ("plain", "heat", "invert"), "mode": ("time", "every"),
}  # fmt: skip
LINE = ("line-in", "line-out", "line-all")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of a size at which what is kept fills its bounds soon; some numbers are missing, a frame is damaged."""
    path = tmp_path_factory.mktemp("random") / "store"
    img = np.add.outer(np.arange(480) // 3, np.arange(640) // 4).astype(np.uint8)
    with imgstore.new_for_format("avc1/mp4", path, imgshape=img.shape, fps=25, chunksize=125) as store:
        for n in range(COUNT):
            img[:64, :64] = coded(n)
            store.add_image(img, n + 3 * (n > 200), n / 25)
            store.add_extra_data(temperature=n / 2, **({"valve": "open"} if n % 100 == 40 else {}))
    return path


def act(seen: Page, generator: random.Random) -> None:
    """Do one thing."""
    kind = generator.randrange(10)
    if kind < 4:
        seen.press(*generator.choices(KEYS, k=generator.randrange(1, 6)))
    elif kind < 6:
        seen.run("location.hash = arguments[0]", f"#index={generator.randrange(COUNT)}")
    elif kind == 6:
        name = generator.choice([*SETTINGS])
        seen.run(
            "const f = document.getElementById(arguments[0]); f.value = arguments[1];"
            "for (const what of ['input', 'change']) f.dispatchEvent(new Event(what))",
            name, generator.choice(SETTINGS[name]),
        )  # fmt: skip
    elif kind == 7:
        seen.run("document.querySelector(`[data-do=${arguments[0]}]`).click()", generator.choice(LINE))
    elif kind == 8:
        seen.run(
            "document.getElementById('beside-panel').open = true;"
            "const boxes = document.querySelectorAll('#columns input'); boxes[arguments[0] % boxes.length]?.click()",
            generator.randrange(3),
        )
    else:
        where = generator.choice(["whole", "part"])
        seen.run(
            "const c = document.getElementById(arguments[0]); c.setPointerCapture = () => {};"
            "const at = x => ({bubbles: true, pointerId: 1, clientX: c.getBoundingClientRect().left + x});"
            "c.dispatchEvent(new PointerEvent('pointerdown', at(arguments[1])));"
            "for (let k = 0; k < 20; k++) c.dispatchEvent(new PointerEvent('pointermove', at(arguments[1] + 5 * k)));"
            "c.dispatchEvent(new PointerEvent('pointerup', at(arguments[1])))",
            where, generator.randrange(600),
        )  # fmt: skip


def check(seen: Page, generator: random.Random) -> None:
    """Let it rest, and look at what is seen: as it is, whatever has been done to the picture before."""
    seen.run("document.querySelector('[data-do=reset-picture]').click()")
    wanted = generator.randrange(COUNT)
    seen.run("location.hash = arguments[0]", f"#index={wanted}&")  # what the address says already would be no event
    found, pixels = seen.at(wanted)
    assert decoded(pixels[:64, :64]) == wanted
    assert found["number"] == str(wanted + 3 * (wanted > 200))


def memory_of_pages(driver: Any) -> int:
    """Return the bytes of memory that the browser's pages take, without what nobody holds any more."""
    driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    total = 0
    for process in psutil.Process(driver.service.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "--type=renderer" in process.cmdline():
                total += process.memory_info().rss
    return total


@pytest.mark.long
@pytest.mark.timeout(900)
def test_random_use(command: Callable[..., Any], store: Path, need_module: Callable[[str], Any]) -> None:
    """What half an hour of looking does: some hundred things, without the pauses between them."""
    need_module("selenium")
    process = command(store)
    with browser() as driver:
        seen, generator = Page(driver, process.url), random.Random(0)

        def go_on(rounds: int) -> tuple[int, int]:
            for n in range(rounds):
                act(seen, generator)
                if n % 10 == 9:
                    check(seen, generator)
            return memory_of_pages(driver), psutil.Process(process.pid).memory_info().rss

        page_before, server_before = go_on(200)
        page, server = go_on(300)
        assert seen.faults() == []
        assert page - page_before < MAY_GROW
        assert server - server_before < MAY_GROW
        print(f"the page grew by {(page - page_before) / 1e6:.0f} MB, the server by {(server - server_before) / 1e6:.0f} MB")
