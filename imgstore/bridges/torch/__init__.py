"""PyTorch: stores as datasets of frames and of clips, and a sampler that shuffles without decoding anything twice.

https://pytorch.org/docs/stable/data.html says what datasets and samplers are.
"""

from __future__ import annotations

from imgstore.bridges.torch.clips import ClipDataset
from imgstore.bridges.torch.frames import FrameDataset
from imgstore.bridges.torch.mappings import torchcodec_mappings
from imgstore.bridges.torch.sampler import ChunkSampler

__all__ = ["ChunkSampler", "ClipDataset", "FrameDataset", "torchcodec_mappings"]
