"""What is asked and answered: the page's files, and questions about recordings. Every answer is a GET."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakValueDictionary

import anyio
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from imgstore.errors import ArgumentError, ChunkError, FrameIndexError, FrameNotFoundError, ImgStoreError
from imgstore.web.assets import read_assets
from imgstore.web.catalogue import Catalogue
from imgstore.web.export import frames_as_video, frames_as_zip
from imgstore.web.pictures import KINDS, encode
from imgstore.web.recording import NoFrameError, Recording

__all__ = ["LABEL", "make_application"]

_logger = logging.getLogger("imgstore.web")

LABEL = "x-imgstore-frame"  # the header that says which frame an answer is, or why it is none

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,2})?")
_MOST_BUCKETS = 4096
_MOST_TEXT = 100  # characters that are typed for a number or a time
_MOST_SIZE = 8192
_EXPORTS = {"zip": (frames_as_zip, "application/zip"), "mp4": (frames_as_video, "video/mp4")}


class _Refused(Exception):
    """An answer that says what is wrong with the question."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status, self.text = status, text


def make_application(catalogue: Catalogue) -> Starlette:
    """Return the application that answers for a catalogue; who may ask is the guard's business."""
    assets = read_assets()
    # decoding takes all cores by itself; more at once would only make the frame that is wanted now wait
    decoding = anyio.Semaphore(max(2, os.cpu_count() or 1))
    # frames of one camera come one after the other, as they were asked for: in order they are decoded once
    turns: WeakValueDictionary[tuple[str, ...], anyio.Lock] = WeakValueDictionary()

    async def page(request: Request) -> Response:
        content, media_type = assets["page.html"]
        return Response(content, media_type=media_type)

    async def asset(request: Request) -> Response:
        found = assets.get(request.path_params["name"])
        if found is None:
            return _json({"error": "there is no such file"}, 404)
        return Response(found[0], media_type=found[1])

    async def frame(request: Request) -> Response:
        camera = tuple(request.query_params.get(name, "") for name in ("r", "align", "camera"))
        turn = turns.setdefault(camera, anyio.Lock())
        async with turn, decoding:
            if await request.is_disconnected():  # another frame is wanted by now
                return Response(status_code=400)
            return await run_in_threadpool(_answered, _frame, catalogue, request)

    def answer(function: Callable[[Catalogue, Request], Response]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(_answered, function, catalogue, request)

        return endpoint

    routes = [
        Route("/", page),
        Route("/static/{name:str}", asset),
        Route("/api/recordings", answer(_recordings)),
        Route("/api/frame", frame),
        *(
            Route(f"/api/{name}", answer(function))
            for name, function in {
                "facts": _facts, "summary": _summary, "find": _find, "fault": _fault, "timeline": _timeline,
                "pictures": _pictures,
                "columns": _columns, "plot": _plot, "values": _values, "refresh": _refresh, "export": _export,
            }.items()
        ),
    ]  # fmt: skip

    async def not_found(request: Request, error: Exception) -> Response:
        return _json({"error": "there is nothing of that name"}, 404)

    async def failed(request: Request, error: Exception) -> Response:
        return _json({"error": "the server failed at this; its log says more"}, 500)

    application = Starlette(routes=routes, exception_handlers={404: not_found, 405: not_found, 500: failed})
    application.router.redirect_slashes = False
    return application


def _answered(function: Callable[[Catalogue, Request], Response], catalogue: Catalogue, request: Request) -> Response:
    """Answer, and turn every error of ours into one of a question."""
    try:
        return function(catalogue, request)
    except _Refused as refused:
        return _json({"error": refused.text}, refused.status)
    except (FrameNotFoundError, FrameIndexError) as error:
        return _json({"error": str(error)}, 404)
    except ArgumentError as error:
        return _json({"error": str(error)}, 400)
    except (ImgStoreError, OSError) as error:
        return _json({"error": str(error), "kind": type(error).__name__}, 422)
    except Exception:
        _logger.exception("answering %s", request.url.path)
        return _json({"error": "the server failed at this; its log says more"}, 500)


def _json(value: Any, status: int = 200, label: dict[str, Any] | None = None) -> Response:
    # ASCII, and no < that could become a tag wherever it ends up
    text = json.dumps(value, allow_nan=False).replace("<", "\\u003c")
    headers = {LABEL: json.dumps(label)} if label is not None else None
    return Response(text, status, media_type="application/json", headers=headers)


# -- what is in a question ---------------------------------------------------------------------------------------------


def _one(request: Request, name: str) -> str | None:
    given = request.query_params.getlist(name)
    if len(given) > 1:
        raise _Refused(400, f"{name} is given more than once")
    return given[0] if given else None


def _whole(request: Request, name: str, default: int | None = None) -> int:
    text = _one(request, name)
    if text is None:
        if default is None:
            raise _Refused(400, f"{name} is missing")
        return default
    if not _WHOLE.fullmatch(text):
        raise _Refused(400, f"{name} must be a whole number")
    return int(text)


def _decimal(request: Request, name: str) -> float | None:
    text = _one(request, name)
    if text is not None and not _DECIMAL.fullmatch(text):
        raise _Refused(400, f"{name} must be a number")
    return None if text is None else float(text)


@contextlib.contextmanager
def _use(catalogue: Catalogue, request: Request) -> Iterator[Recording]:
    """Take the recording that is asked about."""
    name, align = _one(request, "r") or "", _one(request, "align") or ""
    if not catalogue.has(name) or align not in ("", "number", "time"):
        raise _Refused(404, "there is no such recording")
    with catalogue.use(name, align) as recording:
        yield recording


def _camera(request: Request, recording: Recording) -> int:
    camera = _whole(request, "camera", 0)
    if not 0 <= camera < len(recording.cameras):
        raise _Refused(404, "there is no such camera")
    return camera


def _stretch(request: Request) -> tuple[int, int, int]:
    buckets = _whole(request, "buckets")
    if not 1 <= buckets <= _MOST_BUCKETS:
        raise _Refused(400, f"buckets must be from 1 to {_MOST_BUCKETS}")
    return _whole(request, "start"), _whole(request, "stop"), buckets


# -- answers -----------------------------------------------------------------------------------------------------------


def _recordings(catalogue: Catalogue, request: Request) -> Response:
    return _json({"title": catalogue.title, "at_once": catalogue.at_once, "recordings": catalogue.list()})


def _facts(catalogue: Catalogue, request: Request) -> Response:
    with _use(catalogue, request) as recording:
        return _json(recording.facts())


def _summary(catalogue: Catalogue, request: Request) -> Response:
    with _use(catalogue, request) as recording:
        return _json(recording.summary())


def _frame(catalogue: Catalogue, request: Request) -> Response:
    kind, step = _one(request, "kind") or "png", _whole(request, "index")
    most = _whole(request, "most", _MOST_SIZE)
    if kind not in KINDS or not 1 <= most <= _MOST_SIZE:
        raise _Refused(400, f"kind must be one of {', '.join(KINDS)}, most from 1 to {_MOST_SIZE}")
    low, high = _decimal(request, "low"), _decimal(request, "high")
    levels = (low, high) if low is not None and high is not None else None
    with _use(catalogue, request) as recording:
        camera = _camera(request, recording)
        try:
            position = recording.position(camera, step)
        except NoFrameError as error:
            return _json({"error": str(error)}, 404, {"index": step, "absent": True})
        try:
            img, number, seconds = recording.cameras[camera].read(position)
        except ChunkError as error:
            number, seconds = recording.cameras[camera].tell(position)
            return _json({"error": str(error)}, 422, recording.label(camera, step, number, seconds))
        label = recording.label(camera, step, number, seconds)
        label |= {"shape": list(img.shape), "dtype": np.dtype(img.dtype).newbyteorder("<").str}
        whole = most if most < _MOST_SIZE else None
        data, media_type = encode(img, kind, most=whole, levels=levels)
        return Response(data, media_type=media_type, headers={LABEL: json.dumps(label)})


def _find(catalogue: Catalogue, request: Request) -> Response:
    near = _whole(request, "near", 0)
    given = {what: text for what in ("number", "time") if (text := _one(request, what)) is not None}
    if len(given) != 1:
        raise _Refused(400, "give a number or a time")
    ((what, text),) = given.items()
    if len(text) > _MOST_TEXT:
        raise _Refused(400, f"{what} is too long")
    with _use(catalogue, request) as recording:
        index, beside = recording.find(what, text, near)
        return _json({"index": index, "beside": round(beside, 6)})


def _fault(catalogue: Catalogue, request: Request) -> Response:
    index, direction = _whole(request, "index"), _whole(request, "direction")
    if direction not in (1, -1):
        raise _Refused(400, "direction must be 1 or -1")
    with _use(catalogue, request) as recording:
        found = recording.next_fault(index, direction)
        if found is None:
            return _json({"index": None})
        position, kind, amount, camera = found
        several = len(recording.cameras) > 1
        return _json({"index": position, "kind": kind, "amount": amount, "camera": camera if several else None})


def _timeline(catalogue: Catalogue, request: Request) -> Response:
    start, stop, buckets = _stretch(request)
    with _use(catalogue, request) as recording:
        return _json(recording.timeline(_camera(request, recording), start, stop, buckets))


def _pictures(catalogue: Catalogue, request: Request) -> Response:
    start, stop, count = _stretch(request)
    with _use(catalogue, request) as recording:
        return _json({"steps": recording.pictures(start, stop, count)})


def _columns(catalogue: Catalogue, request: Request) -> Response:
    with _use(catalogue, request) as recording:
        return _json(recording.cameras[_camera(request, recording)].columns().describe())


def _plot(catalogue: Catalogue, request: Request) -> Response:
    start, stop, buckets = _stretch(request)
    column = _whole(request, "column", -1)
    with _use(catalogue, request) as recording:
        camera = _camera(request, recording)
        return _json(recording.plot(camera, None if column == -1 else column, start, stop, buckets))


def _values(catalogue: Catalogue, request: Request) -> Response:
    index = _whole(request, "index")
    with _use(catalogue, request) as recording:
        try:
            return _json({"values": recording.values(_camera(request, recording), index)})
        except NoFrameError:
            return _json({"values": []})


def _refresh(catalogue: Catalogue, request: Request) -> Response:
    with _use(catalogue, request) as recording:
        return _json(recording.refresh())


def _export(catalogue: Catalogue, request: Request) -> Response:
    start, stop = _whole(request, "start"), _whole(request, "stop")
    if not 0 <= start < stop:
        raise _Refused(400, "stop must be behind start, and start not below 0")
    with _use(catalogue, request) as recording:
        camera = _camera(request, recording)
    kind = _one(request, "kind") or "zip"
    if kind not in _EXPORTS:
        raise _Refused(400, f"kind must be one of {', '.join(_EXPORTS)}")
    make, media_type = _EXPORTS[kind]
    parts = make(_use(catalogue, request), camera, start, stop)
    begun = next(parts)  # or an error, as long as one can be told
    return StreamingResponse(itertools.chain((begun,), parts), media_type=media_type)
