"""``imgstore view`` and ``imgstore save --preview`` as a person sees them: a real window, real keys.

The window is on a virtual display; keys are pressed by xdotool; what is shown is taken from the window's title, from
the lines of ``--verbose`` and, for the picture, from the display itself.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from rounds import long_but

import imgstore
from imgstore.cli._picture import Levels, to_picture, with_status_bar
from imgstore.errors import FormatError

# processes are started there, so that the installed package is found and not the one in the checkout
ELSEWHERE = tempfile.gettempdir()
FIRST = 500  # frame number of the first frame
COUNT = 60
GREEN = (40, 200, 40)


@pytest.fixture(scope="module")
def display(need_tool: Callable[[str], str]) -> Iterator[dict[str, str]]:
    """The environment of a process with a virtual display of its own."""
    xvfb = need_tool("Xvfb")
    need_tool("xdotool")
    reading, writing = os.pipe()
    command = [xvfb, "-displayfd", str(writing), "-screen", "0", "1280x1024x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as answer:
            number = answer.readline().strip()
        assert number, "Xvfb did not start"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WAYLAND")}
        yield {**environment, "DISPLAY": f":{number}"}
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Green frames of 640 x 480 at 25 frames per second, numbered from FIRST, in Vienna's summer."""
    path = tmp_path_factory.mktemp("view") / "recording"
    with imgstore.new_for_format(
        "png", path, imgshape=(480, 640, 3), fps=25, chunksize=25, metadata={"timezone": "Europe/Vienna"}
    ) as writer:
        img = np.empty((480, 640, 3), np.uint8)
        img[:] = GREEN
        for k in range(COUNT):
            writer.add_image(img, FIRST + k, 1_700_000_000 + k / 25)
    return path


