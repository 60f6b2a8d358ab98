"""A table of many images: whole, in order and the same, however it was stopped and divided."""

from __future__ import annotations

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import viewfinder as vf
from tests.commands import Commands
from tests.deploy.bright import bright_detector, bright_images
from viewfinder.deploy.bulk import write_table
from viewfinder.deploy.pictures import find_pictures
from viewfinder.errors import DataError

KEYS = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "JOB_COMPLETION_INDEX")
COLUMNS = ["image", "width", "height", "class", "score", "x0", "y0", "x1", "y1", "error"]
MEASURED = """
import sys
from pathlib import Path
from viewfinder.cli.main import main
try:
    main()
finally:
    # getrusage would begin with the peak of the process that started this one
    (peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print("peak", 1024 * int(peak.split()[1]))
"""


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return bright_detector(tmp_path / "bright.onnx")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 100 images, seven parts of work, of which one cannot be read."""
    bright_images(tmp_path / "photos", 100)
    (tmp_path / "photos" / "00042.png").write_bytes(b"no image")
    return tmp_path / "photos"


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_row_says_what_was_found_that_nothing_was_or_why_nobody_knows(
    viewfinder: Commands, model: Path, photos: Path, tmp_path: Path
) -> None:
    table = tmp_path / "deep" / "table.jsonl"
    outcome = viewfinder("predict", model, photos, "--table", table)
    assert outcome.code == 1 and "99 images answered" in outcome.out and "1 image could not be read" in outcome.err
    rows = lines(table)
    assert [row["image"] for row in rows] == [f"photos/{row:05d}.png" for row in range(100)]
    assert all(list(row) == COLUMNS for row in rows)
    predictor = vf.load(model)
    for row in (1, 40, 99):
        assert rows[row]["width"] == 64 and rows[row]["height"] == 48 and rows[row]["error"] is None
        said = predictor(photos / f"{row:05d}.png").as_rows() or [dict.fromkeys(COLUMNS[3:9])]
        assert [rows[row][key] for key in said[0]] == [
            pytest.approx(value, abs=1e-4) if isinstance(value, float) else value for value in said[0].values()
        ]
    assert rows[42]["error"] and {rows[42][key] for key in COLUMNS[1:9]} == {None}
    assert [path.name for path in table.parent.iterdir()] == ["table.jsonl"]


def test_the_three_forms_hold_the_same_rows(viewfinder: Commands, model: Path, photos: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an extra")
    for suffix in ("csv", "jsonl", "parquet"):
        viewfinder("predict", model, photos, "--table", tmp_path / f"table.{suffix}")
    said = lines(tmp_path / "table.jsonl")
    assert parquet.read_table(tmp_path / "table.parquet").to_pylist() == said
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        texts = list(csv.DictReader(file))
    assert texts == [{key: "" if value is None else str(value) for key, value in row.items()} for row in said]


def test_without_pyarrow_parquet_is_refused_at_once_in_one_line(model: Path, photos: Path, tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['pyarrow'] = None; from viewfinder.cli.main import main; main()"
    command = [sys.executable, "-c", hidden, "predict", model, photos, "--table", tmp_path / "table.parquet"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "viewfinder[parquet]" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.glob("table*"))


def test_a_list_names_images_relative_to_itself(
    viewfinder: Commands, model: Path, photos: Path, tmp_path: Path
) -> None:
    names = ["photos/00007.png", "photos/00003.png", "photos/nowhere.png", str(photos / "00001.png")]
    (tmp_path / "list.txt").write_text("\n".join([*names, "", ""]), encoding="utf-8")
    assert viewfinder("predict", model, tmp_path / "list.txt", "--table", tmp_path / "table.jsonl").code == 1
    rows = lines(tmp_path / "table.jsonl")
    assert [row["image"] for row in rows] == names
    assert [bool(row["error"]) for row in rows] == [False, False, True, False]


def test_a_list_of_nothing_that_is_there_is_an_error(viewfinder: Commands, model: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.png\nb.png\n")
    outcome = viewfinder("predict", model, tmp_path / "list.txt", "--table", tmp_path / "table.csv")
    assert outcome.code == 2 and "relative to the list's folder" in outcome.err
    assert not (tmp_path / "table.csv.parts").exists()


def test_a_line_that_no_file_can_have_as_its_name_is_a_row_like_any_other(
    viewfinder: Commands, model: Path, photos: Path, tmp_path: Path
) -> None:
    odd = f"photos/odd{chr(0x2028)}one.png"  # what ends a line for some, and not for a file
    (tmp_path / odd).write_bytes((photos / "00001.png").read_bytes())
    names = ["photos/a\0b.png", "photos/00003.png", odd]
    (tmp_path / "list.txt").write_text("\n".join(names), encoding="utf-8")
    assert viewfinder("predict", model, tmp_path / "list.txt", "--table", tmp_path / "table.jsonl").code == 1
    rows = [json.loads(line) for line in (tmp_path / "table.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    assert [row["image"] for row in rows] == names
    assert [bool(row["error"]) for row in rows] == [True, False, False]


def test_images_of_two_folders_of_one_name_are_told_apart(viewfinder: Commands, model: Path, tmp_path: Path) -> None:
    sources = [tmp_path / "b" / "photos", tmp_path / "c" / "photos", tmp_path / "c" / "photos" / "00001.png"]
    for folder in sources[:2]:
        folder.parent.mkdir()
        bright_images(folder, 2)
    assert viewfinder("predict", model, *sources, "--table", tmp_path / "table.jsonl").code == 0
    names = [row["image"] for row in lines(tmp_path / "table.jsonl")]
    assert names == [
        *(f"{folder.as_posix()}/{row:05d}.png" for folder in sources[:2] for row in range(2)),
        sources[2].as_posix(),
    ]


def test_an_image_that_one_list_names_twice_is_no_reason_for_longer_names(
    viewfinder: Commands, model: Path, photos: Path, tmp_path: Path
) -> None:
    names = ["photos/00001.png", str(photos / "00002.png"), "photos/00001.png"]
    (tmp_path / "list.txt").write_text("\n".join(names), encoding="utf-8")
    bright_images(tmp_path / "more", 1)
    assert (
        viewfinder("predict", model, tmp_path / "list.txt", tmp_path / "more", "--table", tmp_path / "t.csv").code == 0
    )
    told = [row["image"] for row in csv.DictReader((tmp_path / "t.csv").read_text(encoding="utf-8").splitlines())]
    assert told == [*names, "more/00000.png"]


@pytest.mark.parametrize(
    "content", ["", '{"image', '{"image": "photos/00000.png", "error": null}\n', "[]\n", "no error"]
)
def test_a_damaged_part_is_named_and_can_be_made_again(
    viewfinder: Commands, model: Path, photos: Path, tmp_path: Path, content: str
) -> None:
    table = tmp_path / "table.csv"
    viewfinder("predict", model, photos, "--table", table, "--rank", 0, "--world-size", 2)
    part = tmp_path / "table.csv.parts" / "000000.jsonl"
    whole = part.read_bytes()
    part.write_text(whole.decode().replace(', "error": null', "") if content == "no error" else content)
    refused = viewfinder("predict", model, photos, "--table", table)
    assert refused.code == 2 and "000000.jsonl: is damaged; delete it" in refused.err and not table.exists()
    part.unlink()
    assert viewfinder("predict", model, photos, "--table", table, "--rank", 0, "--world-size", 2).code == 0
    assert part.read_bytes() == whole
    assert viewfinder("predict", model, photos, "--table", table).code == 1 and table.exists()


def test_overwriting_starts_again_and_goes_on_where_it_was_stopped_itself(
    viewfinder: Commands, model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, part = tmp_path / "table.csv", tmp_path / "table.csv.parts" / "000000.jsonl"
    replace = Path.replace

    def of_an_image_that_has_changed_since() -> None:
        part.write_text(part.read_text(encoding="utf-8").replace('"width": 64', '"width": 1'), encoding="utf-8")

    def stop(path: Path, target: Path) -> Path:
        if target == table:
            raise OSError(errno.EACCES, "stopped", str(path))
        return replace(path, target)

    again = ("predict", model, photos, "--table", table)
    viewfinder(*again, "--rank", 0, "--world-size", 2)
    of_an_image_that_has_changed_since()
    with monkeypatch.context() as stopping:
        stopping.setattr(Path, "replace", stop)
        refused = viewfinder(*again, "--overwrite")
        assert refused.code == 2 and refused.err.startswith(f"viewfinder: {table}: ")
    assert '"width": 1' not in part.read_text(encoding="utf-8")
    of_an_image_that_has_changed_since()
    assert viewfinder(*again, "--overwrite").code == 1
    assert ",1,48," in table.read_text(encoding="utf-8"), "what it had done itself was done again"


@pytest.mark.skipif(os.name == "nt", reason="Windows limits no sizes of files")
def test_a_table_that_may_not_become_so_large_is_named_and_its_parts_stay(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
    table = tmp_path / "table.jsonl"
    command = [sys.executable, "-c", f"{limited}from viewfinder.cli.main import main; main()"]
    command += ["predict", str(model), str(photos), "--table", str(table)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"viewfinder: {table}: file too large; raise the limit"), done.stderr
    assert len(list((tmp_path / "table.jsonl.parts").glob("*.jsonl"))) == 7 and not table.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_in_the_middle_and_called_again_no_row_is_lost_or_doubled(
    viewfinder: Commands, model: Path, tmp_path: Path
) -> None:
    bright_images(tmp_path / "few", 40)
    many = tmp_path / "many"
    many.mkdir()
    for row in range(2000):
        (many / f"{row:05d}.png").hardlink_to(tmp_path / "few" / f"{row % 40:05d}.png")
    table, parts = tmp_path / "table.csv", tmp_path / "table.csv.parts"
    command = [sys.executable, "-m", "viewfinder", "predict", model, many, "--table", table, "--threads", 2]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(parts.glob("*.jsonl"))) < 5:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not table.exists()
    done = {path: path.stat().st_mtime_ns for path in parts.glob("*.jsonl")}
    assert 5 <= len(done) < 200
    assert viewfinder(*map(str, command[3:-2]), "--world-size", 2, "--rank", 0).code == 0
    assert all(path.stat().st_mtime_ns == at for path, at in done.items()), "what was done was done again"
    assert viewfinder(*map(str, command[3:])).code == 0
    assert viewfinder("predict", model, many, "--table", tmp_path / "whole.csv").code == 0
    assert table.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    names = [row["image"] for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines())]
    assert names == [f"many/{row:05d}.png" for row in range(2000)]
    assert not parts.exists() and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "environments",
    [
        [{"RANK": "0", "WORLD_SIZE": "2"}, {"RANK": "1", "WORLD_SIZE": "2"}],
        [{"SLURM_PROCID": str(rank), "SLURM_NTASKS": "3", "SLURM_STEP_NUM_TASKS": "3"} for rank in range(3)],
        [{"JOB_COMPLETION_INDEX": str(rank), "WORLD_SIZE": "9"} for rank in range(9)],
    ],
    ids=["torchrun", "srun", "kubernetes"],
)
def test_processes_of_a_launcher_answer_every_image_once(
    viewfinder: Commands,
    model: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environments: list[dict[str, str]],
) -> None:
    table, parts = tmp_path / "table.jsonl", tmp_path / "table.jsonl.parts"
    answered: list[str] = []
    for environment in environments:
        before = {path.name for path in parts.glob("*.jsonl")}
        with monkeypatch.context() as started:
            for key, value in environment.items():
                started.setenv(key, value)
            outcome = viewfinder("predict", model, photos, "--table", table)
        assert outcome.code == 0, "a launcher takes any other code for a crash"
        new = sorted(path for path in parts.glob("*.jsonl") if path.name not in before)
        answered += [str(row["image"]) for path in new for row in lines(path)]
        assert not table.exists()
    assert sorted(answered) == [f"photos/{row:05d}.png" for row in range(100)]
    # a batch script of SLURM is one process, whatever it says of its tasks
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "3")
    assert viewfinder("predict", model, photos, "--table", table).code == 1
    viewfinder("predict", model, photos, "--table", tmp_path / "alone.jsonl")
    assert table.read_bytes() == (tmp_path / "alone.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({"WORLD_SIZE": "4"}, ()),
        ({"RANK": "1"}, ()),
        ({"JOB_COMPLETION_INDEX": "1"}, ()),
        ({"RANK": "4", "WORLD_SIZE": "4"}, ()),
        ({"RANK": "one", "WORLD_SIZE": "4"}, ()),
        ({}, ("--rank", "1")),
        ({}, ("--world-size", "2")),
        ({"RANK": "1", "WORLD_SIZE": "4"}, ("--overwrite",)),
    ],
)
def test_half_of_what_divides_the_work_is_refused(
    viewfinder: Commands,
    model: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    options: tuple[str, ...],
) -> None:
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    outcome = viewfinder("predict", model, photos, "--table", tmp_path / "table.csv", *options)
    assert outcome.code == 2 and len(outcome.err.strip().splitlines()) == 1
    assert not list(tmp_path.glob("table*"))


def test_parts_of_another_prediction_are_never_mixed_in(
    viewfinder: Commands, model: Path, photos: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    again = ("predict", model, photos, "--table", table)
    assert viewfinder(*again, "--rank", 0, "--world-size", 2).code == 0
    for changed in (("--threshold", 0.9), ()):
        if not changed:
            (photos / "00000.png").unlink()
        outcome = viewfinder(*again, *changed)
        assert outcome.code == 2 and "parts of a prediction with another" in outcome.err
        assert not table.exists()
    assert viewfinder(*again, "--overwrite").code == 1
    assert len(table.read_text().splitlines()) == 1 + 99
    (tmp_path / "more").mkdir()
    assert viewfinder(*again[:-1], tmp_path / "more" / "t.csv", "--rank", 0, "--world-size", 2).code == 0
    (tmp_path / "other" / "photos").mkdir(parents=True)
    for image in photos.iterdir():
        (tmp_path / "other" / "photos" / image.name).write_bytes(image.read_bytes() + b"more")
    outcome = viewfinder("predict", model, tmp_path / "other" / "photos", "--table", tmp_path / "more" / "t.csv")
    assert outcome.code == 2 and "parts of a prediction with another" in outcome.err, "other images of the same names"
    assert viewfinder(*again).code == 2, "a table that is there was replaced"
    (tmp_path / "other.csv.parts").mkdir()
    (tmp_path / "other.csv.parts" / "notes.txt").write_text("mine")
    for options in ((), ("--overwrite",)):
        assert viewfinder("predict", model, photos, "--table", tmp_path / "other.csv", *options).code == 2
    assert (tmp_path / "other.csv.parts" / "notes.txt").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no folder in which a file is open")
@pytest.mark.parametrize("at", [1, 100, "joining"])
def test_of_two_processes_the_slower_says_that_the_table_is_there(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int | str
) -> None:
    table, replace = tmp_path / "table.csv", Path.replace
    waiting = [at]

    def other(done: int | str, of: int = 0) -> None:
        if done in waiting:
            waiting.remove(done)
            assert write_table(vf.load(model), find_pictures([photos]), table).count == 100

    def replaced(path: Path, target: Path) -> Path:
        other("joining" if target == table else "")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", replaced)
    with pytest.raises(DataError) as caught:
        write_table(vf.load(model), find_pictures([photos]), table, progress=other)
    assert str(caught.value).startswith(f"{table}: another process has joined this table meanwhile; it is whole")
    names = [row["image"] for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines())]
    assert list(dict.fromkeys(names)) == [f"photos/{row:05d}.png" for row in range(100)]
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.parametrize("name", ["table.xlsx", "table", "photos"])
def test_a_name_that_is_no_table_is_refused(
    viewfinder: Commands, model: Path, photos: Path, tmp_path: Path, name: str
) -> None:
    outcome = viewfinder("predict", model, photos, "--table", tmp_path / name)
    assert outcome.code == 2 and len(outcome.err.strip().splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells the peak memory of a program")
@pytest.mark.parametrize("way", ["table", "folder"])
def test_memory_does_not_grow_with_the_number_of_images(model: Path, tmp_path: Path, way: str) -> None:
    image = np.zeros((240, 240, 3), np.uint8)
    image[50:90, 50:150] = 255
    tmp_path.joinpath("images").mkdir()
    cv2.imwrite(str(tmp_path / "image.bmp"), image)
    peaks = []
    for start, stop in ((0, 150), (150, 1500)):
        for row in range(start, stop):
            (tmp_path / "images" / f"{row}.bmp").hardlink_to(tmp_path / "image.bmp")
        out = (
            ("--table", tmp_path / f"{stop}.csv")
            if way == "table"
            else ("--no-pictures", "--out", tmp_path / f"{stop}")
        )
        command = [sys.executable, "-c", MEASURED, "predict", model, tmp_path / "images", *out, "--threads", 2]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split("peak ")[1]))
    assert peaks[1] - peaks[0] < 20e6, f"1,350 more images, 233 MB when decoded, took {peaks[1] - peaks[0]:,} bytes"
