"""``python -m api``: the gateway on the address that the settings name."""

from __future__ import annotations

import gc

from api.app import create_app
from api.serving import serve
from sinks.settings import Settings

_YOUNG, _MIDDLE, _OLD = 10_000, 20, 10
"""Objects made and not gone after which the youngest are looked through for cycles; how many times of that after which
the middle ones are, and of those after which all are. Thousands of streams are a million objects, and to look through
all of them stops the gateway for up to a second: with Python's own thresholds some times a minute."""


def main() -> None:
    """Serve until told to stop; requests under way are finished first."""
    settings = Settings()
    app = create_app(settings)
    gc.collect()
    gc.freeze()  # what is there now stays
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    serve(app, settings, timeout_graceful_shutdown=10)


if __name__ == "__main__":
    main()
