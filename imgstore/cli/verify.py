"""``imgstore verify``: is a store what was written?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

import imgstore
from imgstore.cli._common import HELP, Command, chunk_progress, counted, frames_argument, print_json
from imgstore.errors import ChunkError, NotAStoreError

if TYPE_CHECKING:
    from imgstore.verify import Report

__all__ = ["command"]


@click.command("verify", cls=Command, short_help="Check that a store is what was written.", context_settings=HELP)
@frames_argument()
@click.option("--deep", is_flag=True, help="Decode every frame.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_context
def command(context: click.Context, path: Path, deep: bool, as_json: bool) -> None:
    """Check the store at PATH: files, indexes, counts, sizes, checksums, extra data. Nothing is changed.

    Prints a line for each fault; frames in a row that have the same fault are one line. The exit status is 0 where
    there is none, 1 where there are some, 2 where there is no store.

    PATH may be a video, images or a pattern ('frames/*.png') as well. Nothing was noted of these: one frame of each file
    is decoded, of images the first, and with --deep every frame.
    """
    report = _check(path, deep)
    if as_json:
        print_json(
            {
                "path": report.path,
                "ok": not report.faults,
                "deep": deep,
                "chunks": report.chunks,
                "frames": report.frames,
                "files_compared": report.compared,
                "frames_decoded": report.decoded,
                "faults": [asdict(fault) for fault in report.faults],
                "notes": [asdict(note) for note in report.notes],
            }
        )
    else:
        for fault in report.faults:
            click.echo(f"{fault.kind}: {' '.join(str(fault).split())}")
        if any(fault.kind in ("checksum", "size") for fault in report.faults):
            click.echo("hint: if files were changed on purpose, imgstore repair --accept-frames takes them as they are")
        for note in report.notes:
            click.echo(f"note: {' '.join(str(note).split())}")
        click.echo(_summary(report))
    context.exit(1 if report.faults else 0)


def _check(path: Path, deep: bool) -> Report:
    from imgstore.verify import check_store

    try:
        with chunk_progress() as progress:
            return check_store(path, deep=deep, progress=progress)
    except NotAStoreError as error:
        try:
            opened = imgstore.open(path)
        except NotAStoreError:
            raise error from None
    with opened as store:
        return _check_frames(store, deep)


def _check_frames(store: imgstore.ImgStore, deep: bool) -> Report:
    """Decode frames of files that are no store."""
    from imgstore.verify import Fault, Report

    faults: list[Fault] = []
    decoded = 0
    for file in store.chunk_files:
        for k in range(file.frame_count if deep else min(1, file.frame_count)):
            position = file.position + k
            try:
                store.get_image(frame_index=position)
                decoded += 1
            except ChunkError as error:
                number = int(store.frame_numbers[position])
                faults.append(Fault("frame", file.path, file.chunk, k, str(error), k, position, (number, number)))
    return Report(store.filename, faults, [], len(store.chunk_files), store.frame_count, 0, decoded)


def _summary(report: Report) -> str:
    verdict = counted(len(report.faults), "fault", ",") if report.faults else "no fault"
    return (
        f"{verdict}: {counted(report.frames, 'frame', ',')} in {counted(report.chunks, 'chunk', ',')},"
        f" {counted(report.compared, 'file', ',')} compared with their checksums,"
        f" {counted(report.decoded, 'frame', ',')} decoded: {report.path}"
    )