class Viewer:
    """A viewer in a process of its own, and a person before it."""

    def __init__(self, environment: dict[str, str], *arguments: object, command: str, cwd: str | Path):
        self._environment = environment
        self.process = subprocess.Popen(
            [sys.executable, "-m", "imgstore", command, *map(str, arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )

    def xdotool(self, *arguments: str) -> str:
        result = subprocess.run(
            ["xdotool", *arguments], env=self._environment, capture_output=True, text=True, timeout=30, check=False
        )
        return result.stdout.strip()

    def window(self) -> str:
        """Wait for the window to be there and return its number; give it the keyboard."""
        window = self.until(lambda: self.xdotool("search", "--onlyvisible", "--name", "imgstore").splitlines())[-1]
        self.xdotool("windowfocus", "--sync", window)
        return window

    def title(self) -> str:
        window = self.xdotool("search", "--onlyvisible", "--name", "imgstore").splitlines()
        return self.xdotool("getwindowname", window[-1]) if window else ""

    def frame(self) -> int:
        match = re.search(r"frame (-?\d+)", self.title())
        return int(match[1]) if match else -1

    def key(self, name: str) -> None:
        self.xdotool("key", name)

    def until(self, condition: Callable[[], object], seconds: float = 20) -> object:
        """Wait until a condition holds and return its value."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            if self.process.poll() is not None:
                raise AssertionError(f"the process has ended: {self.end()}")
            time.sleep(0.02)
        raise AssertionError(f"it did not happen; the window's title is {self.title()!r}")

    def end(self) -> tuple[int, str, str]:
        """Wait for the process and return its exit status, output and errors."""
        output, errors = self.process.communicate(timeout=30)
        return self.process.returncode, output, errors


@pytest.fixture
def view(display: dict[str, str]) -> Iterator[Callable[..., Viewer]]:
    """``view(path, ...)`` starts a viewer, which does not outlive the test."""
    viewers = []

    def start(*arguments: object, command: str = "view", cwd: str | Path = ELSEWHERE) -> Viewer:
        viewers.append(Viewer(display, *arguments, command=command, cwd=cwd))
        return viewers[-1]

    yield start
    for viewer in viewers:
        if viewer.process.poll() is None:
            viewer.process.kill()
        viewer.process.communicate()


def screenshot(environment: dict[str, str]) -> np.ndarray:
    """Return what is on the display, (h, w, 3) BGR."""
    x11 = ctypes.CDLL(ctypes.util.find_library("X11"))
    x11.XOpenDisplay.restype = x11.XGetImage.restype = ctypes.c_void_p
    x11.XDefaultRootWindow.argtypes = [ctypes.c_void_p]
    x11.XDefaultRootWindow.restype = ctypes.c_ulong
    x11.XGetImage.argtypes = [ctypes.c_void_p, ctypes.c_ulong, *[ctypes.c_int] * 2, *[ctypes.c_uint] * 2,
                              ctypes.c_ulong, ctypes.c_int]  # fmt: skip
    x11.XGetPixel.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    x11.XGetPixel.restype = ctypes.c_ulong
    x11.XDestroyImage.argtypes = x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    connection = x11.XOpenDisplay(environment["DISPLAY"].encode())
    root = x11.XDefaultRootWindow(connection)
    image = x11.XGetImage(connection, root, 0, 0, 1280, 1024, 0xFFFFFFFF, 2)  # AllPlanes, ZPixmap
    # struct _XImage: width, height, xoffset, format; data (a pointer) comes next: 32 bits a pixel here
    data = ctypes.cast(image + 16, ctypes.POINTER(ctypes.c_void_p))[0]
    pixels = np.ctypeslib.as_array(ctypes.cast(data, ctypes.POINTER(ctypes.c_uint8)), (1024, 1280, 4))
    picture = pixels[:, :, :3].copy()
    x11.XDestroyImage(image)
    x11.XCloseDisplay(connection)
    return picture


def press_close_button(environment: dict[str, str], window: str) -> None:
    """Do what a window manager does when the close button is pressed (ICCCM, 4.2.8.1: WM_DELETE_WINDOW)."""

    class ClientMessage(ctypes.Structure):
        _fields_ = (("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int),
                    ("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("message_type", ctypes.c_ulong),
                    ("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("rest", ctypes.c_long * 24))  # fmt: skip

    x11 = ctypes.CDLL(ctypes.util.find_library("X11"))
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    x11.XInternAtom.restype = ctypes.c_ulong
    x11.XSendEvent.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    connection = x11.XOpenDisplay(environment["DISPLAY"].encode())
    event = ClientMessage(type=33, window=int(window), format=32)
    event.message_type = x11.XInternAtom(connection, b"WM_PROTOCOLS", 0)
    event.data[0] = x11.XInternAtom(connection, b"WM_DELETE_WINDOW", 0)
    x11.XSendEvent(connection, int(window), 0, 0, ctypes.byref(event))
    x11.XCloseDisplay(connection)


class TestKeys:
    def test_pause_step_and_quit(self, view: Callable[..., Viewer], store: Path) -> None:
        viewer = view(store, "--fps", "5")
        viewer.window()
        viewer.until(lambda: viewer.frame() >= FIRST + 2)
        viewer.key("space")
        viewer.until(lambda: "paused" in viewer.title())
        here = viewer.frame()
        time.sleep(0.6)  # three frames' time
        assert viewer.frame() == here
        for key, expected in [
            ("Right", here + 1),
            ("Right", here + 2),
            ("Left", here + 1),
            ("period", here + 2),
            ("comma", here + 1),
            ("End", FIRST + COUNT - 1),
            ("Right", FIRST + COUNT - 1),  # there is nothing behind the last one
            ("Left", FIRST + COUNT - 2),
            ("Home", FIRST),
            ("Left", FIRST),
        ]:
            viewer.key(key)
            viewer.until(lambda expected=expected: viewer.frame() == expected)
        viewer.key("space")
        viewer.until(lambda: "paused" not in viewer.title() and viewer.frame() >= FIRST + 2)
        viewer.key("q")
        status, _, errors = viewer.end()
        assert (status, errors) == (0, "")

    @pytest.mark.parametrize("key", ["q", "Escape"])
    def test_quit_while_it_plays(self, view: Callable[..., Viewer], store: Path, key: str) -> None:
        viewer = view(store, "--fps", "2")
        viewer.window()
        viewer.key(key)
        assert viewer.end()[0] == 0

    def test_close_button(self, view: Callable[..., Viewer], store: Path, display: dict[str, str]) -> None:
        viewer = view(store, "--fps", "2")
        press_close_button(display, viewer.window())
        status, _, errors = viewer.end()
        assert (status, errors) == (0, "")

    def test_arrow_stops_playing(self, view: Callable[..., Viewer], store: Path) -> None:
        viewer = view(store, "--fps", "5")
        viewer.window()
        viewer.key("Right")
        viewer.until(lambda: "paused" in viewer.title())


class TestMoving:
    """Through the real window system; what each key does in all is in test_view_parts.py."""

    def test_typed_clicked_and_saved(self, view: Callable[..., Viewer], store: Path, tmp_path: Path) -> None:
        viewer = view(store, "--fps", "1", cwd=tmp_path)
        window = viewer.window()
        # a key that comes before Qt has heard of the focus is lost
        viewer.until(lambda: "paused" in viewer.title() or (viewer.window(), viewer.key("Home"))[1])
        for key in ("g", "5", "2", "0", "Return"):
            viewer.key(key)
        viewer.until(lambda: viewer.frame() == 520 and "paused" in viewer.title())
        viewer.key("greater")  # one second
        viewer.until(lambda: viewer.frame() == 545)
        viewer.key("s")
        viewer.until(lambda: list(tmp_path.glob("*.png")))
        # the time line is at the bottom of 640 x 528: a press in the middle, and dragged beyond its end
        viewer.xdotool("mousemove", "--window", window, "320", "520", "mousedown", "1")
        viewer.until(lambda: viewer.frame() == FIRST + COUNT // 2)
        viewer.xdotool("mousemove", "--window", window, "639", "400")
        viewer.until(lambda: viewer.frame() == FIRST + COUNT - 1)
        viewer.xdotool("mouseup", "1")
        # a window of another size is drawn anew: the line is at its new bottom
        viewer.xdotool("windowsize", window, "800", "600")
        time.sleep(0.2)
        viewer.xdotool("mousemove", "--window", window, "200", "595", "click", "1")
        viewer.until(lambda: viewer.frame() == FIRST + COUNT // 4)
        viewer.key("j")  # backwards
        viewer.until(lambda: viewer.frame() < FIRST + COUNT // 4 and "paused" not in viewer.title())
        viewer.key("q")
        assert viewer.end()[::2] == (0, "")
        (saved,) = tmp_path.glob("*.png")
        assert saved.name.startswith("recording_545_2023-11-14")

    @pytest.mark.long
    def test_several_in_step(self, view: Callable[..., Viewer], store: Path, tmp_path: Path) -> None:
        """With a second one that begins later: each step has the frames of one number."""
        other = tmp_path / "other"
        with imgstore.new_for_format("png", other, imgshape=(48, 64)) as writer:
            for k in range(10, COUNT):
                writer.add_image(np.full((48, 64), k, np.uint8), FIRST + k, 1_700_000_000 + k / 25)
        viewer = view(store, other, "--fps", "2")
        viewer.window()
        viewer.key("Next")  # where the second one has none
        viewer.key("End")
        viewer.until(lambda: viewer.frame() == FIRST + COUNT - 1)
        viewer.key("q")
        assert viewer.end()[::2] == (0, "")

    @pytest.mark.long
    def test_follow(self, view: Callable[..., Viewer], tmp_path: Path) -> None:
        """A recording that goes on is shown up to its newest frame, and the window stays."""
        path = tmp_path / "recording"
        with imgstore.new_for_format("png", path, imgshape=(48, 64)) as writer:
            writer.add_image(np.zeros((48, 64), np.uint8), 0, 0.0)
            viewer = view(path, "--follow")
            viewer.window()
            for k in range(1, 4):
                writer.add_image(np.full((48, 64), k, np.uint8), k, k / 10)
                viewer.until(lambda k=k: viewer.frame() == k)
        viewer.key("q")
        assert viewer.end()[::2] == (0, "")


class TestPlaying:
    def test_every_frame_as_fast_as_possible(self, view: Callable[..., Viewer], store: Path) -> None:
        """--fps 0 leaves none out, and the window closes after the last one, as in 0.x."""
        viewer = view(store, "--fps", "0", "--verbose")
        status, _, errors = viewer.end()
        assert status == 0
        shown = [int(n) for n in re.findall(r"frame (\d+) \(", errors)]
        assert shown == list(range(FIRST, FIRST + COUNT))
        assert f"frame {FIRST + 2} (3/{COUNT})" in errors

    @pytest.mark.parametrize("arguments, seconds", [(["--fps", "60"], 1.0), pytest.param([], COUNT / 25, marks=pytest.mark.long)])
    def test_real_time(self, view: Callable[..., Viewer], store: Path, arguments: list[str], seconds: float) -> None:
        """It takes as long as it took, by --fps or by the store's own rate."""
        viewer = view(store, "--verbose", *arguments)
        assert viewer.process.stderr is not None
        first = viewer.process.stderr.readline()
        began = time.monotonic()
        assert f"frame {FIRST} " in first
        status, _, errors = viewer.end()
        took = time.monotonic() - began
        assert status == 0
        assert took > seconds * 0.9  # never too fast; how much slower a busy machine is, is not ours
        shown = [int(n) for n in re.findall(r"frame (\d+) \(", errors)]
        assert shown == sorted(shown) and shown[-1] == FIRST + COUNT - 1


class TestPicture:
    def test_frame_and_status_bar(self, view: Callable[..., Viewer], store: Path, display: dict[str, str]) -> None:
        """The whole frame, and under it a dark bar with light writing; without the bar on request."""
        bars = {}
        for hidden in (False, True):
            for _ in range(6):
                viewer = view(store, "--fps", "1", *(["--hide-statusbar"] if hidden else []))
                viewer.window()
                picture = _painted(display, seconds=4)
                if picture is not None:
                    break
                # On a machine with much else to do, Qt of OpenCV 5.0 sometimes never paints a window on Xvfb, a bare
                # cv2.imshow's neither.
                viewer.key("q")
                viewer.end()
            assert picture is not None
            rows = _green_rows(picture)
            assert rows == pytest.approx(480, abs=3)
            below = picture[rows + 3 : rows + 20, 5:635]
            bars[hidden] = int((below.min(axis=2) > 150).sum())
            viewer.key("q")
            assert viewer.end()[0] == 0
        assert bars[False] > 200  # writing
        assert bars[True] == 0

    def test_damaged_frame(self, view: Callable[..., Viewer], tmp_path: Path) -> None:
        """One frame that cannot be read is told of, and the show goes on."""
        path = tmp_path / "recording"
        with imgstore.new_for_format("png", path, imgshape=(48, 64)) as writer:
            for k in range(6):
                writer.add_image(np.full((48, 64), 40 * k, np.uint8), k, k / 10)
        (path / "000000" / "000003.png").write_bytes(b"no picture")
        status, _, errors = view(path, "--fps", "0", "--verbose").end()
        assert status == 0 and "Traceback" not in errors
        assert [int(n) for n in re.findall(r"frame (\d+) \(", errors)] == list(range(6))
        assert errors.count("imgstore: error: ") == 1 and "000003.png" in errors


def _painted(environment: dict[str, str], seconds: float) -> np.ndarray | None:
    """Wait for the green frame to be on the display and return what is there; None if it does not come."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        picture = screenshot(environment)
        if _green_rows(picture) > 400:
            return picture
        time.sleep(0.1)
    return None


def _green_rows(picture: np.ndarray) -> int:
    """Return how many rows of the picture, from the top, are all green where the frame is."""
    green = (np.abs(picture[:, 5:635].astype(int) - GREEN) < 3).all(axis=(1, 2))
    return len(green) if green.all() else int(np.argmin(green))


class TestWithoutDisplay:
    @pytest.mark.parametrize("variables", [{}, {"WAYLAND_DISPLAY": "wayland-77"}, {"DISPLAY": ":9977"}])
    @pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="displays as on Linux")
    @pytest.mark.parametrize("command", long_but({"view"}, ["view", "save"]))
    def test_message(self, store: Path, tmp_path: Path, variables: dict[str, str], command: str) -> None:
        """A line that says so, and an exit status: Qt would end the process with a signal."""
        if "DISPLAY" in variables and ctypes.util.find_library("X11") is None:
            pytest.skip("needs libX11")
        environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
        arguments = [str(store)] if command == "view" else ["--preview", "--source", str(store), str(tmp_path / "x")]
        result = subprocess.run(
            [sys.executable, "-m", "imgstore", command, *arguments],
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=ELSEWHERE,
        )
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert line.startswith("imgstore: error: ") and "display" in line
        assert (f"imgstore view --web {shlex.quote(str(store))}" in line) == (command == "view")
        assert not (tmp_path / "x").exists()

    def test_empty_store(self, tmp_path: Path) -> None:
        imgstore.new_for_format("npy", tmp_path / "empty", imgshape=(4, 4)).close()
        command = [sys.executable, "-m", "imgstore", "view", str(tmp_path / "empty")]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ELSEWHERE)
        assert result.returncode == 1 and "empty" in result.stderr


class TestPreview:
    @pytest.mark.long
    def test_q_stops_saving(self, view: Callable[..., Viewer], tmp_path: Path) -> None:
        """The frames are shown while they are saved; q ends it, and what there is can be completed."""
        with av.open(str(tmp_path / "clip.mkv"), "w") as container:
            stream = container.add_stream("mpeg4", rate=30)
            stream.width, stream.height = 640, 480
            for k in range(2000):
                frame = av.VideoFrame(640, 480, "yuv420p")
                for plane in frame.planes:
                    plane.update(bytes([k % 256]) * plane.buffer_size)
                frame.pts, frame.time_base = k, Fraction(1, 30)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        path = tmp_path / "store"
        arguments = ["--preview", "--source", tmp_path / "clip.mkv", "--format", "png", path]
        viewer = view(*arguments, command="save")
        viewer.window()
        viewer.key("q")
        status, _, errors = viewer.end()
        assert status == 130 and f"imgstore save --resume {path}" in errors
        assert not imgstore.is_imgstore(path)


class TestPictures:
    """From frames to pictures, without a window."""

    @pytest.mark.parametrize("shape", [(30, 40), (30, 40, 1), (30, 40, 3)])
    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64", "bool"])
    def test_kinds_of_frames(self, shape: tuple[int, ...], dtype: str) -> None:
        img = np.zeros(shape, dtype)
        img[:15] = 1 if dtype == "bool" else 100
        picture = to_picture(img, Levels())
        assert picture.dtype == np.uint8 and picture.shape == (30 * 14, 40 * 14, 3)
        assert (picture[: 15 * 14] == (100 if dtype == "uint8" else 255)).all() and (picture[15 * 14 :] == 0).all()

    def test_levels_only_grow_apart(self) -> None:
        levels = Levels()
        assert levels.to_8_bits(np.array([[0, 1000]], np.uint16)).tolist() == [[0, 255]]
        assert levels.to_8_bits(np.array([[500, 500]], np.uint16)).tolist() == [[128, 128]]
        assert levels.to_8_bits(np.array([[0, 4000]], np.uint16)).tolist() == [[0, 255]]

    def test_not_numbers(self) -> None:
        picture = Levels().to_8_bits(np.array([[np.nan, np.inf, -np.inf, 0.0, 1.0]]))
        assert picture.tolist() == [[0, 255, 0, 0, 255]]

    def test_all_alike(self) -> None:
        assert Levels().to_8_bits(np.full((2, 2), 7.5)).tolist() == [[0, 0], [0, 0]]

    def test_what_is_no_picture(self) -> None:
        with pytest.raises(FormatError, match=r"\(3, 4, 5, 6\)"):
            to_picture(np.zeros((3, 4, 5, 6), np.uint8), Levels())

    @pytest.mark.parametrize("width", [560, 1280, 4000])
    def test_status_bar_covers_nothing(self, width: int) -> None:
        picture = np.full((100, width, 3), 200, np.uint8)
        barred = with_status_bar(picture, "frame 12345  (1/100)", "2024-05-06 07:08:09.123 CEST")
        assert (barred[:100] == picture).all() and barred.shape[0] > 120
        writing = (barred[100:].min(axis=2) > 120).any(axis=0)
        assert writing[: width // 2].any() and writing[width // 2 :].any()
        assert not writing[:4].any() and not writing[-4:].any()
