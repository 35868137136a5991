"""``shutterlog dlq``: what nobody could take, and what becomes of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli_options import DryRun, fail

if TYPE_CHECKING:
    from jobs.dlq import Filters
    from sinks.settings import Settings

dlq = typer.Typer(help="Dead letters: records that nobody, or not every view, could take.", no_args_is_help=True)

Letters = Annotated[
    list[str] | None, typer.Argument(help="TOPIC-PARTITION@OFFSET, any number of them.", metavar="[LETTER]...")
]
Topic = Annotated[str | None, typer.Option(help="Letters of this topic.")]
View = Annotated[str | None, typer.Option(help="Letters that this view refused.")]
Kind = Annotated[str | None, typer.Option(help="undecodable (nobody can read them) or refused (by one view).")]
Error = Annotated[str | None, typer.Option(help="Letters whose error has this in it.")]
Since = Annotated[str | None, typer.Option(help="Seen since then: 2026-11-21T07:30 (UTC), or an age: 90m, 2h, 3d.")]
Until = Annotated[str | None, typer.Option(help="First seen until then, in the same forms.")]
From = Annotated[
    Path | None, typer.Option("--from", help="JSON lines from this file; - for standard input.", allow_dash=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object for each letter.")]


@dlq.command("list")
def list_(
    letters: Letters = None,
    topic: Topic = None,
    view: View = None,
    kind: Kind = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Those that are resolved too.")] = False,
    limit: Annotated[int, typer.Option(help="Print so many at most; 0 for all.")] = 0,
    as_json: AsJson = False,
) -> None:
    """The letters that wait for somebody, in the order of the log.

    With --json one object a line: topic, partition, offset, view (null where nobody can decode it), kind, error, tries,
    first_seen and last_seen (ms), key_size and value_size (bytes, -1 for none), resolved (null, or how, at and by).
    """
    from jobs.dlq import clock, plain, read, resolved_text, to_json

    with _failures():
        filters = _filters(letters, topic, view, kind, error, since, until)
        book = read(_settings(), filters.topics, quiet=as_json)
    found = [one for one in book.letters.values() if filters.takes(one) and (resolved or one.resolution is None)]
    shown = found[:limit] if limit > 0 else found
    if as_json:
        for letter in shown:
            typer.echo(json.dumps(to_json(letter)))
    elif shown:
        wide = max(len(str(one.id)) for one in shown)
        typer.echo(
            f"{'letter':<{wide}}  {'refused by':<13}  {'tries':>5}  {'last seen (UTC)':<19}  {'bytes':>9}  error"
        )
        for one in shown:
            state = f"[{resolved_text(one)}] " if one.resolution else ""
            typer.echo(
                f"{one.id!s:<{wide}}  {one.id.view or 'everybody':<13}  {one.tries:>5}  {clock(one.last_seen)}  "
                f"{max(one.value_size, 0):>9,}  {state}{plain(one.error)}"
            )
    left = f", {len(found) - len(shown):,} more not shown" if len(found) > len(shown) else ""
    foreign = f", {book.foreign:,} records are no dead letters" if book.foreign else ""
    typer.echo(f"{len(found):,} letters{left}{foreign}", err=True)


@dlq.command()
def show(
    letters: Letters = None,
    view: View = None,
    given: From = None,
    as_json: AsJson = False,
) -> None:
    """All that is known of letters: error, stack, raw key and value, and the event where it decodes.

    With --json one object a line: what `list` prints, and stack, key and value (base64), type and event (null where
    nothing decodes; ids are strings, sealed fields base64). Repair by pipe:

    shutterlog dlq list --kind undecodable --json | shutterlog dlq show --from - --json | YOUR-PROGRAM | shutterlog dlq
    redrive --from -

    YOUR-PROGRAM sets "type" and "event" (or "value", in base64) of each line.
    """
    from jobs.dlq import Address, address_of, lines, read, to_json_in_full
    from jobs.dlq_lines import parsed

    with _failures():
        wanted = [address_of(one) for one in letters or ()]
        named = {one.letter for one in parsed(_lines(given))} if given else set()
        if not wanted and not named:
            fail("which letter? Name TOPIC-PARTITION@OFFSET, or give lines of `dlq list --json` to --from")
        topics = {one.tp.topic for one in wanted} | {one.tp.topic for one in named}
        book = read(_settings(), topics, quiet=as_json)
    found = {
        name: letter
        for name, letter in book.letters.items()
        if name in named or (Address(name.tp, name.offset) in wanted and view in (None, name.view))
    }
    for letter in found.values():
        if as_json:
            typer.echo(json.dumps(to_json_in_full(letter)))
        else:
            for line in lines(letter):
                typer.echo(line)
    missing = [str(one) for one in wanted if one not in {Address(name.tp, name.offset) for name in found}]
    missing += [str(one) for one in named if one not in found]
    if missing:
        fail(f"no such letter{f' of {view}' if view else ''}: {', '.join(missing)}; `shutterlog dlq list` names them")


@dlq.command()
def redrive(
    letters: Letters = None,
    topic: Topic = None,
    view: View = None,
    kind: Kind = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    given: From = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Append what can be read now, or what --from says in its stead; each letter once.

    Without --from: letters that this build can decode are appended as they are, with a header "repairs". What one view
    refused is never appended, since the other views have it: fix the code and run `shutterlog replay VIEW`.

    With --from: JSON lines, each with "topic", "partition" and "offset" of a letter and the repaired event: either
    "type" (such as "Followed") and "event" (its fields, as `dlq show --json` prints them), or "value" (the whole
    framed event in base64) where "event" is null. All lines are written, or none where one of them is wrong.

    Prints one line for each letter; with --json topic, partition, offset, view, outcome (redriven, would_redrive,
    left), by (where the event stands), why (it was left). Exit code 0 only where nothing was left.
    """
    from jobs.dlq_repairs import redrive, redrive_from

    with _failures():
        filters = _filters(letters, topic, view, kind, error, since, until)
        if given is None:
            outcomes = redrive(_settings(), filters, dry_run=dry_run, quiet=as_json)
        elif filters.are_none:
            outcomes = redrive_from(_settings(), _lines(given), dry_run=dry_run, quiet=as_json)
        else:
            fail("--from names its letters itself: leave out the filters")
    _print(outcomes, as_json)
    left = sum(one.what == "left" for one in outcomes)
    typer.echo(f"{len(outcomes) - left:,} {'would be ' if dry_run else ''}redriven, {left:,} left", err=True)
    if left:
        raise typer.Exit(1)


