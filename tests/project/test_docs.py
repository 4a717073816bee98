"""The pages that users read: their code runs, what they name exists, and what exists they name."""

from __future__ import annotations

import configparser
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import doc_pages
import pytest

import imgstore
from imgstore import cli, errors

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*(REPOSITORY / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")), *(REPOSITORY / "docs").glob("*.md")],
    key=lambda page: page.relative_to(REPOSITORY).as_posix(),
)
LANGUAGES = {"python", "output", "console", "text", "yaml", "toml", "sql", "json", "ini", "make"}
DIRECTIVES = {"{toctree}", "{eval-rst}", "{include}"}  # for Sphinx
CODE_WIDTH = 80  # what a page shows of a line without scrolling
CLASSES = (imgstore.ImgStore, imgstore.VideoImgStore, imgstore.DirectoryImgStore, imgstore.Recorder)
SECONDS = 240

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())


def everything_told() -> str:
    """Return the text of all pages."""
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


# -- what the pages say to type ------------------------------------------------------------------------------------


# What a newcomer types first is tried by `make test`, the rest by `make test-all`.
FIRST = {"README.md", "reading.md", "writing.md"}


@pytest.mark.parametrize("page", [
    page if page.name in FIRST else pytest.param(page, marks=pytest.mark.long) for page in PAGES
], ids=lambda page: page.relative_to(REPOSITORY).as_posix())  # fmt: skip
def test_code_runs(page: Path, tmp_path: Path) -> None:
    """Every block of Python and every command of a page, in its order, does what the page says."""
    blocks = doc_pages.find_blocks(page.read_text(encoding="utf-8"))
    if not any(block.language in ("python", "console") for block in blocks):
        return
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONWARNINGS": "default", "COLUMNS": "100", "TZ": "UTC"}
    environment["PYTHONPATH"] = str(Path(doc_pages.__file__).parent)  # beside which a page's own directory is not
    done = subprocess.run(
        [sys.executable, doc_pages.__file__, str(page)],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


BAD_PAGES = {
    "output": "```python\nprint(1)\n```\n\n```output\n2\n```\n",
    "code": "```python\nassert False\n```\n",
    "syntax": "```python\n# not run here: wants a camera\nif\n```\n",
    "command": "```console\n$ imgstore info nowhere\n```\n",
    "printed": "```console\n$ imgstore --version\nimgstore, of the year 1900\n```\n",
    "option": "```console\n$ imgstore view store --backwards\n```\n",
}


@pytest.mark.parametrize("page", BAD_PAGES.values(), ids=BAD_PAGES)
def test_what_is_wrong_is_found(page: str, tmp_path: Path) -> None:
    """A page that does not do what it says fails, and the failure names the page."""
    (tmp_path / "page.md").write_text(page, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, doc_pages.__file__, "page.md"], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode != 0
    assert "page.md" in done.stderr


@every_page
def test_blocks_have_a_known_language(page: Path) -> None:
    """A block with a misspelt language, or with none, would not be run and nobody would know."""
    blocks = doc_pages.find_blocks(page.read_text(encoding="utf-8"))
    assert [f"line {b.line}: {b.language!r}" for b in blocks if b.language not in LANGUAGES | DIRECTIVES] == []
    stray = [b.line for k, b in enumerate(blocks) if b.language == "output" and (not k or not b.follows)]
    assert stray == [], f"output that belongs to no block of Python: lines {stray}"
    assert [b.line for b in blocks if b.text.strip() == doc_pages.NOT_RUN.strip()] == [], "a reason is wanted"


@every_page
def test_commands_that_are_not_run_exist(page: Path) -> None:
    """What cannot be run here for its time or its effects is at least there."""
    for block in doc_pages.find_blocks(page.read_text(encoding="utf-8")):
        if block.language == "console":
            for command in doc_pages.commands(block):
                if not command.runs:
                    fault = missing_from(command)
                    assert fault is None, f"{page}:{command.line}: {command.text}: {fault}"


def missing_from(command: doc_pages.Command) -> str | None:
    """Say what a command names that is not in this repository."""
    words = [word for word in shlex.split(command.text)[1:] if not re.fullmatch(r"[A-Z]+=\S*", word)]
    return CHECKS[command.program](words)


def missing_targets(words: list[str]) -> str | None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w[\w-]*):", makefile, flags=re.MULTILINE))
    return None if words and targets.issuperset(words) else f"the Makefile has {sorted(targets)}"


