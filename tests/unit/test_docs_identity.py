"""The example of docs/identity.md is what it says."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

import msgspec
from tests.support.asker import Asker, request
from tests.support.hosts import node

from longreach.clock import SYSTEM_CLOCK
from longreach.policy.claims import HEADER, Bound, Signer, new_pair
from longreach.transport.memory import MemoryBroker

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "identity.md"


async def test_the_example_pays_for_who_is_in_the_group(tmp_path: Path):
    names: dict[str, Any] = {}
    [code] = re.findall(r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    exec(compile(code, str(_PAGE), "exec"), names)
    private, public = new_pair(secrets.token_bytes)
    (tmp_path / "claims.pub").write_text(public.line)
    broker = MemoryBroker()
    answers = []
    async with node(broker, names["bank"], claims_keys_file=str(tmp_path / "claims.pub")):
        asker = Asker(broker, asker="g1.alice")
        for number, groups in enumerate((["payroll"], [])):
            claims = msgspec.json.encode({"email": "alice@example.com", "groups": groups})
            bound = Bound("default", "g1", "alice", "bank")
            text = Signer(private).sign(bound, claims, SYSTEM_CLOCK.wall_ms() + 60_000)
            subject = f"{asker.root}.req.bank._.g1.alice.tools-call.pay"
            body = request("pay", {"amount": 7.5})
            asker.link.send(subject, body, f"{asker.inbox}.{number}-0-f", {HEADER: text})
            answers.append(await asker.answer(f"{number}-0-f"))

    assert answers[0]["result"]["content"][0]["text"] == "7.5 paid for alice@example.com"
    assert answers[1]["error"]["code"] == -31913
