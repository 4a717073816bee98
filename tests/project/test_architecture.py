"""Who may know whom, held by reading the sources: docs/architecture.md says why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("imgstore", "imgstore_codecs")

# Names of imgstore 0.x: they look inward, and nothing inside looks at them. `imgstore/__init__.py` hands them out.
# Those that the fork has besides are the same, and may know each other.
DOORS = {
    "imgstore.apps", "imgstore.constants", "imgstore.interface", "imgstore.legacy", "imgstore.multistores", "imgstore.stores",
    "imgstore.stores.multi", "imgstore.stores.utils", "imgstore.stores.utils.formats", "imgstore.stores.utils.mixins",
    "imgstore.stores.utils.mixins.extract", "imgstore.util",
}  # fmt: skip
DOOR_EXCEPTIONS = {("imgstore.store.store", "imgstore.legacy")}  # the private names have to be on the class itself
# The tools in `threads/` know nothing of stores.
FOR_CODECS = {
    "imgstore.codec", "imgstore.errors", "imgstore.hookspecs", "imgstore.npy_header", "imgstore.threads", "imgstore.video_facts",
}  # fmt: skip
# Which wing, and what at the top, each wing may know. What is not named here is at the top and knows what it needs.
MAY_KNOW = {
    "disk": {"codec", "errors", "npy_header"},
    "threads": set[str](),
    "pixels": {"errors"},
    "index": {"disk", "errors", "v04"},
    "v04": {"errors"},
    "beside": {"disk", "errors"},
    "sources": {"errors"},
    "reading": {"codec", "disk", "errors", "index", "pixels", "plugins", "sources", "threads"},
    "plain": {"codec", "disk", "errors", "index", "npy_header", "pixels", "plugins", "reading", "sources"},
    "writing": {"beside", "codec", "disk", "errors", "index", "pixels", "plugins", "threads"},
    "care": {"beside", "codec", "disk", "errors", "index", "local_time", "npy_header", "pixels", "plugins", "reading"},
    "group": {"bridges", "disk", "errors", "opening", "reading", "store"},
    "mapping": {"beside", "care", "codec", "disk", "errors", "group", "opening", "options", "pixels", "plain", "plugins",
                "sources", "store", "writing"},
    "store": {"array", "beside", "bridges", "care", "codec", "disk", "errors", "index", "legacy", "options", "pixels", "plugins",
              "reading", "v04", "web", "writing"},
    "exporting": {"", "errors", "local_time"},  # the public interface alone
    "stores": {"codec", "constants", "disk", "errors", "group", "index", "opening", "pixels", "plugins", "store", "util", "v04"},
}
# The same for the one codec that is a house of its own.
VIDEO_MAY_KNOW = {
    "bitstream": set[str](),
    "pixels": {"forked"},
    "reading": {"bitstream", "forked", "open_video", "pixels", "stream_description"},
    "writing": {"forked", "open_video", "pixels", "stream_description"},
}
# What anyone may import; the commands have to do with that. The self-check is a command's work in a package of its own.
PUBLIC = {
    "imgstore",
    "imgstore.bridges.dask",
    "imgstore.cli",
    "imgstore.codec",
    "imgstore.errors",
    "imgstore.exporting",
    "imgstore.group",
    "imgstore.mapping",
    "imgstore.local_time",
    "imgstore.plugins",
    "imgstore.repair",
    "imgstore.selftest",
    "imgstore.timecodes",
    "imgstore.verify",
    "imgstore.web",
}
# Methods, and an option, that are named after a library: the bridge is imported when they are called.
NAMED_AFTER_A_LIBRARY = {
    ("imgstore.cli._workers", "imgstore.bridges.dask"),
    ("imgstore.group.group", "imgstore.bridges.dask"),
    ("imgstore.store.views", "imgstore.bridges.dask"),
}
# What a server sends comes through FFmpeg as a file does, and is told and turned in the same way.
COMMAND_EXCEPTIONS = {
    ("imgstore.cli._address_source", "imgstore.pixels.shown"),
    ("imgstore.cli._address_source", "imgstore.video_facts"),
}
# Each takes long to import, and not every program needs it.
HEAVY = {"av", "blosc", "cv2", "h5py", "pandas", "rich", "sqlite3", "tqdm", "yaml"}
# Modules that are imported when one of these is wanted anyway: for an SQLite index, and for any store at all.
HEAVY_EXCEPTIONS = {
    ("imgstore.index.sqlite", "sqlite3"),
    ("imgstore.disk.metadata", "yaml"),
    ("imgstore.disk.plain_yaml", "yaml"),
}
MOST_LINES = 500
EXECUTING = {"eval", "exec", "np.load", "numpy.load", "yaml.full_load", "yaml.unsafe_load"}


@dataclass(frozen=True)
class Import:
    """An import statement's target."""

    module: str
    line: int
    at_import: bool  # not within a function, and not for type checkers alone
    typing_only: bool


