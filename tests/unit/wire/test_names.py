from __future__ import annotations

import pytest

from longreach.errors import DeclarationError
from longreach.wire.names import check_server_name, check_tool_name


@pytest.mark.parametrize("name", ["a", "extract_text", "getDocument", "a.b-c_9", "_", "x" * 64])
def test_a_tool_may_be_called(name):  # M1.7
    assert check_tool_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "naïve", "a/b", "x" * 65, "a\n", "a*"])
def test_a_tool_may_not_be_called(name):
    with pytest.raises(DeclarationError, match="a tool cannot be called"):
        check_tool_name(name)


@pytest.mark.parametrize("name", ["docs", "Docs-2", "_docs", "x" * 64])
def test_a_server_may_be_called(name):
    assert check_server_name(name) == name


@pytest.mark.parametrize("name", ["", "a.b", "_", "a b", "x" * 65, "docs\n"])
def test_a_server_may_not_be_called(name):
    with pytest.raises(DeclarationError, match="a server cannot be called"):
        check_server_name(name)
