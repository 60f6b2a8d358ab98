"""Whether several processes train as one: how far their losses lie from those of one process, step by step.

    python benchmarks/processes.py [--recipes digits keypoints] [--epochs 1] [--processes 2] [--threads 2]
    python benchmarks/processes.py --recipes digits --set optim.name=sgd optim.lr=0.05

Each training starts from the same weights and sees the same batches, as the recipe says; nothing is validated. Two
things are set beside one process with one thread: several processes that torchrun starts, with a thread each, and one
process with --threads of them. Both add up in another order than that one, so they differ by rounding at least, and by
what the training makes of it. In float64 rounding is half a billion times finer: what stays is something else.

"N steps" is the largest difference of a step's loss among the first N, as a part of that loss. What was measured of
other recipes, or with other changes, stays in the results.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from beside import HERE, data_folder, in_own_process, save, saved, threads

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
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="what is changed in the recipes")
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    changes = dict(change.split("=", 1) for change in given.set)
    rows = [row for recipe in given.recipes for row in compared(given, recipe, changes)]
    keys = ("recipe", "precision", "way", "changes")
    new = [[row[key] for key in keys] for row in rows]
    known = [row for row in saved("processes").get("compared", []) if [row.get(key) for key in keys] not in new]
    save("processes", {"compared": known + rows}, ["torch"])


def compared(given: argparse.Namespace, recipe: str, changes: dict[str, str]) -> list[dict[str, Any]]:
    """Return a row for each precision and way."""
    rows = []
    for precision in ("float32", "float64"):
        every = changes | {"train.precision": precision}
        alone = losses(recipe, given.epochs, every)
        ways = {
            f"{given.processes} processes": losses(recipe, given.epochs, every, processes=given.processes),
            f"{given.threads} threads": losses(recipe, given.epochs, every, count=given.threads),
        }
        for way, seen in ways.items():
            marks = [*(steps for steps in STEPS if steps < len(alone)), len(alone)]
            far = {str(steps): apart(alone[:steps], seen[:steps]) for steps in marks}
            row = {"recipe": recipe, "changes": changes, "precision": precision, "way": way, "steps": len(alone)}
            rows.append(row | {"apart": far, "date": date.today().isoformat()})
            print(text(rows[-1]), flush=True)
    return rows


def losses(recipe: str, epochs: float, changes: dict[str, str], processes: int = 1, count: int = 1) -> list[float]:
    """Return the loss of every step of a training."""
    changes = changes | {"data.val": "0", "train.validations": "1000000", "train.threads": str(count)}
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
    return f"{row['recipe']:20}{row['precision']:9}{row['way']:12}{far}"


if __name__ == "__main__":
    main()
