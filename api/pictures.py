"""Which files are taken, told by their first bytes: headers and file names are what the sender believes."""

from __future__ import annotations

HEAD_BYTES = 64
"""As many bytes of a file as ``content_type_of`` looks at."""

TAKEN = "JPEG, PNG, WebP, GIF, HEIC, HEIF, AVIF, TIFF, BMP, JPEG 2000 or ICO"

_PREFIXES = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"BM", "image/bmp"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/jp2"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
)
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
}


def content_type_of(head: bytes) -> str | None:
    """The media type of a file that begins with ``head``; None if it is no picture that is taken here."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        size = min(int.from_bytes(head[:4], "big"), HEAD_BYTES)
        # The major brand, then (after a version) the compatible ones: `mif1` alone does not say which codec.
        brands = [head[8:12], *(head[at : at + 4] for at in range(16, size, 4))]
        kinds = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
        return min(kinds, key=("image/avif", "image/heic", "image/heif").index) if kinds else None
    return next((kind for prefix, kind in _PREFIXES if head.startswith(prefix)), None)
