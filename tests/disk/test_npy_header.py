"""Types, headers and literals: what numpy writes is understood, and nothing else reaches numpy."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from imgstore.npy_header import dtype_of_descr, dtype_of_text, npy_header_size, parse_literal, parse_npy_header

# ends the process by a signal (M8[s/0]), takes terabytes, or raises whatever comes
MEANT_HARM = [
    "M8[s/0]",
    "<m8[s/2]",
    "datetime64[0s]",
    "M8[99999999999s]",
    ",",
    "u1,u1",
    "(-1,)u1",
    "(1000000000,1000000000)f8",
    "U999999999",
    "S99999999999",
    "{'names':['a']}",
    "uint8\n",
    "\u0661",
    "",
]


@pytest.mark.parametrize("text", MEANT_HARM)
def test_texts_that_numpy_does_not_write_are_errors(text: str) -> None:
    with pytest.raises(ValueError, match="no type"):
        dtype_of_text(text)
    with pytest.raises(ValueError, match="no type"):
        dtype_of_descr([("x", text)])


@pytest.mark.parametrize(
    "descr",
    [
        None,
        7,
        b"u1",
        ["u1"],
        [("x",)],
        [(7, "u1")],
        ("u1", 3),
        ("u1", (-1,)),
        ("u1", (1,) * 100),
        ("u1", (2**31,)),
        [("x", "f8", (10**9, 10**9))],
        [("x", "u1"), ("x", "u1")],
        [("x", ("V1000000000", (3,)))],
    ],
)
def test_descriptions_that_are_none_are_errors(descr: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        dtype_of_descr(descr)


def test_a_type_within_a_type_without_end_is_an_error() -> None:
    descr: Any = "u1"
    for _ in range(100_000):
        descr = (descr, (1,))
    with pytest.raises(ValueError, match="deep"):
        dtype_of_descr(descr)


@given(npst.scalar_dtypes() | npst.byte_string_dtypes() | npst.unicode_string_dtypes())
def test_types_have_their_names_and_codes_back(dtype: np.dtype[Any]) -> None:
    assert dtype_of_text(str(dtype)) == dtype
    assert dtype_of_text(dtype.str) == dtype


@pytest.mark.parametrize("text", ["float", "int", "bool", "uint8", "u1", "|u1", "=f4", "double", "V16", "object", "|O"])
def test_texts_that_people_type(text: str) -> None:
    assert dtype_of_text(text) == np.dtype(text)


@given(
    npst.nested_dtypes(max_itemsize=1000),
    npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    st.booleans(),
)
def test_headers_that_numpy_writes_are_read(dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool) -> None:
    array = np.zeros(shape, dtype, order="F" if fortran else "C")
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # names that are not Latin-1 need the newest version
        np.lib.format.write_array(stream, array)
    data = stream.getvalue()
    header = parse_npy_header(data[: npy_header_size(data[:12])])
    assert (header.shape, header.dtype, header.nbytes) == (array.shape, dtype, array.nbytes)
    assert header.fortran_order == (not array.flags.c_contiguous)


def header_of(text: str) -> bytes:
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode("latin-1")


@given(st.text("{}()[],:'\" \\0123456789-LTrueFalsNondscrpthape_<|uifM8/\n", max_size=60))
def test_any_header_is_an_error_or_an_array(text: str) -> None:
    for content in (text, "{'descr': '|u1', 'fortran_order': False, 'shape': " + text + "}"):
        try:
            header = parse_npy_header(header_of(content))
        except ValueError:
            continue
        assert header.nbytes <= np.iinfo(np.intp).max


def test_python_2s_long_integers() -> None:
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (480L, 640L), }"
    assert parse_npy_header(header_of(text)).shape == (480, 640)


literals = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(literals)
def test_literals_are_what_python_takes_them_for(value: Any) -> None:
    if "\\ud" in repr(value) or "\\ue" in repr(value):  # half a character, or one of nobody's: never in a name
        return
    assert parse_literal(repr(value)) == value


@pytest.mark.parametrize(
    "escaped", [r"\\", r"\'", r"\"", r"\n", r"\r", r"\t", r"\x00", r"\xe9", r"\u3042", r"\U0001f400", r"\\n", r"\\u3042"]
)
@pytest.mark.parametrize("quote", ["'", '"', "u'"])
def test_escapes_are_what_python_takes_them_for(escaped: str, quote: str) -> None:
    text = f"{quote}a{escaped}b{escaped}{quote[-1]}"
    assert parse_literal(text) == ast.literal_eval(text)


def test_pythons_own_parser_is_not_asked() -> None:
    """Up to Python 3.11.7 and 3.12.1 it fails while another thread parses, so that a reader beside others failed now and then."""
    program = """if True:
        import sys
        from imgstore.npy_header import parse_npy_header
        asked = []
        sys.addaudithook(lambda event, args: asked.append(args) if event == "compile" else None)
        compile("1", "heard", "eval")
        header = b"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,), }"
        assert parse_npy_header(b"\\x93NUMPY\\1\\0" + len(header).to_bytes(2, "little") + header).shape == (3,)
        assert len(asked) == 1, asked
    """
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    "unit", ["(", "[", "{'a':", "-", "()", "a.", "1+", "not ", "lambda:", "'\\q'", "1L", "f'{1}'", "9"]
)
def test_what_is_no_literal_is_an_error(unit: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_literal(unit * 3000)


def test_the_process_outlives_a_type_that_ends_it(tmp_path: Any) -> None:
    text = "{'descr': [('x', '<M8[s/0]')], 'fortran_order': False, 'shape': (1,)}"
    (tmp_path / "x.npy").write_bytes(header_of(text))
    program = (
        "import sys; from imgstore.npy_header import parse_npy_header\n"
        "try: parse_npy_header(open(sys.argv[1], 'rb').read())\n"
        "except ValueError: print('an error')"
    )
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path / "x.npy")], capture_output=True, text=True)
    assert (run.returncode, run.stdout.strip()) == (0, "an error")
