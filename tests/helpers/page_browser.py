"""The page in a real browser, headless: what is seen, and what is pressed."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

SECONDS = 60  # in which whatever is waited for has to happen

_PIXELS = """
const canvas = document.querySelectorAll('.camera canvas')[arguments[0]];
const {index, number, kind} = canvas.dataset;
const context = canvas.getContext('2d');
if (!canvas.width) return {index, number, kind, pixels: '', shape: [0, 0]};
const {data, width, height} = context.getImageData(0, 0, canvas.width, canvas.height);
let text = '';
for (let i = 0; i < data.length; i += 4) text += String.fromCharCode(data[i]);
return {index, number, kind, pixels: text, shape: [height, width],
        said: canvas.parentElement.nextElementSibling.textContent,
        over: canvas.nextElementSibling.hidden ? '' : canvas.nextElementSibling.textContent};
"""


@contextmanager
def browser(width: int = 1280, height: int = 900, *, dark: bool = False) -> Iterator[Any]:
    """Start Debian's Chromium, or skip the test."""
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    for name, path in programs.items():
        if path is None:
            pytest.skip(f"needs the program {name}")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"]
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                     "--disable-ipc-flooding-protection"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory() as saved:  # and not where the user's own are
        options.add_experimental_option("prefs", {"download.default_directory": saved})
        driver = webdriver.Chrome(options=options, service=Service(programs["chromedriver"]))
        try:
            resize(driver, width, height, dark=dark)
            yield driver
        finally:
            driver.quit()


def resize(driver: Any, width: int, height: int, *, dark: bool = False) -> None:
    """Make the window a size, and its system light or dark."""
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


class Page:
    """The viewer that is open in a browser."""

    def __init__(self, driver: Any, url: str = ""):
        self.driver = driver
        if url:
            driver.get(url)
            self.wait("return document.body.dataset.ready")

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: Any) -> Any:
        """Wait until a script returns something, and return that."""
        deadline = time.monotonic() + SECONDS
        while not (found := self.run(script, *arguments)):
            assert time.monotonic() < deadline, f"this did not happen: {script} {arguments}; {self.state()}"
            time.sleep(0.01)
        return found

    def state(self) -> Any:
        """Return what the page shows, for the one who reads why a test has failed."""
        return self.run(
            "const seen = c => [c.innerText, {...c.querySelector('canvas').dataset}];"
            "const said = ['message', 'trouble', 'index'].map(i => document.getElementById(i)).map(e => e.value ?? e.innerText);"
            "return [location.href, ...Array.from(document.querySelectorAll('.camera'), seen), ...said]"
        )

    def press(self, *keys: str, holding: str = "") -> None:
        """Press keys, wherever the focus is, while another one is held."""
        from selenium.webdriver.common.action_chains import ActionChains

        chain = ActionChains(self.driver, duration=0)
        if holding:
            chain.key_down(holding)
        for key in keys:
            chain.send_keys(key)
        if holding:
            chain.key_up(holding)
        chain.perform()

    def seen(self, camera: int = 0) -> tuple[dict[str, Any], Any]:
        """Return what a camera's canvas says of itself, and its pixels, red, (h, w)."""
        found = self.run(_PIXELS, camera)
        pixels = np.frombuffer(found.pop("pixels").encode("latin-1"), np.uint8).reshape(found.pop("shape"))
        return found, pixels

    def at(self, index: int, camera: int = 0, kind: str = "raw") -> tuple[dict[str, Any], Any]:
        """Wait until a step is seen, and return it."""
        self.wait(
            "const c = document.querySelectorAll('.camera canvas')[arguments[0]];"
            "return c.dataset.index === arguments[1] && c.dataset.kind === arguments[2]",
            camera, str(index), kind,
        )  # fmt: skip
        return self.seen(camera)

    def type(self, field: str, text: str) -> None:
        """Type into a field, and press Enter."""
        from selenium.webdriver.common.keys import Keys

        element = self.driver.find_element("id", field)
        element.click()
        element.send_keys(Keys.CONTROL, "a")
        element.send_keys(text, Keys.ENTER)

    def faults(self) -> list[str]:
        """Return what the browser has complained of: errors of scripts, and what the page's policy has forbidden."""
        lines = [line["message"] for line in self.driver.get_log("browser")]
        # an answer that says why it is none is shown in its place; it is this test that reads canvases so often
        return [line for line in lines if "Failed to load resource" not in line and "willReadFrequently" not in line]
