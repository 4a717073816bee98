"""How Sphinx makes a site of these pages: ``tox -e docs``, or ``sphinx-build docs site`` with what is in requirements.txt."""

from __future__ import annotations

import re
from typing import Any

from imgstore import __version__

project = "imgstore"
author = "imgstore contributors"
project_copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_click",
]
exclude_patterns = ["requirements.txt"]
autodoc_mock_imports = ["anywidget", "dask", "distributed", "npe2", "pims", "pynwb", "torch", "traitlets", "xarray"]
templates_path = ["_templates"]
highlight_language = "none"

# the pages: Markdown as GitHub reads it, with GitHub's anchors for headings
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

# the reference: from docstrings, whose single quotes are code
default_role = "code"
add_module_names = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
autosummary_generate = True
autosummary_imported_members = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
# what is not ours cannot be looked up without a network
nitpick_ignore_regex = [("py:.*", r"(?!imgstore\b).*")]

html_theme = "pydata_sphinx_theme"
html_title = f"imgstore {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_js_files = ["pages.js"]
html_sidebars = {"index": [], "tour": []}  # which are in no section
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "show_prev_next": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "navigation_with_keys": False,
}
html_context = {"default_mode": "auto"}


def escape_asterisks(app: Any, ctx: Any, lines: list[str]) -> None:
    """Keep the asterisk of a pattern of files, in a command's help, from beginning emphasis."""
    lines[:] = [re.sub(r"\\?\*", r"\\*", line) for line in lines]


def setup(app: Any) -> None:
    """Look at the help of commands before Sphinx does."""
    for part in ("description", "usage", "options", "arguments", "epilog"):
        app.connect(f"sphinx-click-process-{part}", escape_asterisks)
