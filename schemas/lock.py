"""The lock: every version of every schema that may be in the log, with its id.

``lock.json`` is only ever appended to (by ``shutterlog schemas lock``): a log kept for ever needs every schema that
ever wrote to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from schemas.declared import Schema


class Version(NamedTuple):
    """One registered schema. ``version`` counts from 1 within the subject; ``id`` is unique among all of them."""

    subject: str
    version: int
    id: int
    schema: Schema


class Lock:
    """All registered versions, oldest first within each subject."""

    def __init__(self, versions: Iterable[Version]) -> None:
        self.subjects: dict[str, list[Version]] = {}
        self.by_id: dict[int, Version] = {}
        for version in versions:
            earlier = self.subjects.setdefault(version.subject, [])
            if version.id in self.by_id or version.version != len(earlier) + 1:
                raise ValueError(f"lock.json is damaged at {version.subject} version {version.version}")
            earlier.append(version)
            self.by_id[version.id] = version

    @classmethod
    def parse(cls, text: str) -> Lock:
        """The lock written in ``text``. Raises ``ValueError`` where it is damaged."""
        subjects = json.loads(text)["subjects"]
        return cls(Version(name, v["version"], v["id"], v["schema"]) for name, vs in subjects.items() for v in vs)

    def text(self) -> str:
        """The lock as JSON, one version a line."""
        blocks = []
        for name, versions in self.subjects.items():
            rows = [f"      {json.dumps({'version': v.version, 'id': v.id, 'schema': v.schema})}" for v in versions]
            blocks.append(f"    {json.dumps(name)}: [\n" + ",\n".join(rows) + "\n    ]")
        return '{\n  "subjects": {\n' + ",\n".join(blocks) + "\n  }\n}\n"

    def versions(self) -> list[Version]:
        """All of them."""
        return [version for versions in self.subjects.values() for version in versions]

    def with_version(self, subject: str, schema: Schema) -> Lock:
        """This lock and one more version of ``subject``, under the next free id."""
        number = len(self.subjects.get(subject, [])) + 1
        return Lock([*self.versions(), Version(subject, number, max(self.by_id, default=0) + 1, schema)])

    def with_ids(self, ids: dict[tuple[str, int], int]) -> Lock:
        """This lock under another registry's ids, given for each (subject, version)."""
        return Lock(version._replace(id=ids[version.subject, version.version]) for version in self.versions())


@cache
def locked() -> Lock:
    """The lock of this release."""
    return Lock.parse(files("schemas").joinpath("lock.json").read_text())
