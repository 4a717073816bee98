"""What is fuzzed: for each kind of file that imgstore reads, stores that have one, and how it is damaged.

And what then has to hold: whatever a file holds, reading it ends with what was asked for, or with an error of
`imgstore.errors`. For ``benchmarks/fuzz.py`` and ``test_fuzz_finds.py``.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import file_mutations
import mutations
import numpy as np
import odd_hdf5
import yaml
from scenes import coded_frame

import imgstore
from imgstore.errors import ImgStoreError, ImgStoreWarning

SHAPE = (32, 48)
FRAMES = 7
CHUNKSIZE = 4
LOOKED_AT = 3  # frames that are read of whatever a store says that it has


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Attributes
    ----------
    make : function (directory)
        Writes stores into a directory.
    files : sequence of str
        Patterns of the files of the kind, relative to each store.
    mutators : sequence of mutations.Mutator
        What only this kind knows.
    ways : sequence of function (store)
        How such a store is looked at, besides reading it.
    """

    make: Callable[[Path], None]
    files: Sequence[str]
    mutators: Sequence[mutations.Mutator] = ()
    ways: Sequence[Callable[[Path], object]] = field(default=())


# -- stores ----------------------------------------------------------------------------------------------------------


def write_store(path: Path, fmt: str, *, plain: bool = False, frames: int = FRAMES, **options: Any) -> None:
    """Write a small store with extra data; plain: with indexes as other programs write them, without checksums."""
    shape = (*SHAPE, 3) if fmt == "ppm" or fmt.endswith("+color") else SHAPE
    made = imgstore.new_for_format(
        fmt,
        path,
        imgshape=shape,
        chunksize=CHUNKSIZE,
        metadata={"animal": "mouse 7", "timezone": "Europe/Vienna"},
        **options,
    )
    with made as store:
        for k in range(frames):
            store.add_image(coded_frame(100 + k, shape), 100 + k, 1000 + 0.5 * k)
            if k % 2:
                store.add_extra_data(temperature=20.5 + k, state="awake", counts=[k, 2])
    if plain:
        _leave_checksums_out(path)


def _leave_checksums_out(store: Path) -> None:
    for index in (*store.glob("*.npz"), *store.glob("*/*.npz")):
        with np.load(index) as arrays:
            kept = {name: arrays[name] for name in ("frame_number", "frame_time")}
        np.savez(index, **kept)
    (store / ".imgstore-index").unlink()


def _of_formats(*formats: str, plain: bool = False, **options: Any) -> Callable[[Path], None]:
    def make(directory: Path) -> None:
        for fmt in formats:
            if fmt in imgstore.get_supported_formats():
                write_store(directory / fmt.replace("/", "-"), fmt, plain=plain, **options)

    return make


def _videos(*formats: str) -> Callable[[Path], None]:
    """Stores of videos without checksums, and whole ones that lack a part of theirs."""

    def make(directory: Path) -> None:
        _of_formats(*formats, plain=True)(directory)
        for fmt in formats:
            if fmt in imgstore.get_supported_formats():
                _unfinished(directory / (fmt.replace("/", "-") + "-unfinished"), fmt)

    return make


def _unfinished(path: Path, fmt: str) -> None:
    """Leave a store as its writer does when it is killed."""
    writing = path.with_name("writing")
    store = imgstore.new_for_format(fmt, writing, imgshape=SHAPE, chunksize=100)
    for k in range(FRAMES):
        store.add_image(coded_frame(100 + k, SHAPE), 100 + k, 1000 + 0.5 * k)
        store.add_extra_data(temperature=20.5 + k)
    shutil.copytree(writing, path)
    for left in (path / ".lock", path / ".imgstore-index.tmp"):
        left.unlink(missing_ok=True)
    store.close()
    shutil.rmtree(writing)


