"""docs/api.md, made of the OpenAPI document and of the gateway's source: ``python -m api.reference``.

``--check`` writes nothing and fails where the file is not what would be written.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi.routing import APIRoute

from api.app import ROUTERS, create_app
from api.description import ASKS, LIMITS, TAGS, WHO, Document
from api.kinds import Kind, Kinds, of_body
from api.problems import MEDIA_TYPE
from sinks.settings import Settings

COMMAND = "python -m api.reference"
FILE = Path(__file__).parents[1] / "docs" / "api.md"
_HEAD = """# The HTTP API

Made by `{command}` from the OpenAPI document, which a running gateway serves at `/openapi.json`, with a page to try it
at `/docs`. Do not edit it by hand.

## What holds everywhere

- **Addresses** begin with `/api/v1`. Bodies and answers are JSON in UTF-8, unless said otherwise. Unknown fields in a
  body are mistakes. Times are ISO 8601 in UTC.
- **Ids** are strings of up to 19 digits, since JavaScript cannot hold 63 bits as a number.
- **Logging in**: `POST /api/v1/sessions` gives an access token for `Authorization: Bearer …` and a refresh token, which
  is good once.
- **Lists** have `items` and `next_cursor`. Give `next_cursor` as `cursor` for the next page, as it is; null says that
  there is none. A page can be shorter than `limit` and still go on. Cursors are opaque, and good for ever.
- **Reading your writes**: a write answers once it is in the log; views follow closely. Its answer carries a
  `Consistency-Token`: a read that brings it includes that write, or is a 503 `not-yet-consistent` after {wait:g} s.
- **Retries**: a write that makes something takes an `Idempotency-Key`, 1 to 255 printable ASCII characters of your
  making. Within 72 hours the same request with the same key gives the same answer and is not done twice; another
  request with it is a 422. All other writes can be repeated as they are: twice is once.
- **Limits**: {write} writes in a row for each person, {per_second:g} a second afterwards, and {address} for each
  address, {address_per_second:g} a second; {upload} uploads, {upload_per_second:g} a second; {read} reads in a row for
  each person, or without a token for each address. Logins, refreshes, registrations, comments, mails and others have
  their own. Every answer to what was counted, errors too, names each limit and what is left of it:
  `RateLimit-Policy: "writes";q={write};w={window}` is {write} in {window} s, `RateLimit: "writes";r=41;t=26` that 41
  are left, and all are there again in 26 s. `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` say the same
  of the nearest. A 429 and a 503 have `Retry-After`, in seconds. A JSON body has at most 64 KiB.
- **Problems** are RFC 9457 `{problem}`. `type` ends with the kind, which is stable; `detail` says what to do;
  `trace_id`, also in the header `Trace-Id` of every answer, is what to report. What one may not know of is a 404, as if
  it were not there.
- **Everywhere possible**: 500 `internal`, a mistake of ours; 503 `store-away`, nothing is lost, send it again; 405
  `method-not-allowed`. `HEAD` is `GET` without a body.

A problem:

