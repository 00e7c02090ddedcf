"""A mapping that is a value: what changes it gives another one, and shares with it what stayed.

A catalog has to be kept as it was while a newer one is made, and with 50,000 instances a copy for each
announcement costs milliseconds. So the entries lie in the leaves of a tree, by 5 bits of their hash on each
level: a change copies one leaf of at most `_LEAF` entries, and a tuple of 32 on each level above it, 2 µs at
50,000 entries. Sharing also makes it cheap to say what differs between two values (`changed`): branches that
are the same object are not looked into. Up to `_LEAF` entries all is one dict, which keeps their order.

It is a hash array mapped trie without its compression. A compiled library does the same in less time, but has
no wheels for some platforms that longreach runs on, and no `changed`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_LEAF = 24
"""A leaf with more entries is split."""
_FEW = 8
"""A branch with so few entries becomes a leaf again."""
_BITS = 5
_MASK = (1 << _BITS) - 1
_DEEPEST = 60
"""Hashes have no more bits: keys that are equal in all of them share a leaf, whatever its size."""
_NO_ENTRIES: dict[Any, Any] = {}  # shared, never written to
_ABSENT: Any = object()


class PersistentMap(Mapping[K, V]):
    """An immutable mapping from which changed ones are cheap to make.

    Keys are compared like those of a dict. `changed` compares values by identity.
    """

    __slots__ = ("_root", "_size")

    _root: Any
    _size: int

    def __init__(self) -> None:
        self._root = _NO_ENTRIES
        self._size = 0

    def __getitem__(self, key: K) -> V:
        found = self.get(key, _ABSENT)
        if found is _ABSENT:
            raise KeyError(key)
        return found  # type: ignore[no-any-return]

    def get(self, key: K, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        node = self._root
        if type(node) is tuple:
            bits = hash(key)
            while type(node) is tuple:
                node = node[bits & _MASK]
                bits >>= _BITS
        return node.get(key, default)

    def __contains__(self, key: object) -> bool:
        return self.get(key, _ABSENT) is not _ABSENT  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[K]:
        for leaf in _leaves(self._root):
            yield from leaf

    def __repr__(self) -> str:
        return f"PersistentMap({dict(self.items())!r})"

    def having(self, key: K, value: V) -> PersistentMap[K, V]:
        """The mapping with `value` under `key`."""
        return _made(_having(self._root, 0, key, value), self._size + (key not in self))

    def without(self, key: K) -> PersistentMap[K, V]:
        """The mapping without `key`; the same object if it is not there."""
        if key not in self:
            return self
        return _made(_without(self._root, hash(key), key), self._size - 1)

    def changed(self, before: PersistentMap[K, V]) -> list[K]:
        """The keys that have another value object here than in `before`, or are in only one of both."""
        found: list[K] = []
        _compare(self._root, before._root, found)
        return found


def _made(root: Any, size: int) -> PersistentMap[Any, Any]:
    made: PersistentMap[Any, Any] = PersistentMap()
    made._root = root
    made._size = size
    return made


def _leaves(node: Any) -> Iterator[dict[Any, Any]]:
    if type(node) is dict:
        yield node
        return
    for child in node:
        yield from _leaves(child)


def _having(node: Any, shift: int, key: Any, value: Any) -> Any:
    if type(node) is dict:
        leaf = {**node, key: value}
        if len(leaf) <= _LEAF or shift > _DEEPEST:
            return leaf
        children: list[Any] = [_NO_ENTRIES] * (_MASK + 1)
        for each, held in leaf.items():
            at = (hash(each) >> shift) & _MASK
            if children[at] is _NO_ENTRIES:
                children[at] = {}
            children[at][each] = held
        return tuple(children)
    at = (hash(key) >> shift) & _MASK
    child = _having(node[at], shift + _BITS, key, value)
    return (*node[:at], child, *node[at + 1 :])


def _without(node: Any, bits: int, key: Any) -> Any:
    if type(node) is dict:
        left = node.copy()
        del left[key]
        return left or _NO_ENTRIES
    at = bits & _MASK
    child = _without(node[at], bits >> _BITS, key)
    children = (*node[:at], child, *node[at + 1 :])
    if type(child) is dict and len(child) <= _FEW:
        count = 0
        for each in children:
            if type(each) is not dict:
                return children
            count += len(each)
            if count > _FEW:
                return children
        return {each: held for leaf in children for each, held in leaf.items()} or _NO_ENTRIES
    return children


def _compare(ours: Any, theirs: Any, found: list[Any]) -> None:
    if ours is theirs:
        return
    if type(ours) is tuple and type(theirs) is tuple:
        for one, other in zip(ours, theirs, strict=True):
            if one is not other:
                _compare(one, other, found)
        return
    if type(ours) is tuple or type(theirs) is tuple:
        ours = {key: value for leaf in _leaves(ours) for key, value in leaf.items()}
        theirs = {key: value for leaf in _leaves(theirs) for key, value in leaf.items()}
    found += [key for key, value in ours.items() if theirs.get(key, _ABSENT) is not value]
    if len(theirs) > 0:
        found += [key for key in theirs if key not in ours]


EMPTY: PersistentMap[Any, Any] = PersistentMap()
