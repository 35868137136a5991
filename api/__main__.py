"""``python -m api``: the gateway on the address that the settings name."""

from __future__ import annotations

from api.app import create_app
from api.serving import serve
from sinks.settings import Settings


def main() -> None:
    """Serve until told to stop; requests under way are finished first."""
    settings = Settings()
    serve(create_app(settings), settings, timeout_graceful_shutdown=10)


if __name__ == "__main__":
    main()
