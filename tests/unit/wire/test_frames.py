from __future__ import annotations

import json

import msgspec
import pytest

from longreach.wire import frames
from longreach.wire.digest import digest

# Each kind, and its bytes as docs/binding.md shows them.
EXAMPLES = [
    (
        frames.Accepted("n1", "i1", "eu"),
        {"identity": "n1", "instance": "i1", "region": "eu"},
    ),  # M4.1
    (frames.AliveRequest(["1-0-f"]), {"calls": ["1-0-f"]}),  # M7.1
    (
        frames.AliveReply("n1", "i1", ["1-0-f"], 5),
        {"identity": "n1", "instance": "i1", "gone": ["1-0-f"], "clockMs": 5},
    ),
    (frames.WhoseRequest([]), {"calls": []}),  # M7.2
    (
        frames.WhoseReply("n1", "i1", "eu", [], [], 5, since_ms=3),
        {
            "identity": "n1",
            "instance": "i1",
            "region": "eu",
            "have": [],
            "done": [],
            "clockMs": 5,
            "sinceMs": 3,
        },
    ),
    (
        frames.WhoseReply("n1", "i1", "eu", ["1-0-f"], ["2-0-f"], 5),
        {
            "identity": "n1",
            "instance": "i1",
            "region": "eu",
            "have": ["1-0-f"],
            "done": ["2-0-f"],
            "clockMs": 5,
        },
    ),
    (frames.CancelRequest(["1-0-f"]), {"calls": ["1-0-f"]}),  # M6.1
    (frames.CancelRequest(["1-0-f"], "user"), {"calls": ["1-0-f"], "reason": "user"}),
    (frames.BlobsRequest(["d"]), {"digests": ["d"]}),  # M8.5
    (
        frames.Announcement("docs", "1.0", "d", "eu", "n1", "i1", "up", 7, 5, {"zone": "a"}),
        {
            "server": "docs",
            "version": "1.0",
            "digest": "d",
            "region": "eu",
            "identity": "n1",
            "instance": "i1",
            "state": "up",
            "seq": 7,
            "clockMs": 5,
            "labels": {"zone": "a"},
            "binding": 1,
        },
    ),  # M8.1
    (frames.WhoReply([]), {"announcements": []}),  # M8.2
    (
        frames.InfoReply("n1", "i1", "eu", "serving", {"docs": "1.0"}, 3, 1.5),
        {
            "identity": "n1",
            "instance": "i1",
            "region": "eu",
            "state": "serving",
            "servers": {"docs": "1.0"},
            "inFlight": 3,
            "uptimeS": 1.5,
        },
    ),
    (frames.DrainReply("draining"), {"state": "draining"}),
]


@pytest.mark.parametrize(("body", "shown"), EXAMPLES, ids=[type(body).__name__ for body, _ in EXAMPLES])
def test_a_body_is_what_the_binding_shows(body: msgspec.Struct, shown: dict[str, object]):
    data = msgspec.json.encode(body)
    assert json.loads(data) == shown
    assert frames.decode(data, type(body)) == body


@pytest.mark.parametrize(("body", "shown"), EXAMPLES, ids=[type(body).__name__ for body, _ in EXAMPLES])
def test_unknown_members_are_ignored(body: msgspec.Struct, shown: dict[str, object]):  # M11.1
    data = json.dumps({"newer": [{"x": None}], **shown}).encode()
    assert frames.decode(data, type(body)) == body


@pytest.mark.parametrize(("body", "shown"), EXAMPLES, ids=[type(body).__name__ for body, _ in EXAMPLES])
def test_wrong_types_are_refused(body: msgspec.Struct, shown: dict[str, object]):
    for name in shown:
        with pytest.raises(msgspec.DecodeError):
            frames.decode(json.dumps({**shown, name: {"no": [1]}}).encode(), type(body))