def missing_from_pip(words: list[str]) -> str | None:
    if words[:1] != ["install"]:
        return "only pip install is known here"
    known = {"imgstore", ".", *(f"./{path.relative_to(REPOSITORY).as_posix()}" for path in examples())}
    for word in words[1:]:
        if word.startswith("-"):
            continue
        name, _, extras = word.removesuffix("]").partition("[")
        if name.rstrip("/") not in known:
            return f"{name!r} is none of {sorted(known)}"
        if extras and not optional_dependencies().issuperset(extras.split(",")):
            return f"the extras are {sorted(optional_dependencies())}"
    return None


def examples() -> list[Path]:
    """Return the packages under examples/, which pip can install."""
    return [path.parent for path in (REPOSITORY / "examples").glob("*/pyproject.toml")]


def optional_dependencies() -> set[str]:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    section = re.search(r"^\[project\.optional-dependencies\]$(.*?)^\[", text, flags=re.MULTILINE | re.DOTALL)
    assert section is not None
    return set(re.findall(r"^(\w+) *=", section[1], flags=re.MULTILINE))


def missing_files(words: list[str]) -> str | None:
    names = [word for word in words if not word.startswith("-")]
    if words[:1] == ["-m"]:
        return missing_from_pip(words[2:]) if words[1] == "pip" else None
    return next((f"there is no {name}" for name in names[:1] if not (REPOSITORY / name).exists()), None)


def missing_environments(words: list[str]) -> str | None:
    config = configparser.ConfigParser(interpolation=None)
    config.read(REPOSITORY / "tox.ini")
    text = config["tox"]["env_list"] + " ".join(config.sections())
    wanted = words[words.index("-e") + 1].split(",") if "-e" in words else []
    return next((f"tox.ini has no {name}" for name in wanted if name not in text and not name.startswith("py3")), None)


CHECKS: dict[str, Callable[[list[str]], str | None]] = {
    "bash": missing_files,
    "make": missing_targets,
    "pip": missing_from_pip,
    "pytest": missing_files,
    "python": missing_files,
    "tox": missing_environments,
}


# -- links -----------------------------------------------------------------------------------------------------------