def sources() -> dict[str, Path]:
    """Return the file of every module that is installed, by the module's name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


SOURCES = sources()


TEXTS = {module: path.read_text(encoding="utf-8") for module, path in SOURCES.items()}


@cache
def trees() -> dict[str, ast.Module]:
    """Return what each module says, parsed when a test asks for it."""
    return {module: ast.parse(text, str(SOURCES[module])) for module, text in TEXTS.items()}


def imports(tree: ast.Module) -> list[Import]:
    """Find all imports of a file, wherever they stand."""
    return list(_walk(tree, False, False))


def _walk(node: ast.AST, in_function: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        function = in_function or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        typing = typing_only or (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"))
        names: list[str] = []
        line = 0
        if isinstance(child, ast.Import):
            line = child.lineno
            names = [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            assert not child.level and child.module, "imports are absolute here"
            line = child.lineno
            # `from imgstore import x` is of the module imgstore.x where there is one
            members = [f"{child.module}.{alias.name}" for alias in child.names]
            names = [m if m in SOURCES else child.module for m in members]
        for name in names:
            yield Import(name, line, not (function or typing), typing)
        yield from _walk(child, function, typing)


@cache
def all_imports() -> dict[str, list[Import]]:
    """Return what each module imports."""
    return {module: imports(tree) for module, tree in trees().items()}


def faults(module: str, allowed: set[str]) -> list[str]:
    """Return the imports of a module that are of imgstore and not allowed, those for type checkers aside."""
    return [
        f"line {i.line}: {i.module}"
        for i in all_imports()[module]
        if i.module.partition(".")[0] in PACKAGES and i.module not in allowed and not i.typing_only
    ]


def test_everything_is_looked_at() -> None:
    assert {"imgstore.reading.reader", "imgstore.writing.writer", "imgstore.cli.view", "imgstore_codecs.npy"} <= SOURCES.keys()
    assert sum(map(len, all_imports().values())) > 300


def test_codecs_know_the_contract_alone() -> None:
    """The codecs that ship have nothing that a stranger's have not."""
    codecs = {m for m in SOURCES if m.startswith("imgstore_codecs")}
    siblings = codecs | {"imgstore_codecs.video.pixels._yuv"}  # compiled
    tools = {m for m in SOURCES if m.startswith("imgstore.threads.")}
    assert {m: found for m in codecs if (found := faults(m, FOR_CODECS | tools | siblings))} == {}


def door(module: str) -> str:
    """Return what stands at the top of the package for a module: its wing, or itself."""
    return module.partition(".")[2].partition(".")[0]


@pytest.mark.parametrize("wing", MAY_KNOW)
def test_wings_know_whom_they_may(wing: str) -> None:
    known = {
        (module, i.module)
        for module, found in all_imports().items()
        if module.startswith(f"imgstore.{wing}.") or module == f"imgstore.{wing}"
        for i in found
        if i.module.startswith("imgstore.") and not i.typing_only and door(i.module) != wing
    }
    assert {pair for pair in known if door(pair[1]) not in MAY_KNOW[wing]} == set()
    assert known or not MAY_KNOW[wing], "nothing was looked at"


def test_every_wing_has_its_rule() -> None:
    wings = {path.parent.name for path in (REPOSITORY / "imgstore").glob("*/__init__.py")}
    assert wings - {"bridges", "cli", "selftest", "web"} == MAY_KNOW.keys()


def test_wings_know_each_other_in_no_circle() -> None:
    TopologicalSorter({wing: known & MAY_KNOW.keys() for wing, known in MAY_KNOW.items()}).prepare()


@pytest.mark.parametrize("wing", VIDEO_MAY_KNOW)
def test_wings_of_the_video_codec(wing: str) -> None:
    prefix = "imgstore_codecs.video."
    for module in (m for m in SOURCES if m.startswith(f"{prefix}{wing}.")):
        known = {i.module.removeprefix(prefix) for i in all_imports()[module] if i.module.startswith(prefix)}
        others = {name for name in known if not name.startswith(f"{wing}.")}
        assert {name.partition(".")[0] for name in others} <= VIDEO_MAY_KNOW[wing], module


def test_example_codec_knows_the_contract_alone() -> None:
    (path,) = (REPOSITORY / "examples" / "third_party_codec").glob("imgstore_*/__init__.py")
    known = {i.module for i in imports(ast.parse(path.read_text(encoding="utf-8"))) if i.module.startswith("imgstore")}
    assert known <= FOR_CODECS
    assert "imgstore.codec" in known


def test_core_knows_codecs_through_plugins_alone() -> None:
    core = {m for m in SOURCES if m.partition(".")[0] == "imgstore"}
    assert [(m, i) for m in core for i in all_imports()[m] if i.module.startswith("imgstore_codecs")] == []
    naming = {
        m
        for m in core
        for node in ast.walk(trees()[m])
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("imgstore_codecs.")
    }
    assert naming == {"imgstore.plugins"}


def test_reader_and_writer_do_not_know_each_other() -> None:
    assert "imgstore.writing.writer" not in reachable("imgstore.reading.reader")
    assert "imgstore.reading.reader" not in reachable("imgstore.writing.writer")


