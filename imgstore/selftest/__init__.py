"""The check that a person runs after installing: ``imgstore-test``, ``imgstore test``, `imgstore.test`.

`test_formats` is a test suite for pytest that needs the installed package and its extra ``test`` alone.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence

import click

__all__ = ["run"]


def run(arguments: Sequence[str] = ()) -> int:
    """Write and read back every format that works on this machine.

    Parameters
    ----------
    arguments : sequence of str
        Handed to pytest.

    Returns
    -------
    int
        pytest's exit status, 0 when all is well; 1 where pytest is missing.
    """
    try:
        import pytest
    except ImportError:
        click.echo("imgstore: error: the check needs pytest: pip install 'imgstore[test]'", err=True)
        return 1
    from imgstore.selftest.summary import Summary

    here = os.path.dirname(os.path.abspath(__file__))
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with tempfile.TemporaryDirectory(prefix="imgstore-test-") as place:
            # Neither the directory in which it is called nor the one in which the package lies has a say: a
            # configuration or conftest.py there belongs to something else, and the latter may be read-only.
            configuration = os.path.join(place, "pytest.ini")
            with open(configuration, "w", encoding="ascii") as file:
                file.write("[pytest]\n")
            own = ["-c", configuration, f"--rootdir={here}", f"--confcutdir={here}", "-p", "no:cacheprovider", "-rfEs"]
            return int(pytest.main([*own, *arguments, here], plugins=[Summary()]))
    finally:
        sys.dont_write_bytecode = writes_bytecode
