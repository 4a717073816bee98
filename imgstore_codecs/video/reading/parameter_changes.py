"""Key frames from which decoding cannot begin, as it depends on parameter sets that come with other packets.

Parameter sets of H.264 and HEVC stand in the head of a file, and may come along with packets as well: in files that were put
together out of others, and from encoders whose settings change. A decoder that jumps past them decodes what follows wrongly,
and one that has met them what comes before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from imgstore_codecs.video.bitstream.key_frames import parameter_set_names, parameter_sets

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["ParameterChanges"]

# Parameter sets come before the rest of a picture, and are short
_HEAD = 4096


class ParameterChanges:
    """Follows the parameter sets of a stream.

    Parameters
    ----------
    codec : str
        FFmpeg's name of the decoder.
    extradata : bytes or None
        The stream's codec configuration. Where there is none, the sets of the first packet take its place.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._codec = codec
        self._extradata = extradata
        self._known = extradata or b""
        self._changed: set[tuple[int, int]] = set()  # kinds and numbers of sets that are not always the same
        self._brought: dict[int, set[tuple[int, int]]] = {}  # by packets, which are given by their place
        self._lost_track = False
        self._seen = 0  # how many key frames `look_at_heads` has looked at
        self._never: frozenset[int] = frozenset()  # key frames of which it was known before

    @classmethod
    def known(cls, codec: str, extradata: bytes | None, never: Iterable[int]) -> ParameterChanges:
        """Take over from which key frames decoding cannot begin."""
        changes = cls(codec, extradata)
        changes._never = frozenset(never)
        return changes

    def add(self, place: int, data: memoryview) -> None:
        """Look at a packet; they come in decoding order."""
        sets = parameter_sets(self._codec, self._extradata, data)
        if not sets:
            return
        self._known = self._known or b"".join(sets)
        try:
            self._brought[place] = parameter_set_names(self._codec, sets)
            self._changed |= parameter_set_names(self._codec, [one for one in sets if one not in self._known])
        except EOFError:
            self._lost_track = True

    def look_at_heads(
        self, path: str, keys: Iterable[int], pos: npt.NDArray[np.int64], size: npt.NDArray[np.int64]
    ) -> None:
        """Look at those key frames of a file that have not been looked at.

        Parameters
        ----------
        path : str
            The file.
        keys : iterable of int
            Their places in decoding order, from the first one on.
        pos, size : numpy.ndarray
            Place in the file and size in bytes of each packet.
        """
        if self._codec not in ("h264", "hevc"):
            return
        with open(path, "rb", buffering=0) as file:
            for place in list(keys)[self._seen :]:
                file.seek(int(pos[place]))
                self.add(place, memoryview(file.read(min(int(size[place]), _HEAD))))
                self._seen += 1

    @property
    def are_any(self) -> bool:
        """Whether a set is not always the same, as far as is known."""
        return self._lost_track or bool(self._changed)

    def begins(self, place: int) -> bool:
        """Whether a decoder that has met any packets, or none, may begin at a key frame, as far as is known."""
        if self._lost_track or place in self._never:
            return False
        return not self._changed or self._changed <= self._brought.get(place, set())
