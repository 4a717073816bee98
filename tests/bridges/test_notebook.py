"""Stores in notebooks: the card that stays, and the view, whose front end is run in a browser with the real widget behind it."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import comm
import cv2
import numpy as np
import pytest
from coded_frames import decoded, record
from comm.base_comm import BaseComm
from page_browser import Page, browser

import imgstore

HARNESS = """
const listeners = {};
window.sent = [];
window.state = arguments[0];
window.model = {
  get: name => window.state[name], set: (name, value) => (window.state[name] = value),
  save_changes: () => window.sent.push({state: {position: window.state.position}}),
  send: content => window.sent.push({content}),
  on: (name, f) => (listeners[name] = f), off: name => delete listeners[name],
};
window.hear = (content, data) => {
  const buffers = data.map(text => new DataView(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer));
  listeners['msg:custom']?.(content, buffers);
};
window.changed = (name, value) => { window.state[name] = value; listeners['change:' + name]?.(); };
const source = URL.createObjectURL(new Blob([arguments[1]], {type: 'text/javascript'}));
import(source).then(({default: widget}) => { window.end = widget.render({model: window.model, el: document.body}); });
"""


class Channel(BaseComm):  # type: ignore[misc]
    """What a kernel's channel carries, kept for the browser."""

    def __init__(self, **given: Any):
        self.messages: list[dict[str, Any]] = []
        super().__init__(**given)

    def publish_msg(self, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any) -> None:
        """Keep a message."""
        self.messages.append({"data": data or {}, "buffers": buffers or []})


class Notebook:
    """A widget and its front end in a browser, and between them what a notebook carries."""

    def __init__(self, driver: Any, widget: Any):
        self.widget, self.page = widget, Page(driver)
        driver.get("about:blank")
        names = ("name", "count", "fps", "marks", "buckets", "position")
        self.page.run(HARNESS, {name: getattr(widget, name) for name in names}, str(widget._esm))

    def carry(self) -> None:
        """Bring what was sent to the other side, both ways."""
        for sent in self.page.run("return window.sent.splice(0)"):
            data = {"method": "update" if "state" in sent else "custom", **sent}
            self.widget.comm.handle_msg({"content": {"data": data}, "buffers": []})
        messages, self.widget.comm.messages = self.widget.comm.messages, []
        for message in messages:
            if message["data"].get("method") == "custom":
                data = [base64.b64encode(b).decode() for b in message["buffers"]]
                self.page.run("window.hear(arguments[0], arguments[1])", message["data"]["content"], data)
            elif message["data"].get("method") == "update":
                for name, value in message["data"]["state"].items():
                    self.page.run("window.changed(arguments[0], arguments[1])", name, value)

    def see(self, position: int, exact: bool = True) -> Any:
        """Wait until a frame is seen, and return its pixels."""
        deadline = time.monotonic() + 20
        while True:
            self.carry()
            found = self.page.run(
                "const c = document.querySelector('canvas.frame'); if (!c.width || c.dataset.position !== arguments[0]) return;"
                "if (c.dataset.exact !== arguments[1]) return;"
                "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let t = '';"
                "for (let i = 0; i < d.length; i += 4) t += String.fromCharCode(d[i]); return [t, c.height, c.width]",
                str(position), str(exact).lower(),
            )  # fmt: skip
            if found:
                return np.frombuffer(found[0].encode("latin-1"), np.uint8).reshape(found[1:])
            assert time.monotonic() < deadline, (position, self.page.run("return document.body.innerText"))
            time.sleep(0.01)


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with browser() as driver:
        yield driver


@pytest.fixture
def notebook(driver: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Notebook]:
    """Show a widget in a browser."""
    monkeypatch.setattr(comm, "create_comm", Channel)
    return lambda store: Notebook(driver, store.view())


def test_a_card_has_a_picture_facts_and_gaps(tmp_path: Path) -> None:
    with imgstore.new_for_filename(record(tmp_path / "a <b>", "avc1/mp4", 60, lost={20, 21, 40})) as store:
        first, _ = store.get_next_image()
        bundle = store._repr_mimebundle_()
        assert store.get_next_image()[1][0] == 1  # where reading goes on is not changed
        assert bundle["text/plain"] == repr(store)
        page = bundle["text/html"]
        picture = base64.b64decode(re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)[0])
        assert decoded(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)) == decoded(first) == 0
        assert "a &lt;b&gt;" in page and "<b>" not in page
        assert "3 missing numbers" in page and "2 pauses" in page and page.count('fill="#c62828"') == 2
        assert "avc1/mp4" in page and "57 in 1 chunks" in page
        assert len(page) < 20_000
    assert "closed" in store._repr_html_()


def test_a_card_of_a_damaged_frame_says_so(tmp_path: Path) -> None:
    record(tmp_path / "store", "npy", 10)
    (broken,) = (tmp_path / "store").rglob("000000.npy")
    broken.write_bytes(b"x")
    with imgstore.new_for_filename(tmp_path / "store") as store:
        page = store._repr_html_()
        assert "000000.npy" in page and "<img" not in page


def test_cards_of_what_has_no_frames(tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "store", imgshape=(8, 8)) as store:
        assert "open for writing" in store._repr_html_()
    with imgstore.new_for_filename(tmp_path / "store") as store:
        assert "0 in 0 chunks" in store._repr_html_()
        assert store.view().count == 0


def test_frames_are_those_of_their_labels(notebook: Callable[[Any], Notebook], tmp_path: Path) -> None:
    with imgstore.new_for_filename(record(tmp_path / "store", "h264/mkv", 200, lost={50, 51})) as store:
        book = notebook(store)
        assert np.array_equal(book.see(0), store[0])
        for position in (150, 3, 49, 50):
            book.page.run(
                "const s = document.querySelector('input'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))", position
            )
            assert np.array_equal(book.see(position), store[position])
        said = book.page.run("return document.querySelector('output').textContent")
        assert said.startswith("frame 52, position 50, 2023-11-14")
        book.carry()
        assert book.widget.position == 50
        book.widget.position = 197  # from Python, too
        assert np.array_equal(book.see(197), store[197])
        book.widget.position = 10**9
        assert book.widget.position == 197


def test_playing_ends_at_the_last_frame(notebook: Callable[[Any], Notebook], tmp_path: Path) -> None:
    with imgstore.new_for_filename(record(tmp_path / "store", "npy", 20, rate=20)) as store:
        book = notebook(store)
        book.see(0)
        book.page.run("document.querySelector('button').click()")
        assert np.array_equal(book.see(19), store[19])
        assert book.page.run("return document.querySelector('button').getAttribute('aria-label')") == "Play"


def test_errors_have_their_place(notebook: Callable[[Any], Notebook], tmp_path: Path) -> None:
    record(tmp_path / "store", "npy", 10)
    (broken,) = (tmp_path / "store").rglob("000004.npy")
    broken.write_bytes(b"x")
    with imgstore.new_for_filename(tmp_path / "store") as store:
        book = notebook(store)
        book.see(0)
        book.widget.position = 4
        deadline = time.monotonic() + 20
        while "000004.npy" not in book.page.run("return document.querySelector('output').textContent"):
            book.carry()
            assert time.monotonic() < deadline
        book.widget.position = 5
        assert np.array_equal(book.see(5), store[5])


def test_a_picture_stays_in_the_saved_notebook(tmp_path: Path) -> None:
    with imgstore.new_for_filename(record(tmp_path / "store", "npy", 10)) as store:
        data, _ = store.view(3)._repr_mimebundle_()
        assert "data:image/jpeg;base64," in data["text/html"]
        assert "application/vnd.jupyter.widget-view+json" in data
