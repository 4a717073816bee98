"""Stores that are damaged at random, and what must hold of them: for ``test_damage.py`` and ``benchmarks/damage.py``.

A case is a number: from it follow the store, the damage and the order of reading. Cases run in a process of their own,
so that one that crashes, hangs or takes too much memory is told by its number and the others go on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scenes import coded_frame

import imgstore
from imgstore.disk.checksums import FRAME_NAME, HASH_NAME
from imgstore.disk.chunk_index import read_all_arrays
from imgstore.disk.layout import chunk_base
from imgstore.errors import EndOfStoreError, ImgStoreError, ImgStoreWarning
from imgstore.verify import Report, check_store

FRAMES = 23
MEMORY = 2 << 30  # bytes that a case may take at most
PATIENCE = 60.0  # seconds that a case may take at most

Frame = tuple[int, float, str]  # number, time, digest of the picture


def wanted_formats() -> list[str]:
    """Return the formats that can be written here; of those with an encoder of their own, all."""
    return [name for name in imgstore.get_supported_formats() if not name.endswith("+color")]


def write_template(directory: Path, fmt: str, *, unfinished: bool = False) -> Path:
    """Write a store of three chunks with extra data; unfinished: as its writer leaves it when it is killed."""
    path = directory / (fmt.replace("/", "-") + ("-unfinished" if unfinished else ""))
    writing = directory / "writing"
    shape = (48, 64, 3) if fmt == "ppm" else (48, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImgStoreWarning)
        store = imgstore.new_for_format(fmt, writing, imgshape=shape, chunksize=10, metadata={"animal": "mouse 7"})
        for k in range(FRAMES):
            store.add_image(coded_frame(100 + k, shape), 100 + k, 1000 + 0.5 * k)
            if k % 4 == 0:
                store.add_extra_data(temperature=20.5 + k, state="awake")
        if not unfinished:
            store.close(save_index=fmt == "npy")
        else:
            writer = store._writer
            assert writer is not None
            assert writer._finishing.wait(30)
        shutil.copytree(writing, path)
        if unfinished:
            (path / ".lock").unlink()
            (path / ".imgstore-index.tmp").unlink()
            store.close()
    shutil.rmtree(writing)
    return path


def read_frames(path: Path) -> list[Frame]:
    """Read all frames of a store."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImgStoreWarning)
        with imgstore.new_for_filename(path) as store:
            return [_frame(store, k) for k in range(store.frame_count)]


def _frame(store: Any, position: int) -> Frame:
    img, (number, seconds) = store.get_image(None, frame_index=position)
    return number, seconds, hashlib.sha256(img.tobytes()).hexdigest()[:16]


