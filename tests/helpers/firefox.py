"""Firefox, driven by the protocol that it speaks itself (WebDriver BiDi): no driver program has to be there."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from page_browser import SECONDS, Page

# nothing that a new profile would ask for or show
_PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}


class Firefox:
    """A window of a Firefox that runs: what the tests use of Selenium's drivers."""

    def __init__(self, address: str):
        import websocket  # selenium brings it

        # a page may not drive the browser, so that who says where it comes from is not let in
        self._socket = websocket.create_connection(f"{address}/session", suppress_origin=True, timeout=SECONDS)
        self._ids = itertools.count(1)
        self._log: list[dict[str, str]] = []
        self._say("session.new", capabilities={})
        self._say("session.subscribe", events=["log.entryAdded"])
        self._window = self._say("browsingContext.getTree")["contexts"][0]["context"]
        self._in_window("browsingContext.setViewport", viewport={"width": 1280, "height": 900})

    def _say(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv())
            if said.get("method") == "log.entryAdded" and said["params"]["level"] == "error":
                self._log.append({"message": str(said["params"]["text"])})
            if said.get("id") == number:
                assert said["type"] == "success", said
                result: dict[str, Any] = said["result"]
                return result

    def _in_window(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._say(method, context=self._window, **parameters)

    def get(self, url: str) -> None:
        """Open an address."""
        self._in_window("browsingContext.navigate", url=url, wait="complete")

    def execute_script(self, script: str, *arguments: Any) -> Any:
        """Run a script, which may return what JSON holds."""
        answer = self._say(
            "script.callFunction",
            functionDeclaration=f"(given) => JSON.stringify((function () {{ {script} }}).apply(null, JSON.parse(given)) ?? null)",
            arguments=[{"type": "string", "value": json.dumps(arguments)}],
            awaitPromise=False,
            target={"context": self._window},
        )
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def press(self, keys: Sequence[str]) -> None:
        """Press keys one after the other."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._in_window("input.performActions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def get_log(self, kind: str) -> list[dict[str, str]]:
        """Return the errors of scripts since this was last asked."""
        said, self._log = self._log, []
        return said


class FirefoxPage(Page):
    """The viewer in Firefox."""

    def press(self, *keys: str, holding: str = "") -> None:
        """Press keys."""
        assert not holding
        self.driver.press(keys)


@contextlib.contextmanager
def firefox() -> Iterator[Firefox]:
    """Start Firefox without a screen, or skip the test."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("needs the program firefox-esr or firefox")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in _PREFERENCES.items())
        (Path(profile) / "user.js").write_text("".join(lines))
        command = [program, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            yield Firefox(_address(process))
        finally:  # nothing of the profile is wanted any more
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[str]) -> str:
    """Return where it listens, and go on taking what it says."""
    assert process.stderr is not None
    deadline = time.monotonic() + SECONDS
    for line in process.stderr:
        found = re.search(r"WebDriver BiDi listening on (ws://\S+)", line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return found[1]
        assert time.monotonic() < deadline, "Firefox does not listen"
    raise AssertionError("Firefox ended before it listened")
