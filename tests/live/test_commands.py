"""`viewfinder live` and `viewfinder capture`, as a user calls them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from tests.commands import Commands, Outcome
from tests.live.clips import HEIGHT, SIDE, TOP, WIDTH, frame, left_of, served, write_clip
from viewfinder.live import open_source
from viewfinder.live.overlay import COLOURS


def video(path: Path) -> list[np.ndarray]:
    source, images = open_source(path), []
    while (one := source.read()) is not None:
        images.append(one.image)
    return images


def assert_one_line(outcome: Outcome, *words: str) -> None:
    assert outcome.code == 2 and outcome.out == ""
    (line,) = outcome.err.strip().splitlines()
    assert line.startswith("viewfinder: ") and all(word in line for word in words), line


def test_json_is_a_line_a_frame_and_nothing_else(viewfinder: Commands, made: Path) -> None:
    models = (made / "bright.onnx", "--points", made / "points.onnx")
    outcome = viewfinder("live", *models, "--source", made / "clip.mp4", "--json", "--no-page")
    assert outcome.code == 0
    records = [json.loads(line) for line in outcome.out.splitlines()]
    assert [one["frame"] for one in records] == list(range(40))
    assert records[-1]["time"] == pytest.approx(39 / 20, abs=0.01)
    for one in records:
        (box,) = one["boxes"]
        assert box["identity"] == 1 and box["class"] == "light" and box["score"] > 0.9
        left = left_of(one["frame"])
        np.testing.assert_allclose(box["box"], (left, TOP, left + SIDE, TOP + SIDE), atol=4)
        assert len(box["points"]) == 15
        assert 0 < one["model_ms"] <= one["latency_ms"] and one["dropped"] == 0
    assert "40 frames answered, 0 dropped" in outcome.err


def test_the_video_shows_every_frame_of_a_file_with_its_box(viewfinder: Commands, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "boxes.mp4"
    arguments = ("--source", made / "clip.avi", "--out", out, "--port", 0)
    outcome = viewfinder("live", made / "bright.onnx", *arguments)
    assert outcome.code == 0 and outcome.out == "" and "open http://127.0.0.1:" in outcome.err
    images = video(out)
    assert len(images) == 40 and images[0].shape == (HEIGHT, WIDTH, 3)
    assert_one_line(viewfinder("live", made / "bright.onnx", *arguments), "exists; choose another --out")
    for number in (0, 20, 39):
        row = images[number][TOP + SIDE // 2].astype(int)
        (columns,) = np.nonzero(np.abs(row - COLOURS[0]).sum(axis=1) < 150)
        assert abs(columns.min() - left_of(number)) < 6 and abs(columns.max() - left_of(number) - SIDE) < 6


def test_an_effect_is_drawn_in_place_of_the_boxes(viewfinder: Commands, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "blurred.avi"
    arguments = ("--source", made / "clip.avi", "--effect", "blur", "--out", out, "--no-page")
    assert viewfinder("live", made / "bright.onnx", *arguments).code == 0
    image = video(out)[5].astype(int)
    assert (image[TOP - 10 : TOP + SIDE + 10].max(axis=(1, 2)) < 250).any(), "the square is still there"
    assert (np.abs(image - COLOURS[0]).sum(axis=2) < 60).sum() == 0, "there are boxes"


@pytest.mark.parametrize("model", ["label.onnx", "points.onnx"])
def test_any_answer_can_be_watched(viewfinder: Commands, made: Path, tmp_path: Path, model: str) -> None:
    arguments = ("--source", made / "clip.mp4", "--json", "--no-page", "--out", tmp_path / "a.mp4")
    outcome = viewfinder("live", made / model, *arguments)
    first = json.loads(outcome.out.splitlines()[0])
    assert first.get("label") == "dark" or len(first["points"]) == 15
    assert len(video(tmp_path / "a.mp4")) == 40


def test_a_folder_of_photos_can_be_watched(viewfinder: Commands, made: Path, tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), frame(10 * number))
    outcome = viewfinder("live", made / "bright.onnx", "--source", tmp_path, "--json", "--no-page")
    assert [json.loads(line)["time"] for line in outcome.out.splitlines()] == [0.0, 0.5, 1.0]


def test_the_threshold_can_be_chosen(viewfinder: Commands, made: Path) -> None:
    arguments = ("--source", made / "clip.mp4", "--json", "--no-page", "--threshold", 0.99)
    outcome = viewfinder("live", made / "bright.onnx", *arguments)
    assert all(json.loads(line)["boxes"] == [] for line in outcome.out.splitlines())


def test_of_a_video_that_is_cut_off_the_whole_frames_are_kept(viewfinder: Commands, made: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "cut.avi", tmp_path / "boxes.mp4"
    path.write_bytes((made / "clip.avi").read_bytes()[:25_000])
    outcome = viewfinder("live", made / "bright.onnx", "--source", path, "--out", out, "--no-page")
    assert outcome.code == 2 and outcome.out == ""
    answered, _, line = outcome.err.strip().partition("\n")
    count = len(video(out))
    assert answered.startswith(f"{count} frames answered") and f"cut off: {count} whole frames" in line


def test_what_cannot_be_used_is_one_line_and_nothing_is_written(
    viewfinder: Commands, made: Path, tmp_path: Path
) -> None:
    model, clip = made / "bright.onnx", made / "clip.avi"
    assert_one_line(viewfinder("live", tmp_path / "no.onnx", "--source", clip), "no such model file")
    assert_one_line(viewfinder("live", model, "--source", tmp_path / "no.mp4"), "no.mp4: no such video")
    assert_one_line(viewfinder("live", model, "--source", 97), "camera 97")
    assert_one_line(
        viewfinder("live", model, "--source", clip, "--out", tmp_path / "a.gif"), "is not the name of a video"
    )
    assert_one_line(viewfinder("live", model, "--source", clip, "--out", clip), "is the video that is read")
    assert_one_line(viewfinder("live", model, "--source", clip, "--effect", "glasses"), "--points")
    assert_one_line(viewfinder("live", model, "--source", clip, "--effect", "hat"), "no effect is called 'hat'")
    assert_one_line(viewfinder("live", model, "--source", clip, "--points", model), "answers boxes")
    assert_one_line(viewfinder("capture", tmp_path / "new", "--source", tmp_path / "no.mp4"), "no such video")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        options = ("--out", tmp_path / "deep" / "a.mp4", "--port", taken.getsockname()[1])
        assert_one_line(viewfinder("live", model, "--source", clip, *options), "choose another one")
    assert list(tmp_path.iterdir()) == []


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "viewfinder", *map(str, arguments)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals for one process")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_whatever_stops_it_the_video_can_be_read(made: Path, tmp_path: Path, name: str) -> None:
    if name != "SIGINT" and signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        pytest.skip(f"{name} is ignored here, as under nohup, and so it is by what is started")
    out = tmp_path / "boxes.mp4"
    with served(pace=20) as server:
        arguments = ("--source", server.address, "--out", out, "--json", "--no-page")
        process = started("live", made / "bright.onnx", *arguments)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        process.send_signal(getattr(signal, name))
        rest, error = process.communicate(timeout=90)
    assert process.returncode == 0, error
    records = [json.loads(line) for line in [*lines, *rest.splitlines()]]
    assert "Traceback" not in error and f"{len(records)} frames answered" in error
    assert len(video(out)) >= len(records) >= 5
    assert [one.name for one in tmp_path.iterdir()] == ["boxes.mp4"]


def test_capture_writes_photos_by_the_time_of_the_video(viewfinder: Commands, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=50)
    begin = time.monotonic()
    arguments = ("--source", clip, "--count", 4, "--every", 0.5)
    outcome = viewfinder("capture", tmp_path / "faces", *arguments)
    assert outcome.code == 0 and "4 photos written" in outcome.out
    assert time.monotonic() - begin < 1.5, "it waited for the clock"
    paths = list((tmp_path / "faces" / "images").iterdir())
    assert len(paths) == 4 and all(path.suffix == ".jpg" and len(path.stem) == 36 for path in paths)
    lefts = sorted(int(np.argmax(cv2.imread(str(path))[TOP + 30].max(axis=1) > 150)) for path in paths)
    np.testing.assert_allclose(lefts, [left_of(number) for number in (0, 10, 20, 30)], atol=2)


def test_capture_shows_what_the_camera_sees(made: Path, tmp_path: Path) -> None:
    with served(pace=20) as server:
        arguments = ("--source", server.address, "--count", 8, "--every", 0.3, "--page", "--port", 0)
        with started("capture", tmp_path, *arguments) as process:
            assert process.stderr is not None
            address = re.findall(r"http://\S+", process.stderr.readline())[0]
            answer = httpx.get(f"{address}frame", trust_env=False, timeout=5)
            out, error = process.communicate(timeout=90)
    assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR).shape == (HEIGHT, WIDTH, 3)
    assert "of 8 photos" in json.loads(answer.headers["x-told"])["text"]
    assert process.returncode == 0 and "8 photos written" in out, error


def test_capture_adds_to_what_is_there_and_ends_with_the_file(viewfinder: Commands, made: Path, tmp_path: Path) -> None:
    for _ in range(2):
        outcome = viewfinder("capture", tmp_path, "--source", made / "clip.avi", "--every", 1)
        assert outcome.code == 0 and "2 photos written" in outcome.out
    assert len(list((tmp_path / "images").iterdir())) == 4


def test_capture_keeps_what_it_has_of_a_video_that_is_cut_off(viewfinder: Commands, made: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.avi"
    path.write_bytes((made / "clip.avi").read_bytes()[:25_000])
    outcome = viewfinder("capture", tmp_path / "new", "--source", path, "--every", 0.2)
    count = len(list((tmp_path / "new" / "images").iterdir()))
    assert outcome.code == 2 and count >= 3 and f"{count} photos written" in outcome.out
    assert "cut off" in outcome.err and len(outcome.err.strip().splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals")
@pytest.mark.parametrize("how", ["q", "SIGINT", "SIGTERM"])
def test_capture_stops_at_q_and_at_signals(tmp_path: Path, how: str) -> None:
    import pty
    import termios

    terminal, inside = pty.openpty()
    before = termios.tcgetattr(inside)
    with served(pace=20) as server:
        arguments = ["capture", str(tmp_path), "--source", server.address, "--count", "1000", "--every", "0.1"]
        command = [sys.executable, "-m", "viewfinder", *arguments]
        process = subprocess.Popen(command, stdin=inside, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 20
        while len(list(tmp_path.glob("images/*.jpg"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        if how == "q":
            os.write(terminal, b"q")
        else:
            process.send_signal(getattr(signal, how))
        out, error = process.communicate(timeout=90)
    assert termios.tcgetattr(inside) == before, "the terminal is left without its echo"
    for one in (terminal, inside):
        os.close(one)
    count = len(list(tmp_path.glob("images/*.jpg")))
    assert process.returncode == 0 and count >= 3 and f"{count} photos written" in out, error
    assert "Traceback" not in error and not list(tmp_path.glob("images/.*"))