def read_extra(path: Path) -> str:
    """Return the extra data of a store as text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImgStoreWarning)
        with imgstore.new_for_filename(path) as store:
            table = store.get_extra_data()
            return "" if table is None else table.to_json()


@dataclass
class Template:
    """A store before it is damaged, and what it holds."""

    path: Path
    frames: list[Frame]
    extra: str


def make_templates(directory: Path, formats: Iterable[str]) -> list[Template]:
    """Write every store that is to be damaged."""
    paths = [write_template(directory, fmt) for fmt in formats]
    interrupted = [fmt for fmt in formats if fmt in ("npy", "mjpeg/avi", "h264/mkv", "avc1/mp4")]
    paths += [write_template(directory, fmt, unfinished=True) for fmt in interrupted]
    return [Template(path, read_frames(path), read_extra(path)) for path in paths]


# -- damage ----------------------------------------------------------------------------------------------------------


def _flip(path: Path, rng: random.Random, files: list[Path]) -> str:
    data = bytearray(path.read_bytes())
    if not data:
        path.write_bytes(b"\xff")
        return "one byte written"
    places = [rng.randrange(len(data)) for _ in range(rng.choice((1, 1, 1, 3, 20)))]
    for place in places:
        data[place] ^= 1 << rng.randrange(8) if rng.random() < 0.7 else rng.randrange(1, 256)
    path.write_bytes(data)
    return f"bytes {sorted(places)} flipped"


def _cut(path: Path, rng: random.Random, files: list[Path]) -> str:
    size = path.stat().st_size
    left = rng.choice((0, size // 2, max(size - 1, 0), rng.randrange(size + 1)))
    os.truncate(path, left)
    return f"cut from {size} to {left} bytes"


def _zero(path: Path, rng: random.Random, files: list[Path]) -> str:
    data = bytearray(path.read_bytes())
    start = rng.randrange(len(data) + 1)
    stop = min(len(data), start + rng.choice((1, 16, 512, 4096)))
    data[start:stop] = bytes(stop - start)
    path.write_bytes(data)
    return f"bytes {start} to {stop} zeroed"


def _insert(path: Path, rng: random.Random, files: list[Path]) -> str:
    data = path.read_bytes()
    at = rng.randrange(len(data) + 1)
    path.write_bytes(data[:at] + rng.randbytes(rng.choice((1, 7, 300))) + data[at:])
    return f"bytes inserted at {at}"


def _remove(path: Path, rng: random.Random, files: list[Path]) -> str:
    path.unlink()
    return "removed"


def _swap(path: Path, rng: random.Random, files: list[Path]) -> str:
    alike = [f for f in files if f.suffix == path.suffix and f != path]
    other = rng.choice(alike or files)
    mine, others = path.read_bytes(), other.read_bytes()
    path.write_bytes(others)
    other.write_bytes(mine)
    return f"swapped with {other.name}"


def _overwrite(path: Path, rng: random.Random, files: list[Path]) -> str:
    other = rng.choice(files)
    if other != path:
        shutil.copyfile(other, path)
    return f"overwritten with {other.name}"


def _double(path: Path, rng: random.Random, files: list[Path]) -> str:
    data = path.read_bytes()
    path.write_bytes(data + data)
    return "its content doubled"


def _copy(path: Path, rng: random.Random, files: list[Path]) -> str:
    stem, dot, rest = path.name.partition(".")
    name = f"{rng.randrange(30):06d}" if stem.isdigit() else f"{stem}-copy"
    target = path.with_name(name + dot + rest)
    if target != path:
        shutil.copyfile(path, target)
    return f"copied to {target.name}"


def _grow(path: Path, rng: random.Random, files: list[Path]) -> str:
    # FFmpeg looks through 100 MB of nothing in a second
    size = rng.choice((1 << 20, 64 << 20 if path.suffix in (".avi", ".mkv", ".mp4") else 10 << 30))
    os.truncate(path, path.stat().st_size + size)
    return f"{size} zeros appended, which take no room"


def _chunk_files(path: Path, rng: random.Random, files: list[Path]) -> str:
    """Remove, rename, swap or double all that belongs to a chunk."""
    root = path.parent if (path.parent / "metadata.yaml").exists() else path.parent.parent
    chunks = sorted({p.name.partition(".")[0] for p in root.iterdir() if p.name[:6].isdigit()})
    a, b = rng.sample(chunks, 2)
    what = rng.choice(("remove", "rename", "swap", "double"))
    new = f"{rng.choice((3, 4, 9)):06d}"

    def parts(stem: str) -> list[Path]:
        return [p for p in root.iterdir() if p.name.partition(".")[0] == stem]

    def copy(source: Path, target: Path) -> None:
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)

    if what == "remove":
        for p in parts(a):
            shutil.rmtree(p) if p.is_dir() else p.unlink()
        return f"chunk {a} removed"
    if what in ("rename", "double"):
        for p in parts(a):
            target = p.with_name(new + p.name[6:])
            p.rename(target) if what == "rename" else copy(p, target)
        return f"chunk {a} {what}d, as {new}"
    mine, others = parts(a), parts(b)
    for p in mine:
        p.rename(p.with_name("x" + p.name))
    for p in others:
        p.rename(p.with_name(a + p.name[6:]))
    for p in mine:
        p.with_name("x" + p.name).rename(p.with_name(b + p.name[6:]))
    return f"chunks {a} and {b} swapped"


DAMAGES: tuple[Callable[[Path, random.Random, list[Path]], str], ...] = (
    _flip, _flip, _flip, _cut, _cut, _zero, _insert, _remove, _swap, _overwrite, _double, _copy, _grow, _chunk_files,
)  # fmt: skip


def damage(path: Path, rng: random.Random) -> str:
    """Damage one thing in a store; return what."""
    files = sorted(p for p in path.rglob("*") if p.is_file())
    # a directory store has many frames and few of the rest, which is to be hit as often
    kinds = sorted({f.suffix or f.name for f in files})
    kind = rng.choice(kinds)
    target = rng.choice([f for f in files if (f.suffix or f.name) == kind])
    done = rng.choice(DAMAGES)(target, rng, files)
    return f"{target.relative_to(path)}: {done}"


# -- what must hold --------------------------------------------------------------------------------------------------


def fingerprint(path: Path) -> dict[str, tuple[int, str]]:
    """Return all names below a directory with what the files hold."""
    found = {}
    for p in sorted(path.rglob("*")):
        size = p.stat().st_size
        digest = hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() and size < 1 << 24 else ""
        found[str(p.relative_to(path))] = (size if p.is_file() else -1, digest)
    return found


def run_case(seed: int, templates: list[Template], place: Path) -> dict[str, Any]:
    """Damage a store, look at it, read it, mend it; return what happened. ``wrong`` lists what must never be."""
    rng = random.Random(seed)
    template = rng.choice(templates)
    store = place / "store"
    shutil.rmtree(store, ignore_errors=True)
    shutil.rmtree(place / "store.set-aside", ignore_errors=True)
    shutil.copytree(template.path, store)
    before = fingerprint(store)
    done = damage(store, rng)
    result: dict[str, Any] = {"seed": seed, "store": template.path.name, "damage": done, "wrong": []}
    wrong: list[str] = result["wrong"]
    result["changed"] = fingerprint(store) != before
    report = _look(store, rng.random() < 0.3)
    faults = None if report is None else report.faults
    result["found"] = faults is None or bool(faults)
    result["harmless"] = _read(store, template, faults, wrong, "before repair")
    if not result["found"] and result["changed"] and not result["harmless"]:
        wrong.append("verify found nothing, and the store does not read as it was written")
    _mend(store, template, rng, wrong)
    result["wrong"] = [f"{w} [{template.path.name}: {done}]" for w in wrong]
    return result


def _look(store: Path, deep: bool) -> Report | None:
    try:
        return check_store(store, deep=deep)
    except ImgStoreError:
        return None


def _read(store: Path, template: Template, faults: list[Any] | None, wrong: list[str], when: str) -> bool:
    """Read a store in every way; note what is wrong, and return whether it reads exactly as it was written."""
    suspect = set() if faults is None else {f.chunk for f in faults}
    by_number = {frame[0]: frame for frame in template.frames}
    got: list[Frame] = []
    failed = faults is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImgStoreWarning)
        try:
            with imgstore.new_for_filename(store) as opened:
                for k in range(opened.frame_count):
                    chunk = opened._readable.index.locate(k)[0]
                    try:
                        frame = _frame(opened, k)
                    except ImgStoreError:
                        failed = True
                        continue
                    got.append(frame)
                    believed = faults is not None and not {None, chunk} & suspect
                    if frame == by_number.get(frame[0]):
                        continue
                    if believed:
                        wrong.append(f"{when}: frame {k} of chunk {chunk} is wrong, and verify does not name the chunk")
                    elif _has_checksums(opened, chunk):
                        wrong.append(f"{when}: frame {k} of chunk {chunk} is wrong, in spite of its checksum")
                in_order = _read_in_order(opened)
                if not failed and in_order != [frame[0] for frame in got]:
                    wrong.append(f"{when}: reading in order gives other frames than reading by position")
                extra = opened.get_extra_data()
                text = "" if extra is None else extra.to_json()
        except ImgStoreError:
            return False
    return not failed and got == template.frames and text == template.extra


def _has_checksums(opened: Any, chunk: int) -> bool:
    """Whether a chunk's index, as it is now, says what its frames are."""
    try:
        arrays = read_all_arrays(chunk_base(opened._root, chunk, opened._meta.extension))
    except ImgStoreError:
        return False
    return (HASH_NAME if opened._meta.extension is None else FRAME_NAME) in arrays


