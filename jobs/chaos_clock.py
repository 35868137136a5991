"""A gateway whose clock is wrong: ``python -m jobs.chaos_clock SECONDS`` runs one that is so many seconds ahead.

Only the wall clock is wrong, as a machine's is that lost its time server: what measures time that passes is right.
"""

from __future__ import annotations

import runpy
import sys
import time

_NS = 1_000_000_000


def main() -> None:
    """Move the clock, then be the gateway."""
    seconds = float(sys.argv.pop(1))
    true_time, true_time_ns = time.time, time.time_ns
    time.time = lambda: true_time() + seconds
    time.time_ns = lambda: true_time_ns() + round(seconds * _NS)
    runpy.run_module("api", run_name="__main__")


if __name__ == "__main__":
    main()