def _with_yaml_indexes(directory: Path) -> None:
    for fmt in ("npy", "mjpeg/avi"):
        store = directory / fmt.replace("/", "-")
        write_store(store, fmt, plain=True)
        for index in (*store.glob("*.npz"), *store.glob("*/*.npz")):
            with np.load(index) as arrays:
                content = {name: arrays[name].tolist() for name in ("frame_number", "frame_time")}
            index.with_suffix(".yaml").write_text(yaml.safe_dump(content))
            index.unlink()


def _with_sqlite(directory: Path) -> None:
    write_store(directory / "npy", "npy")
    with imgstore.new_for_filename(directory / "npy") as store:
        store.save_index()


def _unfinished_stores(directory: Path) -> None:
    for fmt in ("npy", "mjpeg/avi", "avc1/mp4", "h264/mkv"):
        _unfinished(directory / fmt.replace("/", "-"), fmt)


def _with_lock(directory: Path) -> None:
    write_store(directory / "npy", "npy")
    writing = imgstore.new_for_format("npy", directory / "writing", imgshape=SHAPE)
    shutil.copyfile(directory / "writing" / ".lock", directory / "npy" / ".lock")
    writing.close()
    shutil.rmtree(directory / "writing")


def _motif_json(directory: Path) -> None:
    write_store(directory / "npy", "npy", plain=True)
    for extra in (directory / "npy").rglob("*.extra.json"):
        extra.unlink()
    (directory / "npy" / "000000.extra_data.json").write_text(
        '[{"frame_number": 100, "frame_index": 0, "frame_time": 1000.0, "sensor_time": 2.5, "t": 1},\n'
        ' {"frame_number": 101, "frame_index": 1, "frame_time": 1000.5, "sensor_time": 2.0, "t": null},\n'
        ' {"frame_number": -1, "frame_index": 0, "frame_time": 0, "sensor_time": 0, "t": 0}]'
    )


def _motif_h5(directory: Path) -> None:
    write_store(directory / "npy", "npy", plain=True)
    for extra in (directory / "npy").rglob("*.extra.json"):
        extra.unlink()
    odd_hdf5.write_h5(directory / "npy" / "000000.extra_data.h5", random.Random(0), 0.0)
    write_store(directory / "fixed", "npy", plain=True)
    odd_hdf5.write_h5(directory / "fixed" / "000001.extra_data.h5", random.Random(1), 0.0, latest=True)


# -- looking at them -------------------------------------------------------------------------------------------------


def look_at(target: Target, store: Path, rng: random.Random) -> bool:
    """Read a store in some of the ways that there are, and do something else with it at times.

    Returns
    -------
    bool
        Whether nothing was found to be wrong with it.

    Raises
    ------
    Exception
        Not one of `imgstore.errors`: what this is there to find.
    """
    tries = Tries()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of other packages: data are changed, and nobody says whose
        warnings.simplefilter("ignore", ImgStoreWarning)
        for category in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        for _ in range(
            1 if rng.random() < 0.8 else 2
        ):  # what the first reader has noted may be what the second stumbles over
            with tries.one(), imgstore.new_for_filename(store) as opened:
                _read(opened, tries, rng)
        if rng.random() < (0.6 if target.ways else 0.3):
            with tries.one():
                rng.choice((*target.ways, _check, _check, _repair, _append, _copy))(store)
    return tries.refused == 0