def _read_in_order(opened: Any) -> list[int]:
    opened._readable.position = -1
    numbers = []
    while True:
        try:
            numbers.append(opened.get_next_image()[1][0])
        except EndOfStoreError:
            return numbers
        except ImgStoreError:
            return numbers


def _mend(store: Path, template: Template, rng: random.Random, wrong: list[str]) -> None:
    from imgstore.repair import repair_store

    everything = sum(size for size, _ in fingerprint(store).values() if size > 0)
    options = {"estimate_times": rng.random() < 0.5, "accept_metadata": rng.random() < 0.2}
    if everything > 1 << 30 and rng.random() < 0.8:
        return  # what the cases with huge files show, they have shown
    untouched = fingerprint(store)
    try:
        repair_store(store, dry_run=True, **options)
        if fingerprint(store) != untouched or (store.parent / "store.set-aside").exists():
            wrong.append("a dry run of repair changed something")
        repair_store(store, **options)
    except ImgStoreError:
        return
    place = fingerprint(store.parent)
    second = [action for action in repair_store(store, **options) if action.kind != "left"]
    if fingerprint(store.parent) != place:
        wrong.append(f"a second repair changed something: {second}")
    elif second:
        wrong.append(f"a second repair says that it did something: {second}")
    report = _look(store, True)
    if report is None:
        wrong.append("after repair there is no store any more")
        return
    # what verify says that it cannot vouch for
    unproven = {note.chunk for note in report.notes if note.kind in ("index", "checksum") and note.chunk is not None}
    _read_repaired(store, template, {f.chunk for f in report.faults} | unproven, wrong)


