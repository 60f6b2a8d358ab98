"""The page: who may see it, and what it gives; and a real browser that shows the box on the bright thing."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from tests.live.clips import SIDE, write_clip
from viewfinder.errors import InputError
from viewfinder.live import Page
from viewfinder.live.overlay import COLOURS

TOLD = {"figures": [("model", "8.0 ms")], "text": "1 face", "things": [("é #1", "98 %")]}


@pytest.fixture
def page() -> Iterator[Page]:
    with Page("faces.onnx on camera 0", port=0) as page:
        yield page


@pytest.fixture
def browser(page: Page) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.address, trust_env=False, timeout=5) as client:
        yield client


def test_the_page_and_its_parts_are_there_and_need_nothing_from_elsewhere(page: Page, browser: httpx.Client) -> None:
    html = browser.get("")
    assert html.status_code == 200 and html.headers["content-type"].startswith("text/html")
    assert "http" not in html.text.replace("http-equiv", "")
    for name in ("page.css", "page.js"):
        assert name in html.text and browser.get(name).status_code == 200
    assert browser.get("secrets.txt").status_code == 404
    assert "default-src 'none'" in html.headers["content-security-policy"]
    assert html.headers["cache-control"] == "no-store" and html.headers["referrer-policy"] == "no-referrer"


def test_it_listens_on_this_machine_only(page: Page) -> None:
    assert page.address.startswith("http://127.0.0.1:") and len(page.token) >= 20
    with Page("other", port=0) as other:
        assert other.token != page.token


def test_without_the_token_nothing_is_told(page: Page) -> None:
    root = page.address.split(page.token)[0]
    for path in (
        "",
        "frame",
        "page.js",
        f"x{page.token}/",
        f"{page.token[:-1]}/frame",
        "%C3%A9/",
        f"{page.token}x/frame",
    ):
        answer = httpx.get(root + path, trust_env=False)
        assert answer.status_code == 403 and "viewfinder" in answer.text and page.token not in answer.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("evil.example:8765", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
        ("localhost:9000", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("192.168.1.7:8765", 200),
    ],
)
def test_another_sites_name_that_points_here_is_refused(browser: httpx.Client, host: str, status: int) -> None:
    assert browser.get("", headers={"Host": host}).status_code == status


def test_a_frame_is_given_when_it_is_newer_and_only_the_latest(page: Page, browser: httpx.Client) -> None:
    for level in (10, 120, 240):
        page.show(np.full((48, 64, 3), (level, 0, 0), np.uint8), TOLD)
    answer = browser.get("frame", params={"after": 0})
    assert answer.status_code == 200 and answer.headers["x-number"] == "3"
    image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (48, 64, 3) and abs(int(image[20, 30, 2]) - 240) < 4
    told = json.loads(answer.headers["x-told"])
    assert told["title"] == "faces.onnx on camera 0" and told["things"] == [["é #1", "98 %"]]
    begin = time.monotonic()
    assert browser.get("frame", params={"after": 3}).status_code == 204
    assert 0.8 < time.monotonic() - begin < 3


def test_a_large_picture_is_made_smaller_for_the_line(page: Page, browser: httpx.Client) -> None:
    page.show(np.zeros((3000, 2000, 3), np.uint8), TOLD)
    content = browser.get("frame").content
    assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).shape == (1280, 853, 3)


def test_who_waits_is_answered_as_soon_as_there_is_a_picture(page: Page, browser: httpx.Client) -> None:
    threading.Timer(0.3, page.show, (np.zeros((48, 64, 3), np.uint8), TOLD)).start()
    begin = time.monotonic()
    assert browser.get("frame?after=0").headers["x-number"] == "1"
    assert 0.2 < time.monotonic() - begin < 0.9


@pytest.mark.parametrize("after", ["-1", "x", "9" * 30, "9" * 5000, "1e9", ""])
def test_any_number_may_be_asked_for(page: Page, browser: httpx.Client, after: str) -> None:
    page.show(np.zeros((48, 64, 3), np.uint8), TOLD)
    assert browser.get("frame", params={"after": after}).status_code in (200, 204)


def test_a_slow_browser_does_not_slow_the_model_down(page: Page) -> None:
    """It asks for a hundred large pictures, and reads none of them."""
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    page.show(noise, TOLD)
    host, port = page.address.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as lazy:
        lazy.sendall(f"GET /{page.token}/frame?after=0 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() * 20)
        time.sleep(0.2)
        begin = time.monotonic()
        for _ in range(1000):
            page.show(noise, TOLD)
        assert time.monotonic() - begin < 1


def test_at_the_end_browsers_are_told(browser: httpx.Client, page: Page) -> None:
    page.show(np.zeros((48, 64, 3), np.uint8), TOLD)
    browser.get("frame?after=0")
    closing = threading.Thread(target=page.__exit__, args=(None, None, None))
    closing.start()
    assert browser.get("frame?after=1").status_code == 410
    closing.join(8)
    with pytest.raises(httpx.TransportError):
        browser.get("frame?after=1")


def test_a_port_that_is_taken_is_one_line_unless_any_will_do(page: Page) -> None:
    taken = int(page.address.split(":")[2].split("/")[0])
    with pytest.raises(InputError, match=f"127.0.0.1:{taken}: .*in use"):
        Page("second", port=taken)
    with pytest.raises(InputError, match="--port"):
        Page("third", host="no.such.host.invalid", port=0)


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium on this machine")


def screenshot(address: str, folder: Path) -> np.ndarray:
    """Return what Chromium shows of a page after two seconds of its own time, BGR."""
    path = folder / "page.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-proxy-server"]
    options += [f"--user-data-dir={folder / 'profile'}", "--window-size=1000,700", "--virtual-time-budget=2000"]
    subprocess.run([chromium(), *options, f"--screenshot={path}", address], capture_output=True, timeout=60, check=True)
    return cv2.imread(str(path))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_a_browser_shows_the_box_on_the_bright_thing(made: Path, tmp_path: Path) -> None:
    chromium()
    clip = write_clip(tmp_path / "webcam.avi", frames=600, pace=15)
    command = [sys.executable, "-m", "viewfinder", "live", str(made / "bright.onnx"), "--source", str(clip)]
    with subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            address = re.findall(r"http://\S+", process.stderr.readline())[0]
            image = screenshot(address, tmp_path)
        finally:
            process.send_signal(signal.SIGINT)
            last = process.stderr.read()
    assert process.returncode == 0 and "frames answered" in last and "Traceback" not in last
    assert_box_on_light(image)


def assert_box_on_light(image: np.ndarray) -> None:
    """Find the bright square inside the dark picture, and the coloured lines on its four edges."""
    x0, y0, x1, y1 = largest(np.abs(image.astype(int) - (230, 255, 230)).max(axis=2) < 16)
    assert 1.5 * SIDE < y1 - y0 < 2.5 * SIDE, "the picture is not on the page"
    around = np.s_[y0 - 20 : y1 + 20, x0 - 20 : x1 + 20]
    near = [np.abs(image[around].astype(int) - colour[::-1]).sum(axis=2) < 120 for colour in COLOURS]
    drawn = max(near, key=np.count_nonzero)
    columns, rows = (np.flatnonzero(drawn.mean(axis=axis) > 0.35) - 20 for axis in (0, 1))  # lines, not words
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    np.testing.assert_allclose(edges, (0, 0, x1 - x0, y1 - y0), atol=13)


def largest(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 of the largest connected part."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count == 1:
        return 0, 0, 0, 0
    x, y, wide, high = (int(value) for value in stats[1 + stats[1:, cv2.CC_STAT_AREA].argmax()][:4])
    return x, y, x + wide, y + high
