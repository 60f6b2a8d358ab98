"""`check`: what is worth knowing about a dataset before a training, as findings.

    report = check(train, test)             # about train, and about images that train shares with test
    report.errors, report.as_dict(), print(report)

A finding is one small function that yields `Finding`s, and one line in one of the tables below. Those that are about
targets stand in the table of their kind of column, so that nobody asks which task it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from viewfinder.data import check_boxes, check_images, check_labels, check_leakage, check_points
from viewfinder.data.dataset import Dataset
from viewfinder.data.findings import Finding, Report, Severity
from viewfinder.data.survey import Part, survey_all
from viewfinder.data.targets import BoxSets, Labels, PointSets

__all__ = ["Finding", "Report", "Severity", "check", "check_all"]

Check = Callable[[Part], Iterator[Finding]]
Comparison = Callable[[Sequence[Part]], Iterator[Finding]]

ABOUT_IMAGES: tuple[Check, ...] = (
    check_images.images,
    check_images.unreadable_images,
    check_images.blank_images,
    check_images.pixel_range,
    check_images.exact_duplicates,
    check_images.near_duplicates,
    check_images.similar_images,
)

ABOUT_TARGETS: dict[type, tuple[Check, ...]] = {
    Labels: (
        check_labels.class_counts,
        check_labels.one_class,
        check_labels.rare_classes,
        check_labels.class_imbalance,
        check_labels.conflicting_labels,
    ),
    PointSets: (
        check_points.missing_values,
        check_points.empty_columns,
        check_points.samples_without_points,
        check_points.point_range,
        check_points.points_outside,
        check_points.conflicting_points,
        check_points.swapped_sides,
        check_points.suspicious_points,
    ),
    BoxSets: (
        check_boxes.box_counts,
        check_boxes.no_boxes,
        check_boxes.rare_boxes,
        check_boxes.box_imbalance,
        check_boxes.box_values,
        check_boxes.empty_boxes,
        check_boxes.boxes_outside,
        check_boxes.tiny_boxes,
        check_boxes.crowded_samples,
        check_boxes.duplicate_boxes,
        check_boxes.conflicting_boxes,
    ),
}

BETWEEN_PARTS: tuple[Comparison, ...] = (
    check_leakage.leakage,
    check_leakage.near_leakage,
    check_leakage.group_leakage,
)

BETWEEN_TARGETS: dict[type, tuple[Comparison, ...]] = {BoxSets: (check_boxes.unseen_classes,)}


def check(dataset: Dataset, *others: Dataset) -> Report:
    """Return findings about a dataset, and about images that it shares with `others`.

    Takes time in the square of the number of images: 3 seconds for 42,000 on one core.
    """
    return check_all([dataset, *others])[0]


def check_all(datasets: Sequence[Dataset]) -> list[Report]:
    """Return a report for each dataset; what they share is reported with the first one."""
    parts = survey_all(datasets)
    return [_report(part, parts if part is parts[0] else [part]) for part in parts]


def _report(part: Part, parts: Sequence[Part]) -> Report:
    kind = type(part.dataset.targets)
    found = [*part.dataset.notes]
    for about_one in (*ABOUT_IMAGES, *ABOUT_TARGETS.get(kind, ())):
        found += about_one(part)
    for about_all in (*BETWEEN_PARTS, *BETWEEN_TARGETS.get(kind, ())):
        found += about_all(parts)
    return Report.of(found, part.dataset.title, len(part.dataset), labelled=part.dataset.targets is not None)
