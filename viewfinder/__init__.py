"""viewfinder: from images with targets to a small vision model that proves itself.

    import viewfinder as vf
    data = vf.read("digit-recognizer.zip"); print(data.check())
    train, val = data.split(val=0.1, seed=42)
    run = vf.train(train, val, recipe="digits", minutes=5)
    run.evaluate(val).save("report")
    vf.load(run.export("digits.onnx"))("seven.png").label

The names below are imported on first use: `import viewfinder` costs nothing, and only training needs torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from viewfinder.config import Recipe as Recipe
    from viewfinder.config import load_recipe as load_recipe
    from viewfinder.data.dataset import Dataset as Dataset
    from viewfinder.data.reading import read as read
    from viewfinder.deploy.predictor import Predictor as Predictor
    from viewfinder.deploy.predictor import load as load
    from viewfinder.errors import ViewfinderError as ViewfinderError
    from viewfinder.training.run import Run as Run
    from viewfinder.training.run import open_run as open_run
    from viewfinder.training.start import resume as resume
    from viewfinder.training.start import train as train

__version__ = "0.1.0"

# Read by torch's OpenMP when it is loaded: a thread that waits spins for microseconds, then sleeps. Spinning longer
# makes a training ten times slower beside another program on the same cores; not at all, 1.6 times on free ones.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_WHERE = {
    "Dataset": "viewfinder.data.dataset",
    "Predictor": "viewfinder.deploy.predictor",
    "Recipe": "viewfinder.config",
    "Run": "viewfinder.training.run",
    "ViewfinderError": "viewfinder.errors",
    "load": "viewfinder.deploy.predictor",
    "load_recipe": "viewfinder.config",
    "open_run": "viewfinder.training.run",
    "read": "viewfinder.data.reading",
    "resume": "viewfinder.training.start",
    "train": "viewfinder.training.start",
}

__all__ = [  # noqa: PLE0604 (filled from the table)
    "__version__",
    *_WHERE,
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'viewfinder' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
