"""Renditions: one uploaded original to the five JPEGs that are served, its blurhash and its average colour.

The way: open with limits → JPEG draft (the decoder itself scales by 1/2, 1/4 or 1/8) → flatten → a cascade of
Lanczos resizes, each from the result before → sRGB → upright → progressive JPEG. Nothing that the original said
about itself (EXIF, GPS, XMP, IPTC, ICC, comments) is passed on.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from io import BytesIO

import blurhash
import pillow_heif
from PIL import ExifTags, Image, UnidentifiedImageError

from sinks.pictures import BOUNDS, QUALITY, THUMBNAIL, Rejected, Rendered, Rendition, too_many_pixels
from sinks.pixels import flatten, to_srgb

__all__ = ["BOUNDS", "QUALITY", "Rejected", "Rendered", "Rendition", "fitted", "render"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF", "TIFF", "BMP", "JPEG2000", "ICO")
"""What people upload (JPEG includes MPO). Everything else that Pillow could open (PostScript, FLI…) stays closed."""

BYTES_PER_PIXEL = {"WEBP": 17, "HEIF": 8, "AVIF": 12, "JPEG2000": 25}
"""Memory to decode a pixel, measured with pictures of 20 megapixels; JPEG is reckoned in ``_bytes_needed``."""
BYTES_PER_PIXEL_USUAL = 6
BASELINE_MIB = 100
"""A warm worker with its libraries and the scaled pictures it works on."""

LANCZOS = Image.Resampling.LANCZOS
SIDEWAYS = {5, 6, 7, 8}
"""EXIF orientations whose stored width is the upright height."""
TALLEST = 4
"""A rendition is at most this many times as high as its bound; a taller original gets a narrower rendition."""
BLURHASH_SIDE = 20

_SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"GIF8",
    b"RIFF",
    b"II*\0",
    b"MM\0*",
    b"BM",
    b"\0\0\1\0",
    b"\xff\x4f\xff\x51",
)
_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis", b"miaf", b"jP  ")

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

pillow_heif.register_heif_opener()


@dataclass(frozen=True, slots=True)
class _Decoded:
    """An original as its decoder gives it: flattened, perhaps scaled down, not yet upright nor sRGB."""

    base: Image.Image
    kind: str
    stored: tuple[int, int]
    orientation: int
    profile: bytes | None


def render(original: bytes, *, pixel_limit: int, memory_mib: int = 512) -> Rendered:
    """Every rendition of ``original``.

    ``pixel_limit`` bounds the original's pixels; formats that need more memory for a pixel are bounded further,
    so that decoding stays within ``memory_mib``. Deterministic; does no I/O. Raises ``Rejected``.
    """
    if not original:
        raise Rejected("empty")
    try:
        decoded = _open(original, pixel_limit, memory_mib)
        scaled = _cascade(decoded)
        renditions = _encoded(scaled)
    except MemoryError as error:
        raise Rejected("out_of_memory") from error
    small = scaled[320]
    width, height = _turned(decoded.stored, decoded.orientation)
    return Rendered(width, height, decoded.kind, _blurhash(small), _average_colour(small), renditions)


def _open(original: bytes, pixel_limit: int, memory_mib: int) -> _Decoded:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # malformed EXIF and the like: the pixels are what counts
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _decode(original, pixel_limit, memory_mib)
    except (Rejected, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Rejected("too_many_pixels") from error
    except UnidentifiedImageError as error:
        raise Rejected("undecodable" if _looks_like_a_picture(original) else "unsupported_type") from error
    except Exception as error:  # decoders raise anything from struct.error to TypeError on damaged files
        raise Rejected("truncated" if _means_truncated(error) else "undecodable") from error


def _decode(original: bytes, pixel_limit: int, memory_mib: int) -> _Decoded:
    room = (memory_mib - BASELINE_MIB) * 1024 * 1024 - len(original)
    if (canvas := _webp_size(original)) is not None:  # Pillow takes the memory as soon as it opens a WebP
        _check(canvas, BYTES_PER_PIXEL["WEBP"] * canvas[0] * canvas[1], pixel_limit, room)
    with Image.open(BytesIO(original), formats=FORMATS) as picture:
        kind = picture.format or ""
        stored = picture.size
        if kind in {"JPEG", "MPO"}:
            picture.draft(None, _needed(stored, _orientation(picture)))
        _check(stored, _bytes_needed(picture, stored), pixel_limit, room)
        _load(picture)
        if kind not in {"JPEG", "MPO"}:
            stored = picture.size  # some containers tell the true size only now
        orientation = _orientation(picture)
        base = flatten(picture, _needed(stored, orientation))
        return _Decoded(base, kind, stored, orientation, picture.info.get("icc_profile"))


def _load(picture: Image.Image) -> None:
    try:
        picture.load()
    except SyntaxError:
        # An APNG whose first frame is whole and whose animation is broken: browsers show the first frame as well.
        if getattr(picture, "tile", None) or not hasattr(picture, "default_image"):
            raise


def fitted(width: int, height: int, bound: int) -> tuple[int, int]:
    """The size of the rendition ``bound`` of an upright ``width`` × ``height`` original; never enlarged."""
    if bound == THUMBNAIL:
        side = min(bound, width, height)
        return side, side
    scale = min(1.0, bound / width, TALLEST * bound / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _cascade(decoded: _Decoded) -> dict[int, Image.Image]:
    """Upright sRGB pictures per bound, each made from the one before."""
    upright = _turned(decoded.stored, decoded.orientation)
    scaled: dict[int, Image.Image] = {}
    current = decoded.base
    for bound in BOUNDS:
        size = fitted(*upright, bound)
        if not scaled:
            current = current.resize(_turned(size, decoded.orientation), LANCZOS, reducing_gap=2.0)
            current = _finished(current, decoded)
        elif bound == THUMBNAIL:
            source = min((*scaled.values(), decoded.base), key=lambda candidate: _crop_cost(candidate, size[0]))
            current = _square(source, size[0])
            if source is decoded.base:  # a panorama, whose other renditions are too low
                current = _finished(current, decoded)
        elif current.size != size:
            current = current.resize(size, LANCZOS)
        scaled[bound] = current
    return scaled


def _crop_cost(candidate: Image.Image, side: int) -> tuple[bool, int]:
    return min(candidate.size) < side, candidate.width * candidate.height


def _square(picture: Image.Image, side: int) -> Image.Image:
    """The centre square of ``picture``, ``side`` pixels wide."""
    length = min(picture.size)
    left, top = (picture.width - length) / 2, (picture.height - length) / 2
    return picture.resize((side, side), LANCZOS, box=(left, top, left + length, top + length), reducing_gap=2.0)


def _finished(picture: Image.Image, decoded: _Decoded) -> Image.Image:
    picture = to_srgb(picture, decoded.profile)
    turn = _TURNS.get(decoded.orientation)
    return picture if turn is None else picture.transpose(turn)


def _encoded(scaled: dict[int, Image.Image]) -> tuple[Rendition, ...]:
    made: dict[tuple[int, int, int], tuple[str, bytes]] = {}
    renditions = []
    for bound in BOUNDS:
        picture = scaled[bound]
        # Square small originals give the same pixels for every bound; they are encoded once per quality.
        key = (*picture.size, QUALITY[bound])
        if key not in made:
            jpeg = _jpeg(picture, QUALITY[bound])
            made[key] = hashlib.sha256(jpeg).hexdigest(), jpeg
        renditions.append(Rendition(bound, *picture.size, *made[key]))
    return tuple(renditions)


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    picture.info = {}  # Pillow would pass a comment on
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality, progressive=True, subsampling="4:2:0")
    return buffer.getvalue()


def _average_colour(picture: Image.Image) -> str:
    pixel = picture.resize((1, 1), Image.Resampling.BOX).tobytes()
    return f"#{pixel.hex()}"


def _blurhash(picture: Image.Image) -> str:
    """https://blurha.sh; the larger side gets four components, the other three."""
    scale = BLURHASH_SIDE / max(picture.size)
    width, height = (max(1, min(side, round(side * scale))) for side in picture.size)
    pixels = picture.resize((width, height), Image.Resampling.BOX).tobytes()
    rows = [
        [tuple(pixels[at : at + 3]) for at in range(row * width * 3, (row + 1) * width * 3, 3)] for row in range(height)
    ]
    across, down = (4, 3) if picture.width >= picture.height else (3, 4)
    return str(blurhash.encode(rows, components_x=across, components_y=down))


