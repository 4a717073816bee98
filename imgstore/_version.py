"""The version, as a literal: the build reads it without importing the package, and importing it costs nothing."""

from __future__ import annotations

__version__ = "1.0.0"
