"""The files of docs/vectors are what the code makes. Source: docs/binding.md 18."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from tests.support import vectors

from longreach.wire.packing import unpack_body
from longreach.wire.parts import Offer, Pull, Put, unpack
from longreach.wire.tokens import decode_token


def load(name: str) -> Any:
    """Return one file as JSON."""
    return json.loads((vectors.FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_every_file_is_known():
    assert {path.stem for path in vectors.FOLDER.glob("*.json")} == set(vectors.FILES)


@pytest.mark.parametrize("name", sorted(set(vectors.FILES) - {"parts"}))
def test_a_file_is_what_the_code_makes(name: str):
    """M1.8, M2.8, M7.9, M17.2: made again with `python -m tests.support.vectors`, if the code is right."""
    assert load(name) == vectors.FILES[name]()


def test_the_text_of_a_token_is_read_back():
    for case in load("tokens")["tokens"]:
        if not case["token"].startswith("=="):
            assert decode_token(case["token"]) == case["text"]


def test_the_values_of_a_blobs_message_are_bytes_of_it():
    """M8.5: the bytes are cut out of the message; what a parser makes of them has another digest."""
    blobs = load("digests")["blobs"]
    for found in blobs["found"]:
        assert found["value"] in blobs["message"]
        made = hashlib.blake2b(found["value"].encode(), digest_size=16).digest()
        assert base64.urlsafe_b64encode(made).rstrip(b"=").decode() == found["digest"]
    again = [json.dumps(json.loads(found["value"])) for found in blobs["found"]]
    assert again != [found["value"] for found in blobs["found"]]


def test_the_result_of_the_transcript_comes_whole():
    """M16.3, M16.6: compressed bytes depend on the library, so they are unpacked, not made again."""
    result = load("parts")["result"]
    messages = [base64.b64decode(step["base64"]) for step in result["steps"]]
    offer, data = unpack(messages[0], Offer)
    for step, message in zip(result["steps"][1:], messages[1:], strict=True):
        data += message if step["from"] == "node" else b""
    body = unpack_body(offer, data)
    assert len(body) == result["bytes"]
    assert vectors.digest(body) == result["digest"]
    last = json.loads(messages[-1])
    assert last == {"call": result["call"], "at": len(data), "bytes": 0}


def test_the_request_of_the_transcript_comes_whole():
    """M16.4, M16.13"""
    request = load("parts")["request"]
    offer, data = unpack(base64.b64decode(request["steps"][0]["base64"]), Offer)
    for pull, put in zip(request["steps"][1::2], request["steps"][2::2], strict=True):
        asked, _ = unpack(base64.b64decode(pull["base64"]), Pull)
        head, part = unpack(base64.b64decode(put["base64"]), Put)
        assert (head.call, head.at, len(part)) == (request["call"], asked.at, asked.bytes)
        data += part
    assert vectors.digest(unpack_body(offer, data)) == request["digest"]


@pytest.mark.parametrize("case", load("silence")["cases"], ids=lambda case: case["name"])
def test_every_silence_has_its_ending(case: dict[str, Any]):
    """M7.8: a call never waits for ever, and only everybody's "no" is one."""
    assert case["ending"] is not None
    if case["ending"]["delivered"] == "no":
        said = case["answers"].values()
        assert said
        assert all(answer.get("whose") == "no" for answer in said)
