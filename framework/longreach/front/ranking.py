"""Ranked text search over tools: BM25 with a weight for each place where a word stands. Pure.

A word counts more in a tool's name than in its description, and more in the description than in a
parameter's. Words are compared without case, compound names are taken apart, and plurals and the like are
levelled; a word of a query that no tool has is taken for the words that begin like it, or nearly are it.
"""

from __future__ import annotations

import difflib
import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from longreach.front.shelf import Item

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W\d_]+|\d+")
_UNSPACED = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]{2,}")
"""Writing without spaces between words: each two characters count as a word."""
_SUFFIXES = ("ations", "ation", "ings", "ing", "ies", "es", "ed", "s", "e", "y")
_STOP_TEXT = (
    "a an and are as at be by can do for from how i in is it me my of on or that the this to use with you"
)
_STOP = frozenset(_STOP_TEXT.split(" "))
_NAME, _TITLE, _SERVER, _PARAMETER, _DESCRIPTION, _DETAIL = 4.0, 3.0, 2.0, 1.5, 1.0, 0.5
_K1, _B = 1.2, 0.6
_SPELT_OUT = 1000.0
"""A query that is a tool's name means that tool."""
_MAX_WORDS = 400
"""So many different words of one definition are looked at."""
_MAX_QUERY_WORDS = 32
_MAX_VARIANTS = 8
_MAX_ALIKE = 1000
_MAX_SCHEMA_DEPTH = 6

Weights = Mapping[str, float]


def words_of(text: str) -> list[str]:
    """The words of a text or compound name, levelled."""
    words: list[str] = []
    for word in _WORD.findall(_CAMEL.sub(" ", text).lower()):
        if _UNSPACED.fullmatch(word):
            words += [word[at : at + 2] for at in range(len(word) - 1)]
        elif word not in _STOP:
            words.append(_level(word))
    return words


@lru_cache(maxsize=65_536)
def _level(word: str) -> str:
    """The word without an ending, where what is left still says something."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word


def weigh(item: Item) -> Weights:
    """How much each word weighs in a tool's definition."""
    weights: Counter[str] = Counter()
    definition = msgspec.json.decode(item.data)
    annotations = definition.get("annotations")
    _add(weights, item.name, _NAME)
    _add(weights, item.server, _SERVER)
    _add(weights, definition.get("title"), _TITLE)
    _add(weights, annotations.get("title") if isinstance(annotations, dict) else None, _TITLE)
    _add(weights, definition.get("description"), _DESCRIPTION)
    _add_schema(weights, definition.get("inputSchema"), 0)
    return dict(weights.most_common(_MAX_WORDS))


def _add(weights: Counter[str], text: Any, weight: float) -> None:
    if isinstance(text, str):
        for word in words_of(text):
            weights[word] += weight  # type: ignore[assignment] # a Counter of weights


def _add_schema(weights: Counter[str], schema: Any, depth: int) -> None:
    """Parameters by their names and descriptions, nested ones too; the words of choices."""
    if not isinstance(schema, dict) or depth > _MAX_SCHEMA_DEPTH:
        return
    properties = schema.get("properties")
    if isinstance(properties, dict):
        for name, inner in properties.items():
            _add(weights, name, _PARAMETER)
            _add_schema(weights, inner, depth + 1)
    if depth:
        _add(weights, schema.get("title"), _DETAIL)
        _add(weights, schema.get("description"), _DETAIL)
    for choice in schema["enum"][:20] if isinstance(schema.get("enum"), list) else ():
        _add(weights, choice, _DETAIL)
    _add_schema(weights, schema.get("items"), depth + 1)


class Ranking:
    """An index of tools: `add` them all, then `finish`, then `search`."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._postings: dict[str, list[tuple[int, float]]] = {}
        self._lengths: list[float] = []
        self._names: dict[str, list[int]] = {}
        self._average = 1.0
        self._words: list[str] = []

    def add(self, item: Item, weights: Weights) -> None:
        """Put a tool in; `weights` are by `weigh`."""
        at = len(self._items)
        self._items.append(item)
        self._lengths.append(sum(weights.values()))
        for word, weight in weights.items():
            self._postings.setdefault(word, []).append((at, weight))
        for name in {item.offered.lower(), item.name.lower()}:
            self._names.setdefault(name, []).append(at)

    def finish(self) -> None:
        """All tools are in."""
        self._average = sum(self._lengths) / len(self._lengths) if self._lengths else 1.0
        self._words = sorted(self._postings)

    def search(self, query: str, limit: int) -> list[Item]:
        """The tools that fit `query` best, the best first; no more than `limit`, and none that do not fit."""
        scores: dict[int, float] = {}
        for word in list(dict.fromkeys(words_of(query)))[:_MAX_QUERY_WORDS]:
            self._score(word, scores)
        for at in self._names.get(query.strip().lower(), ()):
            scores[at] = scores.get(at, 0.0) + _SPELT_OUT
        best = sorted(scores, key=lambda at: (-scores[at], self._items[at].offered))
        return [self._items[at] for at in best[:limit]]

    def _score(self, word: str, scores: dict[int, float]) -> None:
        """Add what `word` is worth; of its variants, each tool's best counts."""
        worth: dict[int, float] = {}
        for variant, share in self._variants(word):
            postings = self._postings[variant]
            rarity = math.log(1 + (len(self._items) - len(postings) + 0.5) / (len(postings) + 0.5))
            for at, weight in postings:
                fit = weight * (_K1 + 1) / (weight + _K1 * (1 - _B + _B * self._lengths[at] / self._average))
                worth[at] = max(worth.get(at, 0.0), share * rarity * fit)
        for at, value in worth.items():
            scores[at] = scores.get(at, 0.0) + value

    def _variants(self, word: str) -> list[tuple[str, float]]:
        """The words of the index that stand for `word`, and how much of it they are worth."""
        variants = [(word, 1.0)] if word in self._postings else []
        if len(word) >= 3:
            at = bisect_left(self._words, word)
            nearby = self._words[at : at + _MAX_VARIANTS]
            variants += [(known, 0.6) for known in nearby if known.startswith(word) and known != word]
        if not variants and len(word) >= 4:
            variants = [(known, 0.5) for known in self._near(word)]
        return variants

    def _near(self, word: str) -> list[str]:
        """Words that `word` may be a slip of: of its first letter, and about as long."""
        begin, end = bisect_left(self._words, word[0]), bisect_left(self._words, chr(ord(word[0]) + 1))
        alike = [known for known in self._words[begin:end] if abs(len(known) - len(word)) <= 2]
        return difflib.get_close_matches(word, alike[:_MAX_ALIKE], n=2, cutoff=0.8)