```json
{example}
```
"""


def reference() -> str:
    """The text of ``FILE``."""
    settings = Settings.model_construct()
    document = create_app(settings).openapi()
    kinds = dict(_kinds(Kinds()))
    lines = [_head(settings, document)]
    for tag in TAGS:
        found = [
            (method, address, operation)
            for address, path in document["paths"].items()
            for method, operation in path.items()
            if operation["tags"] == [tag]
        ]
        if found:
            lines += [f"\n## {tag.capitalize()}\n", TAGS[tag]]
        for method, address, operation in found:
            lines += _route(method.upper(), address, operation, document, kinds[operation["operationId"]])
    return "\n".join(lines) + "\n"


def _head(settings: Settings, document: Document) -> str:
    return _HEAD.format(
        command=COMMAND,
        wait=settings.consistency_wait_seconds,
        write=settings.write_burst,
        per_second=settings.write_per_second,
        window=math.ceil(settings.write_burst / settings.write_per_second),
        address=settings.address_write_burst,
        address_per_second=settings.address_write_per_second,
        upload=settings.upload_burst,
        upload_per_second=settings.upload_per_second,
        read=settings.read_burst,
        problem=MEDIA_TYPE,
        example=_json(document["components"]["schemas"]["ProblemDetails"]["example"]),
    ).rstrip()


def _kinds(kinds: Kinds) -> Iterator[tuple[str, list[Kind]]]:
    for module in ROUTERS:
        for route in module.router.routes:
            if isinstance(route, APIRoute):
                yield route.name, kinds.of(route.endpoint.__module__, route.endpoint.__name__)


def _route(method: str, address: str, operation: Document, document: Document, kinds: Iterable[Kind]) -> Iterator[str]:
    schemas = document["components"]["schemas"]
    yield f"\n### {method} {address}\n"
    yield operation["description"]
    yield f"\n**Who:** {WHO[operation[ASKS]]}"
    if parameters := operation.get("parameters"):
        yield "\n| parameter | in | type | |\n| --- | --- | --- | --- |"
        yield from map(_parameter, parameters)
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"\n**Body**, `{kind}`:\n"
        yield from _body(content, schemas)
    for status, answer in operation["responses"].items():
        if status < "400":
            yield from _answer(status, answer)
    if problems := _problems(operation["responses"], kinds, "requestBody" in operation):
        yield f"\n**Problems:** {problems}"


def _parameter(parameter: Document) -> str:
    schema = parameter["schema"]
    if "anyOf" in schema:  # what is left out is no null
        schema = schema["anyOf"][0] | {"default": None}
    needed = "" if parameter["required"] else _default(schema)
    text = parameter.get("description", "")
    return f"| `{parameter['name']}` | {parameter['in']} | {_type(schema)} | {_cell(text + needed)} |"


def _default(schema: Document) -> str:
    return f" Default: {schema['default']}." if schema.get("default") not in (None, "") else " Optional."


def _body(content: Document, schemas: Document) -> Iterator[str]:
    schema = _resolved(content["schema"], schemas)
    yield "| field | type | |\n| --- | --- | --- |"
    for name, field in schema["properties"].items():
        needed = "" if name in schema.get("required", ()) else _default(field)
        yield f"| `{name}` | {_type(field)} | {_cell(field.get('description', '') + needed)} |"
    if "example" in content:
        yield f"\n```json\n{_json(content['example'])}\n```"


def _answer(status: str, answer: Document) -> Iterator[str]:
    said = "" if answer["description"] == "Successful Response" else f" {answer['description']}"
    headers = ", ".join(f"`{name}`" for name in answer.get("headers", {}) if name not in LIMITS)
    with_headers = f" Headers: {headers}." if headers else ""
    kinds = list(answer.get("content", {}))
    what = f", `{kinds[0]}`" if kinds and kinds[0] != "application/json" else ""
    yield f"\n**Answer** {status} {HTTPStatus(int(status)).phrase}{what}.{said}{with_headers}"
    for kind, content in answer.get("content", {}).items():
        if "example" in content:
            is_text = kind.startswith("text/")
            yield f"\n```text\n{content['example']}```" if is_text else f"\n```json\n{_json(content['example'])}\n```"


def _problems(answers: Document, kinds: Iterable[Kind], has_body: bool) -> str:
    """Every documented status that is no success, with the kinds that are found in the source."""
    documented = {int(status) for status in answers if status >= "400"}
    named = {*kinds, *(of_body(documented) if has_body else ()), *([Kind(422, "invalid-request")])}
    parts: list[str] = []
    for status in sorted(documented):
        own = sorted(f"`{kind.name}`" for kind in named if kind.status == status)
        parts.append(f"{status} {', '.join(own)}".strip())
    return "; ".join(parts) + "." if parts else ""


def _type(schema: Document) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        kind = f"list of {_type(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        kind = f"object of {_type(schema['additionalProperties'])}"
    bounds = [f"{_BOUNDS[name]} {schema[name]}" for name in _BOUNDS if name in schema]
    if "pattern" in schema:
        bounds.append(f"as `{schema['pattern']}`")
    return _cell(f"{kind} ({', '.join(bounds)})" if bounds else kind)


_BOUNDS = {
    **{"minLength": "at least", "maxLength": "at most", "minItems": "at least", "maxItems": "at most"},
    **{"minimum": "from", "maximum": "to"},
}


def _resolved(schema: Document, schemas: Document) -> Document:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Document = schemas[name] if name else schema
    return found


def _cell(text: str) -> str:
    return text.strip().replace("\n", " ").replace("|", "\\|")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def main(arguments: list[str]) -> int:
    """Write the file, or, with ``--check``, say whether it is current."""
    text = reference()
    if "--check" not in arguments:
        FILE.write_text(text)
        return 0
    if FILE.is_file() and FILE.read_text() == text:
        return 0
    sys.stderr.write(f"{FILE.name} is not what the routes say. Run: {COMMAND}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
