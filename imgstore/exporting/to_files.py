"""From what somebody asks for to files: what is to be done, then doing it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

import imgstore
from imgstore.errors import ArgumentError, ChunkError
from imgstore.exporting import images
from imgstore.exporting.burn_in import Labels, parse_burn_in
from imgstore.exporting.copied import Part, copy_packets, plan_copy
from imgstore.exporting.outputs import Outputs, see_that_it_is_in_no_store, told, writing
from imgstore.exporting.pictures import Image, Pictures, check_shape, parse_crop, parse_levels, parse_scale
from imgstore.exporting.sound import Sound, find_sound, parse_sound, sound_in_file
from imgstore.exporting.span import Place, find_range
from imgstore.exporting.tables import TableKind, check_kind, extra_data_of, table_path, write_table
from imgstore.exporting.timing import Timing, ticks_for
from imgstore.exporting.video_file import VideoFile

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Exported", "export"]

Format = Literal["mp4", "mkv", "gif", "png", "jpg", "tif"]
Progress = Callable[[int, int], object]

_FORMATS = ("mp4", "mkv", "gif", *images.EXTENSIONS)
_VIDEOS = ("mp4", "mkv")


@dataclass(frozen=True)
class Exported:
    """What was exported, or would be.

    Attributes
    ----------
    path : str
        The video, the GIF or the folder of images.
    format : str
        ``mp4``, ``mkv``, ``gif``, ``png``, ``jpg`` or ``tif``.
    copied : bool
        Whether packets were copied, and nothing was encoded.
    start, end, step : int
        Which frames of the store these are, by position: from `start` to before `end`.
    frame_count : int
        How many there are; those that were left out are not counted.
    height, width : int
        Of the pictures, in pixels.
    duration : float or None
        From the first frame to the end of the last, in seconds; None of images.
    time_base : Fraction or None
        What the video counts in, in seconds; None of images.
    tables : tuple of str
        Tables that were written beside it.
    notes : tuple of str
        What is other than was asked for, or not there.
    left_out : tuple of (int, int, str)
        Position and number of each frame that cannot be read, and why.
    """

    path: str
    format: str
    copied: bool
    start: int
    end: int
    step: int
    frame_count: int
    height: int
    width: int
    duration: float | None = None
    time_base: Fraction | None = None
    tables: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[tuple[int, int, str], ...] = ()


@dataclass
class _Job:
    """What is asked for, understood and checked."""

    store: Any
    path: Path
    format: str
    positions: range
    pictures: Pictures
    labels: Labels
    timing: Timing | None
    parts: list[Part]
    crf: float | None
    tables: dict[str, TableKind | None]
    sound: Sound | None
    skip: bool
    progress: Progress | None

    @property
    def size(self) -> tuple[int, int]:
        return self.pictures.size(self.store.image_shape)

    def tell(self, done: int) -> None:
        if self.progress is not None:
            self.progress(done, len(self.positions))


def export(
    store: imgstore.ImgStore | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    format: Format | None = None,
    start: Place | None = None,
    end: Place | None = None,
    step: int = 1,
    copy: bool = False,
    speed: float = 1.0,
    fps: float | None = None,
    crop: str | Sequence[int] | None = None,
    scale: str | float | Sequence[int] | None = None,
    levels: str | Sequence[float] | None = None,
    burn_in: str | Sequence[str] | None = None,
    crf: float | None = None,
    sidecar: TableKind | None = "csv",
    extra_data: TableKind | None = None,
    sound: str | Sequence[str] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write frames as an ordinary video, a GIF, or images, with a table that says which frame is which.

    Nothing is there under its name before it is whole.

    Parameters
    ----------
    store : imgstore.ImgStore or path-like
        A store, or whatever `imgstore.open` takes. Where reading goes on in an open one stays as it is.
    path : path-like
        Where to: ``clip.mp4``, ``clip.mkv``, ``clip.gif``, or a folder for images.
    format : {'mp4', 'mkv', 'gif', 'png', 'jpg', 'tif'}, optional
        What to write; default what the path ends in. Images need it.
    start, end : int, float, str, datetime.datetime or datetime.timedelta, optional
        The first frame, and the one behind the last. An int is a position, negative ones count from the end; a float or a
        timedelta seconds from the first frame, negative ones from the last; a datetime without a zone is one of the recording's
        zone. A str is what the command takes: ``"250"``, ``"n250"`` (a frame number), ``"10.5s"``, ``"1:30"``,
        ``"2024-05-01T14:30:00"``. Of times the first frame that is not earlier is meant.
    step : int
        Every so many frames.
    copy : bool
        Copy the packets of a video, bit for bit, and encode nothing. It begins where decoding can begin, at the key frame
        before, and ends where no frame needs another any more. See ``start`` and ``notes`` of what is returned.
    speed : float
        How many times faster than it was recorded it is shown.
    fps : float, optional
        Frames per second, in place of the times at which frames were recorded.
    crop : sequence of int or str, optional
        Left, top, width and height of the part that is exported, in pixels of the store's frames.
    scale : float, sequence of int or str, optional
        A factor, or width and height, in pixels, to which the part is scaled.
    levels : sequence of float or str, optional
        The samples that become black and white. Default, of other than 8 bits in a video, the darkest and the brightest sample
        of 16 frames.
    burn_in : str or sequence of str, optional
        What is drawn into the pictures: ``number``, ``time`` (in the recording's zone), and other words as they are.
    crf : float, optional
        Quality of H.264, 0 (best) to 51; default 18.
    sidecar : {'csv', 'parquet'} or None
        The table of frames, ``clip.mp4.frames.csv``: ``position``, ``frame_number``, ``frame_time`` (seconds), and of videos
        ``pts`` (in the file's own ticks) and ``pts_time`` (seconds), of images ``file``.
    extra_data : {'csv', 'parquet'}, optional
        Write what was recorded beside these frames, ``clip.mp4.extra.csv``, and before them the last record with a value of
        each column.
    sound : str or sequence of str, optional
        The column of Motif's extra data that is heard, or two of them for left and right. Integers are as loud as their type
        allows; other numbers are divided by the largest where that is above 1.
    on_error : {'raise', 'skip'}
        What becomes of frames that are damaged: an error, or they are left out and listed.
    overwrite : bool
        Replace what is there.
    dry_run : bool
        Write nothing, and return what would be written.
    progress : callable, optional
        Is called with how many frames are done, and how many there are.

    Returns
    -------
    Exported
        What was written.

    Raises
    ------
    ArgumentError
        Something of what was asked for cannot be done; the message says what can.
    StoreExistsError
        There is something at the path already, and `overwrite` is not given; or a folder with other files in it.
    StoreWriteError
        The operating system refused, for want of space for instance. Nothing is left.
    FrameDecodeError, ChunkError
        A frame is damaged.

    Examples
    --------
    >>> imgstore.export("recording", "clip.mp4", start="1:30", end="2:00")  # doctest: +SKIP
    """
    # whatever an open one shows, pictures are made of BGR here
    with store.open_again(color="bgr") if isinstance(store, imgstore.ImgStore) else imgstore.open(store) as reader:
        target = Path(path)
        fmt = _format(target, format)
        _check_target(reader, target, fmt, overwrite)
        _check_numbers(step, speed, fps, crf, on_error)
        check_shape(reader)
        first, stop = find_range(reader, start, end)
        pictures = Pictures(parse_crop(crop), parse_scale(scale), parse_levels(levels))
        tables: dict[str, TableKind | None] = {"frames": sidecar, "extra": extra_data}
        for name, kind in (("sidecar", sidecar), ("extra-data", extra_data)):
            check_kind(kind, name)
        job = _Job(
            reader, target, fmt, range(first, stop, step), pictures, Labels(reader, parse_burn_in(burn_in)), None, [], crf,
            tables, None, on_error == "skip", progress,
        )  # fmt: skip
        notes = _prepare(job, copy, speed, fps)
        _prepare_sound(job, parse_sound(sound), speed != 1 or fps is not None, notes)
        return _write(job, notes, overwrite, dry_run)


