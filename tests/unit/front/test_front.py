"""The mesh as one MCP server."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from tests.support.fronts import META, Forwarded, StringMesh, bundle, prompt, request, resource, tool

from longreach import errors
from longreach.front import UNAVAILABLE, Answer, Filters, Front
from longreach.wire import codes
from longreach.wire.jsonrpc import encode_error, encode_result


def docs(**more: Any) -> Any:
    return bundle(
        "docs", "1.2.0", tools=[tool("echo", "Echo a text."), tool("read")], prompts=[prompt("ask")],
        resources=[resource("file:///a")], **more,
    )  # fmt: skip


@pytest.fixture
def mesh() -> StringMesh:
    mesh = StringMesh()
    mesh.up(docs(), version="1.2.0")
    return mesh


def read(answer: Answer) -> Any:
    message = json.loads(answer.data)
    assert (answer.code is None) == ("result" in message)
    if answer.code is not None:
        assert message["error"]["code"] == answer.code
    return message.get("result", message.get("error"))


async def test_one_servers_call_goes_on_untouched_and_so_does_its_answer(mesh: StringMesh) -> None:
    response = encode_result(1, b'{"content": [{"type":"resource_link", "uri":"file:///a", "name":"a"}]}')
    mesh.answer = lambda _: response
    asked = request("tools/call", name="echo", arguments={"text": "hi"})

    def on_note(_: bytes) -> None:
        raise AssertionError

    answer = await Front(mesh, server="docs").handle(asked, caller="alice", on_note=on_note, timeout_s=3)

    assert answer == (response, None)
    assert answer.data is response
    [sent] = mesh.sent
    assert sent.body is asked.data
    assert (sent.server, sent.method, sent.name) == ("docs", "tools/call", "echo")
    assert sent.how == {
        "method": "tools/call", "name": "echo", "caller": "alice", "on_note": on_note, "timeout_s": 3,
        "to_node": None, "headers": None,
    }  # fmt: skip


async def test_a_call_of_the_whole_mesh_changes_its_name_and_nothing_else(mesh: StringMesh) -> None:
    meta = {**META, "traceparent": "00-a-b-01", "tracestate": "x=1", "baggage": "k=v", "x/y": [1]}
    asked = request("tools/call", "id-1", meta=meta, name="docs__echo", arguments={"text": "docs__echo"})

    await Front(mesh).handle(asked)

    [sent] = mesh.sent
    expected = json.loads(asked.data)
    expected["params"]["name"] = "echo"
    assert json.loads(sent.body) == expected


async def test_a_resource_in_a_result_of_the_whole_mesh_can_be_read_through_it(mesh: StringMesh) -> None:
    mesh.answer = lambda _: encode_result(
        1, {"content": [{"type": "resource_link", "uri": "file:///a", "name": "a"}]}
    )
    front = Front(mesh)

    result = read(await front.handle(request("tools/call", name="docs__echo")))
    uri = result["content"][0]["uri"]
    await front.handle(request("resources/read", uri=uri))

    assert uri == "longreach://docs/file:///a"
    assert (mesh.sent[1].server, mesh.sent[1].name, mesh.sent[1].params["uri"]) == (
        "docs",
        "file:///a",
        "file:///a",
    )


async def test_a_resource_that_is_not_there_is_named_as_it_was_asked_for(mesh: StringMesh) -> None:
    mesh.up(bundle("bare", tools=[tool("x")]), server="bare")
    mesh.answer = lambda sent: encode_error(1, -32602, "none", {"uri": sent.params["uri"]})
    front = Front(mesh)

    for uri in ("longreach://docs/x:1", "longreach://bare/x:1", "longreach://nobody/x:1", "x:1"):
        answer = await front.handle(request("resources/read", uri=uri))
        assert answer.code == codes.INVALID_PARAMS
        assert read(answer)["data"] == {"uri": uri}
    assert [sent.server for sent in mesh.sent] == ["docs"]
    own = await Front(mesh, server="bare").handle(request("resources/read", uri="x:1"))
    assert (own.code, read(own)["data"]) == (codes.INVALID_PARAMS, {"uri": "x:1"})


async def test_prompts_and_completions_go_to_their_server(mesh: StringMesh) -> None:
    mesh.up(docs(completions=True), version="1.2.0")
    front = Front(mesh)

    await front.handle(request("prompts/get", name="docs__ask", arguments={"a": "b"}))
    await front.handle(
        request("completion/complete", ref={"type": "ref/prompt", "name": "docs__ask"}, argument={})
    )

    assert [(sent.server, sent.method, sent.name) for sent in mesh.sent] == [
        ("docs", "prompts/get", "ask"),
        ("docs", "completion/complete", None),
    ]
    assert mesh.sent[1].params["ref"]["name"] == "ask"


async def test_a_server_that_completes_nothing_is_not_asked(mesh: StringMesh) -> None:
    ref = {"type": "ref/prompt", "name": "docs__ask"}
    answer = await Front(mesh).handle(request("completion/complete", ref=ref, argument={}))

    assert read(answer)["completion"] == {"values": []}
    assert mesh.sent == []


@pytest.mark.parametrize(
    ("state", "node"),
    [
        ("lr~n1.abc~sealed", "n1.abc"),
        ("lr~n1.abc~", "n1.abc"),
        ("lr~n1.abc", None),
        ("lr~nodot~x", None),
        ("lr~~x", None),
        ("sealed", None),
        ("", None),
    ],
)
async def test_a_request_state_goes_back_to_the_node_that_it_names(
    mesh: StringMesh, state: str, node: str | None
) -> None:
    """docs/binding.md M2.6"""
    await Front(mesh).handle(
        request("tools/call", name="docs__echo", requestState=state, inputResponses={"k": {"a": 1}})
    )

    [sent] = mesh.sent
    assert sent.how["to_node"] == node
    assert (sent.params["requestState"], sent.params["inputResponses"]) == (state, {"k": {"a": 1}})


async def test_lists_are_made_once_and_anew_when_they_change(mesh: StringMesh) -> None:
    front = Front(mesh)

    first = read(await front.handle(request("tools/list")))
    again = await front.handle(request("tools/list", "x"))
    mesh.up(bundle("maths", tools=[tool("add")]), server="maths")
    later = read(await front.handle(request("tools/list")))

    assert [listed["name"] for listed in first["tools"]] == ["docs__echo", "docs__read"]
    assert json.loads(again.data)["id"] == "x"
    assert read(again) == first
    assert [listed["name"] for listed in later["tools"]] == ["docs__echo", "docs__read", "maths__add"]
    assert read(await front.handle(request("prompts/list")))["prompts"] == [{"name": "docs__ask"}]
    assert len(read(await front.handle(request("resources/list")))["resources"]) == 1
    assert read(await front.handle(request("resources/templates/list")))["resourceTemplates"] == []


async def test_a_list_is_read_page_by_page(mesh: StringMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longreach.front.paging.PAGE_ITEMS", 1)
    front = Front(mesh)

    first = read(await front.handle(request("tools/list")))
    second = read(await front.handle(request("tools/list", cursor=first["nextCursor"])))
    wrong = await front.handle(request("tools/list", cursor="nonsense"))

    assert [page["tools"][0]["name"] for page in (first, second)] == ["docs__echo", "docs__read"]
    assert "nextCursor" not in second
    assert wrong.code == codes.INVALID_PARAMS


async def test_one_server_that_is_not_there_has_no_list() -> None:
    """An empty list would tell a client to forget tools that are back in a moment."""
    mesh = StringMesh()
    mesh.up(bundle("maths", tools=[tool("add")]), server="maths")
    front = Front(mesh, server="docs")

    gone = await front.handle(request("tools/list"))
    mesh.up(docs(), fetched=False)
    untold = await front.handle(request("tools/list"))

    assert (gone.code, read(gone)["data"]["reason"]) == (UNAVAILABLE, "no_such_server")
    assert (untold.code, read(untold)["data"]["reason"]) == (UNAVAILABLE, "not_fetched")
    assert read(await front.handle(request("server/discover")))["supportedVersions"] == ["2026-07-28"]


async def test_what_is_known_is_asked_for_at_once(mesh: StringMesh) -> None:
    mesh.up(bundle("slow", tools=[tool("x")]), server="slow", fetched=False)
    front = Front(mesh)

    for asked in (
        request("tools/call", name="docs__echo"),
        request("prompts/get", name="docs__ask"),
        request("resources/read", uri="longreach://docs/file:///a"),
        request("tools/call", name="slow__x"),
    ):
        assert (await front.handle(asked)).code is None
    assert mesh.learned == [None]  # for the last one


async def test_discover_answers_even_where_nothing_can_be_reached() -> None:
    mesh = StringMesh()

    async def down(_: str | None) -> None:
        raise errors.BrokerUnavailable("down")

    mesh.learning = down
    for front in (Front(mesh), Front(mesh, server="docs")):
        assert read(await front.handle(request("server/discover")))["supportedVersions"] == ["2026-07-28"]
        assert (await front.handle(request("tools/list"))).code == UNAVAILABLE


@pytest.mark.parametrize(
    ("method", "meta", "code"),
    [
        ("no/such", META, codes.METHOD_NOT_FOUND),
        ("ping", META, codes.METHOD_NOT_FOUND),
        ("resources/subscribe", META, codes.METHOD_NOT_FOUND),
        ("subscriptions/listen", META, codes.METHOD_NOT_FOUND),
        ("initialize", {}, codes.UNSUPPORTED_VERSION),
        ("initialize", META, codes.METHOD_NOT_FOUND),
        ("tools/list", {}, codes.INVALID_PARAMS),
        ("tools/call", {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}, codes.INVALID_PARAMS),
        (
            "tools/list",
            {**META, "io.modelcontextprotocol/protocolVersion": "1900-01-01"},
            codes.UNSUPPORTED_VERSION,
        ),
        (
            "ping",
            {**META, "io.modelcontextprotocol/protocolVersion": "1900-01-01"},
            codes.UNSUPPORTED_VERSION,
        ),
        ("tools/call", META, codes.INVALID_PARAMS),
        ("completion/complete", META, codes.INVALID_PARAMS),
    ],
)
async def test_what_cannot_be_answered_is_refused(
    mesh: StringMesh, method: str, meta: Any, code: int
) -> None:
    answer = await Front(mesh).handle(request(method, meta=meta))

    assert answer.code == code
    if code == codes.UNSUPPORTED_VERSION:
        assert read(answer)["data"]["supported"] == ["2026-07-28"]
    assert mesh.sent == []


async def test_initialize_is_told_which_version_it_asked_for(mesh: StringMesh) -> None:
    answer = await Front(mesh).handle(request("initialize", meta={}, protocolVersion="2025-11-25"))

    assert read(answer)["data"] == {"supported": ["2026-07-28"], "requested": "2025-11-25"}


async def test_an_error_of_a_node_passes_as_it_is(mesh: StringMesh) -> None:
    response = encode_error(
        1, -32021, "this needs elicitation", {"requiredCapabilities": {"elicitation": {}}}
    )
    mesh.answer = lambda _: response

    assert await Front(mesh).handle(request("tools/call", name="docs__echo")) == (response, -32021)


async def test_what_the_mesh_cannot_do_is_an_error_that_says_whether_it_ran(mesh: StringMesh) -> None:
    def fail(_: Forwarded) -> bytes:
        raise errors.NotStarted("no", reason="busy", retry_after_s=0.25)

    mesh.answer = fail
    answer = await Front(mesh).handle(request("tools/call", name="docs__echo"))

    assert answer.code == UNAVAILABLE
    assert read(answer)["data"] == {"delivered": "no", "reason": "busy", "retryAfterMs": 250}


async def test_a_defect_ends_one_request_only(mesh: StringMesh, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Forwarded) -> bytes:
        raise ZeroDivisionError("secret")

    mesh.answer = fail
    with caplog.at_level(logging.ERROR):
        answer = await Front(mesh).handle(request("tools/call", name="docs__echo"))

    assert answer.code == codes.INTERNAL_ERROR
    assert b"secret" not in answer.data
    assert "request.failed" in caplog.text


async def test_cancelling_cancels_the_call(mesh: StringMesh) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def forward(*_: Any, **__: Any) -> bytes:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    mesh.forward = forward  # type: ignore[method-assign]
    task = asyncio.get_running_loop().create_task(
        Front(mesh).handle(request("tools/call", name="docs__echo"))  # type: ignore[arg-type]
    )
    async with asyncio.timeout(30):
        await begun.wait()
        task.cancel()
        await cancelled.wait()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_regions_bound_what_is_seen_and_where_calls_go(mesh: StringMesh) -> None:
    mesh.up(bundle("maths", tools=[tool("add")]), server="maths", region="us")
    front = Front(mesh, filters=Filters.of(regions=["us"]))

    assert mesh.residency == ["us"]
    assert [listed["name"] for listed in read(await front.handle(request("tools/list")))["tools"]] == [
        "maths__add"
    ]
    assert (await front.handle(request("tools/call", name="docs__echo"))).code == codes.INVALID_PARAMS


async def test_too_many_tools_are_searched_for_and_called_through_two(mesh: StringMesh) -> None:
    front = Front(mesh, search_above=1)
    listed = read(await front.handle(request("tools/list")))["tools"]
    found = read(await front.handle(request("tools/call", name="search_tools", arguments={"query": "echo"})))
    name = found["structuredContent"]["tools"][0]["name"]
    called = {"name": name, "arguments": {"text": "hi"}}

    await front.handle(request("tools/call", name="call_tool", arguments=called))
    await front.handle(request("tools/call", name=name, arguments={"text": "hi"}))

    assert [each["name"] for each in listed] == ["call_tool", "search_tools"]
    assert "search_tools" in read(await front.handle(request("server/discover")))["instructions"]
    assert [(sent.server, sent.name) for sent in mesh.sent] == [("docs", "echo")] * 2
    assert mesh.sent[0].params == mesh.sent[1].params


async def test_a_search_that_does_not_fit_is_a_tools_error(mesh: StringMesh) -> None:
    front = Front(mesh, search_above=1)
    for arguments in ({}, {"query": "x", "limit": 1000}):
        result = read(await front.handle(request("tools/call", name="search_tools", arguments=arguments)))
        assert result["isError"] is True
    result = read(await front.handle(request("tools/call", name="call_tool", arguments={"name": "nope"})))
    assert "search_tools finds" in result["content"][0]["text"]


async def test_few_tools_are_listed_and_the_two_are_not_there(mesh: StringMesh) -> None:
    for front in (Front(mesh, search_above=2), Front(mesh)):
        assert len(read(await front.handle(request("tools/list")))["tools"]) == 2
        answer = await front.handle(request("tools/call", name="search_tools", arguments={"query": "x"}))
        assert answer.code == codes.INVALID_PARAMS


async def test_a_server_that_has_a_tool_of_that_name_keeps_it(mesh: StringMesh) -> None:
    mesh.up(bundle("docs", tools=[tool("search_tools"), tool("a"), tool("b")]))
    front = Front(mesh, server="docs", search_above=1)

    assert len(read(await front.handle(request("tools/list")))["tools"]) == 3
    await front.handle(request("tools/call", name="search_tools", arguments={}))
    assert mesh.sent[0].name == "search_tools"


def test_the_schema_of_a_tool_by_its_offered_name(mesh: StringMesh) -> None:
    assert Front(mesh).tool_schema("docs__echo") == {"type": "object"}
    assert Front(mesh, server="docs").tool_schema("echo") == {"type": "object"}
    assert Front(mesh).tool_schema("echo") is None


def test_whether_anybody_is_there(mesh: StringMesh) -> None:
    assert Front(mesh).is_there
    assert Front(mesh, server="docs").is_there
    assert not Front(mesh, server="absent").is_there
