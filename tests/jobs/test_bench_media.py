"""The media bench, on a smaller picture: its keys, and renditions as good as a full-size Lanczos resize."""

from __future__ import annotations

import pytest

from jobs import bench_media


def test_the_bench_compares_like_with_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_media, "WIDTH", 2400)
    monkeypatch.setattr(bench_media, "HEIGHT", 1800)
    figures = bench_media.run(samples=1)
    assert {"name", "figure", "unit", "yardstick", "yardstick_name", "ratio", "samples", "ssim_min"} <= set(figures)
    assert figures["name"] == "media" and figures["megapixels"] == 4.3
    assert isinstance(figures["ssim_min"], float) and figures["ssim_min"] >= 0.98
    bound, reached = figures["ssim_uncompressed_bound"], figures["ssim_uncompressed_min"]
    assert isinstance(bound, float) and isinstance(reached, float) and reached > bound - 0.005