def _needed(stored: tuple[int, int], orientation: int) -> tuple[int, int]:
    """The least stored size from which every rendition can be made without enlarging."""
    upright = _turned(stored, orientation)
    sizes = [fitted(*upright, bound) for bound in (BOUNDS[0], THUMBNAIL)]
    return _turned((max(size[0] for size in sizes), max(size[1] for size in sizes)), orientation)


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation in SIDEWAYS else size


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 where it is absent or broken (also after a decoder has turned the picture)."""
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # broken EXIF raises anything and says nothing about the pixels
        return 1
    return orientation if isinstance(orientation, int) and orientation in _TURNS else 1


def _bytes_needed(picture: Image.Image, stored: tuple[int, int]) -> int:
    """What decoding an opened (and drafted) ``picture`` will take, at its peak."""
    pixels = stored[0] * stored[1]
    if picture.format in {"JPEG", "MPO"}:
        # Four bytes for each pixel of the draft; a progressive file also has two for each coefficient of the whole.
        coefficients = 2 * len(picture.getbands()) * pixels if picture.info.get("progressive") else 0
        return 4 * picture.width * picture.height + coefficients
    return BYTES_PER_PIXEL.get(picture.format or "", BYTES_PER_PIXEL_USUAL) * pixels


def _check(size: tuple[int, int], bytes_needed: int, pixel_limit: int, room: int) -> None:
    pixels = size[0] * size[1]
    limit = min(pixel_limit, pixels * room // max(1, bytes_needed))
    if pixels > limit:
        raise too_many_pixels(*size, max(0, limit))


def _webp_size(original: bytes) -> tuple[int, int] | None:
    """The canvas that a WebP's first chunk declares (RFC 9649, sections 2.5 to 2.7); None for anything else."""
    if original[:4] != b"RIFF" or original[8:12] != b"WEBP" or len(original) < 30:
        return None
    match original[12:16]:
        case b"VP8X":
            return _little(original[24:27]) + 1, _little(original[27:30]) + 1
        case b"VP8L":
            bits = _little(original[21:25])
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            return _little(original[26:28]) & 0x3FFF, _little(original[28:30]) & 0x3FFF
    return None


def _little(field: bytes) -> int:
    return int.from_bytes(field, "little")


def _looks_like_a_picture(original: bytes) -> bool:
    head = original[:16]
    return head.startswith(_SIGNATURES) or head[4:8] in _BRANDS or head[8:12] in _BRANDS


def _means_truncated(error: Exception) -> bool:
    words = str(error).lower()
    return isinstance(error, EOFError) or any(sign in words for sign in ("truncated", "end of file", "not enough"))
