"""Implements a hook with an argument that it does not have."""

from imgstore.hookspecs import hookimpl


@hookimpl
def imgstore_codecs(no_such_argument):
    return []
