"""``imgstore verify``: is a store what was written?"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

import imgstore
from imgstore.cli._common import HELP, Command, chunk_progress, counted, one_line, print_json, print_json_line
from imgstore.cli._jobs import jobs_option, run_each, worst
from imgstore.cli._several import paths_argument, stores_among
from imgstore.errors import ChunkError, NotAStoreError
from imgstore.mapping import is_unfinished

if TYPE_CHECKING:
    from imgstore.verify import Report

__all__ = ["command"]


@click.command("verify", cls=Command, short_help="Check that a store is what was written.", context_settings=HELP)
@paths_argument()
@click.option("--deep", is_flag=True, help="Decode every frame.")
@jobs_option()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON; of several paths a line for each.")
@click.pass_context
def command(context: click.Context, paths: tuple[str, ...], deep: bool, jobs: int, as_json: bool) -> None:
    """Check the store at PATH: files, indexes, counts, sizes, checksums, extra data. Nothing is changed.

    Prints a line for each fault; frames in a row that have the same fault are one line. The exit status is 0 where
    there is none, 1 where there are some, 2 where there is no store.

    PATH may be a folder with stores in it, and there may be several. It may be a video, images or a pattern ('frames/*.png') as
    well. Nothing was noted of these: one frame of each file is decoded, of images the first, and with --deep every frame.

    \b
    Examples:
      imgstore verify recording
      imgstore verify --deep --jobs 4 recordings/
      imgstore verify --json recordings/* | grep '"ok": false'
    """
    stores = stores_among(paths)
    if len(stores) == 1:
        with chunk_progress() as progress:
            report = _check(stores[0], deep, progress)
        _tell(report, deep, as_json, print_json)
        context.exit(1 if report.faults else 0)
    statuses = []
    for path, outcome in run_each(partial(_check, deep=deep), stores, jobs, "verifying"):
        if outcome.value is not None:
            _tell(outcome.value, deep, as_json, print_json_line)
        elif as_json:
            print_json_line({"path": path, "ok": False, "error": outcome.error})
        statuses.append(outcome.status or (1 if outcome.value.faults else 0))
    if not as_json:
        whole = statuses.count(0)
        click.echo(f"{whole} of {counted(len(stores), 'store')} without a fault")
    context.exit(worst(statuses))


def _tell(report: Report, deep: bool, as_json: bool, printed: Callable[[object], None]) -> None:
    if as_json:
        printed(
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
        return
    for fault in report.faults:
        click.echo(f"{fault.kind}: {one_line(fault)}")
    if any(fault.kind in ("checksum", "size") for fault in report.faults):
        click.echo("hint: if files were changed on purpose, imgstore repair --accept-frames takes them as they are")
    for note in report.notes:
        click.echo(f"note: {one_line(note)}")
    click.echo(_summary(report))


def _check(path: str, deep: bool, progress: Callable[[int, int], object] | None = None) -> Report:
    from imgstore.verify import check_store

    try:
        return check_store(path, deep=deep, progress=progress)
    except NotAStoreError as error:
        try:
            opened = imgstore.open(path)
        except NotAStoreError:
            could = os.path.isdir(path) and not is_unfinished(path)  # which has other ways on
            hint = "; imgstore repair --make-metadata makes one where there are chunks" if could else ""
            raise NotAStoreError(f"{error}{hint}") from None
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
