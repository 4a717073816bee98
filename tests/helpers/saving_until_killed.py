"""``imgstore save`` that its parent kills: ``python saving_until_killed.py ARGUMENTS...``; says when it begins."""

from __future__ import annotations

import sys

from imgstore.cli import main

if __name__ == "__main__":
    print("begun", flush=True)
    main(["save", *sys.argv[1:]])
