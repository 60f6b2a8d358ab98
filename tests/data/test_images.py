"""Images are upright, 8-bit, gray or RGB, whole, and fitted by one function."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from viewfinder.data import store
from viewfinder.data.dataset import ArrayImages
from viewfinder.data.decoding import decode, load_image
from viewfinder.data.headers import inspect
from viewfinder.data.images import FileImages, fit, fit_all, inverted
from viewfinder.errors import DataError

WHOLE = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
]


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def quarters() -> np.ndarray:
    """An image whose four corners differ: every turn of it can be told from every other."""
    image = np.zeros((24, 40, 3), dtype=np.uint8)
    image[:12, :20], image[:12, 20:], image[12:, :20], image[12:, 20:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 230
    return image


def ramp() -> np.ndarray:
    return np.tile(np.arange(40, dtype=np.uint8) * 6, (24, 1))


def noise(seed: int = 0, shape: tuple[int, ...] = (50, 60, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_exif_orientation_is_applied_exactly_once(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    more = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "PNG": {}}
    options = {"tiffinfo": {274: orientation}} if format == "TIFF" else {"exif": exif, **more[format]}
    content = encoded(Image.fromarray(quarters()), format, **options)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))
    assert wanted.shape[:2] == ((40, 24) if orientation >= 5 else (24, 40))
    assert inspect(content, "photo").upright == (wanted.shape[1], wanted.shape[0])
    np.testing.assert_array_equal(decode(content, 3, "photo"), wanted)


def test_a_damaged_exif_block_does_not_hide_the_image() -> None:
    content = encoded(Image.fromarray(quarters()), "PNG", exif=b"Exif\0\0MM\0*\0\0\xff\xff")
    np.testing.assert_array_equal(decode(content, 3, "photo"), quarters())


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(format: str) -> None:
    photo = cv2.GaussianBlur(noise(), (0, 0), 4)
    options = {"quality": 98} if format == "JPEG" else {}
    got = decode(encoded(Image.fromarray(photo).convert("CMYK"), format, **options), None, "photo")
    assert got.shape == photo.shape
    assert np.abs(got.astype(int) - photo).max() <= 4


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_become_eight_by_dividing_by_257(format: str) -> None:
    deep = ramp().astype(np.uint16) * 257
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(deep), format), None, "photo")[:, :, 0], ramp())
    _, content = cv2.imencode(f".{format.lower()}", quarters()[:, :, ::-1].astype(np.uint16) * 257)
    np.testing.assert_array_equal(decode(content.tobytes(), None, "photo"), quarters())


@pytest.mark.parametrize(("mode", "key"), [("1", 0), ("L", 0), ("L", 60), ("I;16", 0), ("I;16", 60 * 257)])
def test_what_is_transparent_in_a_gray_image_lies_on_white(mode: str, key: int) -> None:
    gray = Image.fromarray(ramp().astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(ramp()).convert(mode)
    wanted = np.array(gray.convert("L")) if mode != "I;16" else ramp()
    wanted[np.asarray(gray) == key] = 255
    got = decode(encoded(gray, "PNG", transparency=key), None, "photo")
    np.testing.assert_array_equal(got[:, :, 0], wanted)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_transparent_pixels_lie_on_white(format: str) -> None:
    rgba = np.dstack([quarters(), ramp()])
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    white = Image.new("RGBA", (40, 24), (255, 255, 255, 255))
    wanted = np.asarray(Image.alpha_composite(white, Image.fromarray(rgba)).convert("RGB"))
    got = decode(encoded(Image.fromarray(rgba), format, **options), None, "photo")
    assert np.abs(got.astype(int) - wanted).max() <= 1


def test_gray_stays_one_channel_and_channels_can_be_asked_for() -> None:
    content = encoded(Image.fromarray(ramp()), "PNG")
    assert decode(content, None, "photo").shape == (24, 40, 1)
    np.testing.assert_array_equal(decode(content, 3, "photo"), np.repeat(ramp()[:, :, None], 3, axis=2))
    assert decode(encoded(Image.fromarray(quarters()), "PNG"), 1, "photo").shape == (24, 40, 1)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_palettes_and_single_bits_become_what_they_show(format: str) -> None:
    palette = Image.fromarray(quarters()).quantize(4)
    np.testing.assert_array_equal(decode(encoded(palette, format), 3, "photo"), np.asarray(palette.convert("RGB")))
    bits = decode(encoded(Image.fromarray(ramp() > 100), format), 1, "photo")[:, :, 0]
    np.testing.assert_array_equal(bits, np.where(ramp() > 100, 255, 0))


@pytest.mark.parametrize(("format", "options"), WHOLE)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_an_image_that_was_cut_off_is_an_error(format: str, options: dict[str, Any], share: float) -> None:
    content = encoded(Image.fromarray(noise()), format, **options)
    assert decode(content, 3, "whole").shape == (50, 60, 3)
    with pytest.raises(DataError, match="photo"):
        decode(content[: int(len(content) * share)], 3, "photo")


def test_a_cut_off_photo_is_found_although_its_thumbnail_is_whole() -> None:
    thumbnail = encoded(Image.fromarray(noise(1, (8, 8, 3))), "JPEG")
    content = encoded(Image.fromarray(noise()), "JPEG")
    with_thumbnail = content[:2] + b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + content[2:]
    assert decode(with_thumbnail, 3, "photo").shape == (50, 60, 3)
    with pytest.raises(DataError, match="cut off"):
        decode(with_thumbnail[:-200], 3, "photo")


def test_an_image_without_an_area_is_an_error() -> None:
    content = bytearray(encoded(Image.fromarray(noise()), "BMP"))
    content[18:26] = bytes(8)
    with pytest.raises(DataError, match="photo: is cut off or damaged"):
        inspect(bytes(content), "photo", whole=False)


def test_bytes_behind_the_end_of_a_photo_do_not_matter() -> None:
    content = encoded(Image.fromarray(noise()), "JPEG")
    np.testing.assert_array_equal(decode(content + b"\xff\xda film \xff", 3, "a"), decode(content, 3, "b"))


def test_a_damaged_png_is_an_error() -> None:
    content = bytearray(encoded(Image.fromarray(noise()), "PNG"))
    content[len(content) // 2] ^= 1
    with pytest.raises(DataError, match="damaged"):
        decode(bytes(content), 3, "photo")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"BM", b"II*\0"]
)
def test_what_is_no_image_is_an_error(content: bytes) -> None:
    with pytest.raises(DataError, match="photo"):
        decode(content, 3, "photo")


def test_an_image_of_400_million_pixels_is_refused_before_it_is_decoded() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    size = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(DataError, match="20000×20000"):
        decode(content, 3, "photo")


def test_float_images_are_an_error_that_says_so() -> None:
    with pytest.raises(DataError, match="float32"):
        decode(encoded(Image.fromarray(ramp().astype(np.float32)), "TIFF"), 1, "photo")


def test_nothing_is_printed_beside_our_own_error(capfd: pytest.CaptureFixture[str]) -> None:
    content = encoded(Image.fromarray(noise()), "TIFF")
    with pytest.raises(DataError):
        decode(content[: len(content) // 2], 3, "photo")
    assert capfd.readouterr() == ("", "")


def test_fitting_keeps_the_aspect_ratio_and_centres_on_black() -> None:
    pixels, matrix = fit(np.full((20, 40, 3), 200, dtype=np.uint8), 32, 3)
    assert pixels.shape == (32, 32, 3)
    assert (pixels[8:24] == 200).all()
    assert (pixels[:8] == 0).all() and (pixels[24:] == 0).all()
    np.testing.assert_allclose(matrix, [[0.8, 0, 0], [0, 0.8, 8]])


def test_an_image_of_the_right_size_is_not_changed() -> None:
    image = noise(0, (32, 32, 3))
    pixels, matrix = fit(image, 32, 3)
    np.testing.assert_array_equal(pixels, image)
    np.testing.assert_array_equal(matrix, np.eye(2, 3))
    pixels, matrix = fit(image[:20], 32, 3)
    np.testing.assert_array_equal(pixels[6:26], image[:20])
    np.testing.assert_array_equal(matrix, [[1, 0, 0], [0, 1, 6]])


@pytest.mark.parametrize(("height", "width", "size"), [(200, 300, 96), (77, 33, 50), (31, 90, 128), (480, 640, 224)])
def test_the_matrix_says_where_the_pixels_went(height: int, width: int, size: int) -> None:
    centre = np.array([0.7 * width, 0.4 * height])
    y, x = np.mgrid[:height, :width] + 0.5
    spot = 250 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * (min(height, width) / 12) ** 2))
    pixels, matrix = fit(spot.astype(np.uint8)[:, :, None], size, 1)
    weight = pixels[:, :, 0].astype(float)
    y, x = np.mgrid[:size, :size] + 0.5
    found = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
    np.testing.assert_allclose(found, matrix[:, :2] @ centre + matrix[:, 2], atol=0.1)


def test_inverted_maps_bring_points_back() -> None:
    rng = np.random.default_rng(3)
    matrices, points = rng.normal(size=(5, 2, 3)), rng.normal(size=(5, 2, 1))
    there = matrices[:, :, :2] @ points + matrices[:, :, 2:]
    back = inverted(matrices)
    np.testing.assert_allclose(back[:, :, :2] @ there + back[:, :, 2:], points, atol=1e-9)


def test_an_array_of_the_right_form_is_not_copied() -> None:
    array = noise(0, (6, 16, 16, 1))
    pixels, matrices = fit_all(ArrayImages.of(array), 16, 1)
    assert np.shares_memory(pixels, array)
    np.testing.assert_array_equal(matrices, np.tile(np.eye(2, 3), (6, 1, 1)))
    pixels, _ = fit_all(ArrayImages.of(array).select(np.array([4, 1])), 16, 1)
    np.testing.assert_array_equal(pixels, array[[4, 1]])


def test_an_array_of_another_form_is_fitted_image_by_image() -> None:
    array = noise(0, (3, 20, 20, 1))
    pixels, matrices = fit_all(ArrayImages.of(array), 10, 3)
    assert pixels.shape == (3, 10, 10, 3)
    np.testing.assert_array_equal(pixels[2], fit(array[2], 10, 3).pixels)
    np.testing.assert_array_equal(matrices[2], [[0.5, 0, 0], [0, 0.5, 0]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(5):
        (tmp_path / f"{i}.png").write_bytes(encoded(Image.fromarray(noise(i, (20 + i, 30, 3))), "PNG"))
    return tmp_path


def column(folder: Path) -> FileImages:
    return FileImages.of(folder, tuple(sorted(path.name for path in folder.glob("*.png"))))


def test_files_are_decoded_once_and_then_come_from_the_cache(folder: Path) -> None:
    images = column(folder)
    seen: list[tuple[int, int]] = []
    pixels, matrices = fit_all(images, 16, 3, progress=lambda done, all: seen.append((done, all)))
    assert seen[-1] == (5, 5)
    seen.clear()
    again, _ = fit_all(images, 16, 3, progress=lambda done, all: seen.append((done, all)))
    selected, maps = fit_all(images.select(np.array([3, 0])), 16, 3)
    assert not seen
    np.testing.assert_array_equal(pixels[3], fit(images[3], 16, 3).pixels)
    np.testing.assert_array_equal(again, pixels)
    np.testing.assert_array_equal(selected, pixels[[3, 0]])
    np.testing.assert_array_equal(maps, matrices[[3, 0]])


def test_a_file_that_changed_is_decoded_again(folder: Path) -> None:
    before, _ = fit_all(column(folder), 16, 3)
    (folder / "1.png").write_bytes(encoded(Image.fromarray(noise(9, (33, 30, 3))), "PNG"))
    after, _ = fit_all(column(folder), 16, 3)
    assert (before[1] != after[1]).any()
    np.testing.assert_array_equal(before[2], after[2])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_a_pipe_is_no_image_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png: is no file"):
        FileImages.of(tmp_path, ("pipe.png",)).content(0)


def test_images_of_another_folder_are_never_taken_for_those_of_this_one(tmp_path: Path) -> None:
    for folder, gray in (("one", 40), ("other", 200)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.bmp"), np.full((32, 32), gray, np.uint8))
        os.utime(tmp_path / folder / "a.bmp", (315532800, 315532800))  # as some archives say of all their files
    for folder, gray in (("one", 40), ("other", 200)):
        assert fit_all(FileImages.of(tmp_path / folder, ("a.bmp",)), 32, 1)[0].mean() == gray


def test_an_unreadable_file_is_named_and_the_others_can_be_used(folder: Path) -> None:
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:-30])
    with pytest.raises(DataError, match=r"^2\.png: .*viewfinder check"):
        fit_all(column(folder), 16, 3)
    with pytest.raises(DataError, match=r"^2\.png: .*viewfinder check"):
        fit_all(column(folder).select(np.array([2])), 16, 3)
    pixels, matrices = fit_all(column(folder).select(np.array([0, 1, 3, 4])), 16, 3)
    assert pixels.shape == (4, 16, 16, 3) and np.isfinite(matrices).all()


def test_the_fingerprint_is_of_the_content_and_its_order(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("elsewhere")
    for path in folder.glob("*.png"):
        (other / path.name).write_bytes(path.read_bytes())
    images = column(folder)
    assert images.fingerprint() == column(other).fingerprint()
    assert images.fingerprint() != images.select(np.array([1, 0, 2, 3, 4])).fingerprint()
    (other / "4.png").write_bytes((folder / "3.png").read_bytes())
    assert images.fingerprint() != column(other).fingerprint()


def test_images_in_a_zip_are_as_those_in_a_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    archive = tmp_path_factory.mktemp("zipped") / "all.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.glob("*.png")):
            file.write(path, path.name)
    zipped = FileImages.of(archive, column(folder).paths)
    np.testing.assert_array_equal(fit_all(zipped, 16, 3)[0], fit_all(column(folder), 16, 3)[0])
    assert zipped.fingerprint() == column(folder).fingerprint()


def test_a_missing_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_image(tmp_path / "seven.png")


def test_images_need_no_torch() -> None:
    code = "import sys, viewfinder.data.images, viewfinder.data.reading; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_folder_that_vanishes_while_it_is_read_leaves_nothing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIEWFINDER_CACHE", str(tmp_path / "cache"))
    folder, names = tmp_path / "photos", [f"{number:03d}.png" for number in range(100)]
    folder.mkdir()
    for name in names:
        Image.fromarray(noise(int(name[:3]), (8, 8, 3))).save(folder / name)

    def vanish(done: int, _: int) -> None:
        if folder.is_dir():
            folder.rename(tmp_path / "elsewhere")

    with pytest.raises(FileNotFoundError):
        fit_all(FileImages.of(folder, tuple(names)), 8, 3, progress=vanish)
    assert not store.entries()
    (tmp_path / "elsewhere").rename(folder)
    pixels, _ = fit_all(FileImages.of(folder, tuple(names)), 8, 3)
    assert all((pixels[number] == noise(number, (8, 8, 3))).all() for number in (0, 50, 99))
