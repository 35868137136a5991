"""From whatever a decoder gives to opaque sRGB: flattening of modes and alpha, and colour profiles."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageChops, ImageCms

BAND_PIXELS = 2_000_000
"""A large picture that must be flattened is flattened and shrunk in bands of about this many pixels."""

_PLAIN = {"L", "RGB", "CMYK"}
_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}


def flatten(picture: Image.Image, at_least: tuple[int, int]) -> Image.Image:
    """``picture`` as opaque ``L``, ``RGB``, ``CMYK`` or ``LAB``; alpha is composited on white, 16 bits become 8.

    The answer may be a whole number of times smaller, but never below twice ``at_least``: so a picture of 60
    megapixels with alpha never needs a second full-size copy.
    """
    if picture.mode in _PLAIN and not picture.has_transparency_data:
        return picture
    depth = _depth(picture)
    width, height = picture.size
    factor = min(width // (2 * at_least[0]), height // (2 * at_least[1]))
    if factor < 2 or width * height <= BAND_PIXELS:
        return _flatten_whole(picture, depth)
    rows = max(1, BAND_PIXELS // width // factor) * factor
    flat: Image.Image | None = None
    for top in range(0, height, rows):
        band = _flatten_whole(picture.crop((0, top, width, min(height, top + rows))), depth).reduce(factor)
        if flat is None:
            flat = Image.new(band.mode, (-(-width // factor), -(-height // factor)))
        flat.paste(band, (0, top // factor))
    assert flat is not None  # noqa: S101 (a picture has at least one row)
    return flat


def _depth(picture: Image.Image) -> tuple[float, float]:
    """(black, white) of modes deeper than 8 bits; floats are 0…1 by custom, other ranges are stretched."""
    if picture.mode.startswith("I;16"):
        return 0.0, 65535.0
    if picture.mode not in {"I", "F"}:
        return 0.0, 255.0
    low, high = (float(end) for end in picture.getextrema())  # type: ignore[arg-type]
    usual = 1.0 if picture.mode == "F" else 65535.0
    return min(low, 0.0), (usual if high <= usual else high)


def _flatten_whole(picture: Image.Image, depth: tuple[float, float]) -> Image.Image:
    if picture.mode in {"I", "F"} or picture.mode.startswith("I;16"):
        black, white = depth
        scale = 255.0 / (white - black)
        deep = picture.convert("F") if picture.mode != "F" else picture
        return deep.point(lambda value: value * scale + (0.5 - black * scale)).convert("L")
    if picture.has_transparency_data:
        clear = picture if picture.mode in {"RGBA", "LA"} else picture.convert("RGBA")
        flat = Image.new("RGB", clear.size, "white")
        flat.paste(clear, mask=clear.getchannel("A"))
        return flat
    if picture.mode == "1":
        return picture.convert("L")
    return picture if picture.mode in _PLAIN or picture.mode == "LAB" else picture.convert("RGB")


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """A flattened ``picture`` in sRGB; ``profile`` is its embedded ICC profile, ignored where it is broken or of
    another kind than the pixels. Relative colorimetric with black point compensation, as photo editors do."""
    converted = _through(picture, profile) if profile else None
    if converted is not None:
        return converted
    if picture.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return _transformed(picture, lab) or picture.convert("L").convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _through(picture: Image.Image, profile: bytes) -> Image.Image | None:
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        mode = _MODE_OF_SPACE.get(source.profile.xcolor_space.strip())
    except (OSError, ImageCms.PyCMSError):
        return None
    if mode == "RGB" and picture.mode == "L":
        picture = picture.convert("RGB")
    elif mode == "L" and picture.mode == "RGB" and _is_grey(picture):
        picture = picture.getchannel("R")
    return _transformed(picture, source) if picture.mode == mode else None


def _transformed(picture: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image | None:
    try:
        return ImageCms.profileToProfile(
            picture,
            source,
            _srgb(),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None


def _is_grey(picture: Image.Image) -> bool:
    red, green, blue = picture.split()
    return all(ImageChops.difference(red, other).getbbox() is None for other in (green, blue))
