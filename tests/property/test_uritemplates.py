"""URI templates: what is expanded is matched again, and no text makes them stumble."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longreach.errors import DeclarationError
from longreach.wire.uritemplates import parse_template, resembles

VALUES = st.text(min_size=1, max_size=20)


@given(a=VALUES, b=VALUES)
def test_what_was_expanded_is_taken_apart_again(a: str, b: str):
    template = parse_template("docs://{a}/page/{b}")
    assert template is not None
    uri = template.expand({"a": a, "b": b})
    assert template.match(uri) == {"a": a, "b": b}
    assert resembles(template.text, uri)


@given(text=st.text(alphabet="ab{}+/?-:%2", max_size=30), uri=st.text(alphabet="ab/-:%2{}", max_size=30))
def test_no_text_makes_it_stumble(text: str, uri: str):
    resembles(text, uri)
    try:
        template = parse_template(text)
    except DeclarationError:
        return
    if template is None:
        assert "{" not in text
        return
    found = template.match(uri)
    if found is not None:
        assert found.keys() == set(template.variables)
        assert resembles(text, uri)
