"""Draws docs/faces.jpg, the README's picture: python docs/faces.py demo/keypoints/model.onnx"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

import viewfinder as vf
from viewfinder.data.samples import faces

COLUMNS, ROWS, SCALE, SEED = 7, 2, 2, 2026


def picture(model: Path) -> np.ndarray:
    """Return new faces, drawn with a seed that no training used, with the model's points on them."""
    people, predictor = faces(COLUMNS * ROWS, SEED), vf.load(model)
    tiles = []
    for row in range(len(people)):
        large = cv2.resize(people.images[row], None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
        tiles.append(predictor(people.images[row]).scaled(SCALE).draw(large))
    lines = [np.concatenate(tiles[first : first + COLUMNS], axis=1) for first in range(0, len(tiles), COLUMNS)]
    return np.concatenate(lines)


if __name__ == "__main__":
    image = picture(Path(sys.argv[1]))
    cv2.imwrite(str(Path(__file__).with_name("faces.jpg")), image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
