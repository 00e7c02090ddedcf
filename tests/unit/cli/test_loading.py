from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from longreach.cli.loading import load_servers
from longreach.errors import ConfigError, DeclarationError

TWO = "from longreach import Server\none = Server('one')\ntwo = Server('two')\n"


@pytest.fixture(autouse=True)
def _imports_are_undone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("lr_"):
            del sys.modules[name]


def _write(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _names(*targets: str) -> list[str]:
    return [server.name for server in load_servers(targets)]


def test_modules_of_the_working_directory_are_found():
    _write("lr_two.py", TWO)

    assert _names("lr_two:two", "lr_two:one", "lr_two:two") == ["two", "one"]


def test_one_server_needs_no_name():
    _write("lr_single.py", "from longreach import Server\nserver = alias = Server('only')\n")

    assert _names("lr_single") == ["only"]
    assert _names("./lr_single.py") == ["only"]


def test_packages_and_attributes_of_attributes():
    _write("lr_package/__init__.py", "")
    _write("lr_package/app.py", TWO + "class Holder:\n    server = one\n")

    assert _names("lr_package.app:Holder.server") == ["one"]


def test_a_file_elsewhere_is_imported_as_the_module_that_its_folder_makes_it():
    _write("elsewhere/lr_helper.py", "NAME = 'helped'\n")
    _write(
        "elsewhere/lr_file.py", "import lr_helper\nfrom longreach import Server\ns = Server(lr_helper.NAME)\n"
    )

    assert _names("elsewhere/lr_file.py:s") == ["helped"]
    assert sys.modules["lr_file"].__file__ == str(Path("elsewhere/lr_file.py").resolve())


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("lr_two", "lr_two holds 2 servers; write lr_two:NAME; its servers are one, two"),
        ("lr_two:three", "three of lr_two is not there; its servers are one, two"),
        ("lr_two:Server", "Server of lr_two is no Server"),
        ("lr_empty", "lr_empty holds no servers; write lr_empty:NAME; a server is made by Server"),
        ("lr_nowhere:x", "there is no module 'lr_nowhere'"),
        ("lr_nowhere.sub:x", "there is no module 'lr_nowhere'"),
        ("lr_imports:x", "importing lr_imports failed: ModuleNotFoundError: No module named 'lr_missing'"),
        ("lr_raises:x", "importing lr_raises failed: ZeroDivisionError"),
        ("nowhere.py:x", "there is no file nowhere.py"),
        ("clash/json.py:x", "another module is called json; rename the file"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line(target: str, said: str):
    _write("lr_two.py", TWO)
    _write("lr_empty.py", "")
    _write("lr_imports.py", "import lr_missing\n")
    _write("lr_raises.py", "1 / 0\n")
    _write("clash/json.py", TWO)

    with pytest.raises(ConfigError) as caught:
        load_servers([target])
    assert said in str(caught.value)


def test_errors_of_declaring_come_as_they_are():
    _write("lr_wrong.py", "from longreach import Server\ns = Server('s')\n@s.tool\ndef f(*args): ...\n")

    with pytest.raises(DeclarationError, match="args"):
        load_servers(["lr_wrong:s"])
