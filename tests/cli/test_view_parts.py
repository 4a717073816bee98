"""What the window shows and what is done in it, without a window: keys, playing, the time line, zoom, steps, typing, saving."""

from __future__ import annotations

import contextlib
import datetime
import logging
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imgstore
from imgstore.cli._picture import Levels
from imgstore.cli._view_canvas import (
    LINE_HEIGHT,
    STATUS_HEIGHT,
    Zoom,
    cells_of,
    column_of,
    columns_of,
    draw_frames,
    draw_time_line,
    first_size,
    step_at,
)
from imgstore.cli._view_keys import ACTIONS, action_of, key_name
from imgstore.cli._view_player import SPEEDS, Player
from imgstore.cli._view_session import Session
from imgstore.cli._view_stores import Stores, save_frames
from imgstore.cli._view_window import Mouse
from imgstore.errors import ArgumentError

START = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
BARS = STATUS_HEIGHT + LINE_HEIGHT


def record(path: Path, numbers: list[int], offset: float = 0.0, shape: tuple[int, ...] = (48, 64)) -> Path:
    """Record frames at 10 per second by their numbers, each as bright as its number."""
    with imgstore.new_for_format(
        "npy", path, imgshape=shape, fps=10, chunksize=50
    ) as writer:
        for number in numbers:
            writer.add_image(np.full(shape, number % 256, np.uint8), number, START + offset + number / 10)
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Stores]:
    """100 frames, numbers 100 to 209, of which 120 to 124 and 150 to 154 are missing."""
    numbers = [n for n in range(100, 210) if not (120 <= n < 125 or 150 <= n < 155)]
    with imgstore.open(record(tmp_path / "recording", numbers)) as store:
        yield Stores([store])


@pytest.fixture
def session(recording: Stores) -> Session:
    """A session before the first frame, paused."""
    made = Session(recording, Player(recording.count, 10.0, paused=True), BARS)
    made.read()
    return made


def shown(session: Session) -> int:
    """Return the number that the status bar tells, which has to be that of the frame that is seen."""
    session.read()
    (picture,) = session._pictures
    assert picture is not None
    left, _ = session.status()
    number = int(left.split()[1])
    assert (picture == number % 256).all()
    canvas = session.picture((480 + BARS, 640))
    assert (canvas[240, 320] == number % 256).all()
    assert f"frame {number} " in session.title()
    return number


class TestKeys:
    @pytest.mark.parametrize(
        "code, name",
        [(0xFF51, "left"), (0x250000, "left"), (0xF702, "left"), (0x1FF53, "shift+right"), (0x4FF53, "ctrl+right"),
         (0x10FF53, "right"), (0x14FF51, "ctrl+left"), (ord("q"), "q"), (0x1003E, ">"), (0x20, " "), (0x220000, "page down"),
         (0xFFE1, None), (0x0D, "enter"), (0xFFBE, None)],
    )  # fmt: skip
    def test_names(self, code: int, name: str | None) -> None:
        """As Qt, GTK, Windows and macOS tell of them, with Num Lock too."""
        assert key_name(code) == name

    def test_actions(self) -> None:
        keys = [key for keys in ACTIONS.values() for key in keys]
        assert len(set(keys)) == len(keys)
        assert action_of("K") == action_of(" ") == "pause"
        assert action_of("shift+right") == "second forward" and action_of("shift+home") == "first"
        assert action_of("+") == "zoom in" and action_of("x") is None

    def test_each_action_is_done(self, session: Session) -> None:
        assert session._actions().keys() == ACTIONS.keys() - {"quit"}
        assert not session.press("q") and not session.press("escape") and session.press("x")


