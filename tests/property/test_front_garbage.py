"""Whatever comes, a front answers it once, in JSON-RPC, and stays what it is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.fronts import META, StringMesh, bundle, prompt, resource, template, tool

from longreach.front import Front
from longreach.front.lists import LISTS
from longreach.wire import codes
from longreach.wire.incoming import decode_incoming
from longreach.wire.jsonrpc import Malformed

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
)
KEYS = st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
OTHERS = (
    "tools/call", "prompts/get", "resources/read", "completion/complete", "server/discover", "initialize",
    "subscriptions/listen", "ping", "",
)  # fmt: skip
METHODS = st.sampled_from([*LISTS, *OTHERS])
NAMES = st.sampled_from(
    ["docs__echo", "echo", "search_tools", "call_tool", "docs__ask", "a__b__c", "__", "docs__"]
)
URIS = st.sampled_from(
    ["longreach://docs/a:b", "longreach://docs/", "longreach://", "a:b", "longreach://x/y"]
)
REFS = st.fixed_dictionaries(
    {"type": st.sampled_from(["ref/prompt", "ref/resource", "x"]) | JSON},
    optional={"name": NAMES | JSON, "uri": URIS | JSON},
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES | JSON,
        "uri": URIS | JSON,
        "arguments": JSON
        | st.fixed_dictionaries({"name": NAMES, "arguments": JSON, "query": st.text(max_size=9)}),
        "cursor": JSON,
        "ref": REFS,
        "requestState": st.sampled_from(["lr~a.b~c", "lr~~", "x"]) | JSON,
        "notifications": JSON,
        "_meta": st.just(META) | JSON,
    },
)


def mesh() -> StringMesh:
    made = StringMesh()
    made.up(
        bundle(
            "docs", tools=[tool("echo")], prompts=[prompt("ask")], resources=[resource("a:b")],
            templates=[template("a:{x}")], completions=True,
        )
    )  # fmt: skip
    return made


async def answers(body: Any) -> None:
    data = json.dumps(body).encode()
    try:
        request = decode_incoming(data)
    except Malformed:
        return
    for front in (Front(mesh()), Front(mesh(), server="docs"), Front(mesh(), search_above=0)):
        answer = await front.handle(request)
        message = json.loads(answer.data)
        assert message["id"] == request.id
        assert answer.code != codes.INTERNAL_ERROR, message  # nothing is wrong with the front
        assert ("error" in message) == (answer.code is not None)
        assert ("error" in message) != ("result" in message)
        if request.method == "subscriptions/listen":
            stream = front.listen(request)
            assert "jsonrpc" in json.loads(await anext(stream))
            await stream.aclose()
        assert front.listeners == 0


@settings(max_examples=400)
@given(METHODS, PARAMS, st.integers(0, 9) | st.text(max_size=3))
def test_every_request_is_answered_once(method: str, params: dict[str, Any], request_id: int | str) -> None:
    asyncio.run(answers({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}))


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params", "x"]), JSON))
def test_what_is_no_request_is_malformed_or_answered(body: dict[str, Any]) -> None:
    asyncio.run(answers(body))
