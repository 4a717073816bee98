"""The page in Chromium: from a key to pixels, playing, a recording of millions of frames; and what server and page grow by.

    python benchmarks/page.py [--frames N] [--seconds S] [--jumps N] [--json FILE]

Needs ``pip install 'imgstore[web]' selenium`` and the programs chromium and chromedriver. Browser, server and this program share
the machine. A store of N frames with one number missing, and 10 million values beside them, is made of one small video that is
linked many times; one of H.264, 1280 x 1024, 25 a second, is written for the rest. From a key to pixels is measured in the page,
from the key's event to the canvas's change. The proxy has a round trip of 50 ms and carries 20 Mbit/s.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scene import scene

import imgstore

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))
from long_store import CHUNK, make_long_store  # noqa: E402
from page_browser import Page, browser  # noqa: E402
from page_client import Client  # noqa: E402
from slow_proxy import proxy  # noqa: E402

WATCH = """
window.came = [];
const canvas = document.querySelector('.camera canvas');
new MutationObserver(() => window.came.push([performance.now(), Number(canvas.dataset.index)]))
  .observe(canvas, {attributes: true, attributeFilter: ['data-index']});
document.addEventListener('keydown', () => window.pressed = performance.now(), true);
window.addEventListener('hashchange', () => window.pressed = performance.now(), true);
"""

# ms from when the page was asked for until its first frame was on the canvas, as the page itself has noted it
FIRST = "return performance.getEntriesByName('first frame')[0].startTime"

STUTTER = """
if (!window.zooming) {
  window.zooming = [];
  let last = 0;
  const step = (now) => {
    if (last) window.zooming.push(now - last);
    last = now;
    const n = window.zooming.length;
    if (n % 10 === 5) document.querySelector(n % 200 < 100 ? '[data-do=line-in]' : '[data-do=line-out]').click();
    if (n < 400) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}
const all = [...window.zooming].sort((a, b) => a - b);
return all.length >= 400 && [all[200], all[380]].map((ms) => Math.round(ms * 10) / 10);
"""


def percentile(values: list[float], part: float) -> float:
    return round(float(np.percentile(values, part)), 1)


def memory() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def answers(client: Client, what: str, count: int, around: int, **more: int) -> list[float]:
    """Return p50 and worst of the ms, and the largest kB, of answers for stretches of all lengths."""
    generator = random.Random(0)
    took, sizes = [], []
    for _ in range(100):
        wide = int(10 ** generator.uniform(1, np.log10(count)))
        start = max(0, around - generator.randrange(wide))
        began = time.perf_counter()
        status, _, body = client.ask(what, start=start, stop=min(count, start + wide), buckets=1024, **more)
        took.append((time.perf_counter() - began) * 1000)
        assert status == 200
        assert what != "timeline" or len(json.loads(body)["events"]["missing"]) == 1
        sizes.append(len(body) / 1000)
    return [percentile(took, 50), round(max(took), 1), round(max(sizes), 1)]


def long_recording(count: int) -> dict[str, Any]:
    """Open a long recording with the command, and look at its time line and at what is beside it."""
    results: dict[str, Any] = {"frames": count}
    chunks = count // CHUNK
    with tempfile.TemporaryDirectory() as folder, browser() as driver:
        store = make_long_store(Path(folder) / "store", chunks, lost=count * 2 // 3, samples=10_000_000 // chunks)
        command = [sys.executable, "-m", "imgstore", "view", "--web", "--no-browser", str(store)]
        began = time.perf_counter()
        process: Any = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            process.url = process.stdout.readline().strip()
            results["address after the command, s"] = round(time.perf_counter() - began, 2)
            page = Page(driver, process.url)
            page.at(0)
            results["first frame after the command, s"] = round(time.perf_counter() - began, 2)
            Page(driver, process.url).at(0)
            results["first frame after the page's beginning, ms"] = round(page.run(FIRST))
            client = Client(process)
            client.json("summary")
            what = "ms p50, worst; kB most"
            results[f"time line, {what}"] = answers(client, "timeline", count, count * 2 // 3)
            results[f"intervals, {what}"] = answers(client, "plot", count, count * 2 // 3)
            began = time.perf_counter()
            while (found := client.json("columns"))["read"] < 1:
                time.sleep(0.2)
            results["10 million values read, s"] = round(time.perf_counter() - began, 1)
            column = [each["name"] for each in found["columns"]].index("force")
            results[f"plot of them, {what}"] = answers(client, "plot", count, count * 2 // 3, column=column)
            page.run("document.getElementById('beside-panel').open = true")
            page.wait("return document.querySelectorAll('#columns input').length > 2")
            for box in driver.find_elements("css selector", "#columns input"):
                page.run("arguments[0].click()", box)
            page.wait("return document.querySelectorAll('.plot').length > 2")
            time.sleep(1)
            results["between pictures while zooming with plots, ms, p50 and p95"] = page.wait(STUTTER)
        finally:
            process.terminate()
            process.wait()
    return results


def record(path: Path, seconds: int) -> None:
    with imgstore.new_for_format("avc1/mp4", path, imgshape=(1024, 1280), fps=25, chunksize=1000) as store:
        for k, img in enumerate(scene(seconds * 25, height=1024, width=1280)):
            store.add_image(img, k, 1.7e9 + k / 25)


def latencies(page: Page, indices: list[int], key: str = "") -> list[float]:
    """Return milliseconds from what is asked for to its pixels."""
    took = []
    for index in indices:
        page.run("window.came = []")
        if key:
            page.press(key)
        else:
            page.run("location.hash = '#index=' + arguments[0]", index)
        took.append(
            page.wait(
                "const c = window.came.find(([, i]) => i === arguments[0]); return c && c[0] - window.pressed + 1e-6", index
            )
        )
        time.sleep(0.15)  # a reader rests, too
    return took


def in_the_browser(seconds: int, jumps: int) -> dict[str, Any]:
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        record(store, seconds)
        count = seconds * 25
        with browser() as driver, imgstore.serve(store) as server:
            before = memory()
            began = time.perf_counter()
            page = Page(driver, server.url)
            page.at(0)
            results["first frame after the page was asked for, s"] = round(time.perf_counter() - began, 2)
            page.run(WATCH)
            generator = random.Random(1)
            near = latencies(page, list(range(1, 41)), ".")
            far = latencies(page, [generator.randrange(count) for _ in range(jumps)])
            results["key to pixels, ms, p50 and p95"] = [percentile(near, 50), percentile(near, 95)]
            results["jump to pixels, ms, p50 and p95"] = [percentile(far, 50), percentile(far, 95)]
            page.run("location.hash = '#index=0'")
            page.at(0)
            page.run("window.came = []")
            page.press(" ")
            time.sleep(max(1, seconds - 2))
            page.press(" ")
            came = page.run("return window.came")
            shown = sorted({index for _, index in came})
            first = {index: at for at, index in reversed(came)}
            late = [(first[k] - first[shown[0]]) / 40 - (k - shown[0]) for k in shown]
            results["played, frames shown of those due"] = [len(shown), shown[-1] - shown[0] + 1]
            results["late by, frames, p50 and worst"] = [round(statistics.median(late), 1), round(max(late), 1)]
            results["server grew by, MB"] = round(memory() - before)
            heap = page.run("return performance.memory ? performance.memory.usedJSHeapSize / 1e6 : 0")
            results["the page's heap, MB"] = round(heap)
            with proxy(server.url, round_trip=0.05, bits=20e6) as url:
                page = Page(driver, url)
                page.at(0)
                page.run(WATCH)
                latencies(page, list(range(1, 6)), ".")  # until it knows how slow the way is
                near = latencies(page, list(range(6, 46)), ".")
                far = latencies(page, [generator.randrange(count) for _ in range(jumps)])
                results["by a proxy, key to pixels, ms, p50 and p95"] = [percentile(near, 50), percentile(near, 95)]
                results["by a proxy, jump to pixels, ms, p50 and p95"] = [percentile(far, 50), percentile(far, 95)]
                driver.get("about:blank")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=9_000_000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jumps", type=int, default=200)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = {
        "a long recording": long_recording(arguments.frames),
        "in the browser": in_the_browser(arguments.seconds, arguments.jumps),
    }
    for title, of in results.items():
        print(title)
        for what, value in of.items():
            print(f"  {what}: {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
