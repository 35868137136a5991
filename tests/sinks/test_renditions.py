"""Renditions of generated pictures: sizes, orientation, metadata, colour, and what is refused."""

from __future__ import annotations

import hashlib
import pickle
import struct
import zlib
from io import BytesIO
from typing import Any

import blurhash
import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from skimage import metrics

from sinks import pixels
from sinks.pictures import BOUNDS, QUALITY, SENTENCES, THUMBNAIL, Rejected, Rendered
from sinks.renditions import fitted, render
from tests.sinks.scenes import BLUE, CORNERS, RED, alike, corners, encoded, of_bound, opened, scene, segments, stored

PIXELS = 60_000_000
ALLOWED_SEGMENTS = {0xE0, 0xDB, 0xC2, 0xC4}
"""JFIF header, quantisation, progressive frame, Huffman tables."""


def rendered(original: bytes) -> Rendered:
    return render(original, pixel_limit=PIXELS)


def colour_of(original: bytes) -> tuple[int, ...]:
    return tuple(bytes.fromhex(rendered(original).colour[1:]))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_out_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    result = rendered(encoded(stored(scene(), orientation), kind, exif=exif))
    assert (result.width, result.height) == (600, 400)
    for rendition in result.renditions:
        for found, expected in zip(corners(opened(rendition)), CORNERS, strict=True):
            assert alike(found, expected), (rendition.bound, found, expected)


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.sampled_from(BOUNDS))
def test_sizes_are_bounded_never_enlarged_and_keep_their_shape(width: int, height: int, bound: int) -> None:
    across, down = fitted(width, height, bound)
    assert 1 <= across <= min(bound, width) and 1 <= down <= height
    if bound == THUMBNAIL:
        assert across == down == min(bound, width, height)
    else:
        assert down <= 4 * bound
        assert across in {width, bound} or down == 4 * bound, "as large as may be"
        assert abs(across * height - down * width) <= max(width, height), "the shape, to a pixel"


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 1300), st.integers(1, 700), st.sampled_from(["JPEG", "PNG"]), st.integers(1, 8))
def test_any_small_picture_gets_all_its_renditions(width: int, height: int, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    result = rendered(encoded(stored(scene(width, height), orientation), kind, exif=exif))
    assert (result.width, result.height, result.kind) == (width, height, kind)
    assert [rendition.bound for rendition in result.renditions] == list(BOUNDS)
    for rendition in result.renditions:
        assert opened(rendition).size == (rendition.width, rendition.height) == fitted(width, height, rendition.bound)
        assert rendition.digest == hashlib.sha256(rendition.jpeg).hexdigest()
        assert set(segments(rendition.jpeg)) == ALLOWED_SEGMENTS


def test_quality_is_85_up_to_320_px_and_92_above() -> None:
    result = rendered(encoded(scene(1600, 1000), "JPEG"))
    for rendition in result.renditions:
        reference = Image.open(BytesIO(encoded(scene(16, 16), "JPEG", quality=QUALITY[rendition.bound])))
        assert opened(rendition).quantization == reference.quantization  # type: ignore[attr-defined]
    assert QUALITY == {1080: 92, 640: 92, 480: 92, 320: 85, 150: 85}


def test_nothing_the_original_said_is_passed_on() -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825).update({1: "N", 2: (60.0, 16.0, 2.87), 3: "E", 4: (8.0, 46.0, 16.08)})
    original = encoded(
        scene(1500, 900),
        "JPEG",
        exif=exif,
        comment=b"SecretComment",
        xmp=b"<x:xmpmeta>SecretPlace</x:xmpmeta>",
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    )
    assert original.count(b"Secret") == 3
    for rendition in rendered(original).renditions:
        assert set(segments(rendition.jpeg)) == ALLOWED_SEGMENTS
        assert b"Secret" not in rendition.jpeg and b"Exif" not in rendition.jpeg
        assert not opened(rendition).getexif()


def test_the_same_bytes_give_the_same_digests_and_small_originals_share_them() -> None:
    original = encoded(scene(300, 300), "PNG")
    first, again = rendered(original), rendered(original)
    assert first == again
    assert len({of_bound(first, bound).digest for bound in (1080, 640, 480)}) == 1
    assert of_bound(first, 320).digest != of_bound(first, 480).digest, "another quality"


