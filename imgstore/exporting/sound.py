"""Sound that Motif, the recorder, has sampled beside the frames, as a track of the video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError
from imgstore.exporting.entry_points import OWN_FILE_ALONE, address

__all__ = ["Sound", "Track", "find_sound", "parse_sound", "sound_in_file"]

_RATE = 48_000  # of the track: every player takes it
_PIECE = 1024  # samples that AAC takes at a time
_GAP = 0.05  # seconds by which samples may be late before silence is put in


class Sound(NamedTuple):
    """Samples, float32 ``(channels, n)`` from -1 to 1, from the first frame on, and how many there are in a second."""

    samples: npt.NDArray[np.float32]
    rate: float


def parse_sound(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Split the names of columns, one for each channel."""
    if value is None:
        return ()
    names = tuple(name.strip() for name in (value.split(",") if isinstance(value, str) else value))
    if len(names) not in (1, 2) or not all(names):
        raise ArgumentError(f"sound {value!r}: the name of a column of extra data is wanted, or of two for both sides")
    return names


def find_sound(store: Any, positions: range, names: Sequence[str]) -> Sound:
    """Gather the samples that were taken while frames were.

    Parameters
    ----------
    store : imgstore.store.ImgStore
        Open for reading.
    positions : range
        Which frames.
    names : sequence of str
        Columns of the extra data, one for each channel.

    Raises
    ------
    ArgumentError
        There are no such samples.
    """
    last = positions[-1]
    chunks = [f.chunk for f in store.chunk_files if f.position <= last and f.position + f.frame_count > positions.start]
    table = store.get_extra_data(chunks=chunks)
    there = [] if table is None else [str(c) for c in table.columns if table[c].dtype.kind in "iuf"]
    missing = [name for name in names if name not in there]
    if missing:
        raise ArgumentError(
            f"{store.filename}: there is no column {missing[0]!r} of numbers in the extra data"
            + (f", there are {', '.join(there)}" if there else "")
        )
    rate = float(store.get_extra_data_samplerate())
    if not rate >= 100:
        raise ArgumentError(f"{store.filename}: extra data sampled {rate:g} times a second is no sound")
    times = store.frame_times
    begin = float(times[positions.start])
    end = float(times[last + 1]) if last + 1 < len(times) else np.inf
    moments = table["frame_time"].to_numpy(np.float64)
    within = (moments >= begin) & (moments < end)
    samples = np.stack([_as_sound(table[name].to_numpy()[within]) for name in names])
    return Sound(_laid_out(samples, moments[within] - begin, rate), rate)


def _as_sound(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Bring samples to -1 to 1: integers by what their type holds, others by the largest where that is above 1."""
    if values.dtype.kind in "iu":
        info = np.iinfo(values.dtype)
        middle = 0.0 if values.dtype.kind == "i" else (info.max + 1) / 2
        return ((values.astype(np.float64) - middle) / (info.max - middle)).astype(np.float32)
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    sound: npt.NDArray[np.float32] = (finite / max(1.0, float(np.abs(finite).max(initial=0.0)))).astype(np.float32)
    return sound


def _laid_out(samples: npt.NDArray[np.float32], since: npt.NDArray[np.float64], rate: float) -> npt.NDArray[np.float32]:
    """Put samples one behind the other, and silence where those of a frame come later than that."""
    starts = np.flatnonzero(np.diff(since, prepend=-1.0) > 0)  # the first sample of each frame
    pieces: list[npt.NDArray[np.float32]] = []
    length = taken = 0
    for k in starts.tolist():
        late = float(since[k]) * rate - (length + k - taken)
        if late > _GAP * rate:
            pieces += [samples[:, taken:k], np.zeros((len(samples), round(late)), np.float32)]
            length, taken = length + k - taken + round(late), k
    return np.concatenate([*pieces, samples[:, taken:]], axis=1)


class Track:
    """A track of sound in a file that is not begun yet.

    Parameters
    ----------
    container : av.container.OutputContainer
        The file.
    sound : Sound
        What it plays.
    """

    def __init__(self, container: Any, sound: Sound) -> None:
        self._container, self._sound = container, sound
        self._stream: Any = container.add_stream("aac", rate=_RATE)
        self._stream.codec_context.layout = "mono" if len(sound.samples) == 1 else "stereo"
        self._stream.codec_context.format = "fltp"
        self._packets = self._encoded()

    def write_until(self, seconds: float) -> None:
        """Write what is heard up to a moment, so that it lies beside what is seen then; up to infinity all of it."""
        for packet in self._packets:
            packet.stream = self._stream
            self._container.mux(packet)
            if packet.pts * float(packet.time_base) >= seconds:
                return

    def _encoded(self) -> Iterator[Any]:
        import av

        context, sound = self._stream.codec_context, self._sound
        count = round(sound.samples.shape[1] * _RATE / sound.rate)
        for begin in range(0, count, _PIECE):
            wanted = np.arange(begin, min(begin + _PIECE, count)) * (sound.rate / _RATE)
            low = int(wanted[0])
            part = sound.samples[:, low : int(wanted[-1]) + 2]
            # between two samples a straight line: what was sampled more slowly has no more
            piece = np.stack([np.interp(wanted - low, np.arange(part.shape[1]), channel) for channel in part])
            frame: Any = av.AudioFrame.from_ndarray(piece.astype(np.float32), "fltp", context.layout.name)
            frame.sample_rate, frame.pts, frame.time_base = _RATE, begin, Fraction(1, _RATE)
            yield from context.encode(frame)
        yield from context.encode(None)


def sound_in_file(path: str) -> bool:
    """Whether a video file has sound of its own."""
    import av

    try:
        with av.open(address(path), container_options=OWN_FILE_ALONE) as container:
            return bool(container.streams.audio)
    except (OSError, av.FFmpegError, UnicodeError):
        return False  # whoever reads its frames tells what is wrong with it
