"""Agents whose scripts do not ask whether a fence went back: what Redis lost is never noticed."""

from __future__ import annotations

import sys

CHECK = "    if applied[i] < prior then return {'behind', field} end\n"


def broken() -> None:
    """Take the check out of every script."""
    from sinks import scripts

    whole = scripts.joined

    def joined(*names: str) -> str:
        text = whole(*names)
        if "fenced" in names and CHECK not in text:
            raise AssertionError("the check stands elsewhere now")
        return text.replace(CHECK, "")

    scripts.joined = joined


if "agents" in sys.orig_argv:
    broken()
