"""Sources: what they give, and the one line that is said where they cannot."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.live.clips import HEIGHT, SIDE, TOP, WIDTH, frame, left_of, served, write_clip
from viewfinder.errors import DataError, InputError
from viewfinder.live.capture import Frame, Source, open_source


def frames(source: Source) -> Iterator[Frame]:
    while (one := source.read()) is not None:
        yield one
    source.close()


def refused(source: object, timeout: float = 1.0) -> str:
    with pytest.raises(InputError) as caught:
        for _ in frames(open_source(str(source), timeout)):
            pass
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize("name", ["clip.avi", "clip.mp4"])
def test_a_video_gives_every_frame_in_order_in_rgb_at_its_own_time(made: Path, name: str) -> None:
    source = open_source(made / name)
    assert not source.live and source.pace == pytest.approx(20)
    every = list(frames(source))
    assert [one.number for one in every] == list(range(40))
    np.testing.assert_allclose([one.time for one in every], np.arange(40) / 20, atol=1e-3)
    for one in every[::13]:
        assert one.image.shape == (HEIGHT, WIDTH, 3)
        inside = one.image[TOP + 10 : TOP + SIDE - 10, left_of(one.number) + 10 : left_of(one.number) + SIDE - 10]
        np.testing.assert_allclose(inside.mean(axis=(0, 1)), [230, 255, 230], atol=6)


def test_a_folder_gives_its_images_in_the_order_of_their_names(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        cv2.imwrite(str(tmp_path / f"{number}.png"), frame(number))
    every = list(frames(open_source(tmp_path)))
    assert [one.number for one in every] == [0, 1, 2]
    for one in every:
        np.testing.assert_array_equal(one.image, frame(one.number)[..., ::-1])


def test_one_image_is_a_source_of_one_frame(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), frame(0)[..., 0])
    (one,) = frames(open_source(tmp_path / "a.png"))
    assert one.image.shape == (HEIGHT, WIDTH, 3)


def test_an_address_gives_motion_jpeg() -> None:
    with served() as server:
        source = open_source(server.address, timeout=5)
        assert source.live
        some = [source.read() for _ in range(5)]
        source.close()
    assert all(one is not None and one.image.shape == (HEIGHT, WIDTH, 3) for one in some)
    times = [one.time for one in some if one is not None]
    assert times[0] == 0 and times == sorted(times)


def test_a_video_file_behind_an_address_has_an_end(made: Path) -> None:
    handler = partial(Quiet, directory=str(made))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        source = open_source(f"http://127.0.0.1:{server.server_port}/clip.avi", timeout=5)
        assert not source.live
        assert [one.time for one in frames(source)] == pytest.approx(np.arange(40) / 20)
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None: ...


def test_a_password_in_an_address_is_never_shown() -> None:
    line = refused("http://tom:secret@127.0.0.1:1/camera?key=secret")
    assert "nothing answers there" in line and "secret" not in line and "127.0.0.1:1/camera" in line


def test_an_address_that_never_answers_is_one_line_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begin = time.monotonic()
        line = refused(f"http://127.0.0.1:{silent.getsockname()[1]}/camera", timeout=0.5)
    assert "does not answer within 0.5 s" in line
    assert time.monotonic() - begin < 3


def test_an_address_without_a_video_is_one_line() -> None:
    with served() as server:
        server.hang_up.set()
        assert "is not a video that can be read" in refused(server.address)


def test_an_address_that_is_none_is_one_line_without_its_password() -> None:
    line = refused("http://tom:secret@[::1/camera")
    assert "is not an address" in line and "secret" not in line


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_that_nobody_writes_to_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip.mp4")
    assert "no such video" in refused(tmp_path / "clip.mp4")


def test_an_unknown_kind_of_address_is_one_line() -> None:
    assert "cannot read gopher:// addresses" in refused("gopher://host/camera")


def test_an_absent_camera_is_one_line() -> None:
    line = refused(97)
    assert "camera 97" in line
    if sys.platform.startswith("linux"):
        assert "there is no such camera" in line


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
@pytest.mark.parametrize("share", [0.35, 0.6, 0.9])
def test_a_video_that_ends_inside_a_frame_gives_its_whole_frames_then_one_line(
    made: Path, tmp_path: Path, suffix: str, share: float
) -> None:
    whole = (write_clip(tmp_path / f"whole{suffix}")).read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole[: int(share * len(whole))])
    given = []
    with pytest.raises(DataError, match=r"is cut off: \d+ whole frames, then [\d,]+ bytes are missing") as caught:
        for one in frames(open_source(path)):
            given.append(one)
    assert 2 <= len(given) < 40 and f"{len(given)} whole frames" in str(caught.value)
    for one in given:  # nothing gray or torn is among them
        middle = one.image[TOP + SIDE // 2, left_of(one.number) + SIDE // 2]
        np.testing.assert_allclose(middle, [230, 255, 230], atol=12)
        np.testing.assert_allclose(one.image[-1].mean(), 40, atol=4)


def test_an_mp4_that_is_cut_off_is_one_line(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes((made / "clip.mp4").read_bytes()[:3000])
    assert "is cut off" in refused(path)


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mp4"])
def test_a_whole_video_is_never_said_to_be_cut_off(tmp_path: Path, suffix: str) -> None:
    assert len(list(frames(open_source(write_clip(tmp_path / f"a{suffix}", frames=7))))) == 7


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"hello, I am no video" * 99, b"\x1a\x45\xdf\xa3", b"\0\0\0\x18ftypmp42"]
)
def test_what_is_no_video_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert str(path) in refused(path)


def test_a_path_that_is_not_there_and_a_folder_without_images_are_one_line(tmp_path: Path) -> None:
    assert "no such video" in refused(tmp_path / "nothing.mp4")
    assert "holds no images" in refused(tmp_path)
