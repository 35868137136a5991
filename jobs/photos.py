"""The pictures that simulated people upload: files of a folder, or pictures made from a seed."""

from __future__ import annotations

import hashlib
import mimetypes
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


class NoPhotos(ValueError):
    """A folder holds no picture."""


@dataclass(frozen=True)
class Photo:
    """One file as a client would upload it. ``sha256`` is hexadecimal."""

    name: str
    content_type: str
    body: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """Of the whole file."""
        return hashlib.sha256(self.body).hexdigest()

    def torn(self) -> Photo:
        """The same file as a broken transfer leaves it: the first third, at most 4 KiB."""
        return Photo(f"torn-{self.name}", self.content_type, self.body[: min(len(self.body) // 3, 4096)])


def read_photos(folder: Path, most: int = 100) -> list[Photo]:
    """The first ``most`` pictures by name in ``folder`` and the folders below it. Raises ``NoPhotos``."""
    found = []
    for path in sorted(folder.rglob("*")):
        kind = mimetypes.guess_type(path.name)[0] or ""
        if path.is_file() and kind.startswith("image/"):
            found.append(Photo(path.name, kind, path.read_bytes()))
        if len(found) == most:
            break
    if not found:
        raise NoPhotos(f"there is no picture in {folder}")
    return found


def make_photos(count: int, seed: int, sides: Sequence[int] = (1200, 900)) -> list[Photo]:
    """``count`` pictures: soft waves of colour, each another one. Deterministic."""
    random = np.random.default_rng([seed, 2])
    return [
        Photo(f"made-{number}.png", "image/png", _png(_waves(random, *(sides if number % 3 else reversed(sides)))))
        for number in range(count)
    ]


def _waves(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[0 : 1 : 1j * height, 0 : 1 : 1j * width]
    channels = []
    for _ in range(3):
        turns, lean, phase = random.uniform(0.3, 2.5), random.uniform(-2, 2), random.uniform(0, 6.3)
        channels.append(127.5 + 120 * np.sin(6.3 * turns * (x + lean * y) + phase) * np.cos(2 * y))
    # Flat steps compress well: a made picture is some ten kilobytes.
    return (np.stack(channels, axis=-1) // 4 * 4).astype(np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    """8-bit RGB as PNG (ISO 15948). The filter "Sub" leaves small differences, which deflate well."""
    height, width, _ = pixels.shape
    sub = pixels.copy()
    sub[:, 1:] -= pixels[:, :-1]
    rows = np.concatenate([np.ones((height, 1), np.uint8), sub.reshape(height, width * 3)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
