"""What the check says beside pytest's own summary: which formats work here, which do not and why."""

from __future__ import annotations

from typing import Any

from imgstore._version import __version__
from imgstore.plugins import broken_plugins, registered_codecs, supported_formats

__all__ = ["Summary"]


class Summary:
    """A pytest plugin."""

    def pytest_report_header(self) -> str:
        """Say what is checked."""
        return f"imgstore {__version__}"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say which formats can be used and which cannot."""
        terminalreporter.section("formats on this machine")
        terminalreporter.write_line(f"usable: {', '.join(supported_formats())}")
        for entry in registered_codecs():
            missing = entry.codec.missing(entry.format)
            if missing is not None:
                terminalreporter.write_line(f"not usable: {entry.format.name} ({entry.codec.name}): {missing}")
        for name, error in broken_plugins().items():
            terminalreporter.write_line(f"plugin {name} does not work and is left out: {error}")
