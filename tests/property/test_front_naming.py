"""Names and URIs of the whole mesh: no two things share one, and each is what APIs accept."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from longreach.front.naming import CALL_TOOL, SEARCH_TOOLS, offered_name, offered_uri, split_name, split_uri

SERVERS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).filter(lambda name: name != "_")
NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
PROMPTS = st.one_of(NAMES, st.text(min_size=1, max_size=80))  # bridged servers call them what they like
TIGHT_SERVERS = st.text(alphabet="ab_-", min_size=1, max_size=5).filter(lambda name: name != "_")
TIGHT_NAMES = st.text(alphabet="ab_-.", min_size=1, max_size=5)


@given(SERVERS, PROMPTS)
def test_every_name_is_one_that_language_models_apis_accept(server: str, name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", offered_name(server, name))


@given(st.sets(st.tuples(TIGHT_SERVERS, TIGHT_NAMES), max_size=60))
def test_no_two_things_share_a_name(things: set[tuple[str, str]]) -> None:
    assert len({offered_name(*thing) for thing in things}) == len(things)


@given(st.sets(st.tuples(SERVERS, PROMPTS), max_size=20))
def test_no_two_things_share_a_name_whatever_they_are_called(things: set[tuple[str, str]]) -> None:
    assert len({offered_name(*thing) for thing in things}) == len(things)


@given(SERVERS, PROMPTS)
def test_a_name_says_whose_it_is_or_that_it_does_not(server: str, name: str) -> None:
    assert split_name(offered_name(server, name)) in ((server, name), None)


@given(st.from_regex(r"[a-z0-9]{1,8}([_-][a-z0-9]{1,8}){0,2}", fullmatch=True), NAMES)
def test_ordinary_names_stay_readable(server: str, name: str) -> None:
    if "." not in name and len(server) + len(name) <= 62:
        assert offered_name(server, name) == f"{server}__{name}"
        assert split_name(f"{server}__{name}") == (server, name)


@given(SERVERS, PROMPTS)
def test_no_name_is_that_of_the_tool_search(server: str, name: str) -> None:
    assert offered_name(server, name) not in (SEARCH_TOOLS, CALL_TOOL)


@given(SERVERS, st.text(min_size=1))
def test_a_uri_is_read_back_to_the_letter(server: str, uri: str) -> None:
    assert split_uri(offered_uri(server, uri)) == (server, uri)


@given(st.text())
def test_what_is_no_uri_of_ours_is_nobodys(text: str) -> None:
    split = split_uri(text)
    assert split is None or offered_uri(*split) == text


def test_names_stay_what_they_are() -> None:
    """Written down: a host keeps permissions by these names, so they may never change."""
    assert offered_name("docs", "extract_text") == "docs__extract_text"
    assert offered_name("docs", "_private") == "docs___private"
    assert offered_name("docs_", "a") == "docs_a-c2e8de1c62"
    assert offered_name("a__b", "c") == "a_b_c-305772b258"
    assert offered_name("files", "fs.read") == "files_fs_read-d9d6be5fc9"
    assert offered_uri("docs", "file:///a?b#c") == "longreach://docs/file:///a?b#c"
