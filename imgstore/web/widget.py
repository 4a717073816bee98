"""A recording in a notebook: frame, slider, playing and time line, over the notebook's own channel to its kernel."""

from __future__ import annotations

from importlib import resources
from typing import Any

import anywidget
import numpy as np
import traitlets

from imgstore.errors import ImgStoreError
from imgstore.local_time import local_time
from imgstore.web.card import gaps
from imgstore.web.pictures import encode

__all__ = ["StoreView"]

_PREVIEW = 960  # pixels, the longer side of what is shown while it moves
_BUCKETS = 600  # of the time line


class StoreView(anywidget.AnyWidget):
    """A store that is looked at in a notebook; made by `imgstore.ImgStore.view`.

    The page asks for a frame, and for the next when that one has come: a slow way makes fewer frames, and never a queue of
    old ones.

    Attributes
    ----------
    position : int
        Of the frame that is shown. Setting it shows another.
    """

    _esm = (resources.files("imgstore.web") / "static" / "widget.js").read_text(encoding="utf-8")
    _css = (resources.files("imgstore.web") / "static" / "widget.css").read_text(encoding="utf-8")

    name = traitlets.Unicode().tag(sync=True)
    count = traitlets.Int().tag(sync=True)
    fps = traitlets.Float().tag(sync=True)
    marks = traitlets.Dict().tag(sync=True)
    buckets = traitlets.Int().tag(sync=True)
    position = traitlets.Int().tag(sync=True)

    def __init__(self, store: Any, position: int = 0):
        self._store, self._frames = store, store.as_array()
        fps = store.fps
        super().__init__(
            name=store.filename,
            count=store.frame_count,
            fps=fps if np.isfinite(fps) and fps > 0 else 25.0,
            marks=gaps(store, _BUCKETS),
            buckets=min(_BUCKETS, store.frame_count),
            position=position,
        )
        self.on_msg(self._answer)

    @traitlets.validate("position")
    def _within(self, proposal: Any) -> int:
        return int(min(max(proposal["value"], 0), max(0, len(self._frames) - 1)))

    def _answer(self, widget: Any, asked: Any, buffers: Any) -> None:
        """Send the frame that is asked for, or why there is none."""
        position, whole = int(asked["position"]), bool(asked["whole"])
        if not 0 <= position < len(self._frames):
            return
        store = self._store
        number, seconds = int(store.frame_numbers[position]), float(store.frame_times[position])
        said = {"position": position, "number": str(number), "time": local_time(store, seconds), "whole": whole}
        try:
            img = self._frames[position]
            exact = whole and img.dtype == np.uint8  # of other types a browser shows a picture alone
            data, media_type = encode(img, "png") if exact else encode(img, "jpeg", most=None if whole else _PREVIEW)
        except (ImgStoreError, OSError, ValueError) as error:
            self.send({**said, "error": str(error)})
        else:
            self.send({**said, "type": media_type, "exact": exact}, [data])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Show it; and what stays where there is no kernel: a picture."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        return {**data, "text/html": self._store._repr_html_()}, metadata
