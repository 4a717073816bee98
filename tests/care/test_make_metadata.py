"""A store whose ``metadata.yaml`` is lost: made anew on request, and what is made up is said."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from damage import fingerprint, wanted_formats, write_template
from rounds import long_but
from scenes import coded_frame, write_store

import imgstore
from imgstore import cli
from imgstore.disk.chunk_index import read_all_arrays, write_chunk_index
from imgstore.errors import MetadataError, NotAStoreError
from imgstore.repair import repair_store
from imgstore.verify import verify_store

SAMPLES = ["bayer", "dir-bmp", "dir-bpk-float32", "dir-npy-uint16", "dir-png-colour", "motif-mp4", "numbers-wrap-mjpeg",
           "odd-size-mp4", "video-h264-mkv-colour", "yaml-index", "empty"]  # fmt: skip


def everything(path: Path) -> list[Any]:
    with imgstore.new_for_filename(path) as store:
        return [(number, seconds, img.tolist(), img.dtype) for img, (number, seconds) in store]


def stored(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((path / "metadata.yaml").read_text())["__store"]
    return values


@pytest.mark.parametrize("name", long_but({SAMPLES[0]}, SAMPLES))
def test_stores_of_0x_say_what_they_are_in_every_chunk(samples: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    shutil.copytree(samples / name, path)
    before, said = everything(path), stored(path)
    (path / "metadata.yaml").unlink()
    with pytest.raises(NotAStoreError):
        repair_store(path)
    (made,) = repair_store(path, make_metadata=True)
    assert made.kind == "metadata" and made.path == str(path / "metadata.yaml")
    assert everything(path) == before
    again = stored(path)
    same = {"class", "format", "imgshape", "imgdtype", "chunksize", "version"} & said.keys()
    if name != "yaml-index":  # its indexes hold numbers and times alone
        same |= {"uuid", "created_utc", "encoding"} & said.keys()
    assert {key: again[key] or None for key in same} == {key: said[key] or None for key in same}
    assert verify_store(path, deep=True) == []
    assert repair_store(path, make_metadata=True) == []


@pytest.mark.parametrize("fmt", wanted_formats())
def test_own_stores(tmp_path: Path, fmt: str) -> None:
    path = write_template(tmp_path, fmt)
    with imgstore.new_for_filename(path) as store:
        before = [(store.get_image(None, frame_index=k)[1], store.get_image(None, frame_index=k)[0]) for k in range(23)]
    (path / "metadata.yaml").unlink()
    planned = repair_store(path, make_metadata=True, dry_run=True)
    assert not (path / "metadata.yaml").exists()
    done = repair_store(path, make_metadata=True)
    assert [action.kind for action in planned] == ["metadata"] == [done[0].kind]
    assert verify_store(path, deep=True) == []
    with imgstore.new_for_filename(path) as store:
        assert store.frame_count == 23
        for k, (what, img) in enumerate(before):
            got, same = store.get_image(None, frame_index=k)
            assert same == what
            # of a video nothing but its index tells whether it is gray, and in colour no gray is lost
            gray = got if got.ndim == img.ndim else imgstore.ensure_grayscale(got)
            assert np.abs(gray.astype(int) - img).max() <= (0 if got.ndim == img.ndim else 2)


def test_a_broken_one_is_kept_and_what_can_be_read_of_it_is_used(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "png", 25, metadata={"animal": "mouse 7", "weights": [1, 2]}, fps=12.5))
    content = yaml.safe_load((path / "metadata.yaml").read_text())
    identity = content["__store"]["uuid"]
    content["__store"].update(imgshape="large", version=None)
    broken = yaml.safe_dump(content)
    (path / "metadata.yaml").write_text(broken)
    with pytest.raises(MetadataError):
        repair_store(path)
    made, *_ = repair_store(path, make_metadata=True)
    assert "animal" in made.message
    assert (tmp_path / "s.set-aside" / "metadata.yaml").read_text() == broken
    with imgstore.new_for_filename(path) as store:
        assert store.user_metadata == {"animal": "mouse 7", "weights": [1, 2]}
        assert (store.uuid, store.fps, store.image_shape) == (identity, 12.5, (48, 64))
    assert verify_store(path) == []


@pytest.mark.parametrize("garbage", [b"", b"\0" * 300, b"__store: [1, 2", b"a: &a [*a, *a]", "zwölf".encode("latin1")])
def test_garbage(tmp_path: Path, garbage: bytes) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 25))
    before = everything(path)
    (path / "metadata.yaml").write_bytes(garbage)
    made, *_ = repair_store(path, make_metadata=True)
    assert "made up: " in made.message and "user's metadata are not to be had" in made.message
    assert everything(path) == before and verify_store(path) == []


def test_what_indexes_say_is_not_believed_blindly(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 5))
    arrays = read_all_arrays(path / "000000" / "index")
    wrong = {
        "format": "elephant", "imgshape": [-1, 0], "uuid": "me", "chunksize": 0, "imgdtype": "M8[s/0]",
        "encoding": "cv_nonsense", "created_utc": "long ago",
    }  # fmt: skip
    numbers, times = arrays.pop("frame_number"), arrays.pop("frame_time")
    write_chunk_index(
        path / "000000" / "index",
        numbers,
        times,
        {**arrays, **{name: np.array(value) for name, value in wrong.items()}},
    )
    (path / "metadata.yaml").unlink()
    repair_store(path, make_metadata=True)
    values = stored(path)
    assert (values["format"], values["imgshape"], values["imgdtype"], values["chunksize"]) == (
        "npy",
        [48, 64],
        "uint8",
        5,
    )
    assert re.fullmatch("[0-9a-f]{32}", values["uuid"]) and values["encoding"] is None
    assert verify_store(path) == []


def test_without_chunks_there_is_nothing_to_make_it_from(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(NotAStoreError, match="no chunks to make one from"):
        repair_store(tmp_path, make_metadata=True)
    (tmp_path / "000000").mkdir()
    (tmp_path / "000000" / "000000.npy").write_bytes(b"?")
    with pytest.raises(MetadataError, match="no metadata can be made"):
        repair_store(tmp_path, make_metadata=True)
    assert not (tmp_path / "metadata.yaml").exists()


def test_command(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 25))
    (path / "metadata.yaml").unlink()

    def run(*options: str) -> Any:
        return CliRunner().invoke(cli.main, ["repair", *options, str(path)])

    refused = run()
    assert refused.exit_code == 2 and "--make-metadata" in refused.stderr
    before = fingerprint(tmp_path)
    planned = run("--make-metadata", "--dry-run")
    assert planned.exit_code == 0 and "would: metadata: " in planned.stdout and fingerprint(tmp_path) == before
    done = run("--make-metadata")
    assert done.exit_code == 0 and "made up: " in done.stdout
    assert run().stdout.startswith("nothing to do")


def test_recording_goes_on(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 25))
    (path / "metadata.yaml").unlink()
    repair_store(path, make_metadata=True)
    with imgstore.new_for_filename(path, mode="a") as store:
        store.add_image(coded_frame(125), 125, 1062.5)
    assert verify_store(path) == [] and len(everything(path)) == 26
