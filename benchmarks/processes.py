"""Whether several processes train as one: how far their losses lie from those of one process, step by step.

    python benchmarks/processes.py [--recipes digits keypoints] [--epochs 1] [--processes 2] [--threads 2]

Each training starts from the same weights and sees the same batches, as the recipe says; nothing is validated. Two
things are set beside one process with one thread: several processes that torchrun starts, with a thread each, and one
process with --threads of them. Both add up in another order than that one, so they differ by rounding at least, and by
what the training makes of it. In float64 rounding is half a billion times finer: what stays is something else.

"N steps" is the largest difference of a step's loss among the first N, as a part of that loss.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from beside import HERE, data_folder, in_own_process, save, threads

ZIPS = {"digits": "digit-recognizer.zip", "keypoints": "facial-keypoints-detection.zip"}
STEPS = (1, 10, 30, 100)
JOB = """
import json, sys
import viewfinder as vf

data, out, job = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
losses = []
def note(event):
    if event["event"] == "validation":
        losses.append(event["train_loss"]["total"])
vf.train(vf.read(data), out=out + "/run", device="cpu", on_event=note, **job)
if losses:
    print(json.dumps(losses))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", choices=ZIPS, default=list(ZIPS))
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    rows = [row for recipe in given.recipes for row in compared(given, recipe)]
    save("processes", {"processes": given.processes, "threads": given.threads, "compared": rows}, ["torch"])


def compared(given: argparse.Namespace, recipe: str) -> list[dict[str, Any]]:
    rows = []
    for precision in ("float32", "float64"):
        alone = losses(recipe, given.epochs, precision)
        ways = {
            f"{given.processes} processes": losses(recipe, given.epochs, precision, processes=given.processes),
            f"{given.threads} threads": losses(recipe, given.epochs, precision, count=given.threads),
        }
        for way, seen in ways.items():
            marks = [*(steps for steps in STEPS if steps < len(alone)), len(alone)]
            far = {str(steps): apart(alone[:steps], seen[:steps]) for steps in marks}
            row = {"recipe": recipe, "precision": precision, "way": way, "steps": len(alone), "apart": far}
            print(text(row), flush=True)
            rows.append(row)
    return rows


def losses(recipe: str, epochs: float, precision: str, processes: int = 1, count: int = 1) -> list[float]:
    """Return the loss of every step of a training."""
    changes = {"data.val": 0, "train.validations": 1_000_000, "train.precision": precision, "train.threads": count}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "job.py"
        script.write_text(JOB, encoding="utf-8")
        job = json.dumps({"recipe": recipe, "epochs": epochs, "changes": changes})
        arguments = [str(script), str(data_folder() / ZIPS[recipe]), folder, job]
        if processes > 1:
            arguments = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", *arguments]
        seen: list[float] = in_own_process(*arguments, **threads(count), PYTHONPATH=str(HERE.parent))
        return seen


def apart(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) / abs(a) for a, b in zip(one, other, strict=True))


def text(row: dict[str, Any]) -> str:
    far = "".join(f"{steps:>7} steps {value:8.1e}" for steps, value in row["apart"].items())
    return f"{row['recipe']:10}{row['precision']:9}{row['way']:12}{far}"


if __name__ == "__main__":
    main()
