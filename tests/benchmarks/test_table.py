"""The README's table: it says what the results say."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.table import table

ROOT = Path(__file__).parents[2]


def test_the_table_of_the_readme_is_made_from_the_results() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "table.py"), "--check"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_each_kind_of_processor_has_a_column_and_what_was_not_measured_is_blank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, speed in {"riscv64": 10, "avx2": 30}.items():
        cases = {"28×28 gray": {"viewfinder": speed, "kornia": 10}}
        more = {"96×96 gray": {"viewfinder": 5, "kornia": 5}} if kind == "avx2" else {}
        (tmp_path / "results" / kind).mkdir(parents=True)
        before = {"96×96": "it was wider"} if kind == "avx2" else "it was faster"
        result = {"images_per_second": cases | more, "before": before}
        (tmp_path / "results" / kind / "augment.json").write_text(json.dumps(result))
    monkeypatch.setattr("benchmarks.table.HERE", tmp_path)
    head, _, small, large = table().splitlines()
    assert head == "| what | AVX2 alone | riscv64 |"
    assert "| [30 a second, 3.0 × kornia, the next](benchmarks/results/avx2/augment.json) | [10 a second, 1.0" in small
    assert "the next; before it was faster](" in small and "before it was faster" not in large
    assert large.endswith("the next; before it was wider](benchmarks/results/avx2/augment.json) |  |")
    assert "it was wider" not in small


def test_results_are_kept_by_what_the_processor_computes_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    beside, trained = import_module("beside"), import_module("trained")
    monkeypatch.setattr(beside, "HERE", tmp_path)
    about = {"set": "digits", "recipe": "digits", "size": 28, "answered_at": 28, "merged": "", "seed": 1, "threads": 2}
    for minutes in (1, 5, 1):
        trained.keep(about | {"minutes": minutes, "metrics": {"accuracy": 1.0}})
    (file,) = (tmp_path / "results").rglob("*.json")
    assert file.parent.name == beside.instructions()
    assert [one["minutes"] for one in json.loads(file.read_text())["trainings"]] == [1, 5]
