"""YAML as plain values: no objects, and no deeper than anything that a store holds.

LibYAML composes nested collections by recursion on the C stack, which a file of a hundred thousand brackets overflows:
the process would die. Its parser does not recurse, so the depth is looked at first.
"""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["load_plain_yaml"]

_MAX_DEPTH = 100


def load_plain_yaml(data: bytes) -> Any:
    """Return what a YAML document holds.

    Parameters
    ----------
    data : bytes
        The document.

    Raises
    ------
    ValueError
        It is no YAML, asks for objects to be built, or is nested more than 100 levels deep.
    """
    # the C loader is some ten times faster; both build plain values only
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(data, Loader=loader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > _MAX_DEPTH:
                    raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
        return yaml.load(data, Loader=loader)  # noqa: S506 - a safe loader
    # OverflowError, TypeError and the like come of impossible dates and numbers
    except (yaml.YAMLError, RecursionError, OverflowError, TypeError, AttributeError, KeyError) as error:
        raise ValueError(" ".join(str(error).split())) from error
