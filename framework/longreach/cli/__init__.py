"""The command line: `longreach run`, `ls`, `call` and the rest; each is imported when it is used."""

from __future__ import annotations


def main() -> None:
    """Run the command that the process was started with, and exit with its code (`longreach --help`)."""
    from longreach.cli.app import app

    app.main()
