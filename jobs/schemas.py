"""The lock of schemas: is it current, and may what changed be added to it?"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from schemas.compatibility import incompatibilities
from schemas.declared import Schema, bare, declared
from schemas.lock import Lock

LOCK_FILE = Path(str(files("schemas").joinpath("lock.json")))


class Checked(NamedTuple):
    """What a comparison of the ``*.avsc`` files with the lock found."""

    broken: dict[str, list[str]]
    """By subject, why its versions may not be in one log."""
    unlocked: list[str]
    """Subjects that changed, or are new, in a way that may be locked."""

    @property
    def well(self) -> bool:
        """Whether nothing has to be done."""
        return not self.broken and not self.unlocked

    def lines(self) -> list[str]:
        """For people: what is wrong and what to do about it."""
        lines = [f"{subject}: {reason}" for subject, reasons in self.broken.items() for reason in reasons]
        if self.broken:
            lines.append(
                "The log keeps every event for ever, so every version has to read every other: only add or remove "
                "fields that have a default, or make a new event of another name."
            )
        lines += [f"{subject}: not in the lock" for subject in self.unlocked]
        if self.unlocked and not self.broken:
            lines.append("These changes are compatible: run `shutterlog schemas lock` and commit schemas/lock.json.")
        return lines or ["the lock is current and all versions are compatible"]


def read_lock(path: Path = LOCK_FILE) -> Lock:
    """The lock as it stands in the file. Raises ``ValueError`` where it is damaged."""
    try:
        return Lock.parse(path.read_text())
    except (KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(f"{path} is damaged: {error!r}") from error


def check(lock: Lock, schemas: Mapping[str, Schema] | None = None) -> Checked:
    """Compare ``schemas`` by subject (the ``*.avsc`` files, unless given) with ``lock``."""
    schemas = declared() if schemas is None else schemas
    broken: dict[str, list[str]] = {}
    unlocked = []
    for subject in dict.fromkeys((*lock.subjects, *schemas)):
        versions = [version.schema for version in lock.subjects.get(subject, ())]
        if subject not in schemas:
            broken[subject] = ["is in the lock, and so in logs, but in no .avsc file: put it back"]
            continue
        # Documentation is no part of what has to be agreed on: better words need no new version.
        changed = not versions or bare(versions[-1]) != bare(schemas[subject])
        reasons = incompatibilities([*versions, schemas[subject]] if changed else versions)
        if reasons:
            broken[subject] = reasons
        elif changed:
            unlocked.append(subject)
    return Checked(broken, unlocked)


def extended(lock: Lock, schemas: Mapping[str, Schema] | None = None) -> Lock:
    """``lock`` with a new version of each subject that changed. Raises ``ValueError`` for a change that may not be."""
    schemas = declared() if schemas is None else schemas
    found = check(lock, schemas)
    if found.broken:
        raise ValueError("\n".join(found.lines()))
    for subject in found.unlocked:
        lock = lock.with_version(subject, schemas[subject])
    return lock
