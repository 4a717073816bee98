"""What programs ask of a store besides what 0.x has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgstore.v04.newer import tell_newer

if TYPE_CHECKING:
    from imgstore.store.reading import Reading as _Base
else:
    _Base = object

__all__ = ["StoreNames"]


class StoreNames(_Base):
    """Mixed into `imgstore.store.ImgStore`."""

    def get_chunk(self, chunk: int) -> Any:
        """Read the first frame of a chunk, and go on from there.

        Parameters
        ----------
        chunk : int
            Its number.

        Returns
        -------
        tuple
            ``(img, (frame_number, frame_time))``

        Raises
        ------
        ArgumentError
            The chunk has no frames, or is not there.
        """
        tell_newer("get_chunk", "chunk_files and get_image(frame_index=...) tell and read where a chunk begins")
        return self.get_image(frame_index=self._readable.look_up(lambda index: index.chunk_start(chunk)))