def reachable(module: str) -> set[str]:
    """Return all modules that a module imports, and those that they import, wherever the imports stand."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        for i in all_imports()[waiting.pop()]:
            if i.module in SOURCES and i.module != "imgstore" and i.module not in found and not i.typing_only:
                found.add(i.module)
                waiting.append(i.module)
    return found


def test_nothing_inside_looks_at_the_doors() -> None:
    inside = SOURCES.keys() - DOORS - {"imgstore"}
    assert {(m, i.module) for m in inside for i in all_imports()[m] if i.module in DOORS} == DOOR_EXCEPTIONS


def test_commands_use_the_public_interface() -> None:
    siblings = {m for m in SOURCES if m.startswith("imgstore.cli")}
    for module in siblings | {"imgstore.__main__"}:
        allowed = PUBLIC | siblings | {known for m, known in COMMAND_EXCEPTIONS if m == module}
        assert faults(module, allowed) == [], module


def test_exceptions_of_commands_are_needed() -> None:
    assert {(module, i.module) for module, found in all_imports().items() for i in found} >= COMMAND_EXCEPTIONS


def test_bridges_use_the_public_interface_and_are_known_to_what_is_named_after_them() -> None:
    """A bridge may be a package, whose modules know each other."""
    bridges = {m for m in SOURCES if m.startswith("imgstore.bridges.")}
    assert bridges

    def bridge(module: str) -> str:
        return ".".join(module.split(".")[:3])

    own = {m: {other for other in bridges if bridge(other) == bridge(m)} for m in bridges}
    assert {m: found for m in bridges if (found := faults(m, PUBLIC | own[m]))} == {}
    known = {(m, i.module, i.at_import) for m, found in all_imports().items() for i in found if i.module in bridges}
    assert {k for k in known if bridge(k[0]) != bridge(k[1])} == {(m, named, False) for m, named in NAMED_AFTER_A_LIBRARY}


def test_only_its_bridge_imports_pytorch() -> None:
    known = {m for m, found in all_imports().items() if any(i.module.partition(".")[0] == "torch" for i in found)}
    assert known
    assert {m for m in known if not m.startswith("imgstore.bridges.torch")} == set()


def test_the_page_uses_the_public_interface_and_is_known_by_its_door_alone() -> None:
    page = {m for m in SOURCES if m.startswith("imgstore.web")}
    assert page
    assert {m: found for m in page if (found := faults(m, PUBLIC | page))} == {}
    others = {m: found for m, found in all_imports().items() if m not in page}
    knowing = {(m, i.module) for m, found in others.items() for i in found if i.module in page and not i.typing_only}
    # the name `imgstore.serve`, the command, and how a store shows itself in a notebook
    assert knowing <= {(m, "imgstore.web") for m in ("imgstore", "imgstore.cli._page", "imgstore.store.notebook")}


def test_nothing_imports_in_a_circle() -> None:
    """Each module can be imported first; what circles there are go through functions."""
    # `from imgstore import x` of a module needs no more than that the package's own import has begun
    graph = {
        module: {i.module for i in found if i.at_import and i.module in SOURCES} - {module, "imgstore"}
        for module, found in all_imports().items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' -> '.join(error.args[1])}")


def test_heavy_packages_are_imported_when_they_are_used() -> None:
    found = {(m, i.module.partition(".")[0]) for m, found in all_imports().items() for i in found if i.at_import}
    assert {(m, package) for m, package in found if package in HEAVY} <= HEAVY_EXCEPTIONS


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """All calls: where, of what, and the node."""
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield f"{module}, line {node.lineno}", ast.unparse(node.func), node


def test_library_does_not_print() -> None:
    """It warns and logs; commands tell what they have to tell through click."""
    assert [place for place, name, _ in calls() if name == "print"] == []


def test_nothing_executes_what_it_reads() -> None:
    """No pickles, no YAML objects, no eval: recordings come from anywhere."""
    executing = {"pickle", "marshal", "shelve", "dill"}
    assert [m for m, found in all_imports().items() for i in found if i.module in executing] == []
    for place, name, call in calls():
        keywords = {k.arg: ast.unparse(k.value) for k in call.keywords}
        assert name not in EXECUTING, f"{place}: {name}"
        assert keywords.get("allow_pickle", "False") == "False", f"{place}: {name} allows pickles"
        if name == "yaml.load":
            assert "unsafe" not in keywords.get("Loader", "unsafe").lower(), f"{place}: {name}"


def test_long_modules_say_why() -> None:
    """A reader takes a module in one sitting; one that is longer says in a line why it is one."""
    long = {module for module, text in TEXTS.items() if text.count("\n") > MOST_LINES}
    assert [module for module in long if "One module, because" not in TEXTS[module]] == []


def test_every_room_is_on_the_page() -> None:
    """docs/architecture.md tells of each module what it is for."""
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    missing = []
    for module, path in SOURCES.items():
        if path.name.startswith("_") or module.startswith(("imgstore.cli.", "imgstore.selftest.")):
            continue
        if f"`{path.name}`" not in page:
            missing.append(module)
    assert missing == []
