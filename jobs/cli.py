"""The ``shutterlog`` command line.

Each command imports what it needs inside its function, so that the command line itself starts fast.
Commands that report take ``--json``, commands that change take ``--dry-run``.
The exit code is 0 only when all is well.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs import cli_accounts, cli_chaos, cli_dlq, cli_log, cli_spam, cli_train, cli_views
from jobs.cli_options import AsJson, DryRun, fail

if TYPE_CHECKING:
    from jobs.services.stack import Stack
    from sinks.settings import Settings

app = typer.Typer(help="Shutterlog: the log is the database.", no_args_is_help=True, pretty_exceptions_enable=False)
cli_views.register(app)
app.add_typer(cli_dlq.dlq, name="dlq")
app.add_typer(cli_accounts.accounts, name="accounts")
app.command("erase")(cli_accounts.erase)
app.add_typer(cli_train.train, name="train")

BENCHES = (
    "fanout",
    "pipeline",
    "media",
    "freshness",
    "replay",
    "counters",
    "live",
    "feed-read",
    "trending",
    "recommend",
    "search",
    "analytics",
    "ranking",
)
PIPELINES = {"post": "", "like": "_likes", "comment": "_tables", "save": "_tables", "notice": "_tables", "story": ""}
"""The events that the bench ``pipeline`` knows, and the end of the name of the module that measures them."""


def main() -> None:
    """Entry point."""
    try:
        app()
    except ValueError as error:
        from pydantic import ValidationError

        if not isinstance(error, ValidationError) or error.title != "Settings":
            raise
        # Settings that cannot work: each says what to do.
        for one in error.errors(include_input=False, include_url=False):
            name = "".join(f"{part}: ".upper() for part in one["loc"])
            typer.echo(f"shutterlog: {name}{one['msg'].removeprefix('Value error, ')}", err=True)
        raise SystemExit(1) from None


# -- the stack --------------------------------------------------------------------------------------------------------


@app.command()
def up(
    services_only: Annotated[bool, typer.Option("--services-only", help="Leave out the API and the agents.")] = False,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Use free ports instead of the usual ones.")] = False,
    clusters: Annotated[
        bool, typer.Option("--clusters", help="3 brokers, 3 Cassandra nodes, 3 Redis masters with a replica each.")
    ] = False,
    tls: Annotated[
        bool | None,
        typer.Option(
            "--tls/--no-tls", help="Every store speaks TLS and knows its user. Without either: as the home did last."
        ),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Load the small demo world once.")] = True,
    dry_run: DryRun = False,
) -> None:
    """Start Kafka, Cassandra, Redis, the agents and the API, and wait until they are healthy.

    A service whose address is in the environment (KAFKA_BOOTSTRAP, CASSANDRA_HOSTS, REDIS_URL, S3_ENDPOINT) is used
    as it is and not started.
    """
    from jobs.services.failures import StackError
    from sinks.errors import StoreAway
    from sinks.registry import RegistryRefused
    from sinks.topics import TopicsUnfit

    stack = _stack()
    if dry_run:
        try:
            lines = stack.plan(free_ports=free_ports, apps=not services_only, clustered=clusters, guarded=tls)
        except StackError as error:
            fail(str(error))
        for line in lines:
            typer.echo(line)
        return
    try:
        stack.start_services(free_ports=free_ports, clustered=clusters, guarded=tls)
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
    except (StackError, StoreAway, TopicsUnfit, RegistryRefused) as error:
        fail(str(error))


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
        fail("still running: " + ", ".join(f"{name} (pid {pid})" for pid, name in left.items()))
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
def provision(dry_run: DryRun = False) -> None:
    """Create the topics, the keyspace and its tables; what exists stays as it is."""
    from jobs.provision import provision
    from sinks.errors import StoreAway
    from sinks.registry import RegistryRefused
    from sinks.topics import TopicsUnfit

    try:
        made = provision(_settings(), dry_run=dry_run)
    except (StoreAway, TopicsUnfit, RegistryRefused) as error:
        fail(str(error))
    for line in made.lines(dry_run):
        typer.echo(line)


schemas = typer.Typer(help="The schemas of the events.", no_args_is_help=True)
app.add_typer(schemas, name="schemas")
app.add_typer(cli_log.app)
app.add_typer(cli_chaos.app)
app.add_typer(cli_spam.app)


@schemas.command("check")
def schemas_check(as_json: AsJson = False) -> None:
    """Whether every schema is in the lock, and every version reads what every other wrote."""
    from jobs.schemas import check, read_lock

    try:
        found = check(read_lock())
    except ValueError as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps({"well": found.well, "broken": found.broken, "unlocked": found.unlocked}))
    else:
        for line in found.lines():
            typer.echo(line, err=not found.well)
    if not found.well:
        raise typer.Exit(1)


@schemas.command("lock")
def schemas_lock(dry_run: DryRun = False) -> None:
    """Add what changed to the lock, if it is compatible with all that the log may hold."""
    from jobs.schemas import LOCK_FILE, extended, read_lock

    try:
        before = read_lock()
        after = extended(before)
    except ValueError as error:
        fail(str(error))
    for number in sorted(after.by_id.keys() - before.by_id.keys()):
        version = after.by_id[number]
        typer.echo(f"{'would lock' if dry_run else 'locked'} {version.subject} version {version.version}, id {number}")
    if not dry_run and after.by_id.keys() != before.by_id.keys():
        LOCK_FILE.write_text(after.text())


@app.command()
def simulate(
    graph: Annotated[Path | None, typer.Option(help="Edges: SNAP text or CSV, .gz or not; else one is made.")] = None,
    directed: Annotated[bool | None, typer.Option("--directed/--undirected", help="Unless the file says so.")] = None,
    people: Annotated[int, typer.Option(help="Of a made graph; --via api takes so many of a given one.")] = 200,
    photos: Annotated[Path | None, typer.Option(help="Folder of pictures. Made pictures without.")] = None,
    events: Annotated[int | None, typer.Option(help="Events after the accounts and the graph; 70 % are views.")] = None,
    posts: Annotated[int | None, typer.Option(help="How many of the events are new posts; 2 % without.")] = None,
    uploads: Annotated[int, typer.Option(help="Posts and stories whose picture is uploaded; others reuse some.")] = 200,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = 1,
    until: Annotated[datetime | None, typer.Option(help="End of the world's time, UTC; 2025-01-01 without.")] = None,
    via: Annotated[str, typer.Option(help="log, or api for some hundred people at most.")] = "log",
    kill_agents: Annotated[int, typer.Option(help="kill -9 random agents so many times meanwhile.")] = 0,
    rate: Annotated[float, typer.Option(help="Events a second; 0 for as fast as possible.")] = 0.0,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Let simulated people live: with a given follow graph and real pictures, into the log or through the API."""
    from datetime import UTC

    from jobs.api_client import ApiRefused
    from jobs.simulate import Wishes, simulate
    from jobs.simulate_kills import NoAgents
    from jobs.simulate_log import NoRenditions
    from jobs.world import DEFAULT_UNTIL_MS, Plan
    from sinks.errors import StoreAway

    if events is None:
        events = max(10_000, posts * 5 // 2) if posts else 10_000
    end = int(until.replace(tzinfo=UTC).timestamp() * 1000) if until else DEFAULT_UNTIL_MS
    plan = Plan(seed=seed, events=events, posts=posts, whole_way=uploads, until=end)
    wishes = Wishes(plan, graph, directed, people, photos, via=via, kills=kill_agents, rate=rate)
    try:
        report = simulate(_settings(), wishes, quiet=as_json, dry_run=dry_run)
    except (ValueError, OSError, StoreAway, LookupError, NoAgents, NoRenditions, ApiRefused) as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps(report))
    else:
        for key, value in report.items():
            typer.echo(f"{key:<18} {value}")


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
        fail(str(error))
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
    event: Annotated[str, typer.Option(help="Which events go through the pipeline: " + ", ".join(PIPELINES))] = "post",
    log: Annotated[
        Path | None,
        typer.Option(help="Of trending: userA userB time RT|MT|RE; of recommend: userid,movieid,rating,timestamp."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Of trending: draw the burst into this SVG file.")] = None,
) -> None:
    """Measure one figure beside its yardstick, in the same run; each is ``run`` of a module ``jobs/bench_NAME.py``."""
    from importlib import import_module

    from sinks.errors import StoreAway

    if name not in BENCHES:
        fail(f"there is no bench {name}; there are {', '.join(BENCHES)}")
    if event not in PIPELINES or (event != "post" and name != "pipeline"):
        fail(f"--event is one of {', '.join(PIPELINES)}, and goes with the bench pipeline")
    options = {"trending": {"log": log, "plot": plot}, "recommend": {"log": log}}
    if log and name not in options or plot and name != "trending":
        fail("--log goes with the benches trending and recommend, --plot with trending")
    given: dict[str, Any] = options.get(name, {})
    module = f"jobs.bench_{name.replace('-', '_')}"
    if name == "pipeline":
        module, given = f"{module}{PIPELINES[event]}", {} if event == "like" else {"event": event}
    try:
        report: dict[str, Any] = import_module(module).run(**given)
    except StoreAway as error:
        fail(f"{error}: `shutterlog up --services-only` starts what a bench needs")
    except (OSError, ValueError) as error:
        if name not in options:
            raise
        fail(str(error))
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


if __name__ == "__main__":
    main()
