"""``imgstore sheet``: a recording on one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import imgstore
from imgstore.cli._common import HELP, Command, PlainError, TypedPath
from imgstore.cli._several import names_for, paths_argument, stores_among

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["command"]

_KINDS = (".png", ".jpg", ".jpeg", ".tif")


@click.command("sheet", cls=Command, short_help="Draw frames of a store on one picture.", context_settings=HELP)
@paths_argument()
@click.option("-o", "--output", type=TypedPath(path_type=Path), help="The picture (.png, .jpg, .tif); of several stores a "
              "folder. Default NAME.sheet.png here.")  # fmt: skip
@click.option("--count", type=click.IntRange(1, 10_000), default=24, show_default=True, help="How many frames, at most.")
@click.option("--columns", type=click.IntRange(1, 1000), default=6, show_default=True, help="How many in a row.")
@click.option("--width", type=click.IntRange(16, 10_000), default=1800, show_default=True, help="Of the picture, in pixels.")
@click.option("--start", metavar="PLACE", help="The first frame, as in 'imgstore export'.")
@click.option("--end", metavar="PLACE", help="The frame behind the last one.")
@click.option("--levels", metavar="LOW,HIGH", help="The samples that become black and white.")
@click.option("--terminal", is_flag=True, help="Draw it here, in coloured blocks, and write nothing: over ssh for instance.")
@click.option("--overwrite", is_flag=True, help="Replace pictures that are there.")
def command(paths: tuple[str, ...], output: Path | None, terminal: bool, overwrite: bool, **how: Any) -> None:
    """Draw frames of the store at PATH, evenly spread over it, on one picture, each with its number and time.

    PATH may be a folder with stores in it: each has a picture of its own. It may be a video or images as well.

    \b
    Examples:
      imgstore sheet recording
      imgstore sheet recordings/ --output sheets/ --count 12 --columns 4
      imgstore sheet recording --terminal
    """
    stores = stores_among(paths)
    several = len(stores) > 1
    if terminal:
        for path in stores:
            _show(path, how)
        return
    if several:
        folder = output if output is not None else Path(".")
        targets = [folder / f"{name}.sheet.png" for name in names_for(stores)]
    else:
        targets = [output if output is not None else Path(f"{names_for(stores)[0]}.sheet.png")]
    if targets[0].suffix.lower() not in _KINDS:
        raise click.UsageError(f"{targets[0]}: a picture is written where the name ends in {', '.join(_KINDS)}")
    _write_each(stores, targets, overwrite, how)


def _write_each(stores: Sequence[str], targets: Sequence[Path], overwrite: bool, how: dict[str, Any]) -> None:
    import cv2

    from imgstore.exporting import contact_sheet, writing

    for path, target in zip(stores, targets, strict=True):
        with imgstore.open(path) as store, writing(overwrite) as outputs:
            temporary = outputs.add(target)
            encoded, data = cv2.imencode(target.suffix.lower(), contact_sheet(store, **how))
            if not encoded:
                raise PlainError(f"{target}: OpenCV cannot encode this picture")
            temporary.write_bytes(data.tobytes())
        click.echo(f"wrote {target}")


def _show(path: str, how: dict[str, Any]) -> None:
    """Draw a sheet with characters, each of which is two pixels, one above the other."""
    from rich.console import Console
    from rich.style import Style
    from rich.text import Text

    from imgstore.exporting import contact_sheet

    console = Console(highlight=False)
    with imgstore.open(path) as store:
        columns = min(how["columns"], max(1, console.width // 24))
        sheet = contact_sheet(store, **{**how, "width": max(16, console.width), "columns": columns, "labels": False})
        click.echo(f"{store.filename}: {store.frame_count} frames")
    for upper, lower in zip(sheet[::2], sheet[1::2], strict=False):
        line = Text(end="")
        for above, below in zip(upper, lower, strict=True):
            line.append("\u2580", Style(color=_color(above), bgcolor=_color(below)))
        console.print(line, soft_wrap=True)


def _color(pixel: npt.NDArray[np.uint8]) -> str:
    blue, green, red = pixel.tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"
