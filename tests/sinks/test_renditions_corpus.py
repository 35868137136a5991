"""Renditions of the shared real pictures: every file against what FACTS.jsonl says of it."""

from __future__ import annotations

import numpy as np
import pytest

from sinks.pictures import BOUNDS, Rejected, Rendered
from sinks.renditions import fitted, render
from tests.sinks.corpus import FOLDERS, needs_corpus, picture
from tests.sinks.scenes import of_bound, opened, segments
from tests.sinks.test_renditions import ALLOWED_SEGMENTS

pytestmark = needs_corpus


def outcome(original: bytes) -> Rendered | Rejected:
    try:
        return render(original, pixel_limit=60_000_000)
    except Rejected as rejected:
        return rejected


def difference(one: str, other: str, bound: int = 1080) -> float:
    """Mean absolute difference of two files' renditions, in 8-bit levels."""
    first, second = (
        np.asarray(opened(of_bound(render(picture(name), pixel_limit=60_000_000), bound)), np.float32)
        for name in (one, other)
    )
    return float(np.abs(first - second).mean())


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_every_file_is_rendered_or_refused_as_the_facts_say(folder: str) -> None:
    wrong = []
    for fact in FOLDERS[folder]:
        result = outcome(fact.original)
        if isinstance(result, Rejected):
            if fact.decodable or not result.reason.endswith("."):
                wrong.append(f"{fact.path}: {result}")
            continue
        sizes = [opened(rendition).size for rendition in result.renditions]
        if not fact.decodable or (result.width, result.height) != fact.size:
            wrong.append(f"{fact.path}: {result.width} × {result.height}, the facts say {fact}")
        if sizes != [fitted(*fact.size, bound) for bound in BOUNDS]:
            wrong.append(f"{fact.path}: renditions of {sizes}")
        if any(set(segments(rendition.jpeg)) != ALLOWED_SEGMENTS for rendition in result.renditions):
            wrong.append(f"{fact.path}: something besides the picture is left")
    assert not wrong, "\n".join(wrong)


def test_the_corpus_has_not_shrunk() -> None:
    facts = [fact for folder in FOLDERS.values() for fact in folder]
    assert sum(fact.decodable for fact in facts) >= 216 and sum(not fact.decodable for fact in facts) >= 166


@pytest.mark.parametrize("orientation", range(2, 9))
def test_all_orientations_look_like_the_first(orientation: int) -> None:
    # The files carry their number in white, and are JPEGs of their own: near, not equal.
    assert difference("orientation/Landscape_1.jpg", f"orientation/Landscape_{orientation}.jpg", 320) < 4
    assert difference("orientation/hopper.jpg", f"orientation/hopper_orientation_{orientation}.jpg") < 8


def test_a_profile_that_rotates_the_colours_is_honoured() -> None:
    wheel = opened(
        of_bound(render(picture("colour/red-at-12-oclock-with-color-profile.jpg"), pixel_limit=60_000_000), 640)
    )
    red, green, blue = wheel.getpixel((320, 48))  # type: ignore[misc]
    assert red > 230 and green < 40 and blue < 40


def test_cmyk_looks_like_its_rgb_twin() -> None:
    assert difference("colour/pil_sample_cmyk.jpg", "colour/pil_sample_rgb.jpg") < 12


def test_the_bombs_are_refused_for_their_pixels() -> None:
    codes = {
        name: getattr(outcome(picture(f"bombs/{name}")), "code", None)
        for name in ("black_large.webp", "65536-uint32-limit.png", "decompression_bomb.gif", "decompression_bomb.ico")
    }
    assert set(codes.values()) == {"too_many_pixels"}, codes
