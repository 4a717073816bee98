"""An export that its parent kills: ``python exporting_until_killed.py STORE OUT FORMAT COPY``; says when it begins."""

from __future__ import annotations

import sys

import imgstore
import imgstore.exporting

if __name__ == "__main__":
    store, out, fmt, copied = sys.argv[1:]
    print("begun", flush=True)
    imgstore.export(
        store, out, format=fmt, copy=copied == "copy", sidecar="csv", overwrite=True,  # type: ignore[arg-type]
    )  # fmt: skip
