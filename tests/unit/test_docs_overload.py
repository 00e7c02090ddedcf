"""docs/overload.md is true: its example is run, and limits what it says."""

from __future__ import annotations

import re
import types
from pathlib import Path

from longreach import Limits, Server

PAGE = Path(__file__).parents[2] / "docs" / "overload.md"


def test_the_example_declares_what_the_page_says():
    module = types.ModuleType("docs_overload")
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    exec(compile(block, str(PAGE), "exec"), module.__dict__)
    docs: Server = module.docs
    assert docs.limits == Limits(rate_per_s=50, burst=100, concurrency=20)
    assert docs.tools["render"].limits == Limits(fleet_rate_per_s=5)
