"""Click options made from the table of settings, and a help page that shows them under headings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from longreach.cli import values
from longreach.cli.app import debug_option
from longreach.cli.settings import DEFAULT_FILE, Setting, Table, settings_of

F = TypeVar("F", bound=Callable[..., Any])

_MAX_COLUMN = 34


class SettingOption(click.Option):
    """An option that stands for a setting."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SettingsCommand(click.Command):
    """A command whose help shows settings by section, after the command's own options."""

    table: Table = "client"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options by section, then the settings that have no flag."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        sections["Settings without a flag"] = [
            (f"{setting.key} = {setting.metavar}", _help(setting))
            for setting in settings_of(self.table)
            if not setting.flags
        ]
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=_MAX_COLUMN)


class NodeCommand(SettingsCommand):
    """A command with the settings of nodes."""

    table: Table = "node"


def setting_options(table: Table) -> Callable[[F], F]:
    """Add an option for each setting of `table`, and `--config` and `--debug`; values come unread, by key."""

    def decorate(function: F) -> F:
        decorated: Any = debug_option(function)
        for setting in reversed([setting for setting in settings_of(table) if setting.flags]):
            decorated = _option(setting)(decorated)
        config = click.option(
            "--config",
            metavar="FILE",
            type=click.Path(dir_okay=False),
            help=f"TOML file with a table [{table}]; default: {DEFAULT_FILE} here, if there is one.",
        )
        wrapped: F = config(decorated)
        return wrapped

    return decorate


def _option(setting: Setting) -> Callable[[F], F]:
    names: tuple[str, ...] = (*setting.flags, setting.key)
    options: dict[str, Any] = {"metavar": setting.metavar or None, "default": None}
    if setting.read is values.switch:
        flag = setting.flags[0]
        names = (f"{flag}/--no-{flag.removeprefix('--')}", setting.key)
    elif setting.read in (values.texts, values.pairs):
        options |= {"multiple": True, "default": ()}
    elif setting.read is values.file:
        options["type"] = click.Path()
    return click.option(*names, cls=SettingOption, section=setting.section, help=_help(setting), **options)


def _help(setting: Setting) -> str:
    default = f"; default: {setting.shown_default}" if setting.shown_default else ""
    return f"{setting.help} [env {setting.variable}; TOML {setting.key}{default}]"
