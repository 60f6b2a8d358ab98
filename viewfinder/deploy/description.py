"""What a model file says about itself: JSON under the key "viewfinder" in the ONNX metadata.

Whoever opens the file with any ONNX tool can read how to feed it and where it came from. Nothing here needs torch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from viewfinder.errors import ModelFileError

__all__ = ["KEY", "PIXELS", "VERSION", "Description"]

KEY = "viewfinder"
VERSION = 1
PIXELS = (
    "uint8, (batch, height, width, channels), RGB or gray, upright. An image of another size is scaled with its "
    "proportions kept (area averaging where it shrinks) and centred on black. Everything else is in the graph."
)


@dataclass(frozen=True)
class Description:
    """A model file's metadata.

    Args:
        task: "classify", "keypoints", "detect", "locate".
        answer: the kind of its answers, a key of `viewfinder.data.answers.ANSWERS`.
        names: the classes or the keypoints, in the order of the outputs.
        size: side of the square input in pixels.
        channels: 1 (gray) or 3 (RGB).
        threshold: things with a lower score are not answered; 0 where answers have no such choice.
        metrics: what this very file reached on the images that it was verified on, by name.
        images: how many images those were.
        measured_on: which images they were: "validation", or the path of other data.
        recipe: the name of the recipe that it was trained with.
        data: the fingerprint of the training data.
        int8: whether weights and activations of its convolutions are 8 bit numbers.
        made_by: the version of viewfinder that wrote it.
        date: when, ISO 8601 in UTC.
        version: the version of this description.
        pixels: how pixels are prepared, in words.
    """

    task: str
    answer: str
    names: tuple[str, ...]
    size: int
    channels: int
    threshold: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    images: int = 0
    measured_on: str = ""
    recipe: str = ""
    data: str = ""
    int8: bool = False
    made_by: str = ""
    date: str = ""
    version: int = VERSION
    pixels: str = PIXELS

    def as_json(self) -> str:
        """Return the text that is written into the file."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | None, where: object) -> Description:
        """Return the description that a file carries.

        Raises:
            ModelFileError: there is none, it is damaged, or a newer viewfinder wrote it.
        """
        if text is None:
            raise ModelFileError("was not made by viewfinder", where=where, hint="make one with `viewfinder export`")
        try:
            values = json.loads(text)
        except json.JSONDecodeError:
            raise ModelFileError("its description is damaged", where=where, hint="export it again") from None
        version = values.get("version") if isinstance(values, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise ModelFileError("was made by a newer viewfinder", where=where, hint="upgrade viewfinder to read it")
        if version != VERSION or not _complete(values):
            raise ModelFileError("its description is damaged", where=where, hint="export it again")
        known = {part.name for part in fields(cls)}
        return cls(**{**{key: values[key] for key in known & set(values)}, "names": tuple(values["names"])})


def _complete(values: dict[str, Any]) -> bool:
    """Whether all that prediction needs is there and of its type."""
    texts = isinstance(values.get("task"), str) and isinstance(values.get("answer"), str)
    names = values.get("names")
    named = isinstance(names, list) and bool(names) and all(isinstance(name, str) for name in names)
    size = values.get("size")
    measured = isinstance(values.get("metrics", {}), dict) and isinstance(values.get("threshold", 0.0), int | float)
    return texts and named and isinstance(size, int) and size > 0 and values.get("channels") in (1, 3) and measured
