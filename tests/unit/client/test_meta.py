"""`_meta` of requests: the trace, the log level; and what notifications become."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import pytest
from opentelemetry import trace as otel
from opentelemetry.baggage import set_baggage
from opentelemetry.context import attach, detach
from tests.support.puppet import Puppet, result, start

from longreach import Mesh, __version__
from longreach.client.meta import VERSION, encode_trace
from longreach.client.notes import take_notes
from longreach.client.options import CallOptions
from longreach.errors import ConfigError
from longreach.trace import Trace, use_trace

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LEVEL = "io.modelcontextprotocol/logLevel"


def meta(puppet: Puppet) -> dict[str, Any]:
    found: dict[str, Any] = puppet.asked["call"][-1].body["params"]["_meta"]
    return found


async def test_the_trace_that_something_runs_in_goes_with_its_calls(mesh: Mesh, puppet: Puppet):
    puppet.on["call"] = lambda _: result()
    await mesh.call("docs.do")
    assert meta(puppet).keys() & {"traceparent", "tracestate", "baggage"} == set()
    with use_trace(Trace(PARENT, baggage="a=1")):
        await mesh.call("docs.do", on_progress=print)
    assert (meta(puppet)["traceparent"], meta(puppet)["baggage"]) == (PARENT, "a=1")
    assert "tracestate" not in meta(puppet)
    assert "progressToken" in meta(puppet)


def test_a_trace_that_states_nothing_adds_nothing():
    with use_trace(Trace()):
        assert encode_trace() == b""


def test_a_span_of_opentelemetry_comes_first():
    context = otel.SpanContext(
        0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, True, otel.TraceFlags(1)
    )
    token = attach(set_baggage("who", "ann", otel.set_span_in_context(otel.NonRecordingSpan(context))))
    try:
        with use_trace(Trace("other")):
            members = msgspec.json.decode(b"{" + encode_trace()[1:] + b"}")
    finally:
        detach(token)
    assert members == {"traceparent": PARENT, "baggage": "who=ann"}
    with use_trace(Trace("other")):
        assert encode_trace() == b',"traceparent":"other"'


def test_opentelemetry_is_not_imported_for_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert encode_trace() == b""
    assert "opentelemetry.trace" not in sys.modules


async def test_log_messages_come_where_they_are_wanted(mesh: Mesh, puppet: Puppet):
    said: list[Any] = []
    call = start(mesh.options(on_log=lambda *args: said.append(args), log_level="debug"))
    asked = await puppet.wait("call")
    assert meta(puppet)[LEVEL] == "debug"
    for params in ({"level": "info", "data": {"a": 1}, "logger": "l"}, {"level": "info"}, {"data": 1}):
        note = {"jsonrpc": "2.0", "method": "notifications/message", "params": params}
        puppet.reply(asked, msgspec.json.encode(note), "note")
    puppet.reply(asked, result())
    await call
    assert said == [("info", {"a": 1}, "l")]
    puppet.on["call"] = lambda _: result()
    await mesh.call("docs.do")
    assert LEVEL not in meta(puppet)
    with pytest.raises(ConfigError, match="log_level"):
        mesh.options(log_level="loud")  # type: ignore[arg-type]


def test_notes_that_nobody_wants_are_nothing(caplog: pytest.LogCaptureFixture):
    assert take_notes(None, None) is None
    take = take_notes(None, lambda *_: None)
    assert take is not None
    take(b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}')
    take(b'{"jsonrpc":"2.0","method":"notifications/later"}')
    assert caplog.messages == []
    take(b"{")
    assert caplog.messages == ["frame.malformed"]


def test_capabilities_that_have_no_json_are_refused():
    with pytest.raises(ConfigError, match="capabilities"):
        CallOptions(capabilities={"a": object()})


def test_the_version_is_the_packages():
    assert __version__ == VERSION
