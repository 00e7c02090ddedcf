from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longreach.wire import subjects
from longreach.wire.subjects import Address, instance_target, parse, version_target
from longreach.wire.tokens import encode_optional, encode_token, is_token

KINDS = (
    subjects.Request, subjects.All, subjects.Node, subjects.Ops, subjects.Reply, subjects.Adv, subjects.Evt,
    subjects.Who, subjects.Gw,
)  # fmt: skip
names = st.none() | st.text(min_size=1, max_size=120) | st.sampled_from(["_", ".", "*", ">", "req", "lr.v1"])


@st.composite
def addresses(draw: st.DrawFn) -> Address:
    """Any address whose tokens were made from any names."""
    kind = draw(st.sampled_from(KINDS))
    tokens = [encode_optional(draw(names)) for _ in kind.__struct_fields__]
    if kind is subjects.Evt and draw(st.booleans()):
        tokens.pop()
    return kind(*tokens)


@given(addresses())
def test_each_address_is_read_back_from_its_subject(address: Address):
    subject = address.subject()
    assert len(subject) <= subjects.MAX_SUBJECT_BYTES
    assert parse(subject) == address
    assert not set(subject) & set("*> \t\r\n")


@given(addresses(), addresses())
def test_different_addresses_have_different_subjects(one: Address, other: Address):
    assert (one.subject() == other.subject()) == (one == other)


pieces = st.sampled_from(
    ["lr", "v1", "default", "eu", "_", "*", ">", "", "=2a", "A", "tools-call"]
) | st.text(max_size=5)
spaces = st.sampled_from([kind.SPACE for kind in KINDS])


@given(
    st.text()
    | st.lists(pieces, max_size=14).map(".".join)
    | st.builds(
        lambda space, rest: ".".join(["lr", "v1", "default", "eu", space, *rest]),
        spaces,
        st.lists(pieces, max_size=8),
    )
)
def test_any_text_is_an_address_or_none(subject: str):
    address = parse(subject)
    if address is not None:
        assert address.subject() == subject


@given(st.text())
def test_any_version_has_a_target(version: str):
    target = version_target(version)
    assert target[0] == "v"
    assert target[1:].isdecimal()
    assert target[1:].isascii()
    assert is_token(target)


@given(st.integers(0, 999_999_999), st.integers(0, 10**6), st.text(alphabet="0123456789abc.-+", max_size=9))
def test_the_target_is_the_major_number(major: int, minor: int, rest: str):
    assert version_target(f"{major}.{minor}{rest}") == f"v{major}"


@given(st.text(min_size=1, max_size=120), st.text(min_size=1, max_size=120))
def test_instances_have_targets_of_their_own(one: str, other: str):
    assert is_token(instance_target(one))
    assert (instance_target(one) == instance_target(other)) == (one == other)
    assert not instance_target(one).startswith(("v", "_"))  # neither a version nor any


@given(st.text(alphabet="aB-9_", min_size=1, max_size=20))
def test_an_instances_target_is_its_token_behind_a_mark(instance: str):
    if instance != "_":
        assert instance_target(instance) == "n-" + encode_token(instance)