@dlq.command()
def purge(
    letters: Letters = None,
    topic: Topic = None,
    view: View = None,
    kind: Kind = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    everything: Annotated[bool, typer.Option("--all", help="Every letter.")] = False,
    given: From = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Then delete from the DLQs, up to the first letter that waits.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Say of letters that nothing will be done about them. Their records stay in the log, and views pass them over.

    --from takes lines of `dlq list --json`. With --delete alone nothing is purged, and what is resolved is deleted.
    Prints one line for each letter; with --json topic, partition, offset, view, outcome (purged, would_purge).
    """
    from jobs.dlq_lines import parsed
    from jobs.dlq_repairs import purge

    with _failures():
        filters = _filters(letters, topic, view, kind, error, since, until)
        if filters.are_none and not everything and given is None and not delete:
            fail("purge what? Name letters or give filters; --all means every letter")
        named = parsed(_lines(given)) if given else []
        chosen = filters if everything or not filters.are_none else None
        if not yes and not dry_run:
            if given is not None and str(given) == "-":
                fail("say --yes: standard input has the lines, so nobody can be asked")
            count = len(purge(_settings(), chosen, named, dry_run=True).outcomes)
            asked = f"Purge {count:,} letters{' and delete what is resolved' if delete else ''}?"
            if not typer.confirm(asked, err=True):
                fail("nothing was purged")
        done = purge(_settings(), chosen, named, delete=delete, dry_run=dry_run, quiet=as_json)
    _print(done.outcomes, as_json)
    would = "would be " if dry_run else ""
    deleted = f", {sum(done.deleted.values()):,} records {would}deleted from the DLQs" if delete else ""
    typer.echo(f"{len(done.outcomes):,} letters {would}purged{deleted}", err=True)


# -- inside -----------------------------------------------------------------------------------------------------------


def _settings() -> Settings:
    from sinks.settings import Settings

    return Settings()


def _filters(
    letters: list[str] | None,
    topic: str | None,
    view: str | None,
    kind: str | None,
    error: str | None,
    since: str | None,
    until: str | None,
) -> Filters:
    from datetime import UTC, datetime

    from jobs.dlq import Filters, address_of, time_of

    now = datetime.now(UTC)
    return Filters(
        frozenset(address_of(one) for one in letters or ()),
        topic,
        view,
        kind,
        error,
        time_of(since, now) if since else None,
        time_of(until, now) if until else None,
    )


def _lines(given: Path) -> Iterable[str]:
    if str(given) == "-":
        return sys.stdin
    return given.read_text().splitlines()


def _print(outcomes: Iterable[Any], as_json: bool) -> None:
    for one in outcomes:
        typer.echo(json.dumps(one.to_json()) if as_json else one.line())


@contextmanager
def _failures() -> Iterator[None]:
    """Every failure that can be foreseen ends the command with one sentence, and status 1."""
    from jobs.dlq import BadRequest
    from sinks.dead_letters_resolving import Overtaken
    from sinks.errors import StoreAway
    from sinks.producer import TooLarge, TopicMissing
    from sinks.registry import RegistryRefused

    try:
        yield
    except (BadRequest, Overtaken, StoreAway, TooLarge, TopicMissing, RegistryRefused, OSError, UnicodeError) as error:
        fail(str(error))
