"""The compiled part of the build; everything else is in pyproject.toml."""

from __future__ import annotations

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension("imgstore.index._index", ["src_ext/_index.pyx"]),
        Extension(
            "imgstore_codecs.video.pixels._yuv",
            ["src_ext/_yuv.pyx"],
            include_dirs=["src_ext"],
            depends=["src_ext/yuv_rows.h", "src_ext/yuv_rows_x86.h"],
        ),
    ],
    # setuptools runs Cython by itself; the generated C stays in the build directory, out of tree and sdist
    options={"build_ext": {"cython_c_in_temp": True}},
)
