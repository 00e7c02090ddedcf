"""Commands that other packages bring are described without being imported, and name the extra they need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import click
import pytest
from click.testing import Result

from longreach.cli import plugins
from longreach.cli.app import PLUGINS
from longreach.cli.plugins import Plugin, find_plugins

SOURCE = '''
import there.is_no_such_package

EXTRA = "tea"


def brew(**flags):
    """Brew tea: green,
    or black.

    And more of it.
    """
'''


@pytest.fixture
def kettle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Plugin]:
    """A plugin of a distribution with an extra `tea`, which requires the distribution that is named."""
    package = tmp_path / "kettle"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('the package was imported')")
    (package / "cli.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(requirement: str) -> Plugin:
        info = tmp_path / "kettle-1.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Name: kettle\nVersion: 1\nRequires-Dist: {requirement}\n")
        dist: Distribution = PathDistribution(info)
        return Plugin("brew", "kettle.cli:brew", dist)

    return make


def test_the_services_are_described_by_what_they_do(longreach: Callable[..., Result]):
    page = " ".join(longreach("--help").output.split())

    for words in (
        "gateway Serve MCP over HTTP",
        "stdio Serve MCP on standard input and output",
        "bridge Bring an existing MCP server into the mesh",
    ):
        assert words in page
    assert "From longreach" not in page


def test_their_help_imports_neither_them_nor_what_they_stand_on():
    script = (
        "import sys; from longreach.cli.app import app\n"
        "try: app.main(['--help'])\nfinally: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    loaded = set(done.stdout.splitlines()[-1].split())
    assert "longreach.cli.plugins" in loaded
    assert not loaded & {"longreach_gateway", "longreach_bridge", "starlette", "uvicorn", "mcp", "asyncio"}


def test_a_command_is_described_by_its_docstring(kettle: Callable[[str], Plugin]):
    assert kettle('msgspec; extra == "tea"').help == "Brew tea: green, or black."


@pytest.mark.parametrize(
    "requirement", ["leaves>=1; extra == 'tea'", 'leaves[green] (>1) ; (extra == "tea")']
)
def test_where_a_package_of_its_extra_is_missing_the_help_says_which_extra(
    kettle: Callable[[str], Plugin], requirement: str
):
    assert kettle(requirement).help == "Brew tea: green, or black. Needs pip install 'kettle[tea]'."


@pytest.mark.parametrize("target", ["nothing.of:kind", "kettle.cli:other", "kettle.none:brew", "math:sin"])
def test_a_command_whose_source_says_nothing_is_named(kettle: Callable[[str], Plugin], target: str):
    kettle("msgspec")
    assert Plugin("brew", target).help == f"From {target}."


def test_source_that_is_no_python_breaks_no_help(kettle: Callable[[str], Plugin], tmp_path: Path):
    kettle("msgspec")
    (tmp_path / "kettle" / "cli.py").write_bytes(b"def \xff(")
    assert Plugin("brew", "kettle.cli:brew").help == "From kettle.cli:brew."


def test_a_missing_package_of_its_extra_is_explained_and_no_other(kettle: Callable[[str], Plugin]):
    plugin = kettle("leaves; extra == 'tea'")

    with pytest.raises(click.ClickException, match="brew needs the package leaves") as refused:
        plugin.explain_missing(ModuleNotFoundError("no", name="leaves.green"))
    assert "pip install 'kettle[tea]'" in str(refused.value)
    plugin.explain_missing(ModuleNotFoundError("no", name="kettle.cup"))
    plugin.explain_missing(ModuleNotFoundError("no", name="longreach.cup"))


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (("gateway",), "uvicorn"),
        (("gateway",), "starlette"),
        (("gateway", "--nats", "nats://127.0.0.1:1"), "mcp"),
        (("stdio",), "mcp"),
        (("bridge", "--", "x"), "mcp"),
        (("bridge", "--name", "x", "--nats", "nats://127.0.0.1:1", "--", "x"), "mcp"),
        (("bridge", "--url", "http://127.0.0.1:1/mcp"), "httpx2"),
    ],
)
def test_a_service_whose_extra_is_missing_says_so_before_it_looks_for_a_broker(
    words: tuple[str, ...], package: str, tmp_path: Path
):
    script = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "import longreach.transport.natslink as link\n"
        "link.NatsLink.open = None\n"
        "from longreach.cli.app import app\n"
        f"app.main({list(words)!r})\n"
    )
    environment = {"LONGREACH_RUNTIME_DIR": str(tmp_path / "runtime"), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        cwd=tmp_path, env=environment,
    )  # fmt: skip

    extra = "bridge" if words[0] == "bridge" else "gateway"
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines() == [
        f"longreach: {words[0]} needs the package {package}: pip install 'longreach[{extra}]'"
    ]


def test_each_service_names_an_extra_that_the_project_has():
    for plugin in find_plugins(PLUGINS).values():
        if plugin.target.startswith("longreach"):
            source = plugins._parse(plugin.target.partition(":")[0])
            assert source is not None
            assert plugin.dist is not None
            assert plugins._extra_of(source) in (plugin.dist.metadata.get_all("Provides-Extra") or [])


def test_every_command_has_a_page_of_its_own_under_both_flags():
    script = (
        "import click; from click.testing import CliRunner; from longreach.cli.app import app\n"
        "for name in app.list_commands(click.Context(app)):\n"
        "    for flag in ('-h', '--help'):\n"
        "        done = CliRunner().invoke(app, [name, flag], prog_name='longreach')\n"
        "        assert done.exit_code == 0, done.output\n"
        "        assert done.output.startswith(f'Usage: longreach {name}'), done.output\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
