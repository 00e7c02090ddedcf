"""What people type while a node is up: ls, describe, call, and their exit codes."""

from __future__ import annotations

import asyncio
import json
import signal
import time

import pytest
from tests.support.broker import free_port
from tests.support.commands import Desk, RunningNode
from tests.support.timing import allowed

from longreach import Mesh, NatsOptions, connect
from longreach.transport.embedded import find_running

pytestmark = pytest.mark.usefixtures("shared_node")

_START_UP_S = 6.0
"""Of one Python process on a machine that is busy with other things."""


def test_the_banners_example_works_when_pasted(shared_desk: Desk, shared_node: RunningNode):
    said = shared_node.until("try")
    line = next(line for line in said.splitlines() if line.split()[:1] == ["try"]).split(maxsplit=1)[1]

    done = shared_desk.shell(line)

    assert line.startswith("longreach call docs.")
    assert (done.returncode, done.stderr) == (0, "")
    assert "https://example.com" in done.stdout


def test_the_banner_says_where_it_is(shared_node: RunningNode):
    said = shared_node.until("try")

    assert "serves in region eu" in said
    assert "embedded" in said
    assert "docs 1.4.0: extract_text, fail, locate, slow" in said


def test_ls_shows_everything_as_json(shared_desk: Desk):
    done = shared_desk.longreach("ls", "--json")

    shown = json.loads(done.stdout)
    assert [server["name"] for server in shown["servers"]] == ["docs"]
    assert {tool["name"] for tool in shown["tools"]} == {
        "docs.extract_text", "docs.fail", "docs.locate", "docs.slow",
    }  # fmt: skip
    (node,) = shown["nodes"]
    assert (node["region"], node["labels"], node["servers"]) == ("eu", {"disk": "ssd"}, ["docs"])


def test_ls_of_one_kind_is_a_table_that_is_not_cut_off_on_a_pipe(shared_desk: Desk):
    done = shared_desk.longreach("ls", "tools")

    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines[0].split() == ["name", "hints", "versions", "regions", "description"]
    assert lines[1].endswith("Extract the text of a document.")
    assert len(lines) == 5


def test_describe_shows_arguments_result_and_an_example(shared_desk: Desk):
    done = shared_desk.longreach("describe", "docs.extract_text")

    assert done.returncode == 0, done.stderr
    assert "where the document is." in done.stdout
    assert "integer = 1" in done.stdout
    assert "longreach call docs.extract_text url=https://example.com" in done.stdout


def test_values_are_read_by_the_tools_schema(shared_desk: Desk):
    done = shared_desk.longreach("call", "docs.locate", "zip=02139")
    assert (done.returncode, done.stdout, done.stderr) == (0, "zip '02139'\n", "")

    words = ("url=https://x?a=b=c", "pages=3", "tags=a", "tags=b", "mode=fast")
    done = shared_desk.longreach("call", "docs.extract_text", *words, "--json")
    whole = json.loads(done.stdout)
    assert whole["structuredContent"] == {"text": "https://x?a=b=c ['a', 'b'] fast", "pages": 3}
    assert whole["_meta"]["longreach/region"] == "eu"
    assert whole["attempts"] == 1


def test_arguments_come_from_files_and_standard_input(shared_desk: Desk):
    shared_desk.write("arguments.json", '{"url": "file", "pages": 2}')

    from_file = shared_desk.longreach("call", "docs.extract_text", "@arguments.json", "pages=5")
    from_stdin = shared_desk.longreach("call", "docs.extract_text", "-", stdin='{"url": "stdin"}')

    assert json.loads(from_file.stdout) == {"text": "file [] None", "pages": 5}
    assert json.loads(from_stdin.stdout) == {"text": "stdin [] None", "pages": 1}


