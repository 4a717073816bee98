"""YAML as plain values: whatever a file says, the answer is what it is worth, or an error."""

from __future__ import annotations

import contextlib
import datetime
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from imgstore.disk.plain_yaml import dump_plain_yaml, load_plain_yaml
from imgstore.disk.read_file import read_file


def lists(depth: int, width: int = 10) -> str:
    """A document whose last value would be `width` ** `depth` values large if it were written out."""
    lines = ["a0: &a0 [1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, depth + 1)]
    return "\n".join(lines)


def merged(depth: int, width: int = 10) -> str:
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, depth + 1)]
    return "\n".join(lines)


BOMBS = {
    "lists": lists(9),
    "merge keys": merged(8),
    "a long text": "a: &a " + "x" * 10_000 + "\nb: [" + "*a," * 10_000 + "]",
    "keys": "a: &a " + "x" * 10_000 + "\nb: {" + ",".join(f"? [*a, {n}] : *a" for n in range(5_000)) + "}",
    "one after the other": lists(6) + "\nb: [" + "*a6," * 100 + "]",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_repetitions_without_measure_are_an_error(bomb: str) -> None:
    with pytest.raises(ValueError, match="repeats itself"):
        load_plain_yaml(BOMBS[bomb].encode())


def test_repetitions_in_measure_are_what_they_stand_for() -> None:
    region = list(range(100))
    content = {f"camera {n}": {"region": region} for n in range(100)}
    text = yaml.safe_dump(content)
    assert "*id001" in text
    assert load_plain_yaml(text.encode()) == content
    assert load_plain_yaml(merged(2).encode())["a2"] == {"k": 1}


@pytest.mark.parametrize("text", ["&a [*a]", "a: &a {b: *a}", "&a\n- - *a"])
def test_what_holds_itself_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="holds itself"):
        load_plain_yaml(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "0x" + "f" * 5000,
        "0x" + "f" * 4200,
        "9" * 5000,
        "1" + ":59" * 5000,
        "1" + ":59" * 100_000 + ".5",
        "!!int ''",
        "!!int '-'",
        "!!float ''",
        "!!timestamp 'x'",
        "!!bool 'x'",
        "0000-00-00",
        "2024-01-01 25:00:00",
        "*nothing",
        "{[1]: 2}",
        "!!python/object/apply:os.getcwd []",
        "'\\",
        "[" * 200,
        "\x00",
    ],
)
def test_values_that_are_none_are_errors_that_can_be_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        load_plain_yaml(text.encode())
    assert len(str(caught.value)) < 10_000


def test_a_million_values_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgstore.disk.plain_yaml._MAX_NODES", 1000)  # which takes less time
    assert load_plain_yaml(b"[" + b"a," * 999 + b"]") == ["a"] * 999
    with pytest.raises(ValueError, match="more than 1000 values"):
        load_plain_yaml(b"[" + b"a," * 1000 + b"]")


@given(st.binary(max_size=200) | st.text("&*a-:[]{}<!? \n01'\"#|>%@,", max_size=200).map(str.encode))
def test_any_text_is_an_error_or_a_value(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        repr(load_plain_yaml(data))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_what_pyyaml_reads_is_read(value: Any) -> None:
    """Beside PyYAML's own reader, for 0.x wrote with it."""
    text = yaml.safe_dump(value, allow_unicode=True)
    try:
        data, expected = text.encode(), yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return
    assert load_plain_yaml(data) == expected


def test_dates_in_zones_come_back() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=-3, minutes=-30))
    moment = datetime.datetime(2024, 1, 31, 12, 0, 0, 5, zone)
    assert load_plain_yaml(dump_plain_yaml([moment])) == [moment]


def test_what_cannot_be_written_is_an_error() -> None:
    for content in (object(), 1j, "\udcfc"):
        with pytest.raises(ValueError, match=r".+"):
            dump_plain_yaml([content])


def test_files_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"", b"x", os.urandom(100_000)):
        path.write_bytes(data)
        assert read_file(str(path), 100_000) == data
    with pytest.raises(ValueError, match="100000 bytes"):
        read_file(str(path), 99_999)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for name in ("pipe", "zeros", "."):
        with pytest.raises(OSError, match=r"regular|directory"):
            read_file(str(tmp_path / name), 1000)
