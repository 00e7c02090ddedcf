"""Make the test vectors of the binding: `python -m tests.support.vectors` writes docs/vectors/*.json.

An implementation in another language reads them and compares. The code of longreach makes every expected
value here; the inputs are chosen by hand. tests/unit/test_vectors.py holds that the files are what this
makes, and checks them by other means where there are any.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from longreach.clock import Clock
from longreach.node.replies import Replies
from longreach.policy.claims import Bound, ClaimsRefused, Key, Signer, Verifier
from longreach.policy.liveness import AskAlive, AskWhose, Config, Liveness, Lost, NodeId
from longreach.wire import frames
from longreach.wire.callid import read_call
from longreach.wire.digest import digest
from longreach.wire.packing import pack_body
from longreach.wire.parts import Offer, PartRequest, Pull, Put, pack
from longreach.wire.subjects import (
    Node,
    Request,
    canary_target,
    instance_target,
    method_token,
    resource_hash,
    version_target,
)
from longreach.wire.tokens import encode_token

FOLDER = Path(__file__).parents[2] / "docs" / "vectors"
_TEXTS = [
    "docs", "a-b_c-9", "getDocument", "a.b", "a=b", "=", "_", "__", "-", "*", ">", "/", " ", "\t\r\n\0", "é",
    "ﬀ𝕏", "a" * 96, "a" * 97, "A" * 32, "A" * 33, "é" * 16, "é" * 17, "=5f", "e\u0301",
]  # fmt: skip
_VERSIONS = ["2.1.0", "v2.1", "2", "0.9", "12-rc.1", "2026.11", "007.1", "2x", "main", "", "1234567890.0"]
_SEED = bytes(range(32))
_INLINE_BYTES = 1_000
_NOW_MS = 1_800_000_000_000
_NODES = {"n1": NodeId("eu", "n1", "i1"), "n2": NodeId("eu", "n2", "i2")}


def tokens() -> dict[str, Any]:
    """Return texts and their tokens (M1.1, M1.2), targets (section 1), and the parts of `<call>` (M2.3)."""
    calls = [
        "1-0-f", "a9-18f3c-n", "x-ffffffffffffffff-f", "x-10000000000000000-f", "x-0-g", "x--f", "-0-f",
        "X-0-f", "x-0-f-f", "x-0A-f", "a" * 77 + "-" + "f" * 16 + "-f", "a" * 78 + "-" + "f" * 16 + "-f",
    ]  # fmt: skip
    return {
        "rules": ["M1.1", "M1.2", "M2.3"],
        "tokens": [{"text": text, "token": encode_token(text)} for text in _TEXTS],
        "methods": [
            {"method": method, "token": method_token(method)}
            for method in ("tools/call", "resources/templates/list", "server/discover")
        ],
        "versionTargets": [{"version": version, "to": version_target(version)} for version in _VERSIONS],
        "instanceTargets": [
            {"instance": instance, "to": instance_target(instance)}
            for instance in ("k3f9", "A.b", "a" * 94, "a" * 95)
        ],
        "canaryTargets": [
            {"version": version, "to": canary_target(version)} for version in ("2.1.0", "a" * 95)
        ],
        "requests": [
            Request(
                "default", "eu", "docs", "_", "_", encode_token("Alice"), "tools-call", "get=44ocument"
            ).subject(),
            Node("default", "eu", "n1", "k3f9", "g1", "alice", "cancel").subject(),
        ],
        "calls": [{"call": call, **_call(call)} for call in calls],
    }


def _call(call: str) -> dict[str, Any]:
    match = read_call(call)
    if match is None:
        return {"valid": False}
    return {"valid": True, "id": match[1], "deadlineHex": match[2], "frames": match[3] == "f"}


def digests() -> dict[str, Any]:
    """Return digests of bytes (M8.4), hashes of events (M13.3), and an answer to `blobs` (M8.5)."""
    bodies = [b"", b"abc", bytes(range(256)), b"a" * 128, b"a" * 129, b'{"name":"echo"}', b'{"name": "echo"}']
    definitions = [
        b'{"name":"b","title":"caf\\u00e9 } ] \\" \\\\","inputSchema":{"type":"object"}}',
        '{ "name" : "a", "title": "café", "n": [1.0, 1e2, -0] }'.encode(),
    ]
    message = msgspec.json.encode(
        frames.BlobsReply([msgspec.Raw(each) for each in definitions], ["AAAAAAAAAAAAAAAAAAAAAA"])
    )
    return {
        "rules": ["M8.4", "M8.5", "M13.3"],
        "digests": [{"hex": body.hex(), "digest": digest(body)} for body in bodies],
        "events": [
            {"uri": uri, "hash": resource_hash(uri)}
            for uri in ("mem://menu", "mem://café/menu", "mem://caf%C3%A9/menu", "http://example.com")
        ],
        "blobs": {
            "message": message.decode(),
            "found": [{"digest": digest(each), "value": each.decode()} for each in definitions],
            "missing": ["AAAAAAAAAAAAAAAAAAAAAA"],
        },
    }


def replies() -> dict[str, Any]:
    """Return where a node in `default`, region `eu`, answers requests; null: it drops them (M3.1, M3.2)."""
    own = "lr.v1.default.eu.rep._.alice.0f8e2a.1-0-f"
    cases = [
        ("_", "alice", own),
        ("_", "alice", "lr.v1.default.us.rep._.alice.0f8e2a.1-0-f"),
        ("_", "alice", "lr.v1.other.eu.rep._.bob.0f8e2a.1-0-f"),
        ("g1", "bob", own),
        ("_", "alice", "lr.v1.default.eu.req._.alice.0f8e2a.1-0-f"),
        ("_", "alice", "lr.v1.default.eu.rep._.alice.0f8e2a.1-0-f.x"),
        ("_", "alice", "lr.v1.default.eu.rep._.alice.1-0-f"),
        ("_", "alice", "lr.v1.default.eu.rep._.alice.0F.1-0-f"),
        ("_", "alice", "lr.v1.default.eu.rep._.alice.*.1-0-f"),
        ("_", "alice", "lr.v1.default.eu.rep._.alice.0f8e2a.1"),
        ("_", "alice", "lr.v1.default.eu.rep._.alice.0f8e2a." + "a" * 92 + "-0-f"),
        ("_", "alice", "lr.v1.default.eu.rep._.alice.0f8e2a." + "a" * 93 + "-0-f"),
        ("_", "alice", "_INBOX.abc.1"),
        ("_", "alice", "_INBOX.*"),
        ("_", "alice", "lr.v1.default.eu.adv.docs.n1.i1"),
        ("_", "alice", ""),
    ]
    return {
        "rules": ["M3.1", "M3.2"],
        "cases": [
            {
                "via": via,
                "caller": caller,
                "reply": reply,
                "bareInboxes": bare,
                "answeredOn": _answered_on(via, caller, reply, bare=bare),
            }
            for via, caller, reply in cases
            for bare in ((False, True) if reply.startswith("_INBOX.") else (False,))
        ],
    }


def _answered_on(via: str, caller: str, reply: str, *, bare: bool) -> str | None:
    link: Any = None  # a route is only looked up: nothing is sent
    clock: Any = _Clock()
    route = Replies(link, "default", "eu", clock, bare_inboxes=bare).route(reply, via, caller)
    return None if route is None else route.subject


class _Clock(Clock):
    def monotonic(self) -> float:
        return 0.0

    def wall_ms(self) -> int:
        return _NOW_MS


def claims() -> dict[str, Any]:
    """Return signed claims, and which requests they are taken for (M17.1, M17.2)."""
    secret = Ed25519PrivateKey.from_private_bytes(_SEED)
    public = secret.public_key().public_bytes_raw()
    bound = Bound("default", "g1", "alice", "docs")
    text = Signer(Key("k1", "private", _SEED)).sign(bound, b'{"sub":"alice"}', _NOW_MS + 60_000)
    verifier = Verifier((Key("k1", "public", public),))
    head, payload, signature = text.rsplit(".", 2)
    wrong = "A" if signature[0] != "A" else "B"
    cases = [
        (text, bound, _NOW_MS),
        (text, bound, _NOW_MS + 64_999),
        (text, bound, _NOW_MS + 65_000),
        (text, bound, _NOW_MS - 245_000),
        (text, bound, _NOW_MS - 245_001),
        (text, bound._replace(caller="bob"), _NOW_MS),
        (text, bound._replace(server="other"), _NOW_MS),
        (text.replace(".k1.", ".k2."), bound, _NOW_MS),
        (f"{head}.{payload}.{wrong}{signature[1:]}", bound, _NOW_MS),
        (f"{head}.{payload}", bound, _NOW_MS),
        (text + "=", bound, _NOW_MS),
        ("lrc2" + text[4:], bound, _NOW_MS),
    ]
    return {
        "rules": ["M17.1", "M17.2", "M17.3"],
        "seedHex": _SEED.hex(),
        "publicHex": public.hex(),
        "keyId": "k1",
        "signed": {**bound._asdict(), "claims": {"sub": "alice"}, "exp": _NOW_MS + 60_000, "header": text},
        "cases": [
            {"header": said, **asked._asdict(), "nowMs": now, "refused": _refusal(verifier, said, asked, now)}
            for said, asked, now in cases
        ],
    }


def _refusal(verifier: Verifier, text: str, bound: Bound, now_ms: int) -> str | None:
    try:
        verifier.open(text, bound, now_ms)
    except ClaimsRefused as refused:
        return f"claims_{refused.reason}"
    return None


def parts() -> dict[str, Any]:
    """Return a transcript: a compressed result and a request in parts (section 16).

    Messages are base64. The compressed bytes are given, because libraries compress differently; what they
    unpack to is the same everywhere.
    """
    node = {"identity": "n1", "instance": "i1", "region": "eu"}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"text": _noise(6_000)}}).encode()
    packed = pack_body(body, True, **node)
    size, call = len(packed.data), "1-0-f"
    steps: list[dict[str, Any]] = [
        _step("node", "rep", pack(packed.offer, packed.data[:_INLINE_BYTES]), "parts")
    ]
    for at in range(_INLINE_BYTES, size, 1_000):
        many = min(1_000, size - at)
        steps.append(_step("asker", "part", msgspec.json.encode(PartRequest(call, at, many))))
        steps.append(_step("node", "rep", packed.data[at : at + many]))
    steps.append(_step("asker", "part", msgspec.json.encode(PartRequest(call, size, 0))))
    request = (
        b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"text":"'
        + (b"x" * 900 + b'"}}}')
    )
    asked: list[dict[str, Any]] = [_step("asker", "req", pack(Offer(len(request), digest(request))), "parts")]
    for at in range(0, len(request), 600):
        many = min(600, len(request) - at)
        pull = Pull(node["identity"], node["instance"], node["region"], at, many)
        asked.append(_step("node", "rep", msgspec.json.encode(pull), "pull"))
        asked.append(_step("asker", "put", pack(Put("2-0-f", at), request[at : at + many])))
    return {
        "rules": ["M16.2", "M16.3", "M16.4", "M16.6"],
        "result": {
            "call": call,
            "connection": "0f8e2a-pz",
            "digest": digest(body),
            "bytes": len(body),
            "steps": steps,
        },
        "request": {
            "call": "2-0-f",
            "connection": "0f8e2a-p",
            "digest": digest(request),
            "bytes": len(request),
            "steps": asked,
        },
    }


def _step(sender: str, space: str, message: bytes, kind: str | None = None) -> dict[str, Any]:
    return {"from": sender, "on": space, "Lr": kind, "base64": base64.b64encode(message).decode()}


def _noise(size: int) -> str:
    """Return so many characters that shrink to about half, the same in every run."""
    state, made = 1, []
    for _ in range(size):
        state = state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407 & 0xFFFF_FFFF_FFFF_FFFF
        made.append("0123456789abcdef"[state >> 60])
    return "".join(made)


SILENCE: list[dict[str, Any]] = [
    {
        "name": "its node no longer has an accepted call",
        "known": ["n1"],
        "accepted": ["n1", 250],
        "answers": {"n1": {"alive": "gone"}},
    },
    {
        "name": "its node dies",
        "known": ["n1"],
        "accepted": ["n1", 250],
        "answers": {"n1": {"alive": "no_responders"}},
    },
    {"name": "its node stops answering", "known": ["n1"], "accepted": ["n1", 250], "answers": {"n1": {}}},
    {
        "name": "its node is gone after it was silent: that shortens nothing",
        "known": ["n1"],
        "accepted": ["n1", 250],
        "answers": {"n1": {}},
        "later": {"3000": {"n1": {"alive": "no_responders"}}},
    },
    {
        "name": "every instance says no",
        "known": ["n1", "n2"],
        "answers": {"n1": {"alive": "has", "whose": "no"}, "n2": {"alive": "has", "whose": "no"}},
    },
    {
        "name": "one says no, and one does not answer",
        "known": ["n1", "n2"],
        "answers": {"n1": {"alive": "has", "whose": "no"}, "n2": {}},
    },
    {
        "name": "one says no, and one is dead",
        "known": ["n1", "n2"],
        "answers": {"n1": {"alive": "has", "whose": "no"}, "n2": {"alive": "no_responders"}},
    },
    {
        "name": "one says done, and the response does not come",
        "known": ["n1", "n2"],
        "answers": {"n1": {"alive": "has", "whose": "no"}, "n2": {"alive": "has", "whose": "done"}},
    },
    {
        "name": "one has it, and later it has gone",
        "known": ["n1", "n2"],
        "answers": {"n1": {"alive": "has", "whose": "no"}, "n2": {"alive": "has", "whose": "have"}},
        "later": {"2000": {"n2": {"alive": "gone"}}},
    },
    {"name": "nobody is known, and nobody answers", "known": [], "answers": {}},
    {
        "name": "every instance says no, and announcements are not heard",
        "known": ["n1"],
        "hearsSinceMs": None,
        "answers": {"n1": {"alive": "has", "whose": "no"}},
    },
    {
        "name": "every instance says no, and announcements were heard for 39 s",
        "known": ["n1"],
        "hearsSinceMs": -39_000,
        "answers": {"n1": {"alive": "has", "whose": "no"}},
    },
    {
        "name": "every instance says no, and an announcement of that server was ignored",
        "known": ["n1"],
        "ignoredAnnouncement": True,
        "answers": {"n1": {"alive": "has", "whose": "no"}},
    },
    {
        "name": "every instance says no, but only after 3 s",
        "known": ["n1"],
        "answers": {"n1": {"alive": "has"}},
        "later": {"3000": {"n1": {"alive": "has", "whose": "no"}}},
    },
    {
        "name": "every instance says no, and one has forgotten what ended 0.1 s ago",
        "known": ["n1"],
        "answers": {"n1": {"alive": "has", "whose": "no", "remembersMs": 100}},
    },
    {
        "name": "every instance says no, and the asker's link was down after the call was sent",
        "known": ["n1"],
        "answers": {"n1": {"alive": "has", "whose": "no"}},
        "linkDown": [100, 600],
    },
    {
        "name": "a dead node, while the asker's link was down: the silence of that time counts for nothing",
        "known": ["n1"],
        "accepted": ["n1", 250],
        "answers": {"n1": {"alive": "no_responders"}},
        "linkDown": [400, 20_000],
    },
]


def silence() -> dict[str, Any]:
    """Return what was heard of one call, sent at 0 ms, and how and when it ends (section 7).

    Questions are answered at once. `answers` says what each node answers, `later` from when on something
    else: `alive` is has, gone or no_responders, `whose` is have, done or no; what is left out is silence.
    """
    return {
        "rules": ["M7.1", "M7.2", "M7.3", "M7.5", "M7.7", "M7.8", "M7.9"],
        "cases": [{**case, "ending": run(case)} for case in SILENCE],
    }


def run(case: dict[str, Any], until_ms: int = 60_000) -> dict[str, Any] | None:
    """Run one case of the table of silence through `Liveness`; return its ending, None if it has none."""
    liveness = Liveness(Config())
    liveness.instances("docs", "eu", frozenset(_NODES[name] for name in case["known"]))
    since = case.get("hearsSinceMs", -1e9)
    liveness.hears_joins(None if since is None else since / 1000)
    if case.get("ignoredAnnouncement"):
        liveness.partly_known("docs", "eu")
    liveness.sent("1-0-f", "docs", "eu", 0.0)
    down, up = case.get("linkDown", (None, None))
    accepted_by, accepted_at = case.get("accepted", (None, None))
    later = {int(at): what for at, what in case.get("later", {}).items()}
    answers = dict(case["answers"])
    for ms in range(0, until_ms, 10):
        now = ms / 1000
        answers.update(later.get(ms, {}))
        if ms == accepted_at:
            liveness.accepted("1-0-f", _NODES[accepted_by], now)
        if ms == down:
            liveness.link_lost(now)
        if ms == up:
            liveness.link_back(now)
        due = liveness.next_tick(now)
        while liveness.has_news or (due is not None and due <= now):
            lost = _act(liveness, answers, now)
            if lost is not None:
                return {"delivered": lost.delivered, "reason": lost.reason, "atMs": ms}
            due = liveness.next_tick(now)
    return None


def _act(liveness: Liveness, answers: dict[str, dict[str, Any]], now: float) -> Lost | None:
    for action in liveness.tick(now):
        if isinstance(action, Lost):
            if action.call:
                return action
        elif isinstance(action, AskAlive):
            said = answers.get(action.node.identity, {}).get("alive")
            if said == "no_responders":
                liveness.no_responders(action.probe, now)
            elif said is not None:
                gone = action.calls if said == "gone" else ()
                liveness.alive_reply(action.node, gone, now, probe=action.probe)
        elif isinstance(action, AskWhose):
            _tell_whose(liveness, action, answers, now)
    return None


def _tell_whose(liveness: Liveness, asked: AskWhose, answers: dict[str, dict[str, Any]], now: float) -> None:
    for name, said in answers.items():
        if "whose" in said:
            have = asked.calls if said["whose"] == "have" else ()
            done = asked.calls if said["whose"] == "done" else ()
            remembers_s = said.get("remembersMs", float("inf")) / 1000
            liveness.whose_reply(_NODES[name], have, done, asked.calls, now, remembers_s=remembers_s)


FILES = {
    "tokens": tokens,
    "digests": digests,
    "replies": replies,
    "claims": claims,
    "parts": parts,
    "silence": silence,
}


def make(name: str) -> str:
    """Return the text of one file."""
    return json.dumps(FILES[name](), indent=1, ensure_ascii=True) + "\n"


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name in FILES:
        (FOLDER / f"{name}.json").write_text(make(name), encoding="utf-8")


if __name__ == "__main__":
    main()