def photo_like(width: int, height: int) -> Image.Image:
    """Noise of several octaves, weaker where finer, and hard edges: detail at every scale, as in a photo."""
    random = np.random.default_rng(5)
    detail = np.full((height, width, 3), 128, np.float32)
    detail[(np.indices((height, width)).sum(axis=0) // 90) % 2 == 0] -= 40
    for cell, strength in ((64, 30), (32, 24), (16, 18), (8, 12), (4, 6)):
        cells = random.normal(128, strength, (height // cell + 2, width // cell + 2, 3)).clip(0, 255).astype(np.uint8)
        octave = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
        detail += np.asarray(octave, np.float32) - 128
    return Image.fromarray(detail.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("size", [(2600, 1700), (1700, 2600), (6000, 300), (300, 6000), (1100, 1100)])
def test_renditions_are_as_good_as_a_full_size_lanczos_resize(size: tuple[int, int]) -> None:
    original = encoded(photo_like(*size), "JPEG", quality=92)
    whole = Image.open(BytesIO(original))
    similarity: Any = metrics.structural_similarity
    for rendition in rendered(original).renditions:
        box = (0.0, 0.0, float(size[0]), float(size[1]))
        if rendition.bound == THUMBNAIL:
            left, top = (size[0] - min(size)) / 2, (size[1] - min(size)) / 2
            box = (left, top, left + min(size), top + min(size))
        if min(rendition.width, rendition.height) < 7:
            continue
        reference = whole.resize((rendition.width, rendition.height), Image.Resampling.LANCZOS, box=box)
        alike_saved = Image.open(BytesIO(encoded(reference, "JPEG", quality=QUALITY[rendition.bound])))
        served, expected = (np.asarray(picture.convert("L")) for picture in (opened(rendition), alike_saved))
        assert similarity(served, expected, data_range=255) >= 0.98, rendition.bound


def test_average_colour_and_blurhash_tell_the_picture() -> None:
    result = rendered(encoded(Image.new("RGB", (700, 500), (200, 100, 50)), "PNG"))
    assert alike(tuple(bytes.fromhex(result.colour[1:])), (200, 100, 50), 2)
    halves = Image.new("RGB", (600, 400), RED)
    halves.paste(BLUE, (300, 0, 600, 400))
    decoded = np.array(blurhash.decode(rendered(encoded(halves, "PNG")).blurhash, 40, 40))
    assert [int(np.argmax(decoded[20, x])) for x in (2, 15, 25, 37)] == [0, 0, 2, 2]


# Colour


def through_vips(original: bytes) -> tuple[int, ...]:
    """The centre pixel in sRGB as libvips sees it: a second opinion on colour management."""
    picture = pyvips.Image.new_from_buffer(original, "").icc_transform(
        "srgb", intent="relative", black_point_compensation=True
    )
    return tuple(round(value) for value in picture(picture.width // 2, picture.height // 2)[:3])


def profile_of(name: str) -> bytes:
    body: bytes = pyvips.Image.profile_load(name)
    return body


@pytest.mark.parametrize("colour", [(255, 40, 30), (20, 190, 60), (120, 130, 140), (250, 250, 250)])
def test_display_p3_becomes_srgb(colour: tuple[int, int, int]) -> None:
    original = encoded(Image.new("RGB", (64, 64), colour), "PNG", icc_profile=profile_of("p3"))
    assert alike(colour_of(original), through_vips(original), 3)
    if max(colour) - min(colour) > 100:
        assert not alike(colour_of(original), colour, 10), "ignoring the profile would show"


@pytest.mark.parametrize("ink", [(0, 200, 200, 0), (200, 30, 0, 0), (90, 20, 200, 60)])
def test_cmyk_goes_through_its_profile(ink: tuple[int, int, int, int]) -> None:
    picture = Image.new("CMYK", (64, 64), ink)
    original = encoded(picture, "JPEG", quality=95, icc_profile=profile_of("cmyk"))
    assert alike(colour_of(original), through_vips(original), 4)
    naive = picture.convert("RGB").getpixel((0, 0))
    assert isinstance(naive, tuple) and not alike(colour_of(original), naive, 12)


def test_cmyk_without_a_profile_is_not_inverted() -> None:
    assert alike(colour_of(encoded(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), "JPEG")), (254, 0, 0))


@pytest.mark.parametrize(
    "profile", [b"not a profile", b"\0" * 200, profile_of("cmyk")], ids=["garbage", "zeros", "another kind"]
)
def test_a_broken_or_unfitting_profile_is_ignored(profile: bytes) -> None:
    original = encoded(Image.new("RGB", (64, 64), (200, 100, 50)), "PNG", icc_profile=profile)
    assert alike(colour_of(original), (200, 100, 50), 3)


def test_an_rgb_profile_on_a_grey_picture_is_applied() -> None:
    original = encoded(Image.new("L", (64, 64), 128), "JPEG", icc_profile=profile_of("p3"))
    assert alike(colour_of(original), (128, 128, 128), 3)


def linear_grey_profile() -> bytes:
    """A grey ICC profile of gamma 1 (ICC.1:2010, 7 and 10.5)."""
    tags = {
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061),
        b"kTRC": b"curv\0\0\0\0" + struct.pack(">IHxx", 1, 0x0100),
    }
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value
    head = bytearray(128)
    head[0:4] = struct.pack(">I", at + len(body))
    head[8:24] = struct.pack(">I", 0x02100000) + b"mntrGRAYXYZ "
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">iii", 63190, 65536, 54061)
    return bytes(head) + struct.pack(">I", len(tags)) + table + body


def test_a_grey_profile_is_applied_with_and_without_alpha() -> None:
    for colour, mode in ((55, "L"), ((55, 255), "LA"), ((55, 55, 55, 255), "RGBA")):
        original = encoded(Image.new(mode, (64, 64), colour), "PNG", icc_profile=linear_grey_profile())
        assert alike(colour_of(original), (128, 128, 128), 3), mode  # sRGB's curve at 55/255 (IEC 61966-2-1)
    original = encoded(Image.new("RGB", (64, 64), (55, 99, 55)), "PNG", icc_profile=linear_grey_profile())
    assert alike(colour_of(original), (55, 99, 55), 3), "a grey profile says nothing of colours"


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG2000"])
@pytest.mark.parametrize("value", [0, 1000, 0x8000, 0xFFFF])
def test_sixteen_bit_grey_is_scaled(kind: str, value: int) -> None:
    original = encoded(Image.fromarray(np.full((40, 40), value, np.uint16)), kind)
    assert alike(colour_of(original), (round(value / 257),) * 3, 3)


def test_float_grey_is_scaled() -> None:
    original = encoded(Image.fromarray(np.full((40, 40), 0.5, np.float32)), "TIFF")
    assert alike(colour_of(original), (128, 128, 128), 3)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "HEIF", "AVIF", "GIF", "ICO"])
def test_transparency_shows_white(kind: str) -> None:
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    assert alike(colour_of(encoded(picture, kind)), (255, 255, 255), 3)


def test_half_transparency_is_mixed_with_white() -> None:
    for picture in (Image.new("RGBA", (64, 64), (255, 0, 0, 128)), Image.new("LA", (64, 64), (0, 128))):
        assert alike(colour_of(encoded(picture, "PNG"))[1:], (127, 127), 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_large_pictures_are_flattened_in_bands_to_the_same_pixels(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    channels = len(Image.new(mode, (1, 1)).getbands())
    array = random.integers(0, 255, (611, 1003, channels), np.uint8)
    picture = Image.fromarray(array.squeeze(), mode if mode != "P" else "L")
    if mode == "P":
        picture = scene(1003, 611).quantize(4)
        picture.info["transparency"] = 0
    whole = pixels.flatten(picture, (1003, 611)).reduce(3)
    monkeypatch.setattr(pixels, "BAND_PIXELS", 20_000)
    banded = pixels.flatten(picture, (160, 100))
    assert banded.size == whole.size == (335, 204)
    assert np.abs(np.asarray(banded, np.int16) - np.asarray(whole, np.int16)).max() <= 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_of_an_animation_the_first_frame_is_shown(kind: str) -> None:
    first, second = (Image.new("RGB", (80, 60), colour) for colour in ((200, 30, 30), (30, 30, 200)))
    original = encoded(first, kind, save_all=True, append_images=[second])
    assert alike(colour_of(original), (200, 30, 30), 8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF", "TIFF", "BMP", "JPEG2000", "MPO"])
def test_every_accepted_kind_renders(kind: str) -> None:
    result = rendered(encoded(scene(), kind))
    assert result.kind in {kind, "JPEG"}
    assert all(alike(*pair, 16) for pair in zip(corners(opened(of_bound(result, 1080))), CORNERS, strict=True))


# Refusals


def refused(original: bytes, **limits: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        render(original, **({"pixel_limit": PIXELS} | limits))
    assert caught.value.code in SENTENCES and caught.value.reason.endswith(".")
    assert not caught.value.retryable
    return caught.value


@pytest.mark.parametrize(
    ("original", "code"),
    [
        (b"", "empty"),
        (b"hello, world", "unsupported_type"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_type"),
        (b"%PDF-1.7\n", "unsupported_type"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "unsupported_type"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported_type"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "undecodable"),
        (b"\xff\xd8\xff\xe0", "undecodable"),
    ],
)
def test_what_is_no_picture_is_named(original: bytes, code: str) -> None:
    assert refused(original).code == code


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + b"\0\0\0\1IDAT"


@pytest.mark.parametrize("size", [(8000, 8000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_any_is_decoded(size: tuple[int, int]) -> None:
    assert refused(png_header(*size)).code == "too_many_pixels"


def test_a_webp_canvas_is_measured_before_it_is_opened() -> None:
    extended = (
        b"VP8X" + struct.pack("<I", 10) + bytes(4) + (15_999).to_bytes(3, "little") + (8_999).to_bytes(3, "little")
    )
    original = b"RIFF" + struct.pack("<I", 4 + len(extended)) + b"WEBP" + extended
    assert "16000 × 9000" in refused(original).reason
    for lossless in (True, False):
        original = encoded(scene(40, 30), "WEBP", lossless=lossless)
        assert "40 × 30" in refused(original, pixel_limit=1000).reason


def test_the_pixel_limit_is_exact() -> None:
    original = encoded(scene(40, 30), "JPEG")
    assert render(original, pixel_limit=1200).width == 40
    assert "40 × 30" in refused(original, pixel_limit=1199).reason


def test_kinds_that_need_more_memory_have_fewer_pixels() -> None:
    picture = scene(1500, 1000)
    assert refused(encoded(picture, "WEBP"), memory_mib=120).code == "too_many_pixels"
    assert render(encoded(picture, "PNG"), pixel_limit=PIXELS, memory_mib=120).width == 1500


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF", "TIFF", "BMP"]), st.floats(0.0, 0.99))
def test_a_cut_file_is_never_half_rendered(kind: str, kept: float) -> None:
    picture = Image.effect_noise((90, 70), 60).convert("RGB")
    whole = encoded(picture, kind)
    try:
        result = rendered(whole[: int(len(whole) * kept)])
    except Rejected as rejected:
        assert rejected.code in {"empty", "unsupported_type", "undecodable", "truncated"}
    else:
        assert result == rendered(whole), "only what is not needed was cut"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"]), st.data())
def test_a_damaged_file_renders_or_is_refused(kind: str, data: st.DataObject) -> None:
    whole = bytearray(encoded(scene(60, 40), kind))
    for _ in range(3):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        result = render(bytes(whole), pixel_limit=1_000_000)
    except Rejected:
        return
    assert len(result.renditions) == len(BOUNDS)


def test_a_rejection_survives_a_pickle_and_every_code_says_what_to_do() -> None:
    rejected = pickle.loads(pickle.dumps(Rejected("too_slow", retryable=True)))  # noqa: S301
    assert (rejected.code, rejected.retryable, rejected.reason) == ("too_slow", True, SENTENCES["too_slow"])
    assert all("upload" in sentence or "Upload" in sentence for sentence in SENTENCES.values())
