"""The demo's documents: from Markdown to what a reader sees."""

from __future__ import annotations

import pytest

from longreach.cli.demo import corpus
from longreach.cli.demo.corpus import Heading
from longreach.errors import ToolError

MARKDOWN = """\
# A *title*

Some `code`, a [link](https://example.org) and
a second line.

## Part

- one
- two

```python
print("hi")
```
"""


def test_plain_text_has_no_marks() -> None:
    assert corpus.plain_text(MARKDOWN).splitlines() == [
        "A title",
        "Some code, a link and a second line.",
        "Part",
        "one",
        "two",
        'print("hi")',
    ]


def test_headings_with_their_levels() -> None:
    assert corpus.headings(MARKDOWN) == [Heading(1, "A title"), Heading(2, "Part")]


def test_search_puts_the_most_hits_first_and_keeps_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"a": "Node", "b": "a node by a NODE", "c": "nothing", "d": "node"}
    folded = {name: (text, text.casefold()) for name, text in texts.items()}
    monkeypatch.setattr(corpus, "library", lambda: folded)
    hits = corpus.search("node", limit=2)
    assert [(hit.document, hit.count) for hit in hits] == [("b", 2), ("a", 1)]
    assert hits[0].excerpt == "a node by a NODE"
    assert corpus.search("absent", limit=5) == []


def test_the_documents_of_this_installation() -> None:
    found = corpus.documents()
    assert "markdown-it-py" in found
    assert all(1_000 <= len(text) <= 8_000 for text in found.values())
    assert list(found) == sorted(found)


def test_an_unknown_document_is_answered_with_those_there_are() -> None:
    with pytest.raises(ToolError, match="no document 'nothing-of-that-name'; there are "):
        corpus.document("nothing-of-that-name")
