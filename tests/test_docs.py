"""What the documents claim of tests: each that they name is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_FILE = re.compile(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`")


def claims(text: str) -> list[tuple[str, str]]:
    """Files, and tests in them, as a document names them: ``::test`` alone is of the file before it."""
    found: list[tuple[str, str]] = []
    file = ""
    for path, test in _FILE.findall(text):
        file = path or file
        if path or test:
            found.append((file, test))
    return found


@pytest.mark.parametrize("document", ["security", "guarantees"])
def test_every_test_that_a_document_names_is_there(document: str) -> None:
    named = claims((ROOT / "docs" / f"{document}.md").read_text())
    assert len(named) > 10
    for file, test in named:
        assert (ROOT / file).is_file(), file
        tree = ast.parse((ROOT / file).read_text())
        functions = {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert not test or test in functions, f"{file}::{test}"
