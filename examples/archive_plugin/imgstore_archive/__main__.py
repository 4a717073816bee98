"""``imgstore-archive STORE... ARCHIVE``: archive stores that are recorded, as far as that has not been done."""

from __future__ import annotations

import argparse
import sys

from imgstore_archive import archive_store

__all__ = ["main"]


def main() -> int:
    """Parse the command line, archive, and say what was done."""
    parser = argparse.ArgumentParser(prog="imgstore-archive", description=__doc__.partition(": ")[2])
    parser.add_argument("stores", nargs="+", metavar="STORE", help="a store that nobody is writing")
    parser.add_argument("archive", metavar="ARCHIVE", help="the directory with a directory for each store")
    options = parser.parse_args()
    failed = False
    for store in options.stores:
        try:
            done = archive_store(store, options.archive)
        except (OSError, ValueError) as error:
            print(f"imgstore-archive: {error}", file=sys.stderr)
            failed = True
        else:
            print(f"{store}: {sum(done.values())} of {len(done)} chunks copied, the others were there")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