def _format(path: Path, given: str | None) -> str:
    ending = path.suffix.lower().removeprefix(".")
    fmt = given or (ending if ending in ("mp4", "mkv", "gif") else None)
    if fmt is None:
        raise ArgumentError(
            f"{path}: mp4, mkv or gif is written where the name ends so; give a format (png, jpg, tif) for a folder of images"
        )
    if fmt not in _FORMATS:
        raise ArgumentError(f"format {fmt!r}: one of {', '.join(_FORMATS)} is wanted")
    return fmt


def _check_target(store: Any, path: Path, fmt: str, overwrite: bool) -> None:
    """Never write over what is read, nor into a store."""
    see_that_it_is_in_no_store(path)
    for read in (store.filename, *(file.path for file in store.chunk_files)):
        if path.exists() and os.path.exists(read) and path.samefile(read):
            raise ArgumentError(f"{path}: cannot be exported onto itself")
    if fmt in images.EXTENSIONS and overwrite:
        images.check_folder(path)
    if path.is_dir() and fmt not in images.EXTENSIONS:
        raise ArgumentError(f"{path}: is a folder, and {fmt} is a file")


def _check_numbers(step: int, speed: float, fps: float | None, crf: float | None, on_error: str) -> None:
    if step < 1:
        raise ArgumentError(f"step {step}: 1 or more is wanted")
    for name, value in (("speed", speed), ("fps", fps)):
        if value is not None and not 0 < value < math.inf:
            raise ArgumentError(f"{name} {value!r}: a number above 0 is wanted")
    if crf is not None and not 0 <= crf <= 51:
        raise ArgumentError(f"crf {crf!r}: a number from 0 (best) to 51 is wanted")
    if on_error not in ("raise", "skip"):
        raise ArgumentError(f"on_error {on_error!r}: 'raise' or 'skip' is wanted")


