"""A recording at a glance, as HTML that needs nothing else: for notebooks, saved ones and those without a kernel too."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from typing import Any

import numpy as np

from imgstore.errors import ImgStoreError
from imgstore.web.buckets import edges_of, find_events
from imgstore.web.pictures import encode

__all__ = ["as_html", "gaps"]

_PICTURE = 320  # pixels, the longer side
_WIDE = 400  # buckets, and pixels, of the strip
_COLOURS = {"missing": "#c62828", "pause": "#b26a00"}


def as_html(store: Any, facts: Iterable[tuple[str, str]], position: int = 0) -> str:
    """Return a small picture, facts, and a strip that shows where frames are missing.

    Parameters
    ----------
    store : ImgStore
        Where reading goes on in it is not changed. Of one that is closed or written the facts are all that there is.
    facts : iterable of (str, str)
        What is to be said, and of what.
    position : int
        Of the frame that is the picture.
    """
    rows = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in facts)
    table = f"<table><caption>{html.escape(store.filename)}</caption>{rows}</table>"
    try:
        readable = store.mode == "r" and store.frame_count > 0
    except ValueError:  # it is closed
        readable = False
    if not readable:
        return table
    beside = f"<div>{table}{_strip(store)}</div>"
    return f'<div style="display: flex; flex-wrap: wrap; gap: 1em">{_picture(store, position)}{beside}</div>'


def gaps(store: Any, buckets: int) -> dict[str, list[list[float]]]:
    """Return for each kind of gap the buckets in which there are some, see `imgstore.web.buckets.Events.look`."""
    events, _ = find_events(store.frame_numbers, store.frame_times)
    edges = edges_of(0, store.frame_count, buckets)
    return {kind: events[kind].look(edges, "sum") for kind in _COLOURS}


def _picture(store: Any, position: int) -> str:
    try:
        data, media_type = encode(store.as_array()[position], "jpeg", most=_PICTURE)
    except (ImgStoreError, OSError) as error:
        return f"<p>Position {position}: {html.escape(str(error))}</p>"
    text = base64.b64encode(data).decode("ascii")
    return f'<img src="data:{media_type};base64,{text}" alt="frame {store.frame_numbers[position]}">'


def _strip(store: Any) -> str:
    found = gaps(store, _WIDE)
    count = min(_WIDE, store.frame_count)
    said = []
    marks = ""
    for kind, one, several in (("missing", "missing number", "missing numbers"), ("pause", "pause", "pauses")):
        total = int(np.sum([amount for _, amount, _ in found[kind]])) if kind == "missing" else len(found[kind])
        if total:
            said.append(f"{total} {one if total == 1 else several}")
        for bucket, _, _ in found[kind]:
            x = min(_WIDE - 2, bucket * _WIDE / count)
            marks += f'<rect x="{x:.1f}" width="2" height="14" fill="{_COLOURS[kind]}"/>'
    text = ", ".join(said) or "nothing is missing"
    return (
        f'<svg width="{_WIDE}" height="14" role="img" aria-label="{text}">'
        f'<rect width="{_WIDE}" height="14" fill="#8899a0" fill-opacity="0.35"/>{marks}</svg><div>{text}</div>'
    )
