"""Who is let in, and what every answer says to the browser: asked before anything else is.

Only what was opened with the token gets an answer, and only a page of this server's own may ask. The name in the request
decides nothing but that: no address is ever made from it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["Guard"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_HOST = re.compile(r"(?P<name>[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
_LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
_MOST_QUERY = 4096  # characters
_MOST_HEADERS = 32_768

# All that the page does: its own scripts and styles, pictures that it makes, and questions to this server.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


class Guard:
    """An ASGI application that asks another one only what is allowed.

    Parameters
    ----------
    application : callable
        What answers.
    token : str
        Who has it is let in: in the address once, then as a cookie.
    hosts : iterable of str
        Names, besides those of this machine itself, under which the server may be called.
    addresses : bool
        Whether it may be called by any numeric address. No name can be made to point at another machine's numbers.
    """

    def __init__(self, application: Application, token: str, *, hosts: Iterable[str] = (), addresses: bool = False):
        self._application = application
        self._token = token.encode()
        self._hosts = _LOOPBACK | {host.lower() for host in hosts}
        self._addresses = addresses
        # cookies know no ports: another server of this machine has another name
        self._cookie = b"imgstore-" + hashlib.sha256(self._token).hexdigest()[:12].encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers: list[tuple[bytes, bytes]] = []
        fault = self._fault(scope)
        if fault is None and self._has_token(scope):
            if scope["path"] != "/":
                fault = 403, "the token belongs into the address of the page alone"
            else:
                headers.append(
                    (b"set-cookie", self._cookie + b"=" + self._token + b"; HttpOnly; SameSite=Strict")
                )
        elif fault is None and not self._has_cookie(scope):
            fault = 403, "open the address that imgstore has printed, with its token"

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS, *headers]
            await send(message)

        if fault is not None:
            status, text = fault
            body = f"imgstore: {text}\n".encode()
            plain = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
            await answer({"type": "http.response.start", "status": status, "headers": plain})
            await answer({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
            return
        await self._application(scope, receive, answer)

    def _fault(self, scope: Scope) -> tuple[int, str] | None:
        """Say what is wrong with a request, whoever it is from."""
        given = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        if len(given) != 1 or not self._may_be_called(given[0]):
            return 403, "this server is not known under that name; see --allow-host"
        if scope["method"] != "GET":
            return 405, "only GET is answered"
        if len(scope["query_string"]) > _MOST_QUERY:
            return 414, "the address is too long"
        if sum(len(name) + len(value) for name, value in scope["headers"]) > _MOST_HEADERS:
            return 431, "the headers are too long"
        origins = _all(scope, b"origin")
        if any(origin.lower() not in (b"http://" + given[0].encode(), b"https://" + given[0].encode()) for origin in origins):
            return 403, "another page may not ask this server"
        sites = _all(scope, b"sec-fetch-site")
        if any(site not in (b"same-origin", b"none") for site in sites):
            # a link on another page may open this one, with the token
            if _all(scope, b"sec-fetch-mode") != [b"navigate"] or _all(scope, b"sec-fetch-dest") != [b"document"]:
                return 403, "another page may not ask this server"
            if not self._has_token(scope):
                return 403, "open the address that imgstore has printed, with its token"
        return None

    def _may_be_called(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"]
        if name in self._hosts:
            return True
        if not self._addresses:
            return False
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True

    def _has_token(self, scope: Scope) -> bool:
        try:
            query = parse_qsl(scope["query_string"].decode("latin-1"), max_num_fields=20)
        except ValueError:
            return False
        tokens = [value.encode() for name, value in query if name == "token"]
        return len(tokens) == 1 and hmac.compare_digest(tokens[0], self._token)

    def _has_cookie(self, scope: Scope) -> bool:
        for line in _all(scope, b"cookie"):
            for pair in line.split(b";"):
                name, _, value = pair.strip().partition(b"=")
                if name == self._cookie and hmac.compare_digest(value, self._token):
                    return True
        return False


def _all(scope: Scope, wanted: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == wanted]
