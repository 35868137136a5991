"""What is taken as a picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy
import pillow_heif
import pytest
from PIL import Image

from api.pictures import HEAD_BYTES, content_type_of


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
        ("TIFF", "image/tiff"),
        ("BMP", "image/bmp"),
        ("JPEG2000", "image/jp2"),
        ("ICO", "image/x-icon"),
        ("AVIF", "image/avif"),
    ],
)
def test_what_pillow_writes_is_known(kind: str, expected: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), "teal").save(file, kind)
    assert content_type_of(file.getvalue()[:HEAD_BYTES]) == expected


def test_heic_is_known() -> None:
    file = io.BytesIO()
    pillow_heif.from_bytes("RGB", (16, 16), numpy.zeros((16, 16, 3), numpy.uint8).tobytes()).save(file)
    assert content_type_of(file.getvalue()[:HEAD_BYTES]) == "image/heic"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        b"<svg xmlns='http://www.w3.org/2000/svg'>",
        b"%PDF-1.7",
        b"RIFF\x00\x00\x00\x00WAVE",
        b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom",
        b"PK\x03\x04",
        b"<!doctype html>",
    ],
)
def test_other_files_are_not(head: bytes) -> None:
    assert content_type_of(head) is None


def test_the_compatible_brands_tell_what_the_major_one_leaves_open() -> None:
    assert content_type_of(b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avifmiaf") == "image/avif"
    assert content_type_of(b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic") == "image/heic"
    assert content_type_of(b"\x00\x00\x00\x14ftypmif1\x00\x00\x00\x00mif1") == "image/heif"


def test_every_real_picture_is_taken(shared_data: Path) -> None:
    photos = [path for path in sorted((shared_data / "images" / "photos").rglob("*")) if path.is_file()]
    assert photos
    for path in photos:
        with path.open("rb") as file:
            assert content_type_of(file.read(HEAD_BYTES)), path
