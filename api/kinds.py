"""Which kinds of problems each route can answer, read from the gateway's own source, so that no list of them is kept.

A route's problems are those that its function raises, and whatever that refers to within this room: functions, methods,
and the dependencies behind annotations. Too much is found rather than too little: a method is known by its name alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOM = Path(__file__).parent
_FRAMEWORK = {
    400: "malformed-json",
    408: "body-too-slow",
    413: "body-too-large",
    415: "unsupported-media-type",
    422: "invalid-request",
}
"""What is answered of a body before a route is asked."""


class Kind(NamedTuple):
    """A problem's status and the end of its ``type``."""

    status: int
    name: str


class _Unit(NamedTuple):
    """A function, a method or an alias of a module: what it raises, and what it refers to."""

    raises: frozenset[Kind]
    names: frozenset[str]
    attributes: frozenset[str]


class Kinds:
    """The kinds of problems of every function in the room."""

    def __init__(self) -> None:
        self._units: dict[tuple[str, str], _Unit] = {}
        self._imports: dict[str, dict[str, tuple[str, str]]] = {}
        self._methods: dict[str, list[tuple[str, str]]] = {}
        for path in sorted(ROOM.rglob("*.py")):
            module = ".".join(("api", *path.relative_to(ROOM).with_suffix("").parts))
            self._read(module, ast.parse(path.read_text()))

    def of(self, module: str, function: str) -> list[Kind]:
        """What the function ``function`` of ``module`` can raise, itself or through others, in order."""
        found: set[Kind] = set()
        waiting, met = [(module, function)], set()
        while waiting:
            key = waiting.pop()
            if key in met or key not in self._units:
                continue
            met.add(key)
            unit = self._units[key]
            found |= unit.raises
            waiting += self._referred(key[0], unit)
        return sorted(found)

    def _referred(self, module: str, unit: _Unit) -> Iterator[tuple[str, str]]:
        imports = self._imports[module]
        for name in unit.names:
            yield imports.get(name, (module, name))
        for name in unit.attributes:
            yield from self._methods.get(name, ())
            for module_name in unit.names & imports.keys():  # a module of ours, and a function of it
                yield ".".join(imports[module_name]), name

    def _read(self, module: str, tree: ast.Module) -> None:
        imports = self._imports.setdefault(module, {})
        for node in tree.body:
            match node:
                case ast.ImportFrom(module=str(source), names=names) if source.partition(".")[0] == "api":
                    imports |= {one.asname or one.name: (source, one.name) for one in names}
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    self._units[module, name] = _unit(node)
                case ast.ClassDef(name=name, body=body):
                    for one in body:
                        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                            key = (module, f"{name}.{one.name}")
                            self._units[key] = _unit(one)
                            self._methods.setdefault(one.name, []).append(key)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._units[module, name] = _unit(value)


def of_body(statuses: Iterable[int]) -> list[Kind]:
    """What every route answers that takes a body, or parameters, before it is asked: of ``statuses``."""
    return [Kind(status, name) for status, name in _FRAMEWORK.items() if status in statuses]


def _unit(node: ast.AST) -> _Unit:
    raises, names, attributes = set[Kind](), set[str](), set[str]()
    for one in ast.walk(node):
        match one:
            case ast.Call(func=ast.Name(id="Problem"), args=[ast.Constant(value=int(status)), kind, *_]):
                raises.add(Kind(status, _text(kind)))
            case ast.Call(func=ast.Name(id="not_found")):
                raises.add(Kind(404, "not-found"))
            case ast.Name(id=name):
                names.add(name)
            case ast.Attribute(attr=name):
                attributes.add(name)
    return _Unit(frozenset(raises), frozenset(names), frozenset(attributes))


def _text(kind: ast.expr) -> str:
    """A kind as it is written; what is filled in becomes ``*``."""
    match kind:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(str(one.value) if isinstance(one, ast.Constant) else "*" for one in values)
    raise ValueError(f"a problem's kind is written where it is raised, and not {ast.unparse(kind)}")
