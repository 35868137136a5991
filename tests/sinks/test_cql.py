"""CQL holds names of ours alone: what people send goes beside it, as parameters of a prepared statement."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeGuard

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("sinks", "agents", "api", "jobs")
_WORDS = r"SELECT|INSERT INTO|UPDATE|DELETE|FROM|WHERE|VALUES|USING|LIMIT|ALTER|DROP|CREATE|TRUNCATE|ROLE"
CQL = re.compile(rf"\b({_WORDS})\b|(=|<|>|IN) \?")
STATEMENT = {"execute": 0, "pages": 0, "change_schema": 0, "prepare": 0, "SimpleStatement": 0, "in_chunks": 1}
"""Calls that send one statement, and which argument it is."""
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
REVIEWED = {
    # What they are given, all others are asked for here.
    "sinks/cassandra.py": {"cql", "statements"},
    "sinks/comments.py": {"cql"},
    "sinks/publishing.py": {"cql"},
    # A name that has to be a word of a-z, 0-9 and _, and a number.
    "sinks/cassandra_driver.py": {"settings.cassandra_keyspace", "settings.replication_factor"},
    # Constants of the module: SCANNED, KEPT, TABLES, COLUMNS.
    "sinks/erasure.py": {"kept.table", "kept.columns", "kept.owner", "_removal(kept, row)"}
    | {"dict.fromkeys((*kept.columns, kept.owner))"},
    "sinks/kept_tables.py": {"table", "columns", "holes", "set_columns", "sorted((row.table_name for row in found))"}
    | {"zip(names, answers, strict=True)"},
    "sinks/generation_tables.py": {"TABLES[table].key", "_selected(table)", "view_tables(generation, view)"},
    "sinks/relations.py": {"columns", "table", "viewer", "others"},
    "sinks/scans.py": {"TABLES[table].key"},
    "sinks/tables.py": {"TABLES[table].key", "columns", "names"},
    # The files of sinks/cql.
    "sinks/view_tables.py": {"statement", "statements", "made[1]", "name", "kind"},
    # Advice for an operator.
    "jobs/restore_checks.py": {"keyspace", "others"},
}
"""By module, parts of CQL that are names of tables and columns or numbers, though that is not seen where they are put
in: somebody has looked at where they come from. What a request says must never be here."""


class Place(NamedTuple):
    """Where something is looked at: the module, and the functions and classes around it, the innermost last."""

    file: str
    module: ast.Module
    around: tuple[ast.AST, ...]


def modules() -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            file = path.relative_to(ROOT).as_posix()
            tree = ast.parse(path.read_text())
            if not file.startswith(("jobs/bench", "jobs/services/")) and speaks(tree):
                yield file, tree


def speaks(tree: ast.Module) -> bool:
    """Whether a module names Cassandra at all."""
    names = {name for node in ast.walk(tree) for name in named(node)}
    return any("cassandra" in name.lower() or name == "cql" for name in names)


def named(node: ast.AST) -> Iterator[str]:
    for field in ("id", "attr", "arg", "module", "name"):
        if isinstance(value := getattr(node, field, None), str):
            yield value


def places(node: ast.AST, place: Place) -> Iterator[tuple[ast.AST, Place]]:
    """Everything below ``node``, each with what is around it."""
    for child in ast.iter_child_nodes(node):
        yield child, place
        inner = isinstance(child, FUNCTIONS | ast.ClassDef)
        yield from places(child, place._replace(around=(*place.around, child)) if inner else place)


def is_made_up(node: ast.AST) -> TypeGuard[ast.expr]:
    """Whether ``node`` is text that is put together of parts."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add | ast.Mod)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "replace")
    return isinstance(node, ast.JoinedStr)


def text_of(node: ast.AST) -> str:
    return " ".join(
        part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )


def bindings(name: str, place: Place) -> list[tuple[ast.expr, Place]]:
    """What ``name`` (or ``self.name``) is bound to where it is next seen from ``place``, going outwards, each with its
    own place; of a loop, what it goes over."""
    for depth in range(len(place.around), -1, -1):
        scope = place._replace(around=place.around[:depth])
        inside = scope.around[-1] if scope.around else scope.module
        found = [(value, at) for node, at in places(inside, scope) for value in bound(name, node)]
        if "." not in name and not isinstance(inside, FUNCTIONS):
            found = [(value, at) for value, at in found if at == scope]
        if found:
            return found
    return []


def bound(name: str, node: ast.AST) -> Iterator[ast.expr]:
    found: list[tuple[ast.AST, ast.expr | None]] = []
    if isinstance(node, ast.Assign):
        found = [(target, node.value) for target in node.targets]
    elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
        found = [(node.target, node.value)]
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        found = [(node.target, node.iter)]
    for target, value in found:
        if value is not None and name in {ast.unparse(part) for part in parts_of(target)}:
            yield value


def parts_of(target: ast.AST) -> Iterator[ast.AST]:
    if isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from parts_of(part)
    else:
        yield target