@dataclass
class Tries:
    """Counts what was refused as it should be."""

    refused: int = 0

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Try something; an error of ours is counted."""
        try:
            yield
        except ImgStoreError:
            self.refused += 1


_QUESTIONS: tuple[Callable[[Any], object], ...] = (
    lambda s: (repr(s), s._repr_html_(), s.user_metadata, s.created, s.uuid, s.chunks, s.lossless),
    lambda s: (s.frame_min, s.frame_max, s.frame_time_min, s.frame_time_max, s.fps, s.duration),
    lambda s: s.get_frame_metadata(),
    lambda s: s.get_image(101),
    lambda s: s.get_nearest_image(1001.2),
    lambda s: s.get_images(range(3)),
    lambda s: s.get_extra_data(),
    lambda s: s.get_extra_data(ignore_corrupt_chunks=True),
    lambda s: s.get_extra_data_samplerate() if s.has_extra_data else None,
    lambda s: imgstore.util.motif_get_parse_true_fps(s, default=None),
    lambda s: imgstore.util.motif_get_recording_timezone(s),
    lambda s: s.refresh(),
)
# what is refused by whole stores, too
_ODD_QUESTIONS: tuple[Callable[[Any], object], ...] = (
    lambda s: s.get_image(-1),
    lambda s: s.get_image(9**99),
    lambda s: s.get_image(2**63 - 1),
    lambda s: s.get_nearest_image(float("inf")),
    lambda s: s.get_nearest_image(float("nan")),
)


def _read(opened: Any, tries: Tries, rng: random.Random) -> None:
    for ask in rng.sample(_QUESTIONS, 3):
        with tries.one():
            ask(opened)
    with contextlib.suppress(ImgStoreError):
        rng.choice(_ODD_QUESTIONS)(opened)
    for position in range(min(opened.frame_count, LOOKED_AT)):
        with tries.one():
            opened.get_image(None, frame_index=position)
    if rng.random() < 0.2:
        with tries.one():
            for _, _ in zip(range(FRAMES), opened, strict=False):
                pass


def _check(store: Path) -> None:
    from imgstore.verify import check_store

    check_store(store, deep=True)


@contextlib.contextmanager
def _copied(store: Path) -> Iterator[Path]:
    copy = store.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.rmtree(copy.with_name("copy.set-aside"), ignore_errors=True)
    shutil.copytree(store, copy)
    yield copy


def _repair(store: Path) -> None:
    from imgstore.repair import repair_store

    with _copied(store) as copy:
        repair_store(copy, dry_run=True)
        repair_store(copy, break_lock=True)
        with contextlib.suppress(ImgStoreError), imgstore.new_for_filename(copy) as opened:
            _read(opened, Tries(), random.Random(0))


def _append(store: Path) -> None:
    with _copied(store) as copy, imgstore.new_for_filename(copy, mode="a") as opened:
        opened.add_image(coded_frame(900, opened.image_shape).astype(opened.image_dtype), 900, 9000.0)
        opened.add_extra_data(temperature=1)


def _extra(store: Path) -> None:
    with imgstore.new_for_filename(store) as opened:
        opened.get_extra_data()
        opened.get_extra_data(ignore_corrupt_chunks=True)
        if opened.has_extra_data:
            opened.get_extra_data_samplerate()


def _renumber(store: Path) -> None:
    with _copied(store) as copy, imgstore.new_for_filename(copy) as opened:
        opened.reindex()


def _copy(store: Path) -> None:
    _save(store, store)


def _save(source: Path, store: Path) -> None:
    """Save as the command does; what it raises is raised here, but for its own way of ending."""
    from click.testing import CliRunner

    from imgstore.cli import save_main

    target = store.with_name("saved")
    shutil.rmtree(target, ignore_errors=True)
    result = CliRunner().invoke(save_main, ["--source", str(source), "--format", "npy", str(target)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception


def _first(store: Path) -> Path:
    return next(path for path in sorted(store.iterdir()) if path.suffix in (".mp4", ".mkv", ".avi"))


def _save_video(store: Path) -> None:
    _save(_first(store), store)


def _insert(store: Path) -> None:
    video = _first(store)
    with _copied(store) as copy:
        kept = copy.with_name(video.name)
        shutil.copyfile(video, kept)
        numbers = list(range(200, 200 + CHUNKSIZE))
        with imgstore.new_for_filename(copy, mode="a") as opened:
            opened.insert_chunk(str(kept), numbers, [float(n) for n in numbers])


def _read_sqlite(store: Path) -> None:
    from imgstore.index import ImgStoreIndex

    index = ImgStoreIndex.new_from_file(store / ".index.sqlite")
    with imgstore.new_for_filename(store, index=index) as opened:
        _read(opened, Tries(), random.Random(0))


def _read_without_checksums(store: Path) -> None:
    with imgstore.new_for_filename(store, checksums=False) as opened:
        _read(opened, Tries(), random.Random(0))


def _read_h5(store: Path) -> None:
    for path in store.glob("*.h5"):
        for read in (
            imgstore.util.motif_extra_data_h5_attrs,
            lambda p: imgstore.util.motif_extra_data_h5_to_df(None, p),
        ):
            with contextlib.suppress(ImgStoreError):
                read(str(path))


def _opencv(store: Path) -> None:
    with imgstore.new_for_filename(store, backend="opencv") as opened:
        _read(opened, Tries(), random.Random(0))


# -- all of them -----------------------------------------------------------------------------------------------------

_NPY_WORDS = mutations.tokens(
    b"NUMPY", b"'descr'", b"'fortran_order'", b"'shape'", b"True", b"False", b"{", b"}", b"\x93NUMPY\x02\x00"
)
_PNM_WORDS = mutations.tokens(
    b"P5", b"P2", b"P6", b"P3", b"P7", b"Pf", b"#", b"# " + b"x" * 400, b" " * 5000, b"\n", b"65535", b"65536", b"255",
    b"0", b"-1",
    b"99999999999", b"1e9", b"\r", b"\t", b"\x0b", b"\x00",
)  # fmt: skip
_JPG_WORDS = mutations.tokens(
    b"\xff\xd8", b"\xff\xc0\x00\x11", b"\xff\xc2\x00\x11", b"\xff\xc3", b"\xff\xda", b"\xff\xd9", b"\xff\xdd",
    b"\xff\xe1\x00\x00",
    b"\xff\xff\xff\xff", b"\xff\xc4\x00\x00", b"Exif\x00\x00", b"\xff\xe2", b"\xff\xdb\x00\x43", b"\xff\xc9",
)  # fmt: skip
_TIF_WORDS = mutations.tokens(
    b"II*\x00", b"MM\x00*", b"II+\x00", b"\x00\x01", b"\x01\x00", b"\x01\x01", b"\x02\x01", b"\x03\x01", b"\x06\x01",
    b"\x11\x01",
    b"\x15\x01", b"\x16\x01", b"\x17\x01", b"\x42\x01", b"\x44\x01", b"\x53\x01", b"\x5b\x01", b"\x05\x00",
    b"\x07\x00", b"\x08\x00",
)  # fmt: skip
_HDF5_WORDS = mutations.tokens(
    b"\x89HDF\r\n\x1a\n", b"TREE", b"HEAP", b"SNOD", b"GCOL", b"OHDR", b"FRHP", b"BTHD", b"FADB", b"EAHD", b"BTLF",
    b"\xff" * 8, b"\0" * 8,
    b"datasets", b"camera", b"column_names",
)  # fmt: skip
_VIDEO_WORDS = mutations.tokens(
    b"ftyp", b"moov", b"mdat", b"moof", b"trun", b"stsd", b"avc1", b"hvc1", b"mp4v", b"elst", b"ctts", b"stss",
    b"MJPG", b"idx1",
    b"movi", b"00dc", b"JUNK", b"indx", b"V_MPEG4/ISO/AVC", b"V_FFV1", b"V_MJPEG", b"#EXTM3U\nfile:/etc/passwd\n",
    b"ffconcat version 1.0\n",
    b"\x00\x00\x01\x67", b"\x00\x00\x01\x68", b"\x00\x00\x01\x65", b"\x00\x00\x00\x01", b"rawv", b"HFYU", b"png ",
    b"8BPS",
)  # fmt: skip

_MP4 = (file_mutations.boxes(little=False), _VIDEO_WORDS)
_MKV = (file_mutations.ebml, _VIDEO_WORDS)
_AVI = (file_mutations.boxes(little=True), _VIDEO_WORDS, _JPG_WORDS)
_VIDEO_WAYS = (_save_video, _insert, _opencv)

TARGETS: dict[str, Target] = {
    "metadata": Target(_of_formats("npy", "mjpeg/avi"), ("metadata.yaml",), (mutations.text, mutations.text), (_renumber,)),
    "npz index": Target(
        _of_formats("npy", "mjpeg/avi", plain=True), ("*/index.npz", "000000.npz"), (file_mutations.npz,), (_renumber,)
    ),
    "npz checksums": Target(_of_formats("npy", "mjpeg/avi"), ("*/index.npz", "000000.npz"), (file_mutations.npz,)),
    "yaml index": Target(_with_yaml_indexes, ("*/index.yaml", "000000.yaml"), (mutations.text,), (_renumber,)),
    "sqlite": Target(_with_sqlite, (".index.sqlite",), (file_mutations.sqlite,), (_read_sqlite,) * 8),
    "cache": Target(_of_formats("npy", "mjpeg/avi"), (".imgstore-index",), (file_mutations.cache,)),
    "journal": Target(_unfinished_stores, (".*.journal",), (file_mutations.journal,)),
    "records": Target(_unfinished_stores, (".*.records",), (mutations.tree, mutations.text), (_extra,) * 4),
    "lock": Target(_with_lock, (".lock",), (mutations.tree, mutations.text), (_append,) * 6),
    "extra data": Target(
        _of_formats("npy", "mjpeg/avi", plain=True), ("*/*.extra.json", "*.extra.json"), (mutations.tree, mutations.text),
        (_renumber, *(_extra,) * 8),
    ),
    "Motif JSON": Target(_motif_json, ("*.extra_data.json",), (mutations.tree, mutations.text), (_renumber, *(_extra,) * 8)),
    "Motif HDF5": Target(_motif_h5, ("*.extra_data.h5",), (odd_hdf5.made_again, _HDF5_WORDS), (_read_h5, _extra) * 4),
    "npy": Target(_of_formats("npy", plain=True), ("000000/*.npy",), (file_mutations.npy, _NPY_WORDS)),
    "bpk": Target(_of_formats("bpk", plain=True), ("000000/*.bpk",), (mutations.text,)),
    "png": Target(_of_formats("png", plain=True), ("000000/*.png",), (file_mutations.png,)),
    "jpg": Target(_of_formats("jpg", plain=True), ("000000/*.jpg",), (_JPG_WORDS,)),
    "tif": Target(_of_formats("tif", plain=True), ("000000/*.tif",), (_TIF_WORDS,)),
    "bmp": Target(_of_formats("bmp", plain=True), ("000000/*.bmp",)),
    "ppm": Target(_of_formats("ppm", plain=True), ("000000/*.ppm",), (_PNM_WORDS, mutations.text)),
    "pgm": Target(_of_formats("pgm", plain=True), ("000000/*.pgm",), (_PNM_WORDS, mutations.text)),
    "mp4": Target(_videos("avc1/mp4", "hevc/mp4"), ("000000.mp4",), _MP4, _VIDEO_WAYS),
    "mkv": Target(_videos("h264/mkv"), ("000000.mkv",), _MKV, _VIDEO_WAYS),
    "ffv1": Target(_videos("ffv1/mkv"), ("000000.mkv",), _MKV, _VIDEO_WAYS),
    "avi": Target(_videos("mjpeg/avi"), ("000000.avi",), _AVI, _VIDEO_WAYS),
    "video checksums": Target(
        _of_formats("avc1/mp4", "ffv1/mkv", "mjpeg/avi"), ("000000.mp4", "000000.mkv", "000000.avi"),
        (_VIDEO_WORDS,), (_read_without_checksums,),
    ),
}  # fmt: skip
