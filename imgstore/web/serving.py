"""Serving the page: a socket, an address, and an end at once."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import socket
import threading
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from imgstore.errors import ArgumentError
from imgstore.web.application import make_application
from imgstore.web.catalogue import Catalogue
from imgstore.web.guard import Guard

__all__ = ["PageServer", "Protocol"]

_PORTS = range(8350, 8370)  # one of these where it is free, so that a forwarded port can stay what it is
_QUESTION = 20.0  # seconds in which a request must have been made
_ANSWER = 60.0  # seconds in which whoever has been answered must have read it
_MOST_CONNECTIONS = 900


class Protocol(H11Protocol):
    """HTTP with an end to clients that never ask, or never read."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the request."""
        super().connection_made(transport)
        self._late = self.loop.call_later(_QUESTION, self._if_nothing_was_asked)

    def _if_nothing_was_asked(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.abort()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that is not used; one whose answer nobody reads does not close by itself."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(_ANSWER, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._late.cancel()
        super().connection_lost(exc)


class PageServer:
    """The page of recordings, at an address of this machine.

    Parameters
    ----------
    paths : sequence of path-like
        See `imgstore.web.catalogue.Catalogue`.
    host : str
        Name or address to listen at; another than this machine's own makes the page reachable for others, who need the
        token.
    port : int
        0: one that is free.
    hosts : iterable of str
        Further names under which the page is called, those of a proxy for one.

    Attributes
    ----------
    url : str
        The address with the token. Who has it sees the recordings.
    """

    def __init__(
        self,
        paths: Sequence[str | PathLike[str]],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        hosts: Iterable[str] = (),
    ):
        if not 0 <= port <= 65535:
            raise ArgumentError(f"port must be from 0 to 65535, not {port}")
        self._catalogue = Catalogue(paths)
        self._token = secrets.token_urlsafe(24)
        self._socket = _listen(host, port)
        port = self._socket.getsockname()[1]
        local = _is_loopback(self._socket.getsockname()[0])
        names = [*hosts, *([] if local else [host, socket.gethostname()])]
        shown = "127.0.0.1" if local else host if host not in ("0.0.0.0", "::", "") else socket.gethostname()
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/?token={self._token}"
        application: Any = Guard(
            make_application(self._catalogue), self._token, hosts=map(_bare_name, names), addresses=not local
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                application,
                http=Protocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=1,
                limit_concurrency=_MOST_CONNECTIONS,
            )
        )
        self._thread: threading.Thread | None = None
        self._closing = False

    def run(self) -> None:
        """Answer until `close` is called, or Ctrl-C is pressed; then a KeyboardInterrupt is raised."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._end()
        if not self._closing:  # uvicorn hands Ctrl-C on, but not whatever it is at
            raise KeyboardInterrupt

    def start(self) -> None:
        """Answer in a thread, until `close` is called."""
        self._thread = threading.Thread(target=self.run, name="imgstore page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering, and close the recordings. More than once does no harm."""
        self._closing = self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(10)
        else:
            self._end()

    def __enter__(self) -> PageServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        parts = urlsplit(self.url)
        return f"<PageServer of {self._catalogue.title} at {parts.scheme}://{parts.netloc}>"

    def _end(self) -> None:
        self._socket.close()
        self._catalogue.close()


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises
    ------
    OSError
        The address is not this machine's, or the port is taken.
    """
    wanted = [*_PORTS, 0] if not port else [port]
    family = socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    for number in wanted:
        # asyncio asks those alone to send at once that say they are TCP; else a short answer waits 40 ms for one before it
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if os.name == "posix":  # Windows would let several processes share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
            listening.listen(256)
        except OSError as error:
            listening.close()
            if number == wanted[-1]:
                where = f"port {number} of {host}" if number else host
                raise OSError(error.errno, f"cannot listen at {where}: {error.strerror}") from error
        else:
            return listening
    raise AssertionError("the last of the ports is tried or an error")


def _is_loopback(address: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(address).is_loopback
    return False


def _bare_name(host: str) -> str:
    """Return a name as requests have it: numbers of the sixth version are in brackets there."""
    return f"[{host}]" if ":" in host else host
