"""The ``shutterlog`` command line.

Each command imports what it needs inside its function, so that the command line itself starts fast.
Commands that report take ``--json``, commands that change take ``--dry-run``.
The exit code is 0 only when all is well.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from jobs.services.stack import Stack
    from sinks.settings import Settings

app = typer.Typer(help="Shutterlog: the log is the database.", no_args_is_help=True, pretty_exceptions_enable=False)

BENCHES = ("fanout", "pipeline", "media", "freshness")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and do nothing.")]


def main() -> None:
    """Entry point."""
    app()


# -- the stack --------------------------------------------------------------------------------------------------------


@app.command()
def up(
    services_only: Annotated[bool, typer.Option("--services-only", help="Leave out the API and the agents.")] = False,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Use free ports instead of the usual ones.")] = False,
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Load the small demo world once.")] = True,
    dry_run: DryRun = False,
) -> None:
    """Start Kafka, Cassandra, Redis, the agents and the API, and wait until they are healthy.

    A service whose address is in the environment (KAFKA_BOOTSTRAP, CASSANDRA_HOSTS, REDIS_URL, S3_ENDPOINT) is used
    as it is and not started.
    """
    from jobs.services.failures import StackError

    stack = _stack()
    if dry_run:
        for line in stack.plan(free_ports=free_ports, apps=not services_only):
            typer.echo(line)
        return
    try:
        stack.start_services(free_ports=free_ports)
        if not services_only:
            settings = _settings()
            _provision(settings)
            stack.start_apps(free_ports=free_ports)
            settings = _settings()
            loaded = stack.home.data / "demo"
            if demo and not loaded.exists():
                _load_demo(settings)
                loaded.touch()
            typer.echo(f"Shutterlog is up: http://{settings.api_host}:{settings.api_port}")
        else:
            typer.echo(f"the services are up; addresses in {stack.home.addresses_file}")
    except StackError as error:
        _fail(str(error))


@app.command()
def down(dry_run: DryRun = False) -> None:
    """Stop everything that `up` started; data stays."""
    stack = _stack()
    running = stack.running()
    if dry_run:
        for pid, name in sorted(running.items()):
            typer.echo(f"would stop {name} (pid {pid})")
        return
    left = stack.stop()
    if left:
        _fail("still running: " + ", ".join(f"{name} (pid {pid})" for pid, name in left.items()))
    typer.echo(f"stopped {len(running)} program(s)" if running else "nothing was running")


@app.command()
def status(as_json: AsJson = False) -> None:
    """How each service is, asked of the service itself."""
    from jobs.services.stack import to_json

    found = _stack().status()
    report = to_json(found)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        for name, health in found.items():
            mark = "ok " if health.healthy else "BAD"
            where = f"{health.address or ''} {f'pid {health.pid}' if health.pid else ''}".strip()
            typer.echo(f"{mark} {name:<14} {health.state:<10} {where:<44} {health.detail}".rstrip())
    if not report["healthy"]:
        raise typer.Exit(1)


# -- the log ----------------------------------------------------------------------------------------------------------


@app.command()
def provision() -> None:
    """Create the topics and the keyspace; what exists stays as it is."""
    _provision(_settings())


@app.command()
def verify(
    views: Annotated[list[str] | None, typer.Argument(help="Views and emitters; all of them, without any.")] = None,
    as_json: AsJson = False,
    wait: Annotated[float, typer.Option(help="Seconds in which something has to move while views catch up.")] = 60.0,
    show: Annotated[int, typer.Option(help="Differences to print of each view.")] = 20,
) -> None:
    """Compare views with an independent fold of the log. Exit code 0 only for no difference at all."""
    from jobs.verify import UnknownView, verify
    from sinks.errors import LogRemade, StoreAway

    try:
        report = verify(_settings(), views or (), patience=wait, quiet=as_json)
    except (UnknownView, StoreAway, LogRemade, LookupError) as error:
        _fail(str(error))
    for line in report.lines(show):
        typer.echo(line, err=as_json)
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    if report.differences:
        raise typer.Exit(1)


# -- figures ----------------------------------------------------------------------------------------------------------


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help=", ".join(BENCHES))],
    as_json: AsJson = False,
) -> None:
    """Measure one figure beside its yardstick, in the same run; each is ``run`` of a module ``jobs/bench_NAME.py``."""
    from importlib import import_module

    if name not in BENCHES:
        _fail(f"there is no bench {name}; there are {', '.join(BENCHES)}")
    report: dict[str, Any] = import_module(f"jobs.bench_{name}").run()
    if as_json:
        typer.echo(json.dumps(report))
    else:
        for key, value in report.items():
            typer.echo(f"{key:<16} {value}")


# -- inside -----------------------------------------------------------------------------------------------------------


def _settings() -> Settings:
    from sinks.settings import Settings

    return Settings()


def _stack() -> Stack:
    from jobs.services.home import Home
    from jobs.services.stack import Stack

    return Stack(Home.at(_settings().shutterlog_home), os.environ, say=lambda line: typer.echo(line, err=True))


def _provision(settings: Settings) -> Any:
    from jobs.provision import provision

    return provision(settings)


def _load_demo(settings: Settings) -> Any:
    from jobs.demo import load

    return load(settings)


def _fail(reason: str) -> NoReturn:
    typer.echo(f"shutterlog: {reason}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    main()
