"""Pictures that nothing wanted refers to are left out, and those that are wanted stay as they are, to the last bit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgstore.codec import FrameSpec
from imgstore_codecs.video.bitstream.h264_references import DecodingPlan, ReferencePlanner
from imgstore_codecs.video.bitstream.h264_slices import SliceReader
from imgstore_codecs.video.reading.seeker import Seeker
from imgstore_codecs.video.reading.stretch import Stretch
from imgstore_codecs.video.reading.video_reader import VideoReader

HEIGHT, WIDTH = 48, 64
SPEC = FrameSpec((HEIGHT, WIDTH), np.dtype(np.uint8))

# As x264's faster presets code: each P picture refers to the one before alone.
FAST = "bframes=3:b-adapt=0:b-pyramid=normal:ref=1:scenecut=0"


def scene(count: int, seed: int) -> np.ndarray:
    """A texture that moves and changes its brightness: what refers to a wrong picture looks different."""
    rng = np.random.default_rng(seed)
    texture = rng.integers(0, 256, (HEIGHT + count, WIDTH + 2 * count)).astype(np.float32)
    for axis in (0, 1):
        texture = (texture + np.roll(texture, 1, axis) + np.roll(texture, 2, axis)) / 3
    frames = [texture[k : k + HEIGHT, 2 * k : 2 * k + WIDTH] * rng.uniform(0.7, 1) for k in range(count)]
    return np.array(frames).astype(np.uint8)


def write(
    path: Path, count: int, parameters: str, *, gop: int = 250, preset: str = "veryfast", seed: int = 0, crf: int = 23
) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.gop_size = gop
        stream.options = {"preset": preset, "crf": str(crf), "x264-params": parameters}
        for k, img in enumerate(scene(count, seed)):
            picture = av.VideoFrame.from_ndarray(img, format="gray").reformat(format="yuv420p")
            picture.pts = k
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))


def every_frame(path: Path) -> list[np.ndarray]:
    """All frames, decoded from start to end."""
    reader = VideoReader(str(path), SPEC, {"seek": False})
    frames = [reader.read(k) for k in range(reader.frame_count)]
    reader.close()
    return frames


def packets_of(path: Path) -> tuple[bytes, list[memoryview]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        extradata = stream.codec_context.extradata or b""
        return extradata, [memoryview(bytes(p)) for p in container.demux(stream) if p.size]


def check_at_random(path: Path, seed: int, threads: int = 2) -> None:
    """Compare frames far apart, in batches, in runs after a jump, with those of a plain decode."""
    expected = every_frame(path)
    rng = random.Random(seed)
    count = len(expected)
    reader = VideoReader(str(path), SPEC, {"cache_size": rng.choice([0, 1 << 20]), "threads": threads})
    for _ in range(25):
        position = rng.randrange(count)
        np.testing.assert_array_equal(reader.read(position), expected[position])
        if rng.random() < 0.2:
            for following in range(position + 1, min(count, position + 4)):
                np.testing.assert_array_equal(reader.read(following), expected[following])
        if rng.random() < 0.2:
            some = [rng.randrange(count) for _ in range(rng.choice([2, 7, 40]))]
            out = np.zeros((len(some), HEIGHT, WIDTH), np.uint8)
            reader.read_many(some, out)
            for img, k in zip(out, some, strict=True):
                np.testing.assert_array_equal(img, expected[k])
    reader.close()


X264 = st.fixed_dictionaries(
    {
        "bframes": st.sampled_from([0, 1, 2, 3, 3, 4, 7, 16]),
        "b-adapt": st.sampled_from([0, 1, 2]),
        "b-pyramid": st.sampled_from(["normal", "normal", "strict", "none"]),
        "ref": st.sampled_from([1, 1, 1, 2, 4]),
        "weightp": st.integers(0, 2),
        "weightb": st.integers(0, 1),
        "direct": st.sampled_from(["none", "spatial", "temporal", "auto"]),
        "scenecut": st.sampled_from([0, 40]),
        "slices": st.sampled_from([1, 2, 4]),
        "open-gop": st.sampled_from([0, 0, 1]),
        "intra-refresh": st.sampled_from([0, 0, 0, 1]),
        "cabac": st.integers(0, 1),
        "mixed-refs": st.integers(0, 1),
        "constrained-intra": st.integers(0, 1),
        "sliced-threads": st.integers(0, 1),
        "fake-interlaced": st.sampled_from([0, 0, 0, 0, 1]),
        "interlaced": st.sampled_from([0, 0, 0, 0, 1]),
        "repeat-headers": st.sampled_from([0, 0, 0, 1]),
    }
)


@pytest.mark.long
@settings(max_examples=min(40, settings.default.max_examples), suppress_health_check=list(HealthCheck))
@given(
    parameters=X264,
    preset=st.sampled_from(["ultrafast", "veryfast", "medium"]),
    crf=st.sampled_from([10, 23, 35]),
    gop=st.sampled_from([10, 25, 250]),
    count=st.sampled_from([15, 60, 110]),
    seed=st.integers(0, 1000),
    threads=st.integers(1, 2),
)
def test_any_settings(
    tmp_path_factory: pytest.TempPathFactory,
    parameters: dict[str, object],
    preset: str,
    crf: int,
    gop: int,
    count: int,
    seed: int,
    threads: int,
) -> None:
    path = tmp_path_factory.mktemp("references") / "video.mp4"
    written = ":".join(f"{name}={value}" for name, value in parameters.items())
    write(path, count, written, gop=gop, preset=preset, seed=seed, crf=crf)
    check_at_random(path, seed, threads)


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
@pytest.mark.parametrize("slices", [1, 3])
def test_what_is_of_no_use_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slices: int, extension: str
) -> None:
    """Far from a key frame little more than a quarter of the pictures are decoded."""
    path = tmp_path / f"video.{extension}"
    write(path, 240, f"{FAST}:slices={slices}:sliced-threads=0")
    expected = every_frame(path)
    plans: list[DecodingPlan | None] = []
    plan = Seeker._plan

    def note(self: Seeker, stretch: Stretch, wanted: list[int]) -> DecodingPlan | None:
        plans.append(plan(self, stretch, wanted))
        return plans[-1]

    monkeypatch.setattr(Seeker, "_plan", note)
    reader = VideoReader(str(path), SPEC, {"threads": 1, "cache_size": 0})
    positions = [3, 207, 101, 238, 150, 51, 222]
    for position in positions:
        np.testing.assert_array_equal(reader.read(position), expected[position])
    made = [p for p in plans if p is not None]
    assert len(made) >= len(positions) - 2
    for one in made:
        assert len(one.fed) < 0.25 * max(one.fed) + 8
    plans.clear()
    out = np.zeros((4, HEIGHT, WIDTH), np.uint8)
    reader.read_many([40, 200, 90, 93], out)
    np.testing.assert_array_equal(out, [expected[k] for k in (40, 200, 90, 93)])
    assert len(plans) == 1 and plans[0] is not None and len(plans[0].fed) < 75
    reader.close()


def test_reading_on_after_something_was_left_out(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write(path, 120, FAST, gop=60)
    expected = every_frame(path)
    reader = VideoReader(str(path), SPEC, {"threads": 1, "cache_size": 0})
    for begin in (100, 30, 75, 55, 10):
        for position in (begin, (begin + 37) % 110, begin, begin + 1, begin + 2, begin + 5, begin + 4):
            np.testing.assert_array_equal(reader.read(position), expected[position])
    reader.close()


@pytest.mark.parametrize(
    "parameters",
    [
        "bframes=0:ref=1:scenecut=0",
        "bframes=3:b-pyramid=none:b-adapt=0:scenecut=0",
        "bframes=3:b-pyramid=normal:b-adapt=0:interlaced=1:scenecut=0",
    ],
)
def test_streams_without_a_plan(tmp_path: Path, parameters: str) -> None:
    """Nothing to leave out, fields."""
    path = tmp_path / "video.mp4"
    write(path, 60, parameters, gop=100)
    extradata, packets = packets_of(path)
    planner = ReferencePlanner("h264", extradata)
    for place in range(0, 60, 7):
        assert planner.plan(0, packets[: place + 1], [place]) is None
    assert not planner.is_worthwhile
    check_at_random(path, 3)


def test_parameter_sets_in_packets(tmp_path: Path) -> None:
    """Those that the configuration has change nothing; with others there is no plan."""
    path = tmp_path / "video.mp4"
    write(path, 60, f"{FAST}:repeat-headers=1", gop=20)
    extradata, packets = packets_of(path)
    plan = ReferencePlanner("h264", extradata).plan(0, packets[:19], [18])
    assert plan is not None and len(plan.fed) < 19
    check_at_random(path, 3)
    other = memoryview(b"\0\0\0\5\x68\xee\x3c\x80\x01" + bytes(packets[0]))
    assert ReferencePlanner("h264", extradata).plan(0, [other, *packets[1:19]], [18]) is None


def test_other_codecs_have_no_plan(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write(path, 10, FAST)
    assert not ReferencePlanner("hevc", packets_of(path)[0]).is_worthwhile
    assert not ReferencePlanner("h264", None).is_worthwhile


def test_slice_headers_say_what_the_encoder_was_told(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write(path, 60, f"{FAST}:slices=2:sliced-threads=0", gop=100)
    extradata, packets = packets_of(path)
    reader = SliceReader(extradata)
    pictures = [reader.read(packet) for packet in packets]
    with av.open(str(path)) as container:
        order = [p.pts for p in container.demux(video=0) if p.size]
    ranks = {pts: k for k, pts in enumerate(sorted(order))}
    reference = 0
    previous = 0
    values = 1 << next(iter(reader.sequences.values())).order_bits
    for picture, pts in zip(pictures, order, strict=True):
        assert picture is not None
        assert picture.order == 2 * ranks[pts] % values  # the counter counts fields
        assert picture.is_idr == (pts == order[0])
        if not picture.is_idr:
            assert picture.frame_num == (previous + reference) % (1 << picture.sequence.frame_num_bits)
            assert [part.active for part in picture.slices] == [(1, 1) if p.is_b else (1,) for p in picture.slices]
        reference, previous = int(picture.is_reference), picture.frame_num
    assert sum(p.is_reference for p in pictures if p) in range(28, 34)


def test_a_plan_that_leads_nowhere_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the decoder gives nothing, it is tried again with nothing left out."""
    path = tmp_path / "video.mp4"
    write(path, 100, FAST, gop=100)
    expected = every_frame(path)

    def without_start(
        self: ReferencePlanner, start: int, packets: Sequence[memoryview], wanted: Sequence[int]
    ) -> DecodingPlan:
        return DecodingPlan(frozenset(wanted), frozenset(wanted), frozenset(wanted))

    monkeypatch.setattr(ReferencePlanner, "plan", without_start)
    reader = VideoReader(str(path), SPEC, {"threads": 1, "cache_size": 0})
    for position in (90, 30, 61, 12, 47):
        np.testing.assert_array_equal(reader.read(position), expected[position])
    out = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    reader.read_many([80, 20, 44], out)
    np.testing.assert_array_equal(out, [expected[k] for k in (80, 20, 44)])
    reader.close()


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_damage_makes_no_plan_that_is_not_one(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    extradata, packets = damaged_packets(tmp_path_factory)
    rng = np.random.default_rng(seed)
    altered = [bytearray(p) for p in packets]
    for _ in range(rng.integers(1, 6)):
        victim = altered[rng.integers(len(altered))]
        victim[rng.integers(min(len(victim), 24))] ^= 1 << rng.integers(8)
    wanted = sorted({int(k) for k in rng.integers(0, len(packets), rng.integers(1, 4))})
    planner = ReferencePlanner("h264", extradata)
    for _ in range(2):
        plan = planner.plan(0, [memoryview(p) for p in altered[: wanted[-1] + 1]], wanted)
        if plan is not None:
            assert {0, *wanted} <= plan.right <= plan.fed <= set(range(wanted[-1] + 1))


_made: list[tuple[bytes, list[memoryview]]] = []


def damaged_packets(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[memoryview]]:
    if not _made:
        path = tmp_path_factory.mktemp("damaged") / "video.mp4"
        write(path, 40, f"{FAST}:weightp=1:slices=2")
        _made.append(packets_of(path))
    return _made[0]
