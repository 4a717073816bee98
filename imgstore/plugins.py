"""The plugin manager: the codecs that ship, then those of installed packages.

This is the only place through which the core knows a codec.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from imgstore.codec import ChunkCodec, Codec, Format, FrameCodec
from imgstore.errors import ArgumentError, CodecUnavailableError, FormatError, ImgStoreWarning

if TYPE_CHECKING:
    import pluggy

__all__ = [
    "ENTRY_POINT_GROUP",
    "RegisteredCodec",
    "broken_plugins",
    "codec_for_format",
    "codec_for_stored",
    "listeners",
    "near_formats",
    "notify",
    "plugin_manager",
    "register",
    "registered_codecs",
    "supported_formats",
    "surveying_codecs",
]

ENTRY_POINT_GROUP = "imgstore"
DECODED_SUFFIX = "+color"

_LEFT_OUT = "does not work and is left out"

# Later ones win where two codecs have one format: OpenCV's video codec stands behind PyAV's.
_SHIPPED = ("imgstore_codecs.npy", "imgstore_codecs.opencv", "imgstore_codecs.bloscpack",
            "imgstore_codecs.tiff_stack", "imgstore_codecs.opencv_video", "imgstore_codecs.video.codec")  # fmt: skip


@dataclass(frozen=True)
class RegisteredCodec:
    """A codec for one format, and the package that it came with."""

    codec: Codec
    format: Format
    package: str


@dataclass(frozen=True)
class _Registry:
    manager: pluggy.PluginManager
    packages: dict[str, str]  # plugin name -> distribution that it came with
    broken: dict[str, str]  # plugin name -> what went wrong with it


@lru_cache(maxsize=1)
def _registry() -> _Registry:
    import pluggy

    from imgstore import hookspecs

    manager = pluggy.PluginManager("imgstore")
    manager.add_hookspecs(hookspecs)
    registry = _Registry(manager, {}, {})
    for module in _SHIPPED:
        try:
            manager.register(importlib.import_module(module), name=module)
            registry.packages[module] = "imgstore"
        except Exception as error:  # one that cannot be imported takes no other along
            _report(registry, module, error)
    for point in sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda p: (p.name, p.value)):
        package = point.dist.name if point.dist is not None else point.value
        name = f"{package}:{point.name}"
        try:
            if manager.has_plugin(name):  # the same distribution found twice on sys.path
                continue
            manager.register(point.load(), name=name)
            registry.packages[name] = package
        except Exception as error:
            _report(registry, name, error)
    return registry


def _report(registry: _Registry, name: str, error: BaseException, what: str = _LEFT_OUT) -> None:
    """Tell of a broken plugin, once each."""
    if name not in registry.broken:
        registry.broken[name] = f"{type(error).__name__}: {error}"
        warnings.warn(
            f"imgstore plugin {name!r} {what}: {registry.broken[name]}",
            ImgStoreWarning,
            stacklevel=3,
        )


def plugin_manager() -> pluggy.PluginManager:
    """Return the `pluggy.PluginManager` with every plugin that could be loaded."""
    return _registry().manager


def register(plugin: object, name: str | None = None) -> None:
    """Add a plugin from within a program, as an entry point does for an installed package.

    Parameters
    ----------
    plugin : object
        A module or object with functions marked ``imgstore.hookimpl``.
    name : str, optional
        Its name in messages; default the module's name.
    """
    registry = _registry()
    name = registry.manager.register(plugin, name=name)
    if name is not None:
        registry.packages[name] = name
    _codecs.cache_clear()
    registered_codecs.cache_clear()


def unregister(plugin: object) -> None:
    """Take away a plugin that was added with `register`."""
    registry = _registry()
    registry.broken.pop(registry.manager.get_name(plugin) or "", None)
    registry.manager.unregister(plugin)
    _codecs.cache_clear()
    registered_codecs.cache_clear()


def broken_plugins() -> dict[str, str]:
    """Return what went wrong with plugins that do not work, by their names."""
    registered_codecs()
    return dict(_registry().broken)


def _call_each(hook_name: str, failing: str, only: str | None = None, **kwargs: Any) -> Iterator[tuple[str, Any]]:
    """Call each plugin's implementation in order of registration; a failing one stops no other."""
    registry = _registry()
    for implementation in getattr(registry.manager.hook, hook_name).get_hookimpls():
        name = implementation.plugin_name
        if only is not None and name != only:
            continue
        try:
            yield name, implementation.function(*(kwargs[a] for a in implementation.argnames))
        except Exception as error:
            _report(registry, name, error, failing)


def notify(hook_name: str, *, only: str | None = None, **kwargs: Any) -> None:
    """Call a hook that tells plugins of something; what they raise is reported and goes no further.

    Parameters
    ----------
    hook_name : str
        The hook.
    only : str, optional
        Call the plugin of this name alone.
    **kwargs
        The hook's arguments.
    """
    for _ in _call_each(hook_name, f"failed in {hook_name}, which does the store no harm", only, **kwargs):
        pass


def listeners(hook_name: str) -> list[str]:
    """Return the names of the plugins that implement a hook."""
    return [found.plugin_name for found in getattr(_registry().manager.hook, hook_name).get_hookimpls()]


