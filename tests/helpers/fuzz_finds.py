"""What ``benchmarks/fuzz.py`` has found, as damage that can be done again: for ``test_fuzz.py``.

As a program it does each to the stores of its kind, and looks at them in every way; it says beforehand what it does.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import fuzz_targets
import h5py
import numpy as np
import xxhash
import yaml

LOOKS = 6  # what is looked at besides reading is chosen by chance


def _damage_configuration(video: Path) -> None:
    """PyAV 19 ended the process: FFmpeg takes a decoder's name away when it cannot be opened."""
    data = bytearray(video.read_bytes())
    data[data.index(b"\x63\xa2", data.index(b"V_FFV1")) + 12] ^= 0x10  # in CodecPrivate
    video.write_bytes(data)


def _no_chunk_number(database: Path) -> None:
    """A raw TypeError."""
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        db.execute("UPDATE chunks SET chunk = NULL WHERE rowid = 1")


def _endless_view(database: Path) -> None:
    """Reading did not end."""
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        db.execute("ALTER TABLE frames RENAME TO gone")
        numbers = "WITH RECURSIVE n(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n)"
        columns = "k AS chunk, k AS frame_idx, k AS frame_number, k AS frame_time"
        db.execute(f"CREATE VIEW frames AS {numbers} SELECT {columns} FROM n")


def _blanks_in_header(image: Path) -> None:
    """A regular expression took for ever."""
    image.write_bytes(b"P5" + b" \n" * 3000 + image.read_bytes()[2:])


def _uneven_lists(index: Path) -> None:
    """A raw ValueError of NumPy's from `verify`."""
    content = yaml.safe_load(index.read_text())
    index.write_text(yaml.safe_dump(content | {"frame_number": [1, [2, 3], []], "other": [[1], [2, 3]]}))


def _time_that_is_nan(journal: Path) -> None:
    """Opening did not end where such a frame was missing: the journal was compared with itself, and NaN equals nothing."""
    record = struct.pack("<qdQQQ", 200, float("nan"), 0, 100, 1)
    journal.write_bytes(journal.read_bytes() + record + xxhash.xxh3_64_digest(record)[::-1])


def _rate(value: object) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        """A raw TypeError."""
        with h5py.File(file, "a") as opened:
            opened["adc"].attrs["samplerate"] = value

    return damage


def _replace(file: Path, words: dict[bytes, bytes]) -> None:
    data = before = file.read_bytes()
    for word, other in words.items():
        data = data.replace(word, other)
    assert data != before
    file.write_bytes(data)


def _codec_that_nobody_knows(video: Path) -> None:
    """A raw AttributeError of `save`: there is no codec of which to ask anything."""
    _replace(video, {b"avc1": b"qqqq", b"hvc1": b"qqqq", b"hev1": b"qqqq", b"V_MPEG4/ISO/AVC": b"V_MPEG4/ISO/AVQ"})


def _name_in_another_encoding(video: Path) -> None:
    """A raw UnicodeDecodeError of `save`, and a video that was refused elsewhere: what the file says of itself is not UTF-8."""
    _replace(video, {b"VideoHandler": b"Video\xe9\xe8ndler", b"Lavf": b"L\xe9vf"})


FINDS: tuple[tuple[str, str, Callable[[Path], None]], ...] = (
    ("ffv1", "000000.mkv", _damage_configuration),
    ("mp4", "000000.mp4", _codec_that_nobody_knows),
    ("mkv", "000000.mkv", _codec_that_nobody_knows),
    ("mp4", "000000.mp4", _name_in_another_encoding),
    ("mkv", "000000.mkv", _name_in_another_encoding),
    ("sqlite", ".index.sqlite", _no_chunk_number),
    ("sqlite", ".index.sqlite", _endless_view),
    ("pgm", "000000/000001.pgm", _blanks_in_header),
    ("yaml index", "*/index.yaml", _uneven_lists),
    ("journal", ".000000.journal", _time_that_is_nan),
    ("Motif HDF5", "*.extra_data.h5", _rate([1.0, 2.0])),
    ("Motif HDF5", "*.extra_data.h5", _rate(h5py.Empty("f8"))),
    ("Motif HDF5", "*.extra_data.h5", _rate(np.bytes_(b"fast"))),
)


def main() -> None:
    """Do all of it again."""
    with tempfile.TemporaryDirectory() as directory:
        for k, (reader, pattern, damage) in enumerate(FINDS):
            target = fuzz_targets.TARGETS[reader]
            templates = Path(directory) / str(k)
            templates.mkdir()
            target.make(templates)
            for store in sorted(templates.iterdir()):
                for file in sorted(store.glob(pattern)):
                    damage(file)
                    print(f"{reader}: {file.relative_to(templates)}: {damage.__name__}", flush=True)
                for look in range(LOOKS):
                    fuzz_targets.look_at(target, store, random.Random(look))
    print(f"{len(FINDS)} done")


if __name__ == "__main__":
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, 3 << 30))
    main()