def without_code(text: str) -> str:
    """Return a page without its blocks and `code`, in which brackets are no links."""
    text = re.sub(r"^( *)(`{3,}).*?^\1\2", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """Return the anchors that headings get, by GitHub's rule."""
    text = re.sub(r"^( *)(`{3,}).*?^\1\2", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#+ +(.+?) *$", text, flags=re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        names.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] = found.get(slug, 0) + 1
    return names


@every_page
def test_links_resolve(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):  # of the world outside
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(target)
    assert broken == []


def test_every_page_is_in_a_table_of_contents() -> None:
    """Of the site each page is in one list of contents, and on its first page; the README leads to each as well."""
    docs = [page for page in PAGES if page.parent.name == "docs"]
    blocks = [block for page in docs for block in doc_pages.find_blocks(page.read_text("utf-8"))]
    toctrees = "\n".join(block.text for block in blocks if block.language == "{toctree}")
    listed = re.findall(r"^(?:[^:\n]*<)?([\w-]+)>?$", toctrees, flags=re.MULTILINE)
    assert sorted(listed) == sorted(page.stem for page in docs if page.stem != "index")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8").replace("(CHANGELOG.md)", "(docs/changelog.md)")
    readme = readme.replace("(CONTRIBUTING.md)", "(docs/contributing.md)")
    index = (REPOSITORY / "docs" / "index.md").read_text(encoding="utf-8")
    assert [n for n in sorted(listed) if f"({n}.md)" not in index or f"(docs/{n}.md)" not in readme] == []


@every_page
def test_code_is_not_cut(page: Path) -> None:
    """What is to be typed fits on a page."""
    typed = {"python": "", "console": ("$ ", "    ")}  # how lines begin that are
    long = [
        f"line {block.line + k}: {line}"
        for block in doc_pages.find_blocks(page.read_text(encoding="utf-8"))
        for k, line in enumerate(block.text.splitlines())
        if block.language in typed and line.startswith(typed[block.language]) and len(line) > CODE_WIDTH
    ]
    assert long == []


def test_pages_know_nothing_of_the_workshop() -> None:
    """Paths of the machine on which the pages were written help nobody."""
    assert re.findall(r"(?:/work/|/tmp/|/home/|/root/)\S*", everything_told()) == []


# -- what there is, is told ------------------------------------------------------------------------------------------


def public_members() -> Iterator[tuple[str, str, Any]]:
    """Give class name, name and object of all that stores, and what writes them, offer."""
    parts = dict.fromkeys(part for cls in CLASSES for part in cls.__mro__ if part is not object)
    for cls in parts:
        for name, member in vars(cls).items():
            if not name.startswith("_"):
                yield cls.__name__, name, member


def test_public_names_are_told() -> None:
    """Each public name, and each method and property of a store, is on some page, as code."""
    told = everything_told()
    names = set(imgstore.__all__) | {name for _, name, _ in public_members()}
    names |= {name for name in vars(imgstore.VideoCapture) if not name.startswith("_")}
    assert len(names) > 50
    assert sorted(name for name in names if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", told)) == []


def test_errors_are_told() -> None:
    told = everything_told()
    assert [name for name in errors.__all__ if f"`{name}`" not in told] == []


def test_commands_and_options_are_told() -> None:
    """The page of the commands names each one with each of its options and arguments."""
    page = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    missing = []
    for name, command in cli.main.commands.items():
        sections = page.split(f"\n## imgstore {name}", 1)
        if len(sections) == 1:
            missing.append(name)
            continue
        section = sections[1].split("\n## ")[0]
        for parameter in command.params:
            words = parameter.opts if isinstance(parameter, click.Option) else [parameter.human_readable_name]
            missing += [f"{name} {word}" for word in words if word not in section]
    assert missing == []


def test_console_scripts_are_told() -> None:
    """So is each program that is installed."""
    page = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("[project.scripts]")[1].split("\n[")[0]
    scripts = re.findall(r"^([\w-]+) =", section, flags=re.MULTILINE)
    assert len(scripts) > 5
    assert [script for script in scripts if f"`{script}`" not in page] == []


# -- docstrings --------------------------------------------------------------------------------------------------------


def documented_objects() -> list[tuple[str, Any]]:
    """Return what needs a docstring: public functions, classes, methods and properties."""
    found: list[tuple[str, Any]] = []
    for name in imgstore.__all__:
        if not name.startswith("__") and callable(getattr(imgstore, name)):
            found.append((name, getattr(imgstore, name)))
    for cls, name, member in public_members():
        found.append((f"{cls}.{name}", member.__func__ if isinstance(member, (classmethod, staticmethod)) else member))
    found += [(f"errors.{name}", getattr(errors, name)) for name in errors.__all__]
    return found


DOCUMENTED = documented_objects()
# One sentence that says what the parameters are without naming them.
CLEAR_FROM_THE_SENTENCE = {"Reading.get_nearest_image", "Reading.iter_images", "ImgStore.supports_format"}
every_object = pytest.mark.parametrize("documented", [pytest.param(member, id=name) for name, member in DOCUMENTED])


def sections(doc: str) -> dict[str, list[str]]:
    """Take a numpydoc docstring apart into its sections, each a list of lines; the text before them has the name ''."""
    found: dict[str, list[str]] = {"": []}
    name, lines = "", doc.splitlines()
    for k, line in enumerate(lines):
        if k + 1 < len(lines) and lines[k + 1] and set(lines[k + 1]) == {"-"} and len(lines[k + 1]) == len(line):
            name = line
            found[name] = []
        elif set(line) != {"-"} or not line:
            found[name].append(line)
    return found


def told_parameters(doc: str) -> set[str]:
    """Return the parameters that a docstring describes: under Parameters, or in its text in `quotes`."""
    found = sections(doc)
    entries = [line.partition(":")[0] for line in found.get("Parameters", []) if line and not line.startswith(" ")]
    listed = {name.strip().lstrip("*") for entry in entries for name in entry.split(",")}
    return listed | set(re.findall(r"(?<!`)`(\w+)`", "\n".join(found[""])))


@every_object
def test_docstring(documented: Any) -> None:
    """There is one; it begins with a sentence, and describes every parameter, in numpydoc's form."""
    doc = inspect.getdoc(documented)
    assert doc, "no docstring"
    first = doc.splitlines()[0]
    assert first.endswith((".", "?")) or ". " in first, f"the first line is no sentence: {first!r}"
    if isinstance(documented, (property, type)) or not inspect.isroutine(documented):
        return
    if documented.__qualname__ in CLEAR_FROM_THE_SENTENCE:
        return
    parameters = inspect.signature(documented).parameters.values()
    given = {p.name for p in parameters if p.name not in ("self", "cls") and p.kind is not p.VAR_KEYWORD}
    assert given - told_parameters(doc) == set(), "parameters without a description"
