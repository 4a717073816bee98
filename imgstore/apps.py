"""The functions behind the commands of imgstore 0.x: doors to `imgstore.cli` and `imgstore.timecodes`.

Each ``main_*`` parses ``sys.argv``, does its work and exits.
"""

from __future__ import annotations

from imgstore.timecodes import generate_timecodes

__all__ = ["generate_timecodes", "main_generate_timecodes", "main_saver", "main_test", "main_viewer"]


def main_viewer() -> None:
    """Show a store in a window: ``imgstore-view``."""
    from imgstore.cli import view_main

    view_main()


def main_saver() -> None:
    """Turn a video or a webcam's pictures into a store: ``imgstore-save``."""
    from imgstore.cli import save_main

    save_main()


def main_test() -> None:
    """Check the installation: ``imgstore-test``."""
    from imgstore.cli import test_main

    test_main()


def main_generate_timecodes() -> None:
    """Print the times of a store's frames: ``imgstore timecodes``."""
    from imgstore.cli import timecodes_main

    timecodes_main()
