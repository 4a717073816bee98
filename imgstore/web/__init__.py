"""The page: recordings in a browser, exact, on whatever machine they are; and in a notebook."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from imgstore.web.card import as_html

if TYPE_CHECKING:
    from imgstore.web.serving import PageServer
    from imgstore.web.widget import StoreView

__all__ = ["as_html", "make_server", "serve", "view"]

_NEEDED = "the page needs Starlette and uvicorn: pip install 'imgstore[web]'"
_NEEDED_BY_VIEW = "a view in a notebook needs anywidget: pip install 'imgstore[notebook]'"


def make_server(
    *paths: str | os.PathLike[str], host: str = "127.0.0.1", port: int = 0, hosts: Iterable[str] = ()
) -> PageServer:
    """Make a server of the page that does not answer yet; see `serve`."""
    try:
        from imgstore.web.serving import PageServer
    except ImportError as error:
        raise ImportError(f"{_NEEDED} ({error})") from error
    return PageServer(paths, host=host, port=port, hosts=hosts)


def serve(
    *paths: str | os.PathLike[str], host: str = "127.0.0.1", port: int = 0, hosts: Iterable[str] = ()
) -> PageServer:
    """Show recordings in a browser, from a thread of this process.

    Parameters
    ----------
    *paths : path-like
        A recording, whatever `imgstore.open` takes; several that belong together, which are shown in step; or folders with
        stores.
    host : str
        Where to listen. With another address than that of this machine itself others can reach the page; they need the
        token that is in `url`.
    port : int
        Default 0, one that is free.
    hosts : iterable of str
        Further names under which the page may be called: a proxy's.

    Returns
    -------
    PageServer
        ``url`` is the address to open, ``close()`` ends it; it is a context manager, too.

    Raises
    ------
    ImportError
        Starlette or uvicorn are not here; ``pip install 'imgstore[web]'`` brings them.
    NotAStoreError, MetadataError, ArgumentError
        There is no recording at a path, it cannot be opened, or those given do not belong together.
    OSError
        The port is taken, or the address is not this machine's.
    """
    server = make_server(*paths, host=host, port=port, hosts=hosts)
    server.start()
    return server


def view(store: Any, position: int = 0) -> StoreView:
    """Make the widget of a store; see `imgstore.ImgStore.view`."""
    try:
        from imgstore.web.widget import StoreView
    except ImportError as error:
        raise ImportError(f"{_NEEDED_BY_VIEW} ({error})") from error
    return StoreView(store, position)
