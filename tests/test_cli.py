"""The command line as a whole; each verb has tests of its own beside its part of the package."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import Commands
from viewfinder import __version__
from viewfinder.cli.main import VERBS
from viewfinder.data.reading import write
from viewfinder.data.samples import digits


def test_help_names_every_verb(viewfinder: Commands) -> None:
    outcome = viewfinder("--help")
    assert outcome.code == 0
    assert all(verb in outcome.out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_shows_an_example(viewfinder: Commands, verb: str) -> None:
    outcome = viewfinder(verb, "--help")
    assert outcome.code == 0
    assert "Example" in outcome.out
    assert f"viewfinder {verb}" in outcome.out.split("Example")[1]


def test_help_does_not_load_torch_or_other_heavy_libraries() -> None:
    code = (
        "import sys; sys.argv = ['viewfinder', '--help']\n"
        "from viewfinder.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'cv2', 'matplotlib', 'sklearn', 'onnxruntime', 'onnx', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_version(viewfinder: Commands) -> None:
    assert viewfinder("--version").out.strip() == f"viewfinder {__version__}"


def test_shell_completion_knows_the_verbs() -> None:
    environment = {"_VIEWFINDER_COMPLETE": "complete_bash", "COMP_WORDS": "viewfinder ev", "COMP_CWORD": "1"}
    command = [
        sys.executable,
        "-c",
        "import sys; sys.argv[0] = 'viewfinder'\nfrom viewfinder.cli.main import app; app()",
    ]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["evaluate"]


def test_an_unknown_verb_is_one_line_with_a_suggestion(viewfinder: Commands) -> None:
    outcome = viewfinder("trian")
    assert (outcome.code, outcome.err) == (2, "viewfinder: no such command 'trian'; did you mean 'train'?\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nothing"], "no such option: --nothing; see `"),
        (["predict", "--nothing"], "no such option: --nothing; "),
        (["predict"], "missing argument '"),
        (["train", "--recipe"], "option '--recipe' requires an argument; see `"),
        (["predict", "m.onnx", "a.jpg", "--threads", "0"], "--threads: "),
        (["predict", "m.onnx", "a.jpg", "--threshold", "high"], "--threshold: "),
    ],
)
def test_a_wrong_command_line_is_one_line(viewfinder: Commands, arguments: list[str], said: str) -> None:
    outcome = viewfinder(*arguments)
    assert outcome.code == 2 and outcome.out == ""
    assert outcome.err.startswith(f"viewfinder: {said}") and len(outcome.err.splitlines()) == 1
    if "--recipe" in arguments:
        assert outcome.err.endswith(" train --help`\n")


def test_no_verb_at_all_shows_the_help(viewfinder: Commands) -> None:
    outcome = viewfinder()
    assert all(verb in outcome.out + outcome.err for verb in VERBS)


def test_a_file_that_may_not_be_read_is_one_line(
    viewfinder: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))

    file = tmp_path / "a.csv"
    file.touch()
    monkeypatch.setattr(os, "access", lambda _, mode: mode == os.F_OK)  # nothing is closed to root
    monkeypatch.setattr(Path, "open", closed)
    for verb in ("check", "export"):  # what is read as data, and any other path
        outcome = viewfinder(verb, file, *(["--out", tmp_path / "m.onnx"] if verb == "export" else []))
        assert (outcome.code, outcome.err) == (2, f"viewfinder: {file}: permission denied; see that you may read it\n")


def test_a_module_can_be_run_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "viewfinder", "--version"], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == f"viewfinder {__version__}"


def test_signs_that_a_code_page_lacks_do_not_stop_a_command() -> None:
    command = [sys.executable, "-m", "viewfinder", "summary", "seed-digits"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert "─" in done.stdout


def test_a_file_of_ones_own_is_no_recipe_of_ours(
    viewfinder: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text('base = "digits"')
    for name, said in (("my.toml", "is a file of your own"), ("nope.toml", "no such recipe file")):
        outcome = viewfinder("recipes", name)
        assert outcome.code == 2 and outcome.err.startswith(f"viewfinder: {name}: {said}")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOENT])
def test_an_error_of_the_system_names_the_file_and_what_to_do(
    viewfinder: Commands, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number), "a.csv")

    monkeypatch.setattr(Path, "exists", fail)
    outcome = viewfinder("check", "a.csv")
    assert outcome.code == 2
    assert re.fullmatch(r"viewfinder: a\.csv: [^;]+; [^;]+\n", outcome.err)


@pytest.mark.skipif(sys.platform == "win32", reason="another process gets no Ctrl-C there")
@pytest.mark.parametrize("seconds", [0.5, 0.9, 1.3])
def test_ctrl_c_while_a_training_loads_is_one_line(seconds: float, tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, threading\n"
        "from viewfinder.cli.main import main\n"
        f"threading.Timer({seconds}, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "sys.argv = ['viewfinder', 'train', sys.argv[1]]\n"
        "main()\n"
    )
    write(digits(), tmp_path / "digits.npz", "npz")
    command = [sys.executable, "-c", program, tmp_path / "digits.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    lines = done.stderr.split("\n")
    assert lines[-2].startswith("viewfinder: stopped"), done.stderr
    assert set(lines[:-2]) <= {"", "viewfinder: stopping in a moment"}, done.stderr


@pytest.mark.parametrize("while_loading", ["typer", "viewfinder.data.check"])
def test_ctrl_c_while_the_command_line_or_a_verb_loads_is_one_line(while_loading: str) -> None:
    program = (
        "import sys\n"
        "class Stopping:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {while_loading!r}:\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stopping())\n"
        "from viewfinder.__main__ import main\n"
        "sys.argv = ['viewfinder', 'check', 'anything']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "viewfinder: stopped\n")
