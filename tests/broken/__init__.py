"""Builds that are broken on purpose, to see that chaos finds them: ``PYTHONPATH=tests/broken/NAME shutterlog chaos``.

Each folder holds a ``sitecustomize``, which Python imports when it starts, and which changes the agents alone.
"""
