"""``shutterlog bench media``: a 12-megapixel JPEG to its renditions, beside libvips' thumbnails of the same sizes.

Both sides run on one thread, in this process, in turn. Ours also makes the blurhash, the average colour and the
digests; libvips only the five JPEGs (progressive, stripped, same qualities and chroma subsampling, shrink-on-load as
it does by itself). Times are medians of wall time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from sinks.pictures import QUALITY, THUMBNAIL, Rendered
from sinks.renditions import render

WIDTH, HEIGHT = 4000, 3000
PIXEL_LIMIT = 1_000_000_000


def run(samples: int = 5, photo: Path | None = None) -> dict[str, object]:
    """Measure ``samples`` rounds after one to warm up, on ``photo`` or on a generated picture.

    ``figure`` and ``yardstick`` are milliseconds, ``ratio`` is yardstick over figure. Similarities are SSIM (Wang et
    al. 2004, luma, 7 px windows) to the Lanczos resize of the whole original, the least of the five renditions:
    ``ssim_min`` with that resize saved as a JPEG of the same quality, so that it tells what draft and cascade lose;
    ``ssim_uncompressed_min`` with that resize as it is, so that JPEG's own loss counts as well; and
    ``ssim_uncompressed_bound`` what a perfect resize would have there (quality 85 alone costs most photos 2 %).
    """
    vips = _vips()
    original = photo.read_bytes() if photo else synthetic_photo(vips)
    threads = vips.concurrency_get()
    vips.concurrency_set(1)
    vips.cache_set_max(0)  # else a repeated thumbnail would cost nothing
    try:
        rendered = render(original, pixel_limit=PIXEL_LIMIT)
        _thumbnails(vips, original, rendered)
        ours, theirs = [], []
        for _ in range(samples):
            ours.append(_milliseconds(lambda: render(original, pixel_limit=PIXEL_LIMIT)))
            theirs.append(_milliseconds(lambda: _thumbnails(vips, original, rendered)))
        similarities = _similarities(vips, original, rendered)
    finally:
        vips.concurrency_set(threads)
    return {
        "name": "media",
        "figure": round(median(ours), 1),
        "unit": "ms for a JPEG to five renditions",
        "yardstick": round(median(theirs), 1),
        "yardstick_name": f"libvips {'.'.join(str(vips.version(part)) for part in range(3))}, one thread",
        "ratio": round(median(theirs) / median(ours), 2),
        "samples": samples,
        "ssim_min": round(min(each.scaling for each in similarities.values()), 4),
        "ssim_uncompressed_min": round(min(each.served for each in similarities.values()), 4),
        "ssim_uncompressed_bound": round(min(each.bound for each in similarities.values()), 4),
        "ssim": {str(bound): round(each.scaling, 4) for bound, each in similarities.items()},
        "megapixels": round(rendered.width * rendered.height / 1e6, 1),
        "original_bytes": len(original),
        "renditions_bytes": sum(len(rendition.jpeg) for rendition in rendered.renditions),
    }


def _vips() -> Any:
    try:
        import pyvips  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise RuntimeError("the yardstick is missing: install pyvips-binary and pyvips (the dev extra)") from error
    return pyvips


def _milliseconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def _thumbnails(vips: Any, original: bytes, rendered: Rendered) -> dict[int, bytes]:
    made = {}
    for rendition in rendered.renditions:
        crop = "centre" if rendition.bound == THUMBNAIL else "none"
        thumbnail = vips.Image.thumbnail_buffer(
            original, rendition.width, height=rendition.height, size="force" if crop == "none" else "down", crop=crop
        )
        made[rendition.bound] = _jpeg(thumbnail, QUALITY[rendition.bound])
    return made


def _jpeg(picture: Any, quality: int) -> bytes:
    body: bytes = picture.jpegsave_buffer(Q=quality, interlace=True, keep="none", subsample_mode="on")
    return body


@dataclass(frozen=True)
class _Similarity:
    served: float
    bound: float
    scaling: float


def _similarities(vips: Any, original: bytes, rendered: Rendered) -> dict[int, _Similarity]:
    from skimage import metrics

    similarity: Any = metrics.structural_similarity
    whole = vips.Image.new_from_buffer(original, "").autorot().colourspace("srgb").copy_memory()
    similarities = {}
    for rendition in rendered.renditions:
        source = whole
        if rendition.bound == THUMBNAIL:
            side = min(whole.width, whole.height)
            source = whole.crop((whole.width - side) // 2, (whole.height - side) // 2, side, side)
        reference = source.resize(
            rendition.width / source.width, vscale=rendition.height / source.height, kernel="lanczos3", gap=0
        ).cast("uchar")
        alike = vips.Image.new_from_buffer(_jpeg(reference, QUALITY[rendition.bound]), "")
        served = vips.Image.new_from_buffer(rendition.jpeg, "")
        similarities[rendition.bound] = _Similarity(
            *(
                float(similarity(_luma(one), _luma(other), data_range=255))
                for one, other in ((served, reference), (alike, reference), (served, alike))
            )
        )
    return similarities


def _luma(picture: Any) -> Any:
    return picture.colourspace("b-w").numpy().squeeze()


def synthetic_photo(vips: Any, seed: int = 1) -> bytes:
    """A deterministic 12-megapixel JPEG with a photo's statistics: light that falls off, cloudy detail over nine
    octaves, strong where the lens was focused and weak elsewhere, hard edges, sensor noise."""
    import numpy as np

    random = np.random.default_rng(seed)

    def octave(cells: int) -> Any:
        grid = random.normal(size=(cells * 3 // 4 + 4, cells + 4, 3)).astype(np.float32)
        return vips.Image.new_from_array(grid).resize(WIDTH / cells, kernel="cubic").crop(0, 0, WIDTH, HEIGHT).numpy()

    down, across = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    picture = np.repeat((150 - 70 * down / HEIGHT + 30 * across / WIDTH)[..., None], 3, axis=2)
    focus = 1 / (1 + np.exp(-4 * octave(5)[..., :1]))
    for cells in (4, 8, 16, 32):
        picture += octave(cells) * (90 / cells**0.62)
    for cells in (64, 128, 256, 512, 1024):
        picture += octave(cells) * focus * (90 / cells**0.62)
    shapes = octave(6)[..., 0] + 0.3 * octave(24)[..., 1]
    picture[shapes > 1.0] *= np.array([0.55, 0.6, 0.75], np.float32)
    picture[shapes < -1.2] += np.array([35, 25, 5], np.float32)
    picture += random.normal(scale=1.0, size=(HEIGHT, WIDTH, 1)).astype(np.float32)
    array = np.clip(picture, 0, 255).astype(np.uint8)
    body: bytes = vips.Image.new_from_array(array).copy(interpretation="srgb").jpegsave_buffer(Q=92, keep="none")
    return body
