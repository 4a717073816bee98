"""Raises wherever it is called."""

from imgstore.hookspecs import hookimpl


@hookimpl
def imgstore_codecs():
    raise RuntimeError("no codecs today")


@hookimpl
def imgstore_store_opened(store):
    raise RuntimeError("not at the opening")


@hookimpl
def imgstore_chunk_closed(store, chunk, paths):
    raise RuntimeError("not at the end of a chunk")


@hookimpl
def imgstore_store_closed(store):
    raise RuntimeError("not at the close")
