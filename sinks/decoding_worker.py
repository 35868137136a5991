"""The inside of a decoding process: ``python -m sinks.decoding_worker MEMORY_MIB PIXEL_LIMIT``.

Frames on standard input are originals, frames on standard output are ``Answer``s; a frame is its length as eight
big-endian bytes, then the body. The first frame out is an empty ``Answer``: ready. The process ends with its input.
It is a program of its own, not a fork: it inherits no threads, no locks and no modules of the agent, and it answers in
MessagePack rather than pickle, so that a decoder taken over by a picture has no way to run code in the agent.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from sinks.pictures import Rejected, Rendered

LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """``rendered``, or ``rejected`` as (code, reason); ``peak_kib``: the most resident memory so far."""

    rendered: Rendered | None = None
    rejected: tuple[str, str] | None = None
    peak_kib: int = 0


def framed(body: bytes) -> bytes:
    """``body`` as one frame."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def main() -> None:
    """Answer until the input ends."""
    memory_mib, pixel_limit = (int(argument) for argument in sys.argv[1:3])
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # whatever a library prints must not look like an answer
        _restrict(memory_mib)
        from sinks.renditions import render  # after the limits, so that they hold for the libraries' loading as well

        def answer(original: bytes) -> Answer:
            try:
                return Answer(rendered=render(original, pixel_limit=pixel_limit, memory_mib=memory_mib))
            except Rejected as rejected:
                return Answer(rejected=(rejected.code, rejected.reason))

        _send(answers, Answer())
        while (original := _read(sys.stdin.buffer)) is not None:
            _send(answers, answer(original))


def _restrict(memory_mib: int) -> None:
    """All memory that can be addressed, and so all that can be resident, stays below ``memory_mib``."""
    limit = memory_mib * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # a decoder has no business writing files
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("900")  # when memory is short the kernel shall end this process, not the agent


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    body = stream.read(int.from_bytes(head, "big"))
    return body if len(body) == int.from_bytes(head, "big") else None


def _send(stream: BinaryIO, answer: Answer) -> None:
    stream.write(framed(msgspec.msgpack.encode(Answer(answer.rendered, answer.rejected, _peak_kib()))))
    stream.flush()


def _peak_kib() -> int:
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # not on Linux: it counts the parent's there


if __name__ == "__main__":
    main()
