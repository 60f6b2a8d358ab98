"""What `check` finds, as plain data: it can be printed, counted and written as JSON."""

from __future__ import annotations

import textwrap
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, Literal

__all__ = ["SEVERITIES", "Finding", "Report", "Severity", "counted", "first_few"]

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
WIDTH = 110


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        id: its stable name, "missing-values".
        severity: "error" breaks or falsifies training, "warning" is worth a look, "info" is good to know.
        message: what was found, one sentence without a full stop.
        where: all rows, files, columns or classes that it is about.
        advice: what to do about it, if there is something to do.
    """

    id: str
    severity: Severity
    message: str
    where: tuple[str, ...] = ()
    advice: str = ""

    @property
    def line(self) -> str:
        """One line: "error: 2 boxes with …, such as labels/a.json"."""
        return f"{self.severity}: {self.message}" + (f", such as {self.where[0]}" if self.where else "")


@dataclass(frozen=True)
class Report:
    """Findings about one part of a source, the worst first; `print` shows them as a table."""

    findings: tuple[Finding, ...]
    title: str = ""
    samples: int = 0
    labelled: bool = True

    @classmethod
    def of(cls, findings: Sequence[Finding], title: str, samples: int, *, labelled: bool = True) -> Report:
        """Return a report whose findings are sorted by severity."""
        ranked = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
        return cls(tuple(ranked), title, samples, labelled)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that break or falsify a training."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def count(self, severity: Severity) -> int:
        """Return how many findings are of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def summary(self) -> str:
        """Return one line: "train.csv: 42,000 samples, 1 error, 2 warnings"."""
        counts = [counted(self.samples, "sample") + " without labels" * (not self.labelled)]
        counts += [counted(self.count(kind), kind) for kind in ("error", "warning") if self.count(kind)]
        return f"{self.title}: " * bool(self.title) + ", ".join(counts if len(counts) > 1 else [*counts, "all is well"])

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values; nothing is shortened."""
        found = [{**asdict(finding), "where": list(finding.where)} for finding in self.findings]
        return {"title": self.title, "samples": self.samples, "errors": len(self.errors), "findings": found}

    def __str__(self) -> str:
        lines = [self.summary()]
        column = max((len(finding.id) for finding in self.findings), default=0) + 2
        for finding in self.findings:
            head = f"  {finding.severity:<9}{finding.id:<{column}}"
            indent = " " * len(head)
            lines += textwrap.wrap(finding.message, WIDTH, initial_indent=head, subsequent_indent=indent)
            lines += textwrap.wrap(first_few(finding.where), WIDTH, initial_indent=indent, subsequent_indent=indent)
            lines += textwrap.wrap(finding.advice, WIDTH, initial_indent=indent + "→ ", subsequent_indent=indent + "  ")
        return "\n".join(lines)


def first_few(where: Sequence[str], most: int = 250) -> str:
    """Return as many places as fit into so many letters, at least one, and how many more there are."""
    ends = list(accumulate(len(place) + 2 for place in where))
    shown = max(1, bisect_right(ends, most))
    rest = len(where) - shown
    return "; ".join(where[:shown]) + (f"; and {rest:,} more" if rest > 0 else "")


def counted(number: int, noun: str) -> str:
    """Return "1 image", "3 images", "2 classes"."""
    ending = "" if number == 1 else "es" if noun.endswith(("s", "x")) else "s"
    return f"{number:,} {noun}{ending}"
