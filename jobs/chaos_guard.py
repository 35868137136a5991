"""Ends a run's stack when the run itself was killed: ``python -m jobs.chaos_guard HOME``, with a pipe from the run.

The pipe ends with the run, however that ended. The word ``done`` before its end says that nothing is left to do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from jobs.services import pids
from jobs.services.home import Home
from jobs.services.stack import Stack

DONE = b"done"


def end_stack(home: Home) -> dict[int, str]:
    """End everything of ``home``, frozen or not, by pid; what is left of it, which is a failure."""
    left: dict[int, str] = {}
    if home.run.exists():
        for pid in pids.belonging(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        left = Stack(home, {}).stop()
    if os.path.ismount(home.data / "objects"):
        subprocess.run(["umount", "--lazy", str(home.data / "objects")], check=False, capture_output=True)  # noqa: S603, S607
    return left


def main() -> None:
    """Wait for the run's end."""
    for order in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(order, signal.SIG_IGN)
    home = Home.at(Path(sys.argv[1]))
    if sys.stdin.buffer.read().endswith(DONE):
        return
    end_stack(home)
    shutil.rmtree(home.root, ignore_errors=True)


if __name__ == "__main__":
    main()
