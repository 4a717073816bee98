"""Writing: a new store, or more chunks in one that is there; frames, and data beside them."""

from __future__ import annotations

import contextlib
import os
import warnings
import weakref
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from imgstore import plugins
from imgstore.disk import lock
from imgstore.disk.layout import list_store
from imgstore.disk.metadata import StoreMetadata, write_metadata
from imgstore.disk.store_arrays import store_arrays
from imgstore.disk.user_metadata import plain_metadata, same_values
from imgstore.errors import ArgumentError, ImgStoreWarning
from imgstore.index.store_index import finished_chunks
from imgstore.options import WriteOptions, check_codec_options
from imgstore.store.new_store import chunk_extensions, describe_new_store
from imgstore.store.shared import Frame, Shared
from imgstore.writing.conform import Conformer, checked_dtype, checked_shape, conform, uncut
from imgstore.writing.listeners import Listeners
from imgstore.writing.new_directory import new_directory
from imgstore.writing.writer import Writer

__all__ = ["Writing"]


class Writing(Shared):
    """The part of `ImgStore` that writes."""

    def _open_for_writing(self, options: WriteOptions) -> None:
        new = describe_new_store(self._root, options, self._codec_kind)
        self._entry, self._meta, conformer = new.entry, new.metadata, new.conformer
        for loss in conformer.losses:
            warnings.warn(f"{self._root}: {loss}", ImgStoreWarning, stacklevel=5)
        with new_directory(self._root, chunk_extensions(), overwrite=options.overwrite, break_lock=options.break_lock):
            write_metadata(self._root, new.metadata)
            self._start_writer(conformer, options, new.codec_options, [], options.first_chunk)

    def _open_for_appending(self, options: WriteOptions) -> None:
        meta = self._meta = self._read_metadata()
        entry = self._entry = plugins.codec_for_format(meta.format, options.backend, self._codec_kind)
        conformer = conform(entry.format, meta.imgshape, meta.imgdtype, meta.encoding, False)
        conformer = uncut(conformer) or conformer  # of a size that finished videos have brought
        self._check_same(options, entry)
        codec_options = check_codec_options(entry.codec, entry.format, options)
        entry.codec.check_options(entry.format, conformer.stored, codec_options)
        lock.acquire(self._root, break_lock=options.break_lock)
        with _lock_released_on_error(self._root):
            if list_store(self._root, meta.extension).journals:  # of a writer that died
                from imgstore.care.repair import repair_store

                lock.release(self._root)  # repairing takes it
                repair_store(self._root)
                lock.acquire(self._root)
            listing = list_store(self._root, meta.extension)
            existing = finished_chunks(self._root, meta.extension, listing)
            self._start_writer(conformer, options, codec_options, existing, max(listing.named, default=-1) + 1)

    def _check_same(self, options: WriteOptions, entry: plugins.RegisteredCodec) -> None:
        """Refuse to write on in another way than the store was begun: what is given of that would be forgotten."""
        meta = self._meta
        if options.metadata is not None and not same_values(plain_metadata(options.metadata), meta.user):
            raise ArgumentError(
                f"{self._root}: has other metadata; leave out metadata=, and use imgstore.update_metadata to change them"
            )
        fps = meta.values.get("fps")
        other = {
            "format": options.format is not None
            and plugins.codec_for_format(options.format, options.backend, self._codec_kind).format != entry.format,
            "imgshape": options.imgshape is not None and checked_shape(options.imgshape) != meta.imgshape,
            "imgdtype": options.imgdtype is not np.uint8 and checked_dtype(options.imgdtype) != meta.imgdtype,
            "encoding": options.encoding is not None and options.encoding != meta.encoding,
            "fps": options.fps is not None and fps is not None and options.fps != fps,
        }
        for name, differs in other.items():
            if differs:
                raise ArgumentError(
                    f"{self._root}: the store has another {name} than {getattr(options, name)!r}; leave {name}= out"
                )

    def _start_writer(
        self,
        conformer: Conformer,
        options: WriteOptions,
        codec_options: dict[str, Any],
        existing: Sequence[int],
        first_chunk: int,
    ) -> None:
        self._lossless = self._entry.codec.lossless(self._entry.format, codec_options)
        self._given_shape = conformer.given.shape
        listeners = self._listeners
        self._writer = Writer(
            self._root,
            self._entry,
            conformer,
            options.chunksize or max(1, self._meta.chunksize),
            codec_options,
            flush_interval=options.flush_interval,
            sync=options.sync,
            existing=existing,
            first_chunk=first_chunk,
            of_store=store_arrays(self._meta.values),
            resized=partial(_resized, self._root, self._meta),  # that refers to no store, so that it can be collected
            opened=lambda chunk, paths: listeners.tell("imgstore_chunk_opened", chunk=chunk, paths=paths),
            closed=lambda chunk, paths: listeners.tell("imgstore_chunk_closed", chunk=chunk, paths=paths),
        )
        self._pid = os.getpid()
        self._finalizer = weakref.finalize(self, _close_writer, self._writer, listeners, self._pid)

    def add_image(self, img: Frame, frame_number: Any, frame_time: Any) -> None:
        """Append a frame. Any number of threads may do so; the frames of each stay in its order.

        Parameters
        ----------
        img : numpy.ndarray
            Of the store's shape; colour is BGR. Of its dtype in any byte order, or of another one where the store's
            holds each of the values exactly, which is warned of once.
        frame_number : int
            Any integer of 64 bits; numbers may skip, repeat or go backwards.
        frame_time : float
            Seconds, usually since the epoch.

        Raises
        ------
        ArgumentError
            Shape, values, number or time cannot be used, or the image is masked. Nothing is written.
        StoreLockedError
            This process was forked from the one that records.
        StoreWriteError
            The operating system refused; the frame is not in the store, those before it are.
        """
        self._writable.add(img, frame_number, frame_time)

    def add_extra_data(self, /, **values: Any) -> None:
        """Record values beside the frame that was added last. Any number of threads may do so, and add frames too.

        Parameters
        ----------
        **values
            Anything that JSON holds, and numpy values, bytes, sets, complex numbers and datetimes.
        """
        self._writable.add_record(values)


def _resized(root: str, meta: StoreMetadata, conformer: Conformer) -> dict[str, np.ndarray[Any, Any]]:
    meta.values["imgshape"] = list(conformer.noted)
    write_metadata(root, meta)
    return store_arrays(meta.values)


@contextlib.contextmanager
def _lock_released_on_error(root: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        lock.release(root)
        raise


def _close_writer(writer: Writer, listeners: Listeners, pid: int) -> None:
    """Finish a store; also when it is collected, or at the end of the process that opened it."""
    if os.getpid() != pid:
        return  # a fork: the store is the parent's
    with contextlib.ExitStack() as afterwards:
        afterwards.callback(listeners.wait)
        afterwards.callback(listeners.tell, "imgstore_store_closed")
        writer.close()