class TestPlayer:
    """Which frame is due."""

    def test_by_the_clock(self) -> None:
        player = Player(count=10, fps=10)
        player.restart_clock(100.0)
        assert player.advance(100.05) and player.position == 0
        assert player.wait_ms(100.05) <= 51
        assert player.advance(100.11) and player.position == 1
        assert player.advance(100.55) and player.position == 5  # late: some are left out
        assert player.advance(100.95) and player.position == 9
        assert not player.advance(101.05) and player.position == 9

    def test_late_at_the_end(self) -> None:
        """The last frame is seen, however late it is."""
        player = Player(count=10, fps=10)
        player.restart_clock(0.0)
        assert player.advance(5.0) and player.position == 9
        assert not player.advance(5.01)

    def test_pausing_takes_no_time_off(self) -> None:
        player = Player(count=100, fps=10)
        player.restart_clock(0.0)
        player.advance(0.25)
        player.toggle(0.3)
        assert player.advance(50.0) and player.position == 2
        player.toggle(60.0)
        assert player.advance(60.05) and player.position == 2
        assert player.advance(60.15) and player.position == 3

    def test_as_fast_as_possible(self) -> None:
        player = Player(count=3, fps=0)
        assert [player.advance(0.0), player.advance(0.0), player.advance(0.0)] == [True, True, False]

    @pytest.mark.parametrize("speed", SPEEDS)
    @pytest.mark.parametrize("way", [1, -1])
    def test_speeds(self, speed: float, way: int) -> None:
        player = Player(count=100_000, fps=10, position=50_000, paused=True)
        player.play(way, 0.0)
        while abs(player.speed) != speed:
            player.change_speed(1 if speed > 1 else -1, 0.0)
        assert player.advance(10.001) and player.position == 50_000 + way * int(100 * speed)

    def test_backwards_ends_at_the_first_frame(self) -> None:
        player = Player(count=10, fps=10, position=3)
        player.play(-1, 0.0)
        assert player.advance(0.15) and player.position == 2 and not player.paused
        assert player.advance(0.35) and player.position == 0 and not player.paused
        assert player.advance(0.45) and player.position == 0 and player.paused

    def test_play_again_is_faster_and_the_other_way_begins_anew(self) -> None:
        player = Player(count=10, fps=10, paused=True)
        speeds = []
        for way in (1, 1, 1, -1, -1, 1):
            player.play(way, 0.0)
            speeds.append(player.speed)
        assert speeds == [1, 2, 4, -1, -2, 1]

    def test_following(self) -> None:
        """At the last frame it waits, and shows the newest; who has gone elsewhere is left there."""
        player = Player(count=10, fps=10, follow=True, position=9)
        player.restart_clock(0.0)
        assert player.advance(5.0) and player.position == 9
        player.grow(30, 5.0)
        assert player.position == 29 and player.advance(5.0)
        player.go(12, 6.0)
        player.grow(50, 7.0)
        assert (player.position, player.paused) == (12, True)
        player.go(49, 8.0)
        player.grow(60, 9.0)
        assert (player.position, player.paused) == (59, False)

    def test_following_what_has_no_frame_yet(self) -> None:
        player = Player(count=0, fps=10, follow=True)
        assert player.advance(1.0) and player.position == 0
        player.grow(3, 2.0)
        assert player.position == 2


