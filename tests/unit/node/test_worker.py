from __future__ import annotations

import os

import msgspec

from longreach.node.worker import Attachment, Report, attach


def test_a_process_without_the_variable_is_no_worker():
    assert attach({}) is None


def test_reports_are_lines():
    read_end, write_end = os.pipe()
    attachment = Attachment(1, write_end)
    attachment.report(Report("failed", "first\nsecond"))
    attachment.report(Report("serving", details=msgspec.Raw(b'{"a":1}')))
    os.close(write_end)

    with os.fdopen(read_end, "rb") as lines:
        failed, serving = [msgspec.json.decode(line, type=Report) for line in lines]

    assert (failed.kind, failed.text) == ("failed", "first\nsecond")
    assert bytes(serving.details) == b'{"a":1}'


def test_a_report_to_nobody_is_no_error():
    read_end, write_end = os.pipe()
    os.close(read_end)
    Attachment(1, write_end).report(Report("failed", "x"))
    os.close(write_end)
