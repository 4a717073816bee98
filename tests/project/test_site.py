"""The documentation as a site: it is made without a warning, its links lead somewhere, and every name and option is in it.

``tox -e docs`` has what makes it, and is where these tests run. A browser looks at the pages as on a phone, and axe at
whether everybody can read them.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import click
import pytest
from page_browser import browser, resize

import imgstore
from imgstore import cli, codec, errors, exporting, group, hookspecs, mapping, repair, verify

WITHOUT = [name for name in ("sphinx", "myst_parser", "pydata_sphinx_theme", "numpydoc", "sphinx_click")
           if importlib.util.find_spec(name) is None]  # fmt: skip
pytestmark = pytest.mark.skipif(bool(WITHOUT), reason=f"the site is tried by `tox -e docs`; {', '.join(WITHOUT)} not here")

# one of each kind: prose and pictures, a wide table, options of commands, a class
SEEN = ("index", "tour", "performance", "choosing-a-format", "commands", "cli", "api", "generated/imgstore.ImgStore")
PHONE = (390, 844)
# colours fade in while a page is opened, and are looked at when they have
AT_REST = "document.head.append(Object.assign(document.createElement('style'), {textContent: '* {transition: none !important}'}))"
# what ends beyond the right edge, and cannot be scrolled to
CUT_OFF = """
const scrolls = e => e && (["auto", "scroll"].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
return Array.from(document.querySelectorAll("article *"))
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e) && e.checkVisibility())
  .map(e => e.outerHTML.slice(0, 100));
"""
MODULES = {
    "codec": codec, "errors": errors, "exporting": exporting, "group": group, "mapping": mapping, "repair": repair,
    "verify": verify,
}  # fmt: skip


class _Links(HTMLParser):
    """What a page links to, and what in it can be linked to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.names: set[str] = set()
        self.without_text: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names |= {name for name in (given.get("id"), given.get("name")) if name}
        self.targets += [target for target in (given.get("href"), given.get("src")) if target]
        if tag == "img" and not given.get("alt"):
            self.without_text.append(given.get("src") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The site, made of a copy of the pages, so that the tree itself stays as it is; where IMGSTORE_SITE says, to be kept."""
    place = tmp_path_factory.mktemp("site")
    tree, html = place / "tree", Path(os.environ.get("IMGSTORE_SITE") or place / "html")
    if html.exists():
        shutil.rmtree(html)
    shutil.copytree(repository / "docs", tree / "docs", ignore=shutil.ignore_patterns("generated"))
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copyfile(repository / name, tree / name)
    # nitpicky, and a warning is an error, of which all are told
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-d", str(place / "read"), str(tree / "docs")]
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    done = subprocess.run([*command, str(html)], cwd=place, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-6000:]
    return html


@pytest.fixture(scope="module")
def inventory(site: Path) -> dict[str, set[str]]:
    """What can be looked up in the site: names of each kind, as ``py:class``."""
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as file:
        found = InventoryFile.load(file, "", lambda _, uri: uri)
    return {kind: set(names) for kind, names in found.items()}


@pytest.fixture(scope="module")
def links(site: Path) -> dict[Path, _Links]:
    """Each page of the site with its links."""
    return {page: _Links(page) for page in site.rglob("*.html") if "_static" not in page.parts}


def test_every_page_is_made(site: Path, repository: Path) -> None:
    wanted = {page.stem for page in (repository / "docs").glob("*.md")}
    assert wanted - {page.stem for page in site.glob("*.html")} == set()


def test_links_lead_somewhere(links: dict[Path, _Links]) -> None:
    """Those within the site, to the very place in the page."""
    broken = []
    for page, found in links.items():
        for target in found.targets:
            path, anchor = urldefrag(target)
            if ":" in path or path.startswith("//"):
                continue
            leads_to = (page.parent / unquote(path.partition("?")[0])).resolve() if path else page
            page_found = links.get(leads_to)
            there = leads_to.exists() and (not anchor or page_found is None or unquote(anchor) in page_found.names)
            if not there and target != "#":
                broken.append(f"{page.name}: {target}")
    assert len(links) > 50
    assert broken == []


def test_pictures_have_a_text(links: dict[Path, _Links]) -> None:
    assert {page.name: found.without_text for page, found in links.items() if found.without_text} == {}


def test_public_names_are_in_the_reference(inventory: dict[str, set[str]]) -> None:
    """Those that are imported from the package, its errors, what codecs and plugins are made of, and their methods."""
    told = {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}
    wanted = {f"imgstore.{name}" for name in (*imgstore.__all__, "open") if name != "__version__"}
    for module, content in MODULES.items():
        members = {name: getattr(content, name) for name in content.__all__ if name not in imgstore.__all__}
        wanted |= {f"imgstore.{module}.{name}" for name, member in members.items() if inspect.isclass(member) or
                   inspect.isfunction(member)}  # fmt: skip
    marked = f"{hookspecs.hookspec.project_name}_spec"
    wanted |= {f"imgstore.hookspecs.{name}" for name, member in vars(hookspecs).items() if hasattr(member, marked)}
    for cls in (imgstore.ImgStore, imgstore.VideoImgStore, imgstore.Recorder, imgstore.StoreGroup, imgstore.VideoCapture):
        wanted |= {f"imgstore.{cls.__name__}.{name}" for name in dir(cls) if not name.startswith("_")}
    assert len(wanted) > 150
    assert sorted(wanted - told) == []


def test_options_are_in_the_reference(inventory: dict[str, set[str]]) -> None:
    """Every option and every argument of every command."""
    told = inventory["std:cmdoption"]
    missing = []
    for name, command in cli.main.commands.items():
        for parameter in command.params:
            # what stands after = is the value of a name to Sphinx, and after a space too
            argument = parameter.human_readable_name.partition("=")[0].partition(" ")[0]
            words = parameter.opts if isinstance(parameter, click.Option) else [argument]
            missing += [f"{name} {word}" for word in words if f"imgstore-{name}.{word}" not in told]
    assert missing == []


@pytest.fixture(scope="module")
def chromium() -> Generator[Any, None, None]:
    with browser(*PHONE) as driver:
        yield driver


@pytest.mark.parametrize("name", SEEN)
def test_page_fits_a_phone(site: Path, chromium: Any, name: str) -> None:
    """Tables and code scroll by themselves; the page does not."""
    resize(chromium, *PHONE)
    chromium.get((site / f"{name}.html").as_uri())
    assert chromium.execute_script("return document.scrollingElement.scrollWidth") <= PHONE[0]
    assert chromium.execute_script(CUT_OFF) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", SEEN)
def test_everybody_can_read_it(site: Path, chromium: Any, name: str, dark: bool) -> None:
    """axe finds nothing serious."""
    axe = importlib.util.find_spec("axe_playwright_python")
    if axe is None or axe.origin is None:
        pytest.skip("axe is tried by `tox -e docs`; axe-playwright-python not here")
    resize(chromium, 1280, 900, dark=dark)
    chromium.get((site / f"{name}.html").as_uri())
    chromium.execute_script(AT_REST)
    chromium.execute_script(Path(axe.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    found = chromium.execute_async_script("const done = arguments[0]; axe.run().then(done)")
    faults = [
        f"{fault['id']} ({fault['impact']}): {node['target']} {node['html'][:120]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]
    assert found["passes"] and faults == []
