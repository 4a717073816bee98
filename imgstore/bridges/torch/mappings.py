"""The frames of a chunk's video as torchcodec takes them, so that it need not look for them."""

from __future__ import annotations

import json
import os

import imgstore
from imgstore.errors import ArgumentError, ChunkError

__all__ = ["torchcodec_mappings"]


def torchcodec_mappings(store: imgstore.ImgStore, chunk: int) -> str:
    """Describe the frames of a chunk's video for ``torchcodec.decoders.VideoDecoder``.

    Parameters
    ----------
    store : ImgStore
        A store of videos, open for reading.
    chunk : int
        Number of the chunk.

    Returns
    -------
    str
        JSON, to be given as ``custom_frame_mappings`` with the path of the video, which `ImgStore.chunk_files` has. Frame k
        of the decoder is then that at the chunk's first position + k.

    Raises
    ------
    ArgumentError
        There is no such chunk, or it is no video.
    ChunkError
        The video's times do not tell its frames, or it holds another number of them than the store lists.
    """
    import av

    files = {file.chunk: file for file in store.chunk_files}
    if chunk not in files:
        raise ArgumentError(f"{store.filename}: there is no chunk {chunk!r}, the chunks are {store.chunks}")
    file = files[chunk]
    if os.path.isdir(file.path):
        raise ArgumentError(f"{store.filename}: torchcodec reads video files, and {store.format} has a file per frame")
    frames: dict[int, dict[str, int]] = {}
    count = 0
    with av.open(file.path) as container:
        for packet in container.demux(video=0):
            if packet.size == 0 or packet.is_discard:
                continue
            count += 1
            if packet.pts is not None:
                frames[packet.pts] = {
                    "pts": packet.pts, "duration": packet.duration or 0, "key_frame": int(packet.is_keyframe)
                }  # fmt: skip
    if len(frames) != count:
        raise ChunkError(f"{file.path}: the video has no times that tell its frames apart")
    if count != file.frame_count:
        raise ChunkError(f"{file.path}: the video holds {count} frames, and the store lists {file.frame_count}")
    return json.dumps({"frames": [frames[pts] for pts in sorted(frames)]})
