"""Mappings and lists that say so when somebody tries to change them, and are ordinary ones to everybody else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NoReturn

from imgstore.errors import ReadOnlyError

__all__ = ["ReadOnlyDict", "ReadOnlyList", "read_only"]


def _refuse(self: object, *args: object, **kwargs: object) -> NoReturn:
    raise ReadOnlyError(
        "user_metadata cannot be changed in this way, it would be forgotten: imgstore.update_metadata(path, {...}) keeps"
        " it, and store.user_metadata.copy() is yours to change"
    )


class ReadOnlyDict(dict[Any, Any]):
    """A dict that cannot be changed. Its copies are plain, all the way down, and so is what it is pickled to."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def copy(self) -> dict[Any, Any]:
        """Return a dict of which everything may be changed."""
        plain: dict[Any, Any] = _plain(self)
        return plain

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self.copy(),)


class ReadOnlySet(frozenset[Any]):
    """A set that cannot be changed. Its copies are plain, and so is what it is pickled to."""

    def copy(self) -> set[Any]:  # type: ignore[override]
        """Return a set that may be changed."""
        return set(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return set, (list(self),)


class ReadOnlyList(list[Any]):
    """A list that cannot be changed. Its copies are plain, all the way down, and so is what it is pickled to."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def copy(self) -> list[Any]:
        """Return a list of which everything may be changed."""
        plain: list[Any] = _plain(self)
        return plain

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self.copy(),)


def read_only(value: Any) -> Any:
    """Return what looks like a value of plain YAML and cannot be changed, nor anything in it."""
    _teach_yaml()
    if isinstance(value, dict):
        return ReadOnlyDict({key: read_only(item) for key, item in value.items()})
    if isinstance(value, list):
        return ReadOnlyList([read_only(item) for item in value])
    return ReadOnlySet(value) if isinstance(value, set) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return set(value) if isinstance(value, ReadOnlySet) else value


@cache
def _teach_yaml() -> None:
    """Have PyYAML dump these as what they look like; it goes by the very type."""
    from yaml.representer import SafeRepresenter

    for dumper in [SafeRepresenter, *_all_subclasses(SafeRepresenter)]:
        known = vars(dumper).get("yaml_representers")
        if known is not None:  # a class without its own has those of the class above it
            known[ReadOnlyDict] = SafeRepresenter.represent_dict
            known[ReadOnlyList] = SafeRepresenter.represent_list
            known[ReadOnlySet] = SafeRepresenter.represent_set


def _all_subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _all_subclasses(sub)
