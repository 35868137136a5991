"""``python -m api``: the gateway on the address that the settings name."""

from __future__ import annotations

import uvicorn

from api.app import create_app
from sinks.settings import Settings


def main() -> None:
    """Serve until told to stop; requests under way are finished first."""
    settings = Settings()
    uvicorn.run(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        server_header=False,
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    main()