class TestTimeLine:
    @given(st.integers(1, 10**7), st.integers(40, 3000), st.data())
    def test_columns_and_steps(self, count: int, width: int, data: st.DataObject) -> None:
        column = data.draw(st.integers(0, width - 1))
        step = data.draw(st.integers(0, count - 1))
        assert 0 <= step_at(column, width, count) < count
        assert step_at(0, width, count) == 0 and step_at(width - 1, width, count) == count - 1
        assert 0 <= column_of(step, width, count) < width
        if count < width - 1 and column_of(step, width, count) < width - 1:
            assert step_at(column_of(step, width, count), width, count) == step

    @given(st.integers(2, 10**7), st.integers(40, 2000), st.data())
    def test_no_gap_is_thinner_than_a_pixel(self, count: int, width: int, data: st.DataObject) -> None:
        gap = data.draw(st.integers(1, count - 1))
        here = data.draw(st.integers(0, count - 1))
        line = draw_time_line(width, count, here, columns_of(np.array([gap]), width, count))
        red = (line[:, :, 2] > 200) & (line[:, :, 1] < 100)
        assert red[LINE_HEIGHT // 2].tolist() == [x == column_of(gap, width, count) for x in range(width)]
        assert (line[0] == 255).all(axis=1).any()  # where it is


class TestZoom:
    @given(st.lists(st.tuples(st.floats(0.5, 2), st.floats(0, 1), st.floats(0, 1), st.booleans())))
    def test_stays_within_the_frame(self, moves: list[tuple[float, float, float, bool]]) -> None:
        zoom = Zoom()
        for factor, x, y, drag in moves:
            zoom = zoom.drag(x - 0.5, y - 0.5) if drag else zoom.by(factor, (x, y))
            edge = 0.5 / zoom.factor - 1e-9
            assert 1 <= zoom.factor <= 64 and edge <= zoom.x <= 1 - edge and edge <= zoom.y <= 1 - edge

    def test_the_point_under_the_mouse_stays(self) -> None:
        zoom = Zoom().by(2, (0.25, 0.75))
        # what is at a quarter of the frame is still at a quarter of its place
        assert (0.25 - zoom.x) * zoom.factor + 0.5 == pytest.approx(0.25)
        assert (0.75 - zoom.y) * zoom.factor + 0.5 == pytest.approx(0.75)

    def test_pixels_are_whole(self) -> None:
        picture = np.arange(16 * 16, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
        canvas = draw_frames((160, 160), [picture], [""], Zoom(2.0, 0.25, 0.25))
        assert (canvas[:, :, 0] == picture[:8, :8, 0].repeat(20, axis=0).repeat(20, axis=1)).all()

    def test_all_of_a_frame_that_is_larger(self) -> None:
        picture = np.full((1000, 3000, 3), 77, np.uint8)
        canvas = draw_frames((300, 300), [picture], [""], Zoom())
        assert (canvas[100:200] == 77).all() and not canvas[:100].any() and not canvas[200:].any()

    @pytest.mark.parametrize("count", range(1, 8))
    def test_places(self, count: int) -> None:
        """None covers another, nor its label, and all have about the same room."""
        seen = np.zeros((301, 203), int)
        cells = cells_of(seen.shape, count)
        for top, left, height, width in cells:
            seen[top - (20 if count > 1 else 0) : top + height, left : left + width] += 1
        assert len(cells) == count and seen.max() == 1
        for k in (2, 3):
            assert max(cell[k] for cell in cells) - min(cell[k] for cell in cells) <= 1

    def test_labels_cover_no_frame(self) -> None:
        picture = np.full((100, 100, 3), 200, np.uint8)
        canvas = draw_frames((120, 200), [picture, None], ["left", "right"], Zoom())
        assert (canvas[20:, :100] == 200).all() and (canvas[:20, :100] != 200).any()

    def test_size_of_a_new_window(self) -> None:
        assert first_size([(480, 640, 3)], 48) == (528, 640)
        assert first_size([(30, 40)], 0) == (420, 560)
        assert max(first_size([(4000, 9000)] * 4, 0)) <= 1600


class TestSession:
    def test_what_is_said_is_what_is_seen(self, session: Session) -> None:
        expected = [("right", 101), (".", 102), ("left", 101), (">", 111), ("<", 101), ("end", 209), ("right", 209), ("<", 199),
                    ("up", 209), ("down", 100), ("page down", 125), ("page down", 155), ("page down", 155), ("page up", 125),
                    ("home", 100), ("page up", 100)]  # fmt: skip
        for key, number in expected:
            assert session.press(key)
            assert shown(session) == number, key
        assert session.status()[0] == "frame 100  (1/100)  no gap before this"
        assert session.status()[1] == "2023-11-14 22:13:30.000 UTC  paused"

    @pytest.mark.parametrize(
        "typed, number",
        [("149", 149), ("#1", 100), ("#100", 209), ("2s", 119), ("-1s", 199), ("0.5 s", 105), ("22:13:31", 110),
         ("2023-11-14 22:13:32.6", 126), ("22:13", 100), ("2024-01-01 00:00", 209)],
    )  # fmt: skip
    def test_go_to(self, session: Session, typed: str, number: int) -> None:
        for key in ["g", *typed, "9", "backspace", "enter"]:
            assert session.press(key)
        assert shown(session) == number

    @pytest.mark.parametrize("typed", ["122", "#0", "#101", "q", "25:00:00", "-", "99999999999999999999"])
    def test_go_to_what_is_not_there(self, session: Session, typed: str) -> None:
        for key in ["g", *typed]:
            session.press(key)
            assert "go to: " in session.status()[0]
        session.press("enter")
        assert shown(session) == 100
        assert len(session.status()[0]) > len("frame 100  (1/100)  ")
        session.press("right")
        assert shown(session) == 101 and session.status()[0] == "frame 101  (2/100)"

    def test_typing_can_be_given_up(self, session: Session) -> None:
        for key in ("g", "5", "escape"):
            assert session.press(key)
        assert session.status()[0] == "frame 100  (1/100)"

    def test_time_line(self, session: Session) -> None:
        """Pressing and dragging there; dragging in the picture is something else."""
        size = (480 + BARS, 640)
        for what, x, y, number in [
            ("press", 0, 520, 100), ("drag", 320, 520, 160), ("drag", 639, 0, 209), ("drag", -50, 520, 100),
            ("release", 400, 520, 100), ("press", 320, 100, 100), ("drag", 320, 520, 100),
        ]:  # fmt: skip
            session.point(Mouse(what, x, y), size)
            assert shown(session) == number

    def test_mouse_moves_and_zooms(self, session: Session) -> None:
        size = (480 + BARS, 640)
        session.point(Mouse("wheel", 160, 120, 1), size)
        assert session._zoom.factor == 1.25 and session._zoom.x < 0.5
        before = session._zoom.x
        session.point(Mouse("press", 300, 100), size)
        session.point(Mouse("drag", 290, 100), size)
        assert session._zoom.x == pytest.approx(before + 10 / 640 / 1.25)
        session.press("0")
        assert session._zoom == Zoom()

    def test_frames_are_read_once(self, session: Session, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "imgstore.view"):
            for key in ("right", "+", "?", "escape", "]", "g", "escape"):
                session.press(key)
                session.read()
        assert len(caplog.records) == 1

    def test_save(self, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "out").mkdir()
        monkeypatch.chdir(tmp_path / "out")
        session.press("right")
        session.read()
        session.press("s")
        first = "recording_101_2023-11-14-22.13.30.100-UTC.png"
        assert session.status()[0].endswith(f"saved {first}")
        written = Path(first).read_bytes()
        session.press("s")
        assert sorted(path.name for path in Path().iterdir()) == [first, first.replace(".png", "_2.png")]
        assert Path(first).read_bytes() == written
        assert (cv2.imread(first, cv2.IMREAD_UNCHANGED) == np.full((48, 64), 101, np.uint8)).all()


class TestStores:
    def test_side_by_side(self, tmp_path: Path) -> None:
        """In step by number; a camera without a frame shows none, and its gap is one of the recording's."""
        left = record(tmp_path / "left", list(range(20)))
        right = record(tmp_path / "right", [n for n in range(20) if not 5 <= n < 8], shape=(30, 40, 3))
        with imgstore.open(left) as one, imgstore.open(right) as two:
            stores = Stores([one, two])
            assert stores.count == 20 and stores.gaps().tolist() == [5]
            assert [seen.number for seen in stores.read(4)] == [4, 4]
            a, b = stores.read(6)
            assert (a.number, b.number, b.img, b.problem) == (6, None, None, "no frame at this instant")
            session = Session(stores, Player(stores.count, 10.0, paused=True, position=8), BARS)
            session.read()
            assert [seen.number for seen in session._seen] == [8, 8]
            picture = session.picture((200 + BARS, 600))
            assert (picture[110, 150] == 8).all() and (picture[110, 450] == 8).all()

    def test_by_time_where_no_number_is_common(self, tmp_path: Path) -> None:
        left, right = record(tmp_path / "left", [0, 1, 2, 3]), record(tmp_path / "right", [100, 101, 102, 103], offset=-10)
        with imgstore.open(left) as one, imgstore.open(right) as two:
            assert [seen.number for seen in Stores([one, two]).read(2)] == [2, 102]

    def test_follow(self, tmp_path: Path) -> None:
        path = tmp_path / "recording"
        with imgstore.new_for_format("npy", path, imgshape=(48, 64), fps=10) as writer, imgstore.open(path) as store:
            session = Session(Stores([store]), Player(0, 10.0, follow=True), BARS)
            session.read()
            assert session.status()[0] == "no frame yet" and session.picture((200, 300)).shape == (200, 300, 3)
            for number in range(5):
                writer.add_image(np.full((48, 64), number, np.uint8), number, START + number / 10)
                session.refresh()
                assert shown(session) == number
            session.press("left")
            writer.add_image(np.full((48, 64), 5, np.uint8), 5, START + 0.5)
            session.refresh()
            assert shown(session) == 3 and session.status()[0] == "frame 3  (4/6)"

    def test_follow_several(self, tmp_path: Path) -> None:
        """A frame of the second that comes later than the first's is shown when it is there."""
        paths = tmp_path / "left", tmp_path / "right"
        with contextlib.ExitStack() as opened:
            left, right = (opened.enter_context(imgstore.new_for_format("npy", p, imgshape=(48, 64))) for p in paths)
            for number in range(3):
                for writer in (left, right):
                    writer.add_image(np.full((48, 64), number, np.uint8), number, float(number))
            stores = Stores([opened.enter_context(imgstore.open(p)) for p in paths])
            session = Session(stores, Player(3, 10.0, follow=True, position=2), BARS)
            session.read()
            assert [seen.number for seen in session._seen] == [2, 2]
            for writer, numbers in ((left, [3, None]), (right, [3, 3])):
                writer.add_image(np.full((48, 64), 3, np.uint8), 3, 3.0)
                session.refresh()
                session.read()
                assert [seen.number for seen in session._seen] == numbers

    def test_same_number_again(self, tmp_path: Path) -> None:
        """Of frames with the number that is typed, the next one."""
        with imgstore.open(record(tmp_path / "recording", [0, 1, 2, 0, 1, 2])) as store:
            stores = Stores([store])
            assert [stores.find("1", near) for near in range(6)] == [1, 4, 4, 4, 1, 1]

    def test_frames_without_times(self, tmp_path: Path) -> None:
        path = tmp_path / "recording"
        with imgstore.new_for_format("npy", path, imgshape=(4, 4)) as writer:
            for number in range(3):
                writer.add_image(np.zeros((4, 4), np.uint8), number, float(number))
        with imgstore.open(path) as store:
            stores = Stores([store])
            assert stores.away(0, 1) == 1 and stores.away(2, 1) == 2 and stores.away(2, -60) == 0
            assert stores.find("1.2s", 0) == 1
            with pytest.raises(ArgumentError, match="no frame has the number 7"):
                stores.find("7", 0)

    @pytest.mark.parametrize("dtype", ["uint16", "float32"])
    def test_saved_samples(self, tmp_path: Path, dtype: str) -> None:
        path = tmp_path / "recording"
        img = (np.arange(64 * 48).reshape(48, 64) * 20).astype(dtype)
        with imgstore.new_for_format("npy", path, imgshape=img.shape, imgdtype=img.dtype) as writer:
            writer.add_image(img, 7, 0.5)
        with imgstore.open(path) as store:
            (file,) = save_frames(Stores([store]).read(0), [Levels()], tmp_path)
        saved = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert file.name == "recording_7_0.500-s.png"
        assert (saved == (img if dtype == "uint16" else Levels().to_8_bits(img))).all()


def test_times_typed_are_of_the_day_that_is_seen(tmp_path: Path) -> None:
    """Past midnight the same clock means the next day."""
    path = tmp_path / "recording"
    zone = datetime.timezone.utc
    begin = datetime.datetime(2024, 5, 1, 23, 0, tzinfo=zone).timestamp()
    with imgstore.new_for_format("npy", path, imgshape=(4, 4)) as writer:
        for k in range(49):
            writer.add_image(np.zeros((4, 4), np.uint8), k, begin + k * 1800)
    with imgstore.open(path) as store:
        stores = Stores([store])
        assert stores.find("23:30", 0) == 1 and stores.find("23:00", 10) == 48
        assert stores.find("2024-05-02 00:30", 0) == 3
        assert math.isfinite(stores.read(3)[0].time)