def unknown(node: ast.expr, place: Place, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """The parts of ``node`` of which it is not known that they are constants, or names of tables and columns."""
    text = ast.unparse(node)
    if text in REVIEWED.get(place.file, ()) or text in seen:
        return
    seen |= {text}
    inner: list[ast.expr]
    match node:
        case ast.Constant() | ast.Attribute(attr="_fields"):
            return
        case ast.Call(func=ast.Name(id="table_name")):
            return  # raises KeyError for what is no table of ours
        case ast.BinOp(left=ast.Constant(), op=ast.Mult()):
            return
        case ast.Name() | ast.Attribute(value=ast.Name(id="self")):
            found = bindings(text, place)
            if is_argument(text, place) or not (found or is_imported(text, place.module)):
                yield text
            for one, at in found:
                yield from unknown(one, at, seen)
            return
        case ast.IfExp(body=one, orelse=other):
            inner = [one, other]
        case ast.DictComp(value=value) | ast.FormattedValue(value=value) | ast.Starred(value=value):
            inner = [value]
        case ast.Subscript(value=value):
            inner = [value]
        case ast.JoinedStr() | ast.BinOp() | ast.List() | ast.Tuple() | ast.Set() | ast.Dict():
            inner = [one for one in ast.iter_child_nodes(node) if isinstance(one, ast.expr)]
        case ast.Call(func=ast.Attribute(value=ast.Constant(), attr="join"), args=[some]):
            inner = [some]
        case ast.GeneratorExp(elt=elt) | ast.ListComp(elt=elt) | ast.SetComp(elt=elt):
            inner = [elt]
        case _:
            yield text
            return
    for one in inner:
        yield from unknown(one, place, seen)


def is_argument(name: str, place: Place) -> bool:
    return any(
        isinstance(one, ast.arg) and one.arg == name
        for around in place.around
        if isinstance(around, FUNCTIONS)
        for one in ast.walk(around.args)
    )


def is_imported(name: str, module: ast.Module) -> bool:
    """Whether ``name`` is a constant of another module of ours."""
    imported = {
        one.asname or one.name for node in module.body if isinstance(node, ast.ImportFrom) for one in node.names
    }
    return name in imported and name.isupper()


def found_in(file: str, tree: ast.Module) -> Iterator[str]:
    for node, place in places(tree, Place(file, tree, ())):
        if isinstance(node, ast.Call):
            said = [(at, node.args) for name, at in STATEMENT.items() if name in named(node.func)]
            sent = [given[at] for at, given in said if at < len(given)]
            sent += [one.value for one in node.keywords if said and one.arg in ("cql", "query")]
        else:
            sent = []
        if is_made_up(node) and CQL.search(text_of(node)):
            sent.append(node)
        for one in sent:
            one = one.elt if isinstance(one, ast.GeneratorExp) else one
            one = one.elts[0] if isinstance(one, ast.Tuple) else one  # beside it are its parameters
            yield from (f"{file}: {part}" for part in unknown(one, place))


def test_cql_is_put_together_of_names_of_ours() -> None:
    found = {file: set(found_in(file, tree)) for file, tree in modules()}
    assert len(found) > 60
    assert sorted(part for parts in found.values() for part in parts) == []


def test_what_was_reviewed_is_still_there() -> None:
    for file, parts in REVIEWED.items():
        tree = ast.parse((ROOT / file).read_text())
        assert parts <= {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.expr)}, file


@pytest.mark.parametrize(
    "body",
    [
        'await stores.cassandra.execute(f"SELECT name FROM accounts_1 WHERE user_id = {user_id}")',
        'await stores.cassandra.execute("SELECT name FROM accounts_1 WHERE user_id = " + user_id)',
        'await stores.cassandra.execute("SELECT name FROM accounts_1 WHERE user_id = %s" % user_id)',
        'await stores.cassandra.execute("SELECT name FROM accounts_1 WHERE user_id = {}".format(user_id))',
        'cql = f"SELECT name FROM accounts_1 WHERE user_id = {body.user_id}"\n    await stores.cassandra.execute(cql)',
        'cql = "SELECT name FROM accounts_1"\n    cql += user_id\n    await stores.cassandra.execute(cql)',
        'await in_chunks(stores.cassandra, "SELECT name FROM %s" % user_id, [1])',
        'await stores.cassandra.execute_each((f"DELETE FROM x WHERE user_id = {one}", ()) for one in body.ids)',
        'some = ", ".join(body.ids)\n    await stores.cassandra.execute(f"SELECT name FROM x WHERE id IN ({some})")',
        "await stores.cassandra.change_schema(user_id)",
        "await stores.cassandra.execute(cql=user_id)",
    ],
)
def test_a_value_in_cql_is_seen(body: str) -> None:
    tree = ast.parse(f"async def asked(stores, body, user_id):\n    {body}\n")
    assert speaks(tree)
    assert list(found_in("api/asked.py", tree)) != []


def test_statements_are_sent_in_one_place_and_prepared_there() -> None:
    """The driver's own statements, which take text as it comes, are made for schemas and probes alone."""
    made = set[tuple[str, str]]()
    for file, tree in modules():
        for node, place in places(tree, Place(file, tree, ())):
            if isinstance(node, ast.Call) and {"SimpleStatement", "execute_async"} & set(named(node.func)):
                made.add((file, getattr(place.around[-1], "name", "")))
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "cassandra":
                assert file in ("sinks/cassandra.py", "sinks/cassandra_driver.py"), file
            if isinstance(node, ast.Call) and "change_schema" in named(node.func):
                assert file.startswith("sinks/"), "no request changes a schema"
    assert made == {("sinks/cassandra.py", "change_schema"), ("sinks/cassandra.py", "_answers")}
