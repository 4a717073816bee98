"""Who asks a server of the page, as its own page does."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from typing import Any


class Client:
    """Asks a server of the page, as its own page does."""

    def __init__(self, server: Any):
        self.parts = urllib.parse.urlsplit(server.url)
        _, headers, _ = self.raw(f"/?{self.parts.query}", cookie="")
        self.cookie = headers["set-cookie"].partition(";")[0]
        self.at_once = None
        found = self.json("recordings")
        self.names = {each["title"]: each["name"] for each in found["recordings"]}
        self.at_once = found["at_once"]

    def raw(self, path: str, cookie: str | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer."""
        connection = http.client.HTTPConnection(str(self.parts.hostname), self.parts.port, timeout=20)
        given = self.cookie if cookie is None else cookie
        connection.request("GET", path, headers={**({"Cookie": given} if given else {}), **headers})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, body

    def open(self, what: str, **parameters: Any) -> http.client.HTTPConnection:
        """Ask, and read nothing of the answer."""
        connection = http.client.HTTPConnection(str(self.parts.hostname), self.parts.port, timeout=20)
        connection.request("GET", f"/api/{what}?{self._query(parameters)}", headers={"Cookie": self.cookie})
        return connection

    def _query(self, parameters: dict[str, Any]) -> str:
        given = {"r": self.at_once, **parameters} if self.at_once else parameters
        return urllib.parse.urlencode(given)

    def ask(self, what: str, **parameters: Any) -> tuple[int, dict[str, str], bytes]:
        """Ask a question of the page's."""
        return self.raw(f"/api/{what}?{self._query(parameters)}")

    def json(self, what: str, **parameters: Any) -> Any:
        """Return an answer that has to be one."""
        status, _, body = self.ask(what, **parameters)
        assert status == 200, body
        return json.loads(body)
