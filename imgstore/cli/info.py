"""``imgstore info``: what a store holds."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import Any

import click

import imgstore
from imgstore.cli._common import (
    HELP,
    Command,
    TypedPath,
    counted,
    make_table,
    print_json,
    print_json_line,
    print_table,
    told_error,
)
from imgstore.cli._facts import describe_store
from imgstore.cli._group import describe_group
from imgstore.cli._jobs import worst
from imgstore.cli._plot import draw_in_terminal, draw_to_file, panels_of
from imgstore.cli._several import paths_argument, stores_among
from imgstore.errors import ImgStoreError
from imgstore.local_time import local_time

__all__ = ["command"]

_GAPS_SHOWN = 5
_MOST_IN_STEP = 16  # stores of which it is told how they go together


@click.command("info", cls=Command, short_help="Tell what a store holds.", context_settings=HELP)
@paths_argument()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, every gap included; of several stores a line "
              "for each.")  # fmt: skip
@click.option("--size/--no-size", default=True, help="Add up the sizes of its files, or not (slow for millions).")
@click.option("--plot", is_flag=True, help="Draw intervals over time, gaps, and extra data in the terminal.")
@click.option("--plot-file", type=TypedPath(path_type=Path), help="Draw the same into a file, .svg or .png.")
@click.pass_context
def command(
    ctx: click.Context, paths: tuple[str, ...], as_json: bool, size: bool, plot: bool, plot_file: Path | None
) -> None:
    """Tell what the store at PATH holds: frames, span, rate, gaps, format, metadata, extra data.

    PATH may be a video, a folder of images or a pattern ('frames/*.png') as well. Of several, or of a folder with stores in it,
    a line for each is printed, and how they go together.

    \b
    Examples:
      imgstore info recording
      imgstore info recording --plot
      imgstore info recordings/
      imgstore info --json recordings/ | jq -r .gaps.missing_numbers
    """
    stores = stores_among(paths)
    if plot_file is not None and (len(stores) > 1 or plot_file.suffix.lower() not in (".svg", ".png")):
        raise click.UsageError("--plot-file: the name of an .svg or .png is wanted, for one store")
    if len(stores) > 1:
        ctx.exit(_several(stores, as_json, size, plot))
    with imgstore.open(stores[0]) as store:
        facts = describe_store(store, size=size)
        if as_json:
            print_json(facts)
        else:
            _show(store, facts)
        if plot and not as_json:
            click.echo()
            draw_in_terminal(panels_of(store))
        if plot_file is not None:
            draw_to_file(panels_of(store), plot_file)
            click.echo(f"wrote {plot_file}", err=as_json)


def _several(paths: list[str], as_json: bool, size: bool, plot: bool) -> int:
    """Tell of each in a line, and of those that cannot be opened on stderr; return the exit status."""
    statuses = []
    with contextlib.ExitStack() as opened:
        stores = []
        rows = []
        for path in paths:
            try:
                store = imgstore.open(path)
                with contextlib.ExitStack() as closing:
                    closing.callback(store.close)
                    facts = describe_store(store, size=size)
                    closing.pop_all()
            except (ImgStoreError, OSError) as error:
                told = told_error(error, path)
                assert told is not None
                told.show()
                statuses.append(told.exit_code)
                continue
            if len(paths) <= _MOST_IN_STEP:
                stores.append(opened.enter_context(store))
            if as_json:
                print_json_line(facts)
            else:
                rows.append(_line(store, facts))
            if plot and not as_json:
                click.echo(facts["path"])
                draw_in_terminal(panels_of(store))
            if len(paths) > _MOST_IN_STEP:
                store.close()
        if rows:
            table = make_table(*_HEADINGS, right=frozenset(_HEADINGS) - {"store", "format", "begins"})
            for row in rows:
                table.add_row(*row)
            print_table(table)
        if len(stores) > 1:
            group = describe_group(stores)
            if as_json:
                print_json_line({"group": group})
            else:
                click.echo()
                _print_rows(_group_rows(group))
    return worst(statuses)


_HEADINGS = ("store", "format", "frames", "rate", "begins", "lasts", "lost", "size")


def _line(store: Any, facts: dict[str, Any]) -> tuple[str, ...]:
    count = facts["frame_count"]
    begins = local_time(store, facts["frame_time_min"]) if count else ""
    return (
        os.path.basename(facts["path"]),
        str(facts["format"]),
        str(count),
        f"{facts['fps']:.4g}" if math.isfinite(facts["fps"]) else "",
        begins[:19] if begins[:1].isdigit() and "-" in begins else begins,
        _duration(facts["duration"]) if count else "",
        str(facts["gaps"]["missing_numbers"]),
        _bytes(facts["size"]) if facts["size"] is not None else "",
    )


def _group_rows(group: dict[str, Any]) -> list[tuple[str, str]]:
    if group["align"] is None:
        return [("group", f"none: {group['why'].partition('. ')[0]}")]
    head = f"{group['steps']:,} steps by {group['align']}, {group['complete']:,} with a frame of each store"
    return [
        ("group", head),
        *(
            (
                "",
                f"{of['name']}: {of['frames']:,}"
                + (f", at most {_away(of['largest_error'])} away" if of["frames"] else ""),
            )
            for of in group["stores"]
        ),
    ]


def _away(seconds: float) -> str:
    return f"{seconds:.6f} s" if seconds < 60 else _duration(seconds)


def _print_rows(rows: list[tuple[str, str]]) -> None:
    table = make_table("", "")
    table.show_header = False
    for name, value in rows:
        table.add_row(name, value)
    print_table(table)


def _show(store: Any, facts: dict[str, Any]) -> None:
    _print_rows(_rows(store, facts))
    if facts["user_metadata"]:
        click.echo()
        table = make_table("metadata", "")
        for key, value in facts["user_metadata"].items():
            table.add_row(str(key), str(value))
        print_table(table)


def _rows(store: Any, facts: dict[str, Any]) -> list[tuple[str, str]]:
    count = facts["frame_count"]
    shape = " x ".join(str(n) for n in facts["shape"])
    rows = [
        ("store", facts["path"]),
        ("created", f"{facts['created']:%Y-%m-%d %H:%M:%S} UTC, recorded in {facts['timezone']}"),
        ("uuid", str(facts["uuid"])),
        ("format", f"{facts['format']} ({'lossless' if facts['lossless'] else 'lossy'})"),
        ("frames", f"{count:,} of {shape}{_joined(facts['dtype'])}"),
        ("chunks", _count_of_chunks(facts["chunks"])),
    ]
    if facts["size"] is not None:
        rows.append(("size", _bytes(facts["size"]) + (f", {_bytes(facts['size'] / count)} a frame" if count else "")))
    if count:
        rows += [
            ("numbers", f"{facts['frame_number_first']} to {facts['frame_number_last']}"),
            ("span", f"{local_time(store, facts['frame_time_min'])} to {local_time(store, facts['frame_time_max'])}"),
            ("duration", _duration(facts["duration"])),
            ("rate", f"{facts['fps']:.6g} frames per second" if math.isfinite(facts["fps"]) else "unknown"),
            *_interval_rows(facts["intervals"]),
            *_gap_rows(facts["gaps"]),
            *_zone_rows(store, facts["daylight_saving"]),
        ]
    columns = facts["extra_data_columns"]
    rows.append(("extra data", ", ".join(columns) if columns else "none"))
    return rows


def _interval_rows(intervals: dict[str, float] | None) -> list[tuple[str, str]]:
    if intervals is None:
        return []
    shortest, usual, longest, jitter = (intervals[name] * 1000 for name in ("shortest", "usual", "longest", "jitter"))
    near = f"{jitter:.3g} ms" if jitter >= 0.001 else "a microsecond"
    return [("intervals", f"{usual:.4g} ms, nine tenths within {near}; {shortest:.4g} to {_milliseconds(longest)} ms")]


def _milliseconds(number: float) -> str:
    return f"{number:.4g}" if number < 9999 else f"{number:,.0f}"


def _zone_rows(store: Any, changes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    def offset(seconds: float) -> str:
        return f"UTC{'-' if seconds < 0 else '+'}{abs(seconds) // 3600:02.0f}:{abs(seconds) % 3600 // 60:02.0f}"

    return [
        ("clock", f"from {offset(change['before'])} to {offset(change['after'])} at {local_time(store, change['time'])}")
        for change in changes[:_GAPS_SHOWN]
    ]


def _gap_rows(gaps: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    found = gaps["number_gaps"]
    if found:
        missing = gaps["missing_numbers"]
        verb = "is" if missing == 1 else "are"
        rows.append(("gaps", f"{counted(missing, 'frame number', ',')} {verb} missing, in {_times(len(found))}"))
        rows += [("", f"{gap['missing']} between {gap['after']} and {gap['before']}") for gap in found[:_GAPS_SHOWN]]
        rows += _and_more(found)
    else:
        rows.append(("gaps", "no frame number is missing"))
    if gaps["repeated_numbers"] or gaps["backward_numbers"]:
        repeated, backward = gaps["repeated_numbers"], gaps["backward_numbers"]
        repeats, goes = "repeats" if repeated == 1 else "repeat", "goes" if backward == 1 else "go"
        rows.append(("", f"{counted(repeated, 'number')} {repeats} the one before, {backward} {goes} backwards"))
    found = gaps["time_gaps"]
    if found:
        usual = gaps["usual_interval"]
        rows.append(("pauses", f"{_times(len(found))}, where frames are usually {usual * 1000:.4g} ms apart"))
        for gap in found[:_GAPS_SHOWN]:
            why = "" if gap["missing"] else ", where no number is missing"
            rows.append(("", f"{_duration(gap['seconds'])} before frame number {gap['frame_number']}{why}"))
        rows += _and_more(found)
    steps = gaps["clock_steps"]
    if steps:
        verb = "is" if len(steps) == 1 else "are"
        rows.append(("clock", f"{counted(len(steps), 'frame', ',')} {verb} earlier than the one before"))
        for step in steps[:_GAPS_SHOWN]:
            rows.append(("", f"back by {_duration(-step['seconds'])} before frame number {step['frame_number']}"))
        rows += _and_more(steps)
    return rows


def _and_more(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    more = len(found) - _GAPS_SHOWN
    return [("", f"and {more:,} more: imgstore info --json tells them")] if more > 0 else []


def _times(n: int) -> str:
    return counted(n, "place", ",")


def _count_of_chunks(chunks: list[int]) -> str:
    if not chunks:
        return "0"
    missing = chunks[-1] - chunks[0] + 1 - len(chunks)
    text = f"{len(chunks):,}, numbered {chunks[0]} to {chunks[-1]}"
    return text + (f", {missing} of these missing" if missing > 0 else "")


def _joined(dtype: str | None) -> str:
    return "" if dtype is None else f", {dtype}"


def _duration(seconds: float) -> str:
    """Tell a length of time as people do: 2 d 03:04:05.678."""
    if seconds < 60:
        return f"{seconds:.3f} s"
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    clock = f"{int(hours):02d}:{int(minutes):02d}:{rest:06.3f}"
    return f"{int(days)} d {clock}" if days else clock


def _bytes(n: float) -> str:
    if n < 1000:
        return f"{n:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        n /= 1000
        if n < 999.5:
            return f"{n:.3g} {unit}"
    return f"{n / 1000:.3g} TB"
