"""The ``aiobpf`` command."""

from aiobpf.cli.commands import main

__all__ = ["main"]
