"""Every hook that a plugin can implement. Mark implementations with ``imgstore.hookimpl``.

A plugin is a module or object named by an entry point in the group ``imgstore``, or one given to
`imgstore.plugins.register`. It implements any of the functions below, with any of their arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from imgstore.codec import Codec
    from imgstore.store import ImgStore

hookspec = pluggy.HookspecMarker("imgstore")
hookimpl = pluggy.HookimplMarker("imgstore")


@hookspec
def imgstore_codecs() -> Sequence[Codec]:  # type: ignore[empty-body]
    """Give the codecs of this plugin.

    Returns
    -------
    sequence of imgstore.codec.Codec
        Instances. Asked for once, when a store is first opened or formats are listed.
    """


@hookspec
def imgstore_store_opened(store: ImgStore) -> None:
    """Learn that a store has been opened, for reading or for writing (``store.mode``).

    It is called before the program gets the store. Where that is written, a plugin that does not return keeps the
    program waiting for a minute and no longer; it is called in a thread of the plugin's own, as for the other hooks
    of writing.
    """


@hookspec
def imgstore_store_closed(store: ImgStore) -> None:
    """Learn that a store has been closed. Of one that is written, all chunks have been told of before."""


@hookspec
def imgstore_chunk_opened(store: ImgStore, chunk: int, paths: Sequence[str]) -> None:
    """Learn that a store opened for writing has begun a chunk.

    Parameters
    ----------
    store : ImgStore
        The store.
    chunk : int
        The chunk's number.
    paths : sequence of str
        The file or directory in which its frames appear.
    """


@hookspec
def imgstore_chunk_closed(store: ImgStore, chunk: int, paths: Sequence[str]) -> None:
    """Learn that a chunk is complete: its files are in place and will not change while recording goes on.

    Parameters
    ----------
    store : ImgStore
        The store.
    chunk : int
        The chunk's number.
    paths : sequence of str
        All that belongs to it: video file or directory, index, extra data.
    """
