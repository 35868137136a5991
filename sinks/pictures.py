"""What becomes of an uploaded picture: renditions, or a rejection that a person can understand.

Types only, without Pillow, so that agents and the API can name them without loading a decoder.
"""

from __future__ import annotations

from dataclasses import dataclass

BOUNDS = (1080, 640, 480, 320, 150)
"""The renditions of every picture, in pixels. 1080 to 320 bound the width (as a feed column does, and as
``srcset`` widths mean it), with the height at most four times the bound; 150 is a square centre crop."""

THUMBNAIL = 150
QUALITY = {1080: 92, 640: 92, 480: 92, 320: 85, 150: 85}
"""JPEG quality per bound: 85 up to 320 px, 92 above."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """One served picture: a progressive sRGB JPEG without metadata.

    ``bound`` is one of ``BOUNDS``; ``width`` and ``height`` are what the file really has, since nothing is
    enlarged. ``digest`` is the hexadecimal SHA-256 of ``jpeg``: equal files of small originals share it.
    """

    bound: int
    width: int
    height: int
    digest: str
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Rendered:
    """An original, made ready to be shown.

    ``width`` and ``height`` are the upright size of the original in pixels, ``kind`` its container as Pillow names
    it (``JPEG``, ``HEIF``…), ``colour`` its average as ``#rrggbb``. ``renditions`` come in the order of ``BOUNDS``.
    """

    width: int
    height: int
    kind: str
    blurhash: str
    colour: str
    renditions: tuple[Rendition, ...]


SENTENCES = {
    "empty": "The file is empty. Choose the picture again and upload it once more.",
    "unsupported_type": "This file is not a kind of picture that can be shown here. "
    "Upload a JPEG, PNG, WebP, HEIC, AVIF, GIF, TIFF, BMP or JPEG 2000.",
    "undecodable": "This picture is damaged and cannot be read. "
    "Open it on your device, save it as a new JPEG or PNG, and upload that.",
    "truncated": "Part of this picture is missing, as after a broken transfer. Upload it again from the original.",
    "too_many_pixels": "This picture has too many pixels. Make it smaller and upload it again.",
    "too_large": "This file is too large. Save the picture with a lower quality or size and upload it again.",
    "out_of_memory": "Opening this picture needs more memory than a picture may use. "
    "Save it as a smaller JPEG and upload that.",
    "too_slow": "Opening this picture takes too long. Save it as a JPEG and upload that, or try again later.",
    "decoder_crashed": "This picture stops the decoder. Open it on your device, save it as a new JPEG and upload it.",
}


class Rejected(Exception):
    """This upload gives no picture.

    ``code`` is stable and one of ``SENTENCES``; ``reason`` is a sentence for the person, saying what to do;
    ``retryable`` says whether the very same bytes may succeed another time (load, a dead worker).
    """

    def __init__(self, code: str, reason: str | None = None, *, retryable: bool = False) -> None:
        self.code = code
        self.reason = reason or SENTENCES[code]
        self.retryable = retryable
        super().__init__(f"{code}: {self.reason}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rejected, (self.code, self.reason, self.retryable)


def _rejected(code: str, reason: str, retryable: bool) -> Rejected:
    return Rejected(code, reason, retryable=retryable)


def too_many_pixels(width: int, height: int, limit: int) -> Rejected:
    """The rejection of a ``width`` × ``height`` picture where ``limit`` pixels are allowed."""
    return Rejected(
        "too_many_pixels",
        f"This picture has {width} × {height} = {_mega(width * height)} megapixels; "
        f"at most {_mega(limit)} are possible for a file of this kind. Make it smaller and upload it again.",
    )


def too_large(size: int, limit: int) -> Rejected:
    """The rejection of a file of ``size`` bytes where ``limit`` are allowed."""
    return Rejected(
        "too_large",
        f"This file has {size / 1e6:.1f} MB; at most {limit / 1e6:.0f} MB are possible. "
        "Save the picture with a lower quality or size and upload it again.",
    )


def _mega(pixels: int) -> str:
    return f"{pixels / 1e6:,.1f}".removesuffix(".0")
