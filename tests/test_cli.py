"""The command line as a whole; each verb has tests of its own beside its part of the package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import Commands
from viewfinder import __version__
from viewfinder.cli.main import VERBS


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
    assert outcome.code == 2
    assert "train" in outcome.err


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


def test_a_folder_that_cannot_be_written_is_one_line(viewfinder: Commands, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = viewfinder("recipes", "--nothing")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
