"""Requests that nobody of good will makes: refused, or answered with what cannot do any harm, and the server goes on."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coded_frames
import numpy as np
import pytest
from page_client import Client

import imgstore
from imgstore.web.guard import Guard

SECRET = "what nobody has named"
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recording whose texts are scripts, a link out of it, and something secret beside it."""
    root = tmp_path_factory.mktemp("place")
    folder = root / "folder"
    folder.mkdir()
    with imgstore.new_for_format(
        "npy", folder / "store <b>bold<", imgshape=(8, 8), metadata={"camera_serial": SCRIPT}
    ) as store:
        for n in range(20):
            store.add_image(np.full((8, 8), n, np.uint8), n, n / 10)
            store.add_extra_data(**{SCRIPT: n, "said": SCRIPT})
    (root / "secret.txt").write_text(SECRET)
    coded_frames.record(root / "elsewhere", "npy", 3)
    (folder / "link").symlink_to(root / "elsewhere", target_is_directory=True)
    (folder / "page.css").symlink_to(root / "secret.txt")
    return root


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Any]:
    with imgstore.serve(place / "folder") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Any) -> Client:
    return Client(server)


def exchange(server: Any, request: bytes, wait: float = 10.0) -> bytes:
    """Send bytes and return what comes until the connection is closed."""
    host, port = server.url.split("/")[2].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=wait) as connection:
        connection.sendall(request)
        got = b""
        try:
            while part := connection.recv(65536):
                got += part
        except (TimeoutError, ConnectionResetError):
            pass
    return got


def request(
    client: Client, path: str = "/", *, method: str = "GET", host: str | None = None, cookie: bool = True, more: str = ""
) -> bytes:
    """Make a request by hand."""
    given = client.parts.netloc if host is None else host
    lines = [f"{method} {path} HTTP/1.1", *([f"Host: {given}"] if given != "none" else []), "Connection: close"]
    lines += [f"Cookie: {client.cookie}"] if cookie else []
    return "\r\n".join([*lines, *filter(None, more.split("\n")), "", ""]).encode("latin-1")


