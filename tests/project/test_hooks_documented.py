"""Each hook is told of where authors of plugins look, with each of its arguments, and says itself what it is for."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from imgstore import hookspecs, plugins

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("architecture.md", "writing-a-codec.md")


def hooks() -> dict[str, Any]:
    """Return every function that is marked as the specification of a hook, by its name."""
    marked = f"{hookspecs.hookspec.project_name}_spec"
    return {name: member for name, member in vars(hookspecs).items() if hasattr(member, marked)}


every_hook = pytest.mark.parametrize("name", hooks())


def test_all_hooks_are_found() -> None:
    """What is looked through below is what the plugin manager calls."""
    manager = plugins.plugin_manager()
    known = {name for name in dir(manager.hook) if not name.startswith("_")}
    assert set(hooks()) == known
    assert "imgstore_codecs" in known


@every_hook
def test_hook_is_told(name: str) -> None:
    told = "\n".join((DOCS / page).read_text(encoding="utf-8") for page in PAGES)
    arguments = ", ".join(inspect.signature(hooks()[name]).parameters)
    assert f"`{name}({arguments})`" in told, f"none of {', '.join(PAGES)} tells of `{name}({arguments})`"


@every_hook
def test_hook_has_a_docstring(name: str) -> None:
    doc = inspect.getdoc(hooks()[name])
    assert doc, "no docstring"
    for argument in inspect.signature(hooks()[name]).parameters:
        assert re.search(rf"\b{argument}\b", doc), f"the docstring does not tell of {argument}"
