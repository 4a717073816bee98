"""What the page takes of a machine stays within bounds, whoever asks and however long."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from coded_frames import coded, record
from page_client import Client

import imgstore

LABEL = "x-imgstore-frame"
MOST_GROWN = 50e6  # bytes


def check(client: Client, index: int) -> None:
    """Ask for a frame, and compare it with the one that was recorded."""
    status, headers, body = client.ask("frame", index=index, kind="raw")
    label = json.loads(headers[LABEL])
    assert (status, label["index"]) == (200, index)
    assert body == coded(int(label["number"])).tobytes()


@pytest.mark.long
def test_a_hundred_tabs(serve: Callable[..., Any], tmp_path: Path) -> None:
    """Each gets its own frames, all at the same time."""
    server = serve(record(tmp_path / "store", "npy", 300))

    def tab(seed: int) -> None:
        client = Client(server)
        generator = random.Random(seed)
        for _ in range(3):
            check(client, generator.randrange(300))
            start = generator.randrange(200)
            assert client.json("timeline", start=start, stop=start + 100, buckets=50)["buckets"] == 50
            assert client.json("refresh")["count"] == 300

    with ThreadPoolExecutor(100) as tabs:
        list(tabs.map(tab, range(100)))


@pytest.mark.long
def test_a_range_that_nobody_reads_is_not_made(serve: Callable[..., Any], tmp_path: Path) -> None:
    """Of a range that is saved no more is made than is taken; others go on meanwhile."""
    with imgstore.new_for_format("npy", tmp_path / "store", imgshape=(512, 512)) as store:
        generator = np.random.default_rng(0)
        for n in range(200):
            store.add_image(generator.integers(0, 256, (512, 512), np.uint8), n, n / 10)
    client = Client(serve(tmp_path / "store"))
    before = psutil.Process().memory_info().rss
    answers = [client.open("export", start=0, stop=200) for _ in range(10)]  # 50 MB each
    for index in range(50):
        assert client.ask("frame", index=index, kind="raw")[0] == 200
    assert psutil.Process().memory_info().rss - before < 150e6
    for connection in answers:
        connection.close()
    assert client.ask("frame", index=0)[0] == 200


@pytest.mark.long
def test_the_server_does_not_grow(command: Callable[..., Any], tmp_path: Path) -> None:
    """As many questions of all kinds as half an hour of looking has, after those that warm it up."""
    with imgstore.new_for_format("avc1/mp4", tmp_path / "store", imgshape=(480, 640), fps=25, chunksize=500) as store:
        for n in range(3000):
            img = np.full((480, 640), n % 200, np.uint8)
            img[n % 480] = 255
            store.add_image(img, n, n / 25)
            store.add_extra_data(temperature=n / 2, said=f"frame {n}")
    process = command(tmp_path / "store")

    def look(seed: int, rounds: int) -> None:
        client, generator = Client(process), random.Random(seed)
        for _ in range(rounds):
            at = generator.randrange(2900)
            kind = generator.choice(["raw", "jpeg", "png"])
            label = json.loads(client.ask("frame", index=at, kind=kind)[1][LABEL])
            assert label["number"] == str(at)
            client.json("timeline", start=at, stop=at + 100, buckets=200)
            client.json("plot", column=-1, start=0, stop=at, buckets=900)
            client.json("values", index=at)
            client.json("find", number=at)
            client.json("columns")

    def several(rounds: int) -> None:
        threads = [threading.Thread(target=look, args=(seed, rounds)) for seed in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    several(60)
    before = psutil.Process(process.pid).memory_info().rss
    several(200)
    assert psutil.Process(process.pid).memory_info().rss - before < MOST_GROWN