N = "{name}"  # the recording's opaque name
REFUSED: dict[str, dict[str, Any]] = {
    # who is asked
    "foreign host": {"host": "evil.example"},
    "foreign host with our port": {"host": "evil.example:{port}"},
    "a name that begins with ours": {"host": "localhost.evil.example:{port}"},
    "a name that ends in ours": {"host": "evil-localhost:{port}"},
    "a rebinding name": {"host": "127.0.0.1.nip.io:{port}"},
    "a user in the host": {"host": "127.0.0.1@evil.example"},
    "another number of this machine": {"host": "127.1:{port}"},
    "a decimal number": {"host": "2130706433:{port}"},
    "all numbers": {"host": "0.0.0.0:{port}"},
    "no host": {"host": "none"},
    "an empty host": {"host": ""},
    "two hosts": {"more": "Host: evil.example"},
    "a host with a path": {"host": "127.0.0.1:{port}/x"},
    "a host with a space": {"host": "127.0.0.1:{port} evil.example"},
    "a port that is none": {"host": "127.0.0.1:80:80"},
    # who asks
    "no token": {"cookie": False},
    "no token for a frame": {"path": f"/api/frame?r={N}&index=0", "cookie": False},
    "no token for a script": {"path": "/static/page.js", "cookie": False},
    "a wrong token": {"path": "/?token=wrong", "cookie": False},
    "half of the token": {"path": "/?token={half}", "cookie": False},
    "two tokens": {"path": "/?token={token}&token=x", "cookie": False},
    "the token for an answer": {"path": f"/api/frame?r={N}&index=0&token={{token}}", "cookie": False},
    "the token in a header": {"cookie": False, "more": "Authorization: Bearer {token}"},
    "a wrong cookie": {"cookie": False, "more": "Cookie: {cookie_name}=wrong"},
    "an empty cookie": {"cookie": False, "more": "Cookie: {cookie_name}="},
    "a cookie of another name": {"cookie": False, "more": "Cookie: imgstore={token}"},
    "foreign origin": {"more": "Origin: https://evil.example"},
    "an origin that begins with ours": {"more": "Origin: http://127.0.0.1:{port}.evil.example"},
    "an origin of another port": {"more": "Origin: http://127.0.0.1:1"},
    "an origin that is nobody's": {"more": "Origin: null"},
    "another site": {"more": "Sec-Fetch-Site: cross-site"},
    "another port of this machine": {"more": "Sec-Fetch-Site: same-site"},
    "a picture on another site": {"more": "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: no-cors\nSec-Fetch-Dest: image"},
    "a frame on another site": {"more": "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: iframe"},
    "a link without the token": {"more": "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document"},
    # what is asked for
    "POST": {"method": "POST"},
    "PUT": {"method": "PUT"},
    "DELETE": {"method": "DELETE"},
    "OPTIONS": {"method": "OPTIONS"},
    "HEAD": {"method": "HEAD"},
    "TRACE": {"method": "TRACE"},
    "a method of no one": {"method": "GETT"},
    "a web socket": {
        "path": "/ws", "more": "Upgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    },
    "up": {"path": "/static/../../../secret.txt"},
    "up, encoded": {"path": "/static/%2e%2e/%2e%2e/secret.txt"},
    "up, encoded twice": {"path": "/static/%252e%252e%252fsecret.txt"},
    "up, with a slash encoded": {"path": "/static/..%2f..%2fsecret.txt"},
    "up, with backslashes": {"path": "/static/..\\..\\secret.txt"},
    "an absolute path": {"path": "/static//etc/passwd"},
    "a zero byte": {"path": "/static/page.js%00.png"},
    "a file that is none of the page's": {"path": "/static/assets.py"},
    "the folder of the files": {"path": "/static/"},
    "a path as a recording": {"path": "/api/facts?r=../elsewhere"},
    "an absolute path as a recording": {"path": "/api/facts?r=/etc"},
    "a recording that nobody has named": {"path": "/api/facts?r=000000000000"},
    "the same recording twice": {"path": f"/api/facts?r={N}.{N}"},
    "no recording": {"path": "/api/facts"},
    "two recordings": {"path": f"/api/facts?r={N}&r={N}"},
    "a clock of one's own": {"path": f"/api/facts?r={N}&align=<script>"},
    "a camera that is not there": {"path": f"/api/frame?r={N}&index=0&camera=1"},
    "a negative camera": {"path": f"/api/frame?r={N}&index=0&camera=-1"},
    "a frame beyond the end": {"path": f"/api/frame?r={N}&index=20"},
    "a negative frame": {"path": f"/api/frame?r={N}&index=-1"},
    "a huge frame": {"path": f"/api/frame?r={N}&index=999999999999999999"},
    "a frame of a thousand digits": {"path": f"/api/frame?r={N}&index=" + "9" * 1000},
    "a frame that is no number": {"path": f"/api/frame?r={N}&index=NaN"},
    "a frame in another script": {"path": f"/api/frame?r={N}&index=%D9%A1"},
    "no frame": {"path": f"/api/frame?r={N}"},
    "another kind of picture": {"path": f"/api/frame?r={N}&index=0&kind=../../x"},
    "a picture of no size": {"path": f"/api/frame?r={N}&index=0&kind=jpeg&most=0"},
    "a huge picture": {"path": f"/api/frame?r={N}&index=0&kind=jpeg&most=99999999"},
    "levels without bounds": {"path": f"/api/frame?r={N}&index=0&kind=jpeg&low=inf&high=nan"},
    "no buckets": {"path": f"/api/timeline?r={N}&start=0&stop=20&buckets=0"},
    "a billion buckets": {"path": f"/api/timeline?r={N}&start=0&stop=20&buckets=1000000000"},
    "more pictures than a strip has": {"path": f"/api/pictures?r={N}&start=0&stop=20&buckets=5000"},
    "a column that is not there": {"path": f"/api/plot?r={N}&start=0&stop=20&buckets=5&column=99"},
    "a huge number to find": {"path": f"/api/find?r={N}&number=" + "9" * 90},
    "a time that is a script": {"path": f"/api/find?r={N}&time=%3Cscript%3Ealert(1)%3C/script%3E"},
    "a time of a month with 99 days": {"path": f"/api/find?r={N}&time=2026-02-99%2000:00:00"},
    "an endless time": {"path": f"/api/find?r={N}&time=" + "1" * 2000},
    "both a number and a time": {"path": f"/api/find?r={N}&time=1&number=1"},
    "an export from behind": {"path": f"/api/export?r={N}&start=5&stop=2"},
    "a direction of one's own": {"path": f"/api/fault?r={N}&index=0&direction=9"},
    "a long address": {"path": "/?" + "x" * 5000},
    "an endless address": {"path": "/?" + "x" * 100_000},
    "an endless header": {"more": "X-Long: " + "x" * 100_000},
    "thousands of parameters": {"path": "/api/facts?" + "&".join(["r=1"] * 1500)},
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refused(server: Any, client: Client, case: dict[str, Any]) -> None:
    token = client.parts.query.partition("=")[2]
    cookie_name, _, _ = client.cookie.partition("=")
    words = {
        "{name}": next(iter(client.names.values())), "{port}": str(client.parts.port), "{token}": token,
        "{half}": token[: len(token) // 2], "{cookie_name}": cookie_name,
    }  # fmt: skip
    filled = {}
    for key, value in case.items():
        for word, meant in words.items():
            value = value.replace(word, meant) if isinstance(value, str) else value
        filled[key] = value
    answer = exchange(server, request(client, **filled))
    status, _, rest = answer.partition(b"\r\n")
    assert status.startswith(b"HTTP/1.1 4"), answer[:300]
    for never in (b"Traceback", SECRET.encode(), b"<script", b"root:"):
        assert never not in rest
    if b"invalid http" not in rest.lower() and not status.startswith(b"HTTP/1.1 400"):  # which uvicorn itself has said
        assert b"content-security-policy" in rest.lower()
    assert client.raw("/")[0] == 200  # and it goes on


def test_there_are_enough() -> None:
    assert len(REFUSED) >= 60


GARBAGE = {
    "nothing": b"",
    "a line feed": b"\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    "half a request": b"GET / HTTP/1.1\r\nHost: 127",
    "a line that never ends": b"GET /" + b"a" * 200_000,
    "another version": b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
    "a body without an end": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\nx",
    "two lengths": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "one request in another": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_request_gets_nothing(server: Any, client: Client, sent: bytes) -> None:
    answer = exchange(server, sent, wait=0.5)
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert b"Traceback" not in answer
    assert client.raw("/")[0] == 200


def test_what_is_let_in(server: Any, client: Client) -> None:
    """What is refused above is refused for its own fault: the same without it is answered."""
    port = client.parts.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", "localhost:9999", f"[::1]:{port}"):
        assert exchange(server, request(client, host=host)).startswith(b"HTTP/1.1 200")
    ours = f"Origin: http://{client.parts.netloc}\nSec-Fetch-Site: same-origin"
    assert exchange(server, request(client, more=ours)).startswith(b"HTTP/1.1 200")
    link = "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document"
    answer = exchange(server, request(client, f"/?{client.parts.query}", cookie=False, more=link))
    assert answer.startswith(b"HTTP/1.1 200") and b"HttpOnly; SameSite=Strict" in answer


def test_links_out_of_a_folder_lead_nowhere(client: Client) -> None:
    assert list(client.names) == ["store <b>bold<"]


def test_texts_of_recordings_are_data(client: Client) -> None:
    """Names, metadata, columns and values come as JSON, in which no tag can begin."""
    (name,) = client.names.values()
    for what, more in (("recordings", {}), ("facts", {}), ("columns", {}), ("values", {"index": 3})):
        _, headers, body = client.ask(what, r=name, **more)
        assert headers["content-type"] == "application/json"
        assert headers["x-content-type-options"] == "nosniff"
        assert b"<" not in body


def test_a_page_for_others_is_called_by_its_name_or_by_numbers() -> None:
    guard = Guard(None, "token", hosts=["lab-pc"], addresses=True)  # type: ignore[arg-type]
    assert all(map(guard._may_be_called, ("lab-pc:80", "lab-pc", "10.1.2.3:8350", "[fe80::1]:80", "localhost")))
    assert not any(map(guard._may_be_called, ("evil.example", "lab-pc.evil.example", "10.1.2.3.nip.io", "10.1.2", "")))


def test_clients_that_do_not_read_hold_nobody_up(server: Any, client: Client) -> None:
    (name,) = client.names.values()
    asked = request(client, f"/api/frame?r={name}&index=0")
    host, port = str(client.parts.hostname), int(client.parts.port or 0)
    silent = [socket.create_connection((host, port), timeout=5) for _ in range(100)]
    for k, connection in enumerate(silent):
        connection.sendall(asked[: len(asked) - 2] if k % 2 else asked)
    began = time.monotonic()
    assert client.ask("frame", r=name, index=1)[0] == 200
    assert time.monotonic() - began < 5
    for connection in silent:
        connection.close()
    assert client.raw("/")[0] == 200


@pytest.mark.long
def test_thousands_of_connections(server: Any, client: Client) -> None:
    """More than the server takes are told so, or wait; those that have gone leave nothing behind."""
    (name,) = client.names.values()
    answers: list[int] = []

    def many() -> None:
        for n in range(250):
            try:
                answers.append(client.ask("frame", r=name, index=n % 20)[0])
            except OSError:
                answers.append(0)

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) == {200} and len(answers) == 2000
