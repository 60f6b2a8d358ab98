"""What all benchmarks share: where the data is, what is measured on, processes of their own, and where results go.

Only the standard library is imported, so that the scripts run in any environment, and a process begins small.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def data_folder() -> Path:
    """Return the folder of the real data sets: $VIEWFINDER_DATA, else `shared/data` beside the project."""
    return Path(os.environ.get("VIEWFINDER_DATA", HERE.parents[1] / "shared" / "data"))


def see_that_it_is_there(python: Path) -> None:
    """End with one line where there is no such Python with the others' libraries."""
    if not python.is_file():
        sys.exit(f"{python} is not there: `make bench-keras` makes it, or name another one")


def own_recipes() -> list[str]:
    """Return the names of our recipes whose networks are ours as well."""
    from viewfinder.config import load_recipe, recipe_names

    return [name for name in recipe_names() if load_recipe(name).model["name"] != "timm-detector"]


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())


def instructions() -> str:
    """Return what the processor computes with: amx, bfloat16 (AVX-512 with it), avx512, avx2, or its family's name."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.is_file() else []
    known = {"amx_bf16": "amx", "avx512_bf16": "bfloat16", "avx512f": "avx512", "avx2": "avx2"}
    return next((name for flag, name in known.items() if flag in flags), platform.machine().lower())


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pin(cores: Sequence[int]) -> None:
    """Keep this process on these cores, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def threads(count: int) -> dict[str, str]:
    """Return the environment in which a process computes with so many threads, in PyTorch as in TensorFlow."""
    return dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(count))


def peak_memory() -> float:
    """Return the highest resident size of this process in MB; NaN where the system does not say."""
    try:
        import resource
    except ImportError:
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def in_own_process(script: str, *arguments: str, python: str = sys.executable, **environment: str) -> Any:
    """Run a script, pass its errors on, and return the JSON on the last line that it prints."""
    done = subprocess.run(
        [python, script, *arguments], env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout.splitlines()[-1])


def lines_of(
    script: Path, *arguments: str, python: str | Path = sys.executable, **environment: str
) -> Iterator[dict[str, Any]]:
    """Run a script, pass its errors on, and yield each line that it prints, which is JSON, as soon as it is there."""
    command, environment = [python, script, *arguments], {**os.environ, **environment}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        try:
            for line in child.stdout or ():
                yield json.loads(line)
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)


def result_path(name: str, folder: str = "") -> Path:
    """Return where a report lies: results of processors that compute with other instructions are kept apart."""
    return HERE / "results" / (folder or instructions()) / f"{name}.json"


def saved(name: str, folder: str = "") -> dict[str, Any]:
    """Return the report NAME; an empty one where there is none, or it is of another processor."""
    path = result_path(name, folder)
    report = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return dict(report) if report.get("machine", "").startswith(processor()) else {}


def save(
    name: str, report: Mapping[str, Any], packages: Iterable[str] = (), *, quiet: bool = False, folder: str = ""
) -> Path:
    """Write a report to `results/…/NAME.json` with the date, the machine, its load and the packages' versions.

    The file is written beside and renamed: who reads it while a measurement goes on finds it whole.
    """
    about = {
        "date": date.today().isoformat(),
        "machine": f"{processor()}, {usable_cores()} of {os.cpu_count()} cores, {platform.system()}",
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("viewfinder", *packages)},
    }
    path = result_path(name, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps(about | dict(report), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)
    if not quiet:
        print(f"written to {path}")
    return path
