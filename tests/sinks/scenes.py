"""Generated pictures whose every corner is known."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image

from sinks.pictures import Rendered, Rendition

RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 200, 40), (30, 50, 210), (230, 220, 40)
CORNERS = (RED, GREEN, BLUE, YELLOW)
"""Of a scene: upper left, upper right, lower left, lower right."""

STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera that writes the EXIF orientation has turned the upright picture (TIFF 6.0, tag 274)."""


def scene(width: int = 600, height: int = 400, mode: str = "RGB") -> Image.Image:
    """Four corners of four colours."""
    picture = Image.new("RGB", (2, 2))
    for index, colour in enumerate(CORNERS):
        picture.putpixel((index % 2, index // 2), colour)
    return picture.resize((width, height), Image.Resampling.NEAREST).convert(mode)


def stored(picture: Image.Image, orientation: int) -> Image.Image:
    """``picture`` as it lies in a file of that EXIF orientation."""
    turn = STORED_AS[orientation]
    return picture if turn is None else picture.transpose(turn)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """``picture`` as a file."""
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(rendition: Rendition) -> Image.Image:
    """The pixels of a rendition."""
    with Image.open(BytesIO(rendition.jpeg)) as picture:
        picture.load()
        return picture


def of_bound(rendered: Rendered, bound: int) -> Rendition:
    """The one rendition of that bound."""
    return next(rendition for rendition in rendered.renditions if rendition.bound == bound)


def corners(picture: Image.Image) -> list[tuple[int, int, int]]:
    """The colours a quarter away from each corner."""
    across, down = picture.width // 4, picture.height // 4
    at = [(across, down), (-across - 1, down), (across, -down - 1), (-across - 1, -down - 1)]
    pixels = picture.convert("RGB")
    found = []
    for x, y in at:
        pixel = pixels.getpixel((x % picture.width, y % picture.height))
        assert isinstance(pixel, tuple)
        found.append((int(pixel[0]), int(pixel[1]), int(pixel[2])))
    return found


def alike(one: tuple[int, ...], other: tuple[int, ...], tolerance: int = 12) -> bool:
    """Whether two colours differ by at most ``tolerance`` in every channel."""
    return all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))


def segments(jpeg: bytes) -> list[int]:
    """The markers of a JPEG's header, up to the first scan (ITU-T T.81, B.1.1)."""
    markers, at = [], 2
    assert jpeg[:2] == b"\xff\xd8"
    while jpeg[at + 1] != 0xDA:
        assert jpeg[at] == 0xFF
        markers.append(jpeg[at + 1])
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return markers