def _prepare(job: _Job, copy: bool, speed: float, fps: float | None) -> list[str]:
    """Find out packets, levels and times; return what is other than was asked for."""
    notes = []
    store, fmt = job.store, job.format
    if copy:
        if fmt not in _VIDEOS:
            raise ArgumentError(f"packets are copied into mp4 or mkv, and not into {fmt}: leave --copy out")
        if job.labels or not job.pictures.changes_nothing or job.positions.step != 1 or job.crf is not None:
            raise ArgumentError(
                "packets that are copied stay what they are: leave --copy out, or --crop, --scale, --levels, --burn-in,"
                " --step and --crf"
            )
        first, stop = job.positions.start, job.positions.stop
        job.parts = plan_copy(store, first, stop, fmt)
        positions = np.concatenate([part.positions for part in job.parts])
        job.positions = range(int(positions.min()), int(positions.max()) + 1)
        if job.positions.start < first:
            earlier = first - job.positions.start
            notes.append(f"begins at position {job.positions.start}, at the key frame before: {earlier} earlier than asked for")
        if job.positions.stop > stop:
            later = job.positions.stop - stop
            notes.append(f"ends before position {job.positions.stop}, as frames need later ones: {later} later than asked for")
    elif fmt in images.EXTENSIONS:
        if job.pictures.levels is None and not images.check_samples(store, fmt):
            job.pictures = job.pictures.for_8_bits(store, job.positions)
    else:
        job.pictures = job.pictures.for_8_bits(store, job.positions)
    if fmt not in images.EXTENSIONS:
        job.timing = ticks_for(store, job.positions, fmt, speed=speed, fps=fps)
    if job.tables["extra"] is None and store.has_extra_data:
        notes.append("the store has extra data, which is not exported: --extra-data csv writes it")
    if job.tables["extra"] is not None and not store.has_extra_data:
        notes.append("the store has no extra data")
    return notes


def _prepare_sound(job: _Job, columns: Sequence[str], other_speed: bool, notes: list[str]) -> None:
    """Gather what is heard, or say what is not."""
    if columns:
        if job.format not in _VIDEOS or other_speed:
            raise ArgumentError("sound goes with mp4 and mkv, at the speed at which it was recorded: leave --speed and --fps out")
        job.sound = find_sound(job.store, job.positions, columns)
    elif job.format in _VIDEOS:
        path = next(file.path for file in job.store.chunk_files if file.position + file.frame_count > job.positions.start)
        if os.path.isfile(path) and sound_in_file(path):
            notes.append(f"the sound of {path} is not exported")