def test_an_announcement_of_an_earlier_binding_lacks_nothing_that_is_needed():
    shown = {
        "server": "docs", "version": "1.0", "digest": "d", "region": "eu", "identity": "n1", "instance": "i1",
        "state": "down", "seq": 0, "clockMs": 0,
    }  # fmt: skip
    got = frames.decode(json.dumps(shown).encode(), frames.Announcement)
    assert (got.labels, got.binding) == ({}, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"server": ""},
        {"identity": ""},
        {"instance": ""},
        {"region": ""},
        {"seq": -1},
        {"clockMs": -1},
        {"clockMs": 10**400},
        {"seq": 2**53},
        {"seq": True},
        {"state": "sideways"},
        {"labels": {"a": 1}},
    ],
)
def test_an_announcement_that_could_hurt_is_refused(change: dict[str, object]):
    shown = {**EXAMPLES[8][1], **change}
    with pytest.raises(msgspec.DecodeError):
        frames.decode(json.dumps(shown).encode(), frames.Announcement)


@pytest.mark.parametrize("kind", [frames.AliveRequest, frames.WhoseRequest, frames.CancelRequest])
def test_at_most_512_calls_are_asked_about(kind: type[msgspec.Struct]):
    calls = [f"{n}-0-f" for n in range(513)]
    assert frames.decode(json.dumps({"calls": calls[:512]}).encode(), kind)
    with pytest.raises(msgspec.DecodeError):
        frames.decode(json.dumps({"calls": calls}).encode(), kind)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"calls":["\xff"]}',
        b'{"calls":' + b"[" * 100_000,
        b'{"x":' + b"[" * 100_000,
        b'{"calls":[]}trailing',
    ],
)
def test_garbage_raises_one_kind_of_error(data: bytes):
    with pytest.raises(msgspec.DecodeError):
        frames.decode(data, frames.AliveRequest)


def test_frames_are_known_by_their_header():
    assert (frames.HEADER, frames.ACCEPTED, frames.NOTE) == ("Lr", "accepted", "note")


BLOBS = {digest(data): data for data in (b'{"name":"a"}', b'{"name": "b"}', b"[1,  2]")}
A, B, C = BLOBS


def test_blobs_travel_byte_for_byte():  # M8.5
    reply, sent = frames.pack_blobs(BLOBS, [C, A, B], 1000)
    assert sent == [C, A, B]
    assert frames.by_digest(frames.decode(reply, frames.BlobsReply)) == BLOBS


def test_what_is_not_here_is_named_as_missing():
    reply, sent = frames.pack_blobs(BLOBS, ["no", A, 'nor"this'], 1000)
    got = frames.decode(reply, frames.BlobsReply)
    assert sent == [A]
    assert got.missing == ["no", 'nor"this']
    assert frames.by_digest(got) == {A: BLOBS[A]}


def test_what_does_not_fit_is_left_for_the_next_question():
    whole, _ = frames.pack_blobs(BLOBS, [A, B], 1000)
    reply, sent = frames.pack_blobs(BLOBS, [A, B], len(whole))
    assert (reply, sent) == (whole, [A, B])
    reply, sent = frames.pack_blobs(BLOBS, [A, B], len(whole) - 1)
    assert sent == [A]
    assert frames.decode(reply, frames.BlobsReply).missing == []


def test_the_first_blob_goes_in_any_case():
    reply, sent = frames.pack_blobs(BLOBS, ["no", B, A], 1)
    assert sent == [B]
    assert frames.decode(reply, frames.BlobsReply).missing == ["no"]


def test_a_digest_that_is_asked_for_twice_is_sent_once():
    _, sent = frames.pack_blobs(BLOBS, [A, A, A], 1000)
    assert sent == [A]


def test_nothing_wanted_is_nothing_sent():
    reply, sent = frames.pack_blobs(BLOBS, [], 1000)
    assert sent == []
    assert frames.decode(reply, frames.BlobsReply) == frames.BlobsReply([])


def test_a_reply_without_missing_is_read():
    assert frames.decode(b'{"blobs":[1]}', frames.BlobsReply).missing == []
