"""A proxy under a path of its own, as those of computing centres have it; and far away, if that is asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

PREFIX = "/user/lab/proxy/8350"


class _Way:
    """One way of a line: what is sent comes later, and not more of it in a second than the line carries."""

    def __init__(self, delay: float, rate: float):
        self.delay, self.rate, self.free = delay, rate, 0.0

    def arrival(self, size: int) -> float:
        now = asyncio.get_running_loop().time()
        self.free = max(self.free, now) + (size / self.rate if self.rate else 0.0)
        return self.free + self.delay


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: _Way, *, requests: bool) -> None:
    """Carry bytes; of requests the prefix is taken off the path."""
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(8)  # as much as is under way: behind it the sender waits

    async def deliver() -> None:
        while (item := await queue.get())[1]:
            await asyncio.sleep(max(0.0, item[0] - asyncio.get_running_loop().time()))
            writer.write(item[1])
            await writer.drain()

    delivering = asyncio.ensure_future(deliver())
    try:
        while data := await (reader.readuntil(b"\r\n\r\n") if requests else reader.read(16384)):
            if requests:
                method, path, rest = data.split(b" ", 2)
                assert path.startswith(PREFIX.encode()), path
                data = b" ".join([method, path[len(PREFIX) :], rest])
            await queue.put((way.arrival(len(data)), data))
        await queue.put((0.0, b""))
        await delivering
    finally:
        delivering.cancel()


@contextmanager
def proxy(url: str, *, round_trip: float = 0.0, bits: float = 0.0) -> Iterator[str]:
    """Give the address of a page behind a proxy.

    Parameters
    ----------
    url : str
        The page's own address.
    round_trip : float
        Seconds.
    bits : float
        Per second, in each direction, of all connections together; 0: as many as come.
    """
    parts = urlsplit(url)
    loop = asyncio.new_event_loop()
    there, back = _Way(round_trip / 2, bits / 8), _Way(round_trip / 2, bits / 8)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(parts.hostname, parts.port)
        ways = [
            asyncio.ensure_future(_carry(reader, far_writer, there, requests=True)),
            asyncio.ensure_future(_carry(far_reader, writer, back, requests=False)),
        ]
        try:  # who goes away ends the other's connection, too
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the test is over
            pass
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.close()
            far_writer.close()

    server = loop.run_until_complete(asyncio.start_server(connected, "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}{PREFIX}/?{parts.query}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:  # all may have ended by themselves
            loop.run_until_complete(asyncio.wait(tasks))
        loop.close()
