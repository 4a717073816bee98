"""Nine million frames, and three million values beside them: at once, in answers of a bounded size, and nothing is left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coded_frames import decoded
from long_store import CHUNK, make_long_store
from page_browser import Page, browser
from page_client import Client

CHUNKS, LOST, SAMPLES = 900, 6_000_000, 3_500
COUNT = CHUNKS * CHUNK
MOST = 50_000  # bytes of an answer
BUCKETS = 1024  # that the page asks for at most

RED = """
const c = document.getElementById(arguments[0]); const d = c.getContext('2d').getImageData(0, 3, c.width, 1).data;
for (let x = 0; x < c.width; x++) if (d[4*x] > 180 && d[4*x+1] < 80) return true;
"""


@pytest.mark.long
@pytest.mark.timeout(900)
def test_nine_million_frames(command: Callable[..., Any], tmp_path: Path, need_module: Callable[[str], Any]) -> None:
    need_module("selenium")
    process = command(make_long_store(tmp_path / "store", CHUNKS, lost=LOST, samples=SAMPLES))
    with browser() as driver:
        seen = Page(driver, process.url)
        assert decoded(seen.at(0)[1]) == 0
        for zoom in range(25):  # from all frames to some
            seen.wait(RED, "whole")
            seen.wait("return document.getElementById('span').textContent.length > 0")
            if not zoom:
                seen.press("\ue00f")  # the next gap
                found, pixels = seen.at(LOST)
                assert found["number"] == str(LOST + 1) and decoded(pixels) == LOST % CHUNK
            seen.wait(RED, "part")
            seen.driver.find_element("css selector", "[data-do=line-in]").click()
        seen.driver.find_element("css selector", "[data-do=line-all]").click()
        client = Client(process)
        sizes = []
        for wide in (COUNT, COUNT // 7, 100_000, 5_000, 700):
            asked = {"start": max(0, LOST - wide // 3), "stop": LOST + wide, "buckets": BUCKETS}
            _, _, line = client.ask("timeline", **asked)
            assert [(amount, at) for _, amount, at in json.loads(line)["events"]["missing"]] == [(1, LOST)]
            sizes += [len(line), len(client.ask("plot", **asked)[2])]
        seen.run("document.getElementById('beside-panel').open = true")
        force = "Array.from(document.querySelectorAll('#columns label')).find(e => e.textContent === 'force')"
        seen.wait(f"return Boolean({force})")
        seen.run(f"{force}.querySelector('input').click()")
        column = [each["name"] for each in client.json("columns")["columns"]].index("force")
        while client.json("columns")["read"] < 1:
            seen.press(".")  # frames are shown meanwhile
            at = int(seen.seen()[0]["index"])
            assert LOST <= at <= COUNT
        whole = json.loads(client.ask("plot", column=column, start=0, stop=COUNT, buckets=BUCKETS)[2])
        assert sum(whole["count"]) == CHUNKS * SAMPLES
        assert np.allclose([min(whole["low"]), max(whole["high"])], [-1, 1], atol=1e-4)
        for _ in range(6):
            sizes.append(len(client.ask("plot", column=column, start=0, stop=COUNT, buckets=BUCKETS)[2]))
        assert max(sizes) < MOST
        seen.run("location.hash = '#index=4567890'")
        assert decoded(seen.at(4_567_890)[1]) == 4_567_890 % CHUNK
        seen.wait("const o = document.querySelector('.plot output'); return /^-?[0-9.]+$/.test(o.textContent)")
        assert seen.faults() == []
