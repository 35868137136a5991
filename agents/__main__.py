"""``python -m agents GROUP...``: one worker process."""

from __future__ import annotations

import argparse
import gc
import os

import faust
import uvloop

from agents.groups import GROUPS
from agents.worker import build_app
from sinks.settings import Settings


def main() -> None:
    """Run the named groups until a signal ends the worker."""
    parser = argparse.ArgumentParser(prog="python -m agents", description="Run view groups in one worker process.")
    parser.add_argument("groups", nargs="+", choices=sorted(GROUPS), metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument(
        "--slot",
        default=os.environ.get("SHUTTERLOG_SLOT", "0"),
        help="the worker's lasting name: no two live workers of a group share one (default: $SHUTTERLOG_SLOT)",
    )
    arguments = parser.parse_args()
    uvloop.install()
    # A batch makes tens of thousands of objects, in no cycles, that all go with it: to look for cycles at every 700 of
    # them costs a tenth of the whole.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    app = build_app(Settings(), [GROUPS[name] for name in dict.fromkeys(arguments.groups)], arguments.slot)
    faust.Worker(app, loglevel="INFO", quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main()
