"""Gives something else than codecs."""

from imgstore.hookspecs import hookimpl


@hookimpl
def imgstore_codecs():
    return ["a codec"]
