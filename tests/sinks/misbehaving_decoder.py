"""A decoding program that does what its original says: the ways in which a decoder can go wrong, on demand.

``die``, ``hang``, ``spin``, ``babble``, ``devour`` and, for all else, a rejection that quotes the original. Each
original is noted in the file that ``MISBEHAVIOUR_LOG`` names; ``once-die`` and so on misbehave the first time only.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import msgspec

from sinks.decoding_worker import Answer, _read, _restrict, framed


def main() -> None:
    log = Path(os.environ["MISBEHAVIOUR_LOG"])
    memory_mib = int(sys.argv[1])
    send(Answer())
    while (original := _read(sys.stdin.buffer)) is not None:
        word = original.decode()
        seen = log.read_text().split() if log.exists() else []
        with log.open("a") as lines:
            lines.write(word + "\n")
        if word.startswith("once-"):
            word = "fine" if word in seen else word.removeprefix("once-")
        misbehave(word, memory_mib)
        send(Answer(rejected=("undecodable", word)))


def misbehave(word: str, memory_mib: int) -> None:
    if word == "die":
        os.abort()
    elif word == "hang":
        time.sleep(60)
    elif word == "spin":
        while True:
            pass
    elif word == "babble":
        sys.stdout.buffer.write(framed(b"this is not MessagePack"))
        sys.stdout.flush()
    elif word == "devour":
        _restrict(memory_mib)
        try:
            bytearray(memory_mib * 1024 * 1024)
        except MemoryError:
            send(Answer(rejected=("out_of_memory", "devoured")))


def send(answer: Answer) -> None:
    sys.stdout.buffer.write(framed(msgspec.msgpack.encode(answer)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