def _write(job: _Job, notes: list[str], overwrite: bool, dry_run: bool) -> Exported:
    height, width = job.size
    span = job.positions
    timing = job.timing
    result = Exported(
        path=str(job.path), format=job.format, copied=bool(job.parts), start=span.start, end=span.stop, step=span.step,
        frame_count=len(span), height=height, width=width,
        duration=None if timing is None else float((timing.pts[-1] + timing.durations[-1]) * timing.time_base),
        time_base=None if timing is None else timing.time_base, notes=tuple(notes),
    )  # fmt: skip
    extra = extra_data_of(job.store, span.start, span.stop) if job.tables["extra"] is not None else None
    kinds = {what: kind for what, kind in job.tables.items() if kind is not None and (what == "frames" or extra is not None)}
    paths = {what: table_path(job.path, what, kind) for what, kind in kinds.items()}
    if dry_run:
        Outputs(overwrite).check([*paths.values(), job.path])
        return replace(result, tables=tuple(map(str, paths.values())))
    with writing(overwrite) as outputs:
        written = {what: outputs.add(path) for what, path in paths.items()}
        temporary = outputs.add(job.path, folder=job.format in images.EXTENSIONS)
        with told(job.path):
            done, left_out, time_base = _write_frames(job, temporary)
        if not len(done):
            raise ChunkError(f"{job.store.filename}: none of these frames can be read: {left_out[0][2]}")
        for what, table in (("frames", _frames_table(job, done, time_base)), ("extra", extra)):
            if what in written and table is not None:
                with told(paths[what]):
                    write_table(table, written[what], kinds[what])
    return replace(
        result, frame_count=len(done), time_base=time_base, tables=tuple(map(str, paths.values())), left_out=tuple(left_out)
    )


LeftOut = list[tuple[int, int, str]]


def _write_frames(job: _Job, temporary: Path) -> tuple[npt.NDArray[np.int64], LeftOut, Fraction | None]:
    """Write all frames; return which of them, counted from the first, those that cannot be read, and the file's ticks."""
    if job.parts:
        assert job.timing is not None
        time_base = copy_packets(job.parts, temporary, job.format, job.timing, job.sound, job.tell)
        return np.arange(len(job.positions)), [], time_base
    done: list[int] = []
    left_out: LeftOut = []
    if job.timing is None:
        digits = len(str(job.store.frame_count - 1))
        for k, img in _pictures(job, left_out):
            images.write_image(temporary / images.image_name(job.positions[k], job.format, digits), img)
            done.append(k)
        return np.array(done, np.int64), left_out, None
    color = len(job.store.image_shape) == 3 and job.store.image_shape[2] == 3
    with VideoFile(temporary, job.format, job.size, color, job.timing, job.crf, job.sound) as video:
        for k, img in _pictures(job, left_out):
            video.add(img, int(job.timing.pts[k]), int(job.timing.durations[k]))
            done.append(k)
    return np.array(done, np.int64), left_out, video.time_base


def _pictures(job: _Job, left_out: LeftOut) -> Iterator[tuple[int, Image]]:
    """Give each picture with its place among those that are exported."""
    for k, position in enumerate(job.positions):
        try:
            img, (number, time) = job.store.get_image(None, frame_index=position)
        except ChunkError as error:
            if not job.skip:
                raise
            left_out.append((position, int(job.store.frame_numbers[position]), str(error)))
            continue
        img = job.pictures.apply(img)
        yield k, job.labels.draw(img, number, time) if job.labels else img
        job.tell(k + 1)


def _frames_table(job: _Job, done: npt.NDArray[np.int64], time_base: Fraction | None) -> pd.DataFrame:
    import pandas as pd

    positions = np.asarray(job.positions, np.int64)[done]
    columns: dict[str, Any] = {
        "position": positions,
        "frame_number": job.store.frame_numbers[positions],
        "frame_time": job.store.frame_times[positions],
    }
    if job.timing is None:
        digits = len(str(job.store.frame_count - 1))
        columns["file"] = [images.image_name(position, job.format, digits) for position in positions.tolist()]
    else:
        assert time_base is not None
        # a container may count in finer ticks than it was given, never in coarser ones
        finer = job.timing.time_base / time_base
        columns["pts"] = job.timing.pts[done] * finer.numerator // finer.denominator
        columns["pts_time"] = columns["pts"] * float(time_base.numerator) / time_base.denominator
    table: pd.DataFrame = pd.DataFrame(columns)
    return table
