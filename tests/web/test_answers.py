"""What the server answers: frames with their labels, the time line, plots, ranges; compared with the store itself."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coded_frames
import cv2
import numpy as np
import pytest
from coded_frames import START, coded, decoded, record
from hypothesis import given
from hypothesis import strategies as st
from page_client import Client
from scenes import INTERRUPTIBLE

import imgstore
from imgstore.errors import ArgumentError, NotAStoreError
from imgstore.local_time import local_time
from imgstore.web.buckets import Events, Series, edges_of, find_events
from imgstore.web.clock import read_time, round_times
from imgstore.web.pictures import encode

LABEL = "x-imgstore-frame"


def frame(client: Client, **parameters: Any) -> tuple[dict[str, Any], bytes]:
    """Return label and bytes of a frame."""
    status, headers, body = client.ask("frame", **parameters)
    assert status == 200, body
    return json.loads(headers[LABEL]), body


@pytest.mark.parametrize("fmt", ["npy", "png", "mjpeg/avi", "avc1/mp4", "h264/mkv"])
def test_frames_are_those_of_their_labels(client: Callable[..., Client], tmp_path: Path, fmt: str) -> None:
    record(tmp_path / "store", fmt, 60, lost={7, 8, 30}, chunksize=20)
    asking = client(tmp_path / "store")
    with imgstore.new_for_filename(tmp_path / "store") as store:
        for position in (0, 56, 3, 7, 27, 28, 6, 55):
            img, (number, when) = store.get_image(frame_index=position)
            label, raw = frame(asking, index=position, kind="raw")
            assert (label["index"], label["number"], float(label["time"])) == (position, str(number), when)
            assert np.array_equal(np.frombuffer(raw, label["dtype"]).reshape(label["shape"]), img)
            png = cv2.imdecode(np.frombuffer(frame(asking, index=position, kind="png")[1], np.uint8), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(png, img)
            jpeg = cv2.imdecode(np.frombuffer(frame(asking, index=position, kind="jpeg")[1], np.uint8), cv2.IMREAD_UNCHANGED)
            assert decoded(jpeg) == number


def test_frames_of_other_types_keep_their_values() -> None:
    for dtype in ("u2", ">u2", "i4", "f4", "f8", "i8"):
        img = (np.arange(12).reshape(3, 4) * 1000).astype(dtype)
        raw, _ = encode(img, "raw")
        assert np.array_equal(np.frombuffer(raw, img.dtype.newbyteorder("<")).reshape(3, 4), img)
        picture = cv2.imdecode(np.frombuffer(encode(img, "jpeg", levels=(0, 11000))[0], np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (3, 4)
    deep = (np.arange(12).reshape(3, 4) * 5000).astype(np.uint16)
    assert np.array_equal(cv2.imdecode(np.frombuffer(encode(deep, "png")[0], np.uint8), cv2.IMREAD_UNCHANGED), deep)
    small = cv2.imdecode(np.frombuffer(encode(coded(5), "jpeg", most=16)[0], np.uint8), cv2.IMREAD_UNCHANGED)
    assert small.shape == (16, 16)


def test_a_damaged_frame_is_an_error_with_its_label(client: Callable[..., Client], tmp_path: Path) -> None:
    record(tmp_path / "store", "npy", 10)
    (broken,) = (tmp_path / "store").rglob("000004.npy")
    broken.write_bytes(broken.read_bytes()[:-100])
    asking = client(tmp_path / "store")
    status, headers, body = asking.ask("frame", index=4)
    assert status == 422 and json.loads(headers[LABEL])["number"] == "4"
    assert "000004" in json.loads(body)["error"]
    assert frame(asking, index=5)[0]["number"] == "5"
    met = asking.json("timeline", start=0, stop=10, buckets=10)["events"]["fault"]
    assert [bucket for bucket, _, _ in met] == [4]
    assert asking.json("fault", index=0, direction=1)["kind"] == "fault"


def test_frames_are_found_by_number_and_time(client: Callable[..., Client], tmp_path: Path) -> None:
    record(tmp_path / "store", "npy", 100, lost=range(40, 60), rate=10)
    asking = client(tmp_path / "store")
    assert asking.json("find", number=61)["index"] == 41
    status, _, body = asking.ask("find", number=50)
    assert status == 404 and "missing, between 39 and 60" in json.loads(body)["error"]
    assert "from 0 to 99" in json.loads(asking.ask("find", number=1000)[2])["error"]
    assert asking.json("find", time="22:13:21.2")["index"] == 12  # 1700000000 is 22:13:20 UTC
    assert asking.json("find", time="2023-11-14 22:13:29.9")["index"] == 79
    assert asking.json("find", time="+3.04") == {"index": 30, "beside": 0.0}
    assert asking.json("find", time="+5.8") == {"index": 40, "beside": pytest.approx(0.2)}  # in the gap
    assert asking.json("find", time="2023-11-14 23:13:20")["beside"] == pytest.approx(-3590.1)  # after the end
    assert asking.json("find", time=repr(START + 0.5))["index"] == 5
    label, _ = frame(asking, index=33)
    assert asking.json("find", time=label["date"])["index"] == 33  # what is shown can be typed
    assert asking.json("fault", index=0, direction=1) == {"index": 40, "kind": "missing", "amount": 20.0, "camera": None}
    assert asking.json("fault", index=40, direction=1)["index"] is None
    assert asking.json("fault", index=79, direction=-1)["index"] == 40


@given(st.integers(-(2**40), 2**40), st.integers(0, 999))
def test_times_that_are_told_can_be_typed(seconds: int, milliseconds: int) -> None:
    class Store:
        def convert_frame_time_to_datetime(self, t: float) -> Any:
            import datetime

            return datetime.datetime.fromtimestamp(t, datetime.timezone(datetime.timedelta(hours=5, minutes=30)))

    when = seconds + milliseconds / 1000
    text = local_time(Store(), when)
    # what is told ends with milliseconds, and in thousands of years from now floats are far apart
    assert read_time(Store(), text, when, 0.0) == pytest.approx(when, abs=1e-3 + 2 * math.ulp(when))


@given(st.floats(0, 2e9), st.floats(0.01, 1e8), st.integers(3, 12))
def test_times_on_the_line_are_round(first: float, long: float, most: int) -> None:
    class Store:
        def convert_frame_time_to_datetime(self, t: float) -> Any:
            import datetime

            return datetime.datetime.fromtimestamp(t, datetime.timezone(datetime.timedelta(hours=5, minutes=30)))

    times = round_times(Store(), first, first + long, most)
    assert 1 <= len(times) <= most or long < 0.02
    assert all(first - 1e-6 <= t <= first + long + 1e-6 for t in times)
    if first > 1e9 and 10 * most < long < 1e9:
        assert all(local_time(Store(), t).split()[1].endswith(("0.000", "5.000")) for t in times)


def test_the_line_is_labelled_with_round_times(client: Callable[..., Client], tmp_path: Path) -> None:
    record(tmp_path / "store", "npy", 100, lost=range(42, 70), rate=10)
    ticks = client(tmp_path / "store").json("timeline", start=0, stop=72, buckets=10)["ticks"]
    assert ticks[:2] == [[0, "2023-11-14 22:13:20.000 UTC"], [20, "2023-11-14 22:13:22.000 UTC"]]
    assert ticks[3] == [42, "2023-11-14 22:13:26.000 UTC"]  # the first within the pause


def test_pictures_of_the_strip_are_of_key_frames(client: Callable[..., Client], tmp_path: Path) -> None:
    record(tmp_path / "store", "avc1/mp4", 400, lost={7})
    with imgstore.new_for_filename(tmp_path / "store") as store:
        keys = set(store.get_key_frames().tolist())
    asking = client(tmp_path / "store")
    steps = asking.json("pictures", start=0, stop=399, buckets=7)["steps"]
    assert steps == sorted(steps) and len(set(steps)) == 7 and keys.issuperset(steps)
    assert asking.json("pictures", start=101, stop=104, buckets=7)["steps"] == [101, 102, 103]


@pytest.mark.parametrize("text", ["", "noon", "25:00:00", "2026-13-01 00:00:00", "1:2", "٣:٣٠", "1e5", "--5", "<b>"])
def test_what_is_no_time_is_an_error(tmp_path: Path, text: str) -> None:
    record(tmp_path / "store", "npy", 2)
    with imgstore.new_for_filename(tmp_path / "store") as store, pytest.raises(ArgumentError):
        read_time(store, text, START, START)


# -- buckets ---------------------------------------------------------------------------------------------------------

values_beside = st.lists(st.tuples(st.integers(0, 3000), st.floats(-1e6, 1e6) | st.just(float("nan"))), max_size=60)


@given(values_beside, st.integers(0, 3000), st.integers(1, 3000), st.integers(1, 50), st.sampled_from([1, 40]))
def test_buckets_hold_all_values(rows: list[tuple[int, float]], start: int, long: int, buckets: int, repeat: int) -> None:
    """Lowest, highest and count of each bucket are those of a loop over all values, also where blocks are summed up before."""
    rows = sorted((row for row in rows for _ in range(repeat)), key=lambda row: row[0])
    positions = np.array([p for p, _ in rows], np.int64)
    values = np.array([v for _, v in rows], np.float64)
    edges = edges_of(start, start + long, buckets)
    assert edges[0] == start and edges[-1] == start + long and (np.diff(edges) > 0).all()
    low, high, count = Series(positions, values).look(edges)
    for b, (a, z) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        inside = [v for p, v in rows if a <= p < z and np.isfinite(v)]
        assert count[b] == len(inside)
        if inside:
            assert (low[b], high[b]) == (min(inside), max(inside))


def test_one_value_among_millions_is_in_its_bucket() -> None:
    values = np.zeros(3_000_000)
    values[1_234_567] = 9.0
    series = Series(np.arange(len(values)), values)
    for start, stop in ((0, len(values)), (1_000_000, 2_000_000), (1_234_000, 1_235_000), (1_234_567, 1_234_568)):
        edges = edges_of(start, stop, 777)
        _, high, count = series.look(edges)
        (at,) = np.flatnonzero(high == 9)
        assert edges[at] <= 1_234_567 < edges[at + 1] and count.sum() == stop - start


@given(st.lists(st.integers(0, 500), max_size=40), st.integers(0, 400), st.integers(1, 300), st.integers(1, 40))
def test_events_are_in_their_buckets(positions: list[int], start: int, long: int, buckets: int) -> None:
    positions.sort()
    edges = edges_of(start, start + long, buckets)
    events = Events(np.array(positions, np.int64), np.ones(len(positions)))
    found = {int(b): (amount, first) for b, amount, first in events.look(edges, "sum")}
    for b, (a, z) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        inside = [p for p in positions if a <= p < z]
        assert found.get(b) == ((len(inside), inside[0]) if inside else None)


def test_faults_that_an_index_shows() -> None:
    numbers = np.array([0, 1, 2, 5, 5, 4, 6, 7])
    times = np.array([0.0, 1, 2, 3, 4, 5, 4.5, 9])
    events, usual = find_events(numbers, times)
    assert usual == 1
    found = {kind: list(zip(e.positions.tolist(), e.amounts.tolist(), strict=True)) for kind, e in events.items()}
    assert found == {
        "missing": [(3, 2), (6, 1)], "pause": [(7, 4.5)], "repeat": [(4, 1)], "back": [(5, 1)], "clock": [(6, 0.5)],
    }  # fmt: skip
    for few in (0, 1):
        assert all(len(e.positions) == 0 for e in find_events(numbers[:few], times[:few])[0].values())


def test_one_missing_frame_is_seen_at_every_zoom(client: Callable[..., Client], tmp_path: Path) -> None:
    record(tmp_path / "store", "npy", 400, lost={123})
    asking = client(tmp_path / "store")
    for start, stop, buckets in ((0, 399, 10), (0, 399, 4096), (100, 150, 7), (123, 124, 5), (-50, 10**9, 300)):
        answer = asking.json("timeline", start=start, stop=stop, buckets=buckets)
        ((bucket, amount, first),) = answer["events"]["missing"]
        edges = edges_of(answer["start"], answer["stop"], answer["buckets"])
        assert (amount, first) == (1, 123) and edges[bucket] <= 123 < edges[bucket + 1]
    assert asking.json("timeline", start=124, stop=399, buckets=99)["events"]["missing"] == []


# -- beside the frames, ranges, several cameras, folders -------------------------------------------------------------


def test_extra_data_is_plotted(client: Callable[..., Client], tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "store", imgshape=(8, 8), chunksize=10) as store:
        for n in range(50):
            store.add_image(np.zeros((8, 8), np.uint8), n, n / 10)
            store.add_extra_data(temperature=n * 2, **({"valve": "open"} if n == 20 else {}))
    asking = client(tmp_path / "store")
    while asking.json("columns")["read"] < 1:
        time.sleep(0.02)
    assert asking.json("columns") == {
        "columns": [{"name": "temperature", "kind": "number"}, {"name": "valve", "kind": "event"}], "read": 1,
    }  # fmt: skip
    plot = asking.json("plot", column=0, start=0, stop=50, buckets=5)
    assert (plot["low"], plot["high"], plot["count"]) == ([0, 20, 40, 60, 80], [18, 38, 58, 78, 98], [10] * 5)
    assert asking.json("plot", column=1, start=0, stop=50, buckets=5)["events"] == [[2, 1, 20]]
    assert asking.json("plot", start=0, stop=50, buckets=1)["count"] == [49]  # intervals between frames
    assert asking.json("values", index=20)["values"] == ["40", "open"]
    assert asking.json("values", index=21)["values"] == ["42", None]


def test_a_range_is_saved(client: Callable[..., Client], tmp_path: Path) -> None:
    record(tmp_path / "store", "npy", 30, lost={11})
    status, _, body = client(tmp_path / "store").ask("export", start=9, stop=13)
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        lines = archive.read("frames.csv").decode().splitlines()
        assert [line.split(",")[:2] for line in lines[1:]] == [["9", "9"], ["10", "10"], ["11", "12"], ["12", "13"]]
        for line in lines[1:]:
            _, number, _, name = line.split(",")
            img = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(img, coded(int(number)))


def test_cameras_in_step(client: Callable[..., Client], tmp_path: Path) -> None:
    record(tmp_path / "left", "npy", 30, rate=30)
    record(tmp_path / "right", "npy", 100, rate=100, lost=range(40, 60))
    asking = client(tmp_path / "left", tmp_path / "right")
    assert asking.json("facts")["align"] == "time"  # of other rates: the same number is another moment
    record(tmp_path / "beside", "npy", 30, rate=30.01, lost={3})
    assert client(tmp_path / "left", tmp_path / "beside").json("facts")["align"] == "number"
    for align in ("number", "time"):
        with imgstore.StoreGroup([tmp_path / "left", tmp_path / "right"], align=align) as group:
            for step in range(30):
                wanted = group[step]
                for camera in (0, 1):
                    status, headers, body = asking.ask("frame", index=step, camera=camera, kind="raw", align=align)
                    label = json.loads(headers[LABEL])
                    assert label["index"] == step
                    if wanted.images[camera] is None:
                        assert status == 404 and label["absent"]
                    else:
                        assert label["number"] == str(wanted.frame_numbers[camera])
                        assert body == wanted.images[camera].tobytes()
    absent = asking.json("timeline", start=0, stop=30, buckets=30, camera=1, align="time")["events"]["absent"]
    with imgstore.StoreGroup([tmp_path / "left", tmp_path / "right"], align="time") as group:
        assert [b for b, _, _ in absent] == np.flatnonzero(group.table.positions[:, 1] < 0).tolist()


def test_a_folder_of_recordings(client: Callable[..., Client], tmp_path: Path) -> None:
    for name in ("a", "sub/b", "sub/deeper/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        record(tmp_path / name, "npy", 5)
    (tmp_path / "empty").mkdir()
    record(tmp_path / "torn", "npy", 5)
    (tmp_path / "torn" / "metadata.yaml").write_text("__store: [")
    (tmp_path / "of another program").mkdir()
    (tmp_path / "of another program" / "metadata.yaml").write_text("a: 1")
    asking = client(tmp_path)
    assert {title.replace(os.sep, "/") for title in asking.names} == {"a", "sub/b", "sub/deeper/c", "torn"}
    assert asking.at_once is None
    status, _, body = asking.ask("facts", r=asking.names.pop("torn"))
    assert status >= 400 and "metadata.yaml" in json.loads(body)["error"]
    for name in asking.names.values():
        assert asking.json("facts", r=name)["count"] == 5
        assert asking.json("summary", r=name)["totals"]["missing"] == [0, 0]
    together = ".".join(asking.names.values())
    assert len(asking.json("facts", r=together)["cameras"]) == 3
    record(tmp_path / "later", "npy", 7)
    assert "later" in {each["title"] for each in asking.json("recordings")["recordings"]}


def test_more_recordings_than_stay_open(client: Callable[..., Client], tmp_path: Path) -> None:
    for n in range(20):
        record(tmp_path / f"store{n:02d}", "npy", n + 1)
    asking = client(tmp_path)
    for _ in range(2):
        for title, name in asking.names.items():
            assert asking.json("facts", r=name)["count"] == int(title[-2:]) + 1
    open_files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert open_files < 500


def test_answers_are_sent_at_once(serve: Callable[..., Any], tmp_path: Path) -> None:
    """And wait for no acknowledgement of what was sent before, which would be 40 ms a frame."""
    server = serve(record(tmp_path / "store", "npy", 3))
    client = Client(server)
    connection = client.open("frame", index=0)
    connection.getresponse().read()
    ours = [each for each in server._server.server_state.connections if not each.transport.is_closing()]
    waits = [not each.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in ours]
    connection.close()
    assert waits == [False]


def test_what_cannot_be_served_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(NotAStoreError, match="nowhere"):
        imgstore.serve(tmp_path / "nowhere")
    with pytest.raises(NotAStoreError):
        imgstore.serve(tmp_path)
    with pytest.raises(ArgumentError):
        imgstore.serve()
    record(tmp_path / "store", "npy", 3)
    with pytest.raises(ArgumentError):
        imgstore.serve(tmp_path / "store", port=70000)
    with imgstore.serve(tmp_path / "store") as server, pytest.raises(OSError, match="cannot listen"):
        imgstore.serve(tmp_path / "store", port=Client(server).parts.port)


def test_an_empty_store(client: Callable[..., Client], tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "store", imgshape=(8, 8)):
        pass
    asking = client(tmp_path / "store")
    assert asking.json("facts")["count"] == 0
    assert asking.ask("frame", index=0)[0] == 404
    assert asking.json("summary")["usual"] is None
    assert asking.ask("find", number=0)[0] == 404
    assert asking.json("timeline", start=0, stop=1, buckets=100)["events"]["missing"] == []


def test_a_recording_that_goes_on(client: Callable[..., Client], tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "store", imgshape=coded_frames.coded(0).shape) as store:
        for n in range(5):
            store.add_image(coded(n), n, time.time())
        asking = client(tmp_path / "store")
        facts = asking.json("facts")
        assert asking.json("refresh") == {"count": facts["count"], "duration": facts["cameras"][0]["duration"], "live": False}
        for n in (5, 6, 8):
            store.add_image(coded(n), n, time.time())
        deadline = time.monotonic() + 10
        while (now := asking.json("refresh"))["count"] < 8 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert now["count"] == 8 and now["live"] and now["dropped"] == 1 and 0 <= now["age"] < 20
        label, raw = frame(asking, index=7, kind="raw")
        assert label["number"] == "8" and raw == coded(8).tobytes()


def test_plain_videos_and_images(client: Callable[..., Client], tmp_path: Path) -> None:
    record(tmp_path / "store", "h264/mkv", 30)
    (video,) = (tmp_path / "store").glob("*.mkv")
    shutil.move(video, tmp_path / "plain.mkv")
    (tmp_path / "images").mkdir()
    for n in range(5):
        cv2.imwrite(str(tmp_path / "images" / f"img{n}.png"), coded(n))
    for path, count in ((tmp_path / "plain.mkv", 30), (tmp_path / "images", 5), (tmp_path / "images" / "img*.png", 5)):
        asking = client(path)
        assert asking.json("facts")["count"] == count
        for position in (0, count - 1):
            label, png = frame(asking, index=position, kind="png")
            assert label["number"] == str(position)
            assert decoded(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)) == position
        asking.json("summary")
        asking.json("columns")
        asking.json("refresh")
        assert asking.json("timeline", start=0, stop=count, buckets=10)["events"]["missing"] == []


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no Ctrl-C to one process alone")
def test_the_command_serves_until_ctrl_c(tmp_path: Path) -> None:
    record(tmp_path / "store", "npy", 5)
    command = [sys.executable, "-m", "imgstore", "view", "--web", "--no-browser", str(tmp_path / "store")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **INTERRUPTIBLE) as process:
        try:
            assert process.stdout is not None

            class Server:
                url = process.stdout.readline().strip()

            asking = Client(Server)
            assert asking.json("facts")["count"] == 5
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            assert process.wait(10) == 130 and time.monotonic() - began < 5
            assert process.stderr is not None and "Traceback" not in process.stderr.read()
        finally:
            process.kill()
