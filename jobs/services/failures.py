"""What can go wrong while starting or stopping, each with what to do about it."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot be started or stopped; the message says why and what helps."""


class PortTaken(StackError):
    """Another program listens on a port that a local service needs."""


class ToolMissing(StackError):
    """A program that the local services need is not installed."""


class NeverHealthy(StackError):
    """A program was started and did not answer in time."""
