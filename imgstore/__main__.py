"""``python -m imgstore`` is the command ``imgstore``."""

from __future__ import annotations

from imgstore.cli import main

if __name__ == "__main__":
    main(prog_name="imgstore")
