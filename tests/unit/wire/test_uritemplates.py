from __future__ import annotations

import time

import pytest

from longreach.errors import DeclarationError
from longreach.wire.uritemplates import is_uri, parse_template, resembles


@pytest.mark.parametrize(
    ("template", "uri", "values"),
    [
        ("a://{x}", "a://1", {"x": "1"}),
        ("a://{x}", "a://", None),
        ("a://{x}", "a://1/2", None),
        ("a://{x}", "a://%C3%BC%2F", {"x": "ü/"}),
        ("a://{x}", "a://%ff", None),
        ("a://{+x}", "a://1/2?q=#", {"x": "1/2?q=#"}),
        ("a://{x}/b/{y}", "a://1/b/2", {"x": "1", "y": "2"}),
        ("a://{y}-{m}-{d}", "a://2026-07-28", {"y": "2026", "m": "07", "d": "28"}),
        ("a://{x}", "A://1", None),
        ("a://{x}", "a://" + "1" * 3000, None),
    ],
)
def test_a_template_takes_its_uris_apart(template: str, uri: str, values: dict[str, str] | None):
    parsed = parse_template(template)
    assert parsed is not None
    assert parsed.match(uri) == values
    if values is not None and "%" not in uri:
        assert parsed.expand(values) == uri


def test_an_ordinary_uri_is_no_template():
    assert parse_template("a://b") is None


@pytest.mark.parametrize(
    "text",
    ["a://{x", "a://x}", "a://{}", "a://{?x}", "a://{x}{x}", "a://{1}", "a://{+a}/{+b}/{+c}/{+d}",
     "a://{a}-{b}-{c}-{d}", "a://{a}{b}{c}{d}"],
)  # fmt: skip
def test_what_is_not_understood_is_refused(text: str):
    with pytest.raises(DeclarationError):
        parse_template(text)


@pytest.mark.parametrize("text", ["a://{a}/{b}/{c}/{d}", "a://{+a}/{+b}/{+c}", "a://{x}.{y}/{z}.{w}"])
def test_variables_with_borders_are_understood(text: str):
    assert parse_template(text) is not None


@pytest.mark.parametrize("text", ["a://{+a}/{+b}/{+c}x", "a://{a}-{b}-{c}x"])
def test_no_uri_takes_long_to_be_refused(text: str):
    """The bound that makes a hostile URI cheap: 2,048 characters, and few ways to read them."""
    parsed = parse_template(text)
    assert parsed is not None
    began = time.process_time()
    assert parsed.match("a://" + ("/" if "+" in text else "-") * 300) is None
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a:b", True),
        ("a+1://x y", False),
        ("docs://{page}", True),
        ("x", False),
        ("://x", False),
        ("a:", False),
    ],
)
def test_a_uri_has_a_scheme_and_no_blanks(text: str, is_one: bool):
    assert is_uri(text) is is_one


def test_any_template_resembles_its_uris():
    assert resembles("a://{?q*}", "a://?q=1")
    assert not resembles("ab{x}ba", "aba")
