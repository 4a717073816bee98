"""User metadata from the command line: set, removed, shown, and safe."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from commands import typed
from scenes import write_store

import imgstore
from imgstore.verify import check_store


def test_values_are_yaml_or_text(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "png", 3, metadata={"old": 1, "kept": "x"})
    done = typed(
        "annotate", path, "weight=12.5", "flies=[a, b]", "when=2024-05-01", "note=a=b", "empty=", "--text", "session=007",
        "--remove", "old",
    )  # fmt: skip
    assert done.returncode == 0 and "set 6 keys, removed 1 key" in done.stdout, done.stderr
    with imgstore.new_for_filename(path) as store:
        assert dict(store.user_metadata) == {
            "kept": "x", "weight": 12.5, "flies": ["a", "b"], "when": datetime.date(2024, 5, 1), "note": "a=b",
            "empty": None, "session": "007",
        }  # fmt: skip
        assert store.frame_count == 3
    assert check_store(path).faults == []
    assert json.loads(typed("annotate", path, "--json").stdout)["when"] == "2024-05-01"
    assert "12.5" in typed("annotate", path).stdout


def test_nothing_changes_where_something_is_wrong(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "png", 3, metadata={"kept": "x"})
    before = (tmp_path / "s" / "metadata.yaml").read_bytes()
    for arguments, status in (
        (["weight"], 2), (["=3"], 2), (["a=[1"], 2), (["a=1", "--remove", "b"], 1), (["__store=1"], 1),
    ):  # fmt: skip
        assert typed("annotate", path, *arguments).returncode == status, arguments
    with imgstore.new_for_filename(path, mode="a"):
        assert "lock" in typed("annotate", path, "a=1").stderr
    assert (tmp_path / "s" / "metadata.yaml").read_bytes() == before
    assert typed("annotate", tmp_path / "none", "a=1").returncode == 2
