from __future__ import annotations

import pytest

from longreach.wire.schema.docstring import parse_docstring

GOOGLE = """Extract the text.

    Of a document,
    page by page.

    Args:
        url: where it
            is.
        pages (int, optional): how many: all if left out.

            A second paragraph.
        *rest: more
        quiet:
            no noise.

    Returns:
        text: not a parameter.
    """
NUMPY = """Extract the text.

    Parameters
    ----------
    url : str
        where it
        is.
    top, left : int
        the corner.

    Returns
    -------
    text : str
        not a parameter.
    """
SPHINX = """Extract the text.

    :param url: where it
        is.
    :param int pages: how many.
    :type url: str
    :returns: text
    """


def test_google_style():
    description, parameters = parse_docstring(GOOGLE)
    assert description == "Extract the text.\n\nOf a document,\npage by page."
    assert parameters == {
        "url": "where it is.",
        "pages": "how many: all if left out. A second paragraph.",
        "rest": "more",
        "quiet": "no noise.",
    }


def test_numpy_style():
    assert parse_docstring(NUMPY) == (
        "Extract the text.",
        {"url": "where it is.", "top": "the corner.", "left": "the corner."},
    )


def test_sphinx_style():
    assert parse_docstring(SPHINX) == ("Extract the text.", {"url": "where it is.", "pages": "how many."})


@pytest.mark.parametrize("text", [None, "", "   \n  "])
def test_a_docstring_that_says_nothing(text):
    assert parse_docstring(text) == (None, {})


def test_a_docstring_of_parameters_alone_has_no_description():
    assert parse_docstring("\n    Args:\n        url: where.\n    ") == (None, {"url": "where."})


@pytest.mark.parametrize(
    "text",
    [
        "Take care:\nthis is prose.",
        ":emphasis: is no field.",
        "A heading\n---------\nin Markdown.",
        "Args are what it takes.",
    ],
)
def test_prose_that_looks_like_a_section_stays_prose(text):
    assert parse_docstring(text) == (text, {})


def test_paragraphs_after_a_section_are_kept():
    text = "Find.\n\nArgs:\n    url: where.\n\nIt takes long.\n\n    code\n\nReturns:\n    It.\n\nBe patient."
    assert parse_docstring(text) == (
        "Find.\n\nIt takes long.\n\n    code\n\nBe patient.",
        {"url": "where."},
    )
    assert parse_docstring("Args:\n    url: where.\n\nFind it.") == ("Find it.", {"url": "where."})
    assert parse_docstring(":param url: where.\n\nFind it.") == ("Find it.", {"url": "where."})
    numpy = "Find.\n\nParameters\n----------\nurl : str\n    where.\n\nto : str\n    there.\n\nIt takes long."
    assert parse_docstring(numpy) == ("Find.\n\nIt takes long.", {"url": "where.", "to": "there."})


def test_a_parameter_without_text_is_left_out():
    assert parse_docstring("Do.\n\nArgs:\n    url:\n    to: there.").parameters == {"to": "there."}