def _read_repaired(store: Path, template: Template, suspect: set[int | None], wrong: list[str]) -> None:
    by_number = {frame[0]: frame for frame in template.frames}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImgStoreWarning)
        try:
            with imgstore.new_for_filename(store) as opened:
                for k in range(opened.frame_count):
                    chunk = opened._readable.index.locate(k)[0]
                    if chunk in suspect or None in suspect:
                        continue
                    try:
                        frame = _frame(opened, k)
                    except ImgStoreError as error:
                        wrong.append(f"after repair: verify --deep finds no fault in chunk {chunk}, but {error}")
                        continue
                    if frame != by_number.get(frame[0]):
                        wrong.append(f"after repair: frame {k} of chunk {chunk} is wrong, and verify does not say so")
        except ImgStoreError as error:
            if None not in suspect:
                wrong.append(f"after repair: verify finds no fault, but {error}")


# -- many cases, each told apart from a crash ------------------------------------------------------------------------


@dataclass
class Outcome:
    """What came of many cases."""

    cases: int = 0
    changed: int = 0
    found: int = 0
    harmless: int = 0
    wrong: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    unnoticed: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    slowest_case: int = -1
    peak: int = 0


def work(templates_file: str, place: str) -> None:
    """Run the cases whose numbers come on stdin, and tell of each on stdout: the child's side."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY * 3, MEMORY * 3))  # maps and thread stacks count as well
    stored = json.loads(Path(templates_file).read_text())
    templates = [Template(Path(path), [tuple(f) for f in frames], extra) for path, frames, extra in stored]
    for line in sys.stdin:
        started = time.monotonic()
        result = run_case(int(line), templates, Path(place))
        result["seconds"] = time.monotonic() - started
        result["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


class _Child:
    """A process that runs cases."""

    def __init__(self, templates_file: str, place: str):
        here = str(Path(__file__).parent)
        code = f"import sys; sys.path.insert(0, {here!r}); import damage; damage.work(*sys.argv[1:])"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", code, templates_file, place],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip

    def run(self, seed: int) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        watchdog = threading.Timer(PATIENCE, self._process.kill)
        started = time.monotonic()
        watchdog.start()
        try:
            self._process.stdin.write(f"{seed}\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        if line:
            result: dict[str, Any] = json.loads(line)
            return result
        code = self._process.wait()
        hung = time.monotonic() - started >= PATIENCE
        self._errors.seek(0)
        last = self._errors.read()[-3000:].decode("utf-8", "replace")
        return {"seed": seed, "crash": f"case {seed} {'hung' if hung else f'ended the process ({code})'}:\n{last}"}

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self._errors.close()


def _kind_of(done: str) -> str:
    """Say what was damaged, without the numbers."""
    import re

    name, _, what = done.partition(": ")
    return re.sub(r"\d+", "N", f"{name.rpartition('/')[2]}: {what}")


def run_cases(
    seeds: Iterable[int], formats: Iterable[str], directory: Path
) -> Iterator[tuple[dict[str, Any], Outcome]]:
    """Run many cases; give each result with what has come of all so far."""
    templates_directory, place = directory / "templates", directory / "place"
    templates_directory.mkdir(parents=True)
    place.mkdir()
    templates = make_templates(templates_directory, formats)
    file = directory / "templates.json"
    file.write_text(json.dumps([[str(t.path), t.frames, t.extra] for t in templates]))
    outcome, child = Outcome(), _Child(str(file), str(place))
    try:
        for seed in seeds:
            result = child.run(seed)
            outcome.cases += 1
            if "crash" in result:
                outcome.crashed.append(result["crash"])
                child.close()
                child = _Child(str(file), str(place))
                yield result, outcome
                continue
            outcome.changed += result["changed"]
            outcome.found += result["changed"] and result["found"]
            outcome.harmless += result["changed"] and not result["found"] and result["harmless"]
            if result["changed"] and not result["found"]:
                outcome.unnoticed[_kind_of(result["damage"])] += 1
            outcome.wrong += [f"case {seed}: {w}" for w in result["wrong"]]
            if result["seconds"] > outcome.slowest:
                outcome.slowest, outcome.slowest_case = result["seconds"], seed
            outcome.peak = max(outcome.peak, result["peak"])
            yield result, outcome
    finally:
        child.close()