@lru_cache(maxsize=1)
def _codecs() -> tuple[tuple[Codec, str], ...]:
    """Return every codec and the package that it came with, in order of registration."""
    registry = _registry()
    found = []
    for name, codecs in _call_each("imgstore_codecs", _LEFT_OUT):
        try:
            for codec in codecs:
                if not isinstance(codec, (FrameCodec, ChunkCodec)):
                    raise TypeError(f"imgstore_codecs() gave {codec!r}, which is no FrameCodec or ChunkCodec instance")
                tuple(codec.formats)  # or an error, which is this plugin's
                found.append((codec, registry.packages[name]))
        except Exception as error:
            _report(registry, name, error)
    return tuple(found)


@lru_cache(maxsize=1)
def registered_codecs() -> tuple[RegisteredCodec, ...]:
    """Return every codec for every format, in order of registration: where a format has several, the last one wins."""
    return tuple(RegisteredCodec(codec, fmt, package) for codec, package in _codecs() for fmt in codec.formats)


def surveying_codecs(backend: str | None = None) -> Iterator[tuple[ChunkCodec, str]]:
    """Give the codecs that may be asked to survey a file, each with its package, those that win first.

    Parameters
    ----------
    backend : str, optional
        `Codec.name` of the only ones to be asked.
    """
    for codec, package in reversed(_codecs()):
        if isinstance(codec, ChunkCodec) and backend in (None, codec.name):
            yield codec, package


def supported_formats(kind: type[Codec] = Codec) -> list[str]:
    """Return the names of the formats that can be written and read on this machine, in order of registration."""
    names: dict[str, None] = {}
    for entry in registered_codecs():
        if isinstance(entry.codec, kind) and entry.codec.missing(entry.format) is None:
            names[entry.format.name] = None
            if entry.format.decoded_variant:
                names[entry.format.name + DECODED_SUFFIX] = None
    return list(names)


def near_formats(name: str, known: Iterable[str]) -> list[str]:
    """Return what somebody may have meant by the name of no format: those of that codec or container, or with a like name."""
    names = list(dict.fromkeys(known))
    of_name = [other for other in names if name.lower() in other.split("/")]
    return of_name or difflib.get_close_matches(name, names, n=2, cutoff=0.5)


def codec_for_format(
    name: str, backend: str | None = None, kind: type[Codec] = Codec, *, reading: bool = False
) -> RegisteredCodec:
    """Find the codec that a format's name or alias stands for.

    Parameters
    ----------
    name : str
        Name or alias of the format, with or without ``+color``.
    backend : str, optional
        `Codec.name` of the implementation to take; default the one registered last that works on this machine.
    kind : type, optional
        `FrameCodec` or `ChunkCodec`, to look among these alone.
    reading : bool
        Whether it is enough that the format can be read on this machine.

    Raises
    ------
    FormatError
        No codec of this kind knows the format; the message lists those that are supported.
    CodecUnavailableError
        The format is known but not usable on this machine; the message says what is missing.
    ArgumentError
        No such backend for this format.
    """
    base = str(name).removesuffix(DECODED_SUFFIX)
    decoded = base != name
    known = [
        entry
        for entry in registered_codecs()
        if isinstance(entry.codec, kind)
        and base in (entry.format.name, *entry.format.aliases)
        and (entry.format.decoded_variant or not decoded)
    ]
    if not known:
        supported = supported_formats(kind)
        near = near_formats(str(name), supported)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        raise FormatError(f"format {name!r} is not known.{meant} Supported are: {', '.join(supported)}")
    if backend is not None:
        chosen = [entry for entry in known if entry.codec.name == backend]
        if not chosen:
            backends = ", ".join(repr(entry.codec.name) for entry in known)
            raise ArgumentError(f"format {name!r} has no backend {backend!r}, it has: {backends}")
        known = chosen
    missing = None
    for entry in reversed(known):
        lacks = entry.codec.missing_for_reading(entry.format) if reading else entry.codec.missing(entry.format)
        if lacks is None:
            return entry
        missing = missing or lacks
    raise CodecUnavailableError(f"format {name!r} cannot be used on this machine: {missing}")


def codec_for_stored(name: str, extension: str | None, backend: str | None = None) -> RegisteredCodec:
    """Find the codec that reads a store.

    Parameters
    ----------
    name : str
        Format as its metadata has it. Motif writes names of encoders, which nothing registers.
    extension : str or None
        Of its video files; None for a store with a file per frame.
    backend : str, optional
        As in `codec_for_format`.

    Raises
    ------
    FormatError, CodecUnavailableError, ArgumentError
        As `codec_for_format`.
    """
    kind: type[Codec] = FrameCodec if extension is None else ChunkCodec
    if extension is not None:
        by_extension = [e for e in registered_codecs() if isinstance(e.codec, kind) and e.format.extension == extension]
        if not any(name in (e.format.name, *e.format.aliases) for e in registered_codecs()) and by_extension:
            name = by_extension[-1].format.name
    return codec_for_format(name, backend, kind, reading=True)
