"""Where is frame n: in which chunk, and at which place in it."""

from __future__ import annotations

try:
    from imgstore.index.frame_index import ImgStoreIndex
    from imgstore.index.frame_index import _unpickle as _unpickle  # where pickles made by earlier versions look for it
except ModuleNotFoundError as error:
    if error.name != "imgstore.index._index":
        raise
    from pathlib import Path

    raise ImportError(
        f"imgstore in {Path(__file__).parents[2]} is not compiled for this Python. "
        "In a checkout `make install` compiles it and installs it into .venv, whose Python then imports it "
        "(or `pip install -e .` into an environment of yours); if imgstore is installed, start Python elsewhere than in "
        "this directory, or with `python -P`"
    ) from None

__all__ = ["ImgStoreIndex"]