def test_there_is_no_progress_bar_where_nobody_is_looking(shared_desk: Desk):
    done = shared_desk.longreach("call", "docs.slow", "seconds=0.05")

    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("call", "docs.fail"), 1, "docs.fail failed: no luck today"),
        (("call", "docs.locate"), 1, "zip"),
        (("call", "docs.extract_text", "url=x", "pages=many"), 2, "pages takes integer"),
        (("call", "docs.extract_text", "ulr=x"), 2, "did you mean url?"),
        (("call", "docs.extract_text", "url"), 2, "write key=value"),
        (("call", "extract_text"), 2, "write server.tool"),
        (("call", "docs.extract_txt"), 3, "did you mean extract_text?"),
        (("call", "dcs.extract_text"), 3, "did you mean docs?"),
        (("describe", "docs.extract_txt"), 3, "did you mean extract_text?"),
        (("drain", "nobody"), 3, "no node is called 'nobody'"),
        (("call", "docs.slow", "seconds=60", "--timeout", "0.5"), 5, "did not answer within 0."),
        (("call", "docs.locate", "zip=1", "--residency", "us"), 3, "no node"),
        (("ls", "--nats", "http://x"), 2, "nats://"),
        (("run", "app:nothing"), 2, "its servers are docs"),
        (("run", "nowhere:docs"), 2, "there is no module 'nowhere'"),
    ],
)
def test_each_failure_has_its_exit_code_and_one_line(
    shared_desk: Desk, words: tuple[str, ...], code: int, line: str
):
    done = shared_desk.longreach(*words)

    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert line in done.stderr
    assert done.stderr.startswith("longreach: ")
    assert done.stderr.count("\n") == 1


def test_an_argument_that_is_too_large_is_refused(shared_desk: Desk):
    arguments = json.dumps({"zip": "9" * 2**21})
    carried = shared_desk.longreach("call", "docs.locate", "-", stdin=arguments)
    refused = shared_desk.longreach(
        "call", "docs.locate", "-", "--max-body-bytes", "1048577", stdin=arguments
    )

    assert carried.returncode == 0, carried.stderr  # in parts
    assert (refused.returncode, refused.stdout) == (4, "")
    assert refused.stderr.startswith("longreach: ")
    assert refused.stderr.count("\n") == 1


def test_debug_shows_the_traceback(shared_desk: Desk):
    done = shared_desk.longreach("call", "docs.nothing", "--debug")

    assert done.returncode == 3
    assert "Traceback" in done.stderr


@pytest.mark.timed
def test_no_broker_is_found_out_within_two_seconds(shared_desk: Desk):
    began = time.monotonic()
    done = shared_desk.longreach("ls", "--nats", f"nats://127.0.0.1:{free_port()}")

    assert time.monotonic() - began < allowed(2 + _START_UP_S)
    assert done.returncode == 6
    assert done.stderr.startswith("longreach: ")
    assert done.stderr.count("\n") == 1


def test_no_embedded_broker_is_found_out_at_once(shared_desk: Desk):
    done = shared_desk.longreach("ls", LONGREACH_RUNTIME_DIR=str(shared_desk.folder / "empty"))

    assert done.returncode == 6
    assert "longreach run" in done.stderr


async def test_interrupting_a_call_cancels_it(shared_desk: Desk):
    found = find_running(shared_desk.folder / "runtime")
    assert found is not None
    async with connect(found.url, connection=NatsOptions(token=found.token)) as mesh:
        (node,) = await mesh.nodes()
        call = shared_desk.start("call", "docs.slow", "seconds=300")
        await _in_flight(mesh, node.name, 1)

        call.send_signal(signal.SIGINT)
        said, complained = await asyncio.to_thread(call.communicate, timeout=_START_UP_S)

        assert (call.returncode, said, complained.strip()) == (130, "", "")
        await _in_flight(mesh, node.name, 0)


async def _in_flight(mesh: Mesh, node: str, wanted: int) -> None:
    """Wait until the node has so many calls."""
    async with asyncio.timeout(_START_UP_S):
        while (await mesh.ops(node, "info"))["inFlight"] != wanted:  # each answer takes a moment
            pass


def test_a_reader_that_has_enough_is_no_error(shared_desk: Desk):
    done = shared_desk.shell(
        "(longreach ls --json; echo $? >&2) | true; (longreach --help; echo $? >&2) | head -1"
    )

    assert done.stdout.startswith("Usage: longreach")
    assert set(done.stderr.split()) <= {"0", "1"}
