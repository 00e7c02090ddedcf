"""What is made of a description: permissions, accounts, settings, and nothing that changes by itself."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from longreach.cli.topology import checking, members, reading
from longreach.cli.topology.generate import File, generate
from longreach.cli.topology.vault import KeyPair, Vault

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = """\
[regions.eu]
[regions.us]
[edges.branch]
hub = "eu"
[brokers.eu-1]
at = "eu"
host = "127.0.0.1"
listen = "127.0.0.1"
[brokers.us-1]
at = "us"
host = "127.0.0.2"
listen = "127.0.0.2"
[brokers.branch-1]
at = "branch"
host = "127.0.0.3"
listen = "127.0.0.3"
[servers.docs]
nodes = ["n1", "n2"]
[servers.till]
nodes = ["n3"]
[nodes.n1]
at = "eu"
name = "Node.1"
[nodes.n2]
at = "us"
[nodes.n3]
at = "branch"
[callers.alice]
at = "eu"
may = ["docs"]
[callers.bob]
at = "us"
regions = ["us", "eu"]
may = ["docs.getText", "docs/prompts/Sum up"]
[callers.teller]
at = "branch"
regions = ["branch", "eu"]
may = ["till", "docs/resources"]
[gateways.web]
at = "eu"
may = ["docs"]
"""


def make(
    text: str = TEXT, kept: dict[str, str] | None = None, now: datetime = NOW
) -> tuple[dict[str, File], Vault]:
    numbers = count(1)
    vault = Vault(kept or {}, lambda size: next(numbers).to_bytes(size, "big"))
    made, where = reading.read(text)
    return generate(checking.check(made, where), vault, root="/r", now=now), vault


def everybody(text: str = TEXT) -> dict[str, members.Member]:
    made, where = reading.read(text)
    return {member.id: member for member in members.members(checking.check(made, where))}


def test_names_are_tokens_and_a_grant_of_a_tool_is_that_tool():
    bob = everybody()["callers/bob"]
    eu = [subject for subject in bob.grants.publish if subject.startswith("lr.v1.default.eu.")]
    assert eu == [
        "lr.v1.default.eu.req.docs.*._.bob.tools-call.get=54ext",
        "lr.v1.default.eu.req.docs.*._.bob.server-discover._",
        "lr.v1.default.eu.req.docs.*._.bob.tools-list._",
        "lr.v1.default.eu.req.docs.*._.bob.prompts-list._",
        "lr.v1.default.eu.req.docs.*._.bob.resources-list._",
        "lr.v1.default.eu.req.docs.*._.bob.resources-templates-list._",
        "lr.v1.default.eu.req.docs.*._.bob.prompts-get.=53um=20up",
        "lr.v1.default.eu.req.docs.*._.bob.completion-complete._",
        "lr.v1.default.eu.all.docs._.bob.*",
        "lr.v1.default.eu.node.=4eode=2e1.*._.bob.*",
        "lr.v1.default.eu.who._.bob",
    ]


def test_who_is_accepted_where():
    found = {key: member.places for key, member in everybody().items()}
    assert found == {
        "nodes/n1": ("eu",),
        "nodes/n2": ("us",),
        "nodes/n3": ("branch",),
        "callers/alice": ("eu",),
        "callers/bob": ("us", "eu"),
        "callers/teller": ("branch",),
        "gateways/web": ("eu",),
        "leaves/branch-default": ("eu",),
    }


def test_a_link_carries_what_both_sides_have_in_common():
    link = everybody()["leaves/branch-default"].grants
    assert all(".branch." not in subject for subject in (*link.publish, *link.subscribe))
    assert "lr.v1.default.eu.req.docs.*._.teller.resources-read._" in link.publish
    assert link.subscribe == (
        "lr.v1.default.eu.adv.docs.*.*",
        "lr.v1.default.eu.evt.docs.>",
        "lr.v1.default.eu.rep._.teller.>",
    )


def test_an_edge_that_nobody_else_uses_keeps_its_region_by_itself():
    files, _ = make()
    config = files["brokers/branch-1/nats.conf"].text
    assert config.count('"lr.v1.default.branch.>"') == 2  # deny_imports, deny_exports
    more = 'at = "eu"\nregions = ["eu", "branch"]\nmay = ["docs", "till"]\n[callers.bob]'
    shared, _ = make(TEXT.replace('at = "eu"\nmay = ["docs"]\n[callers.bob]', more))
    assert "deny_imports" not in shared["brokers/branch-1/nats.conf"].text


def test_accounts_hold_nobody_who_is_not_accepted_there():
    files, vault = make()
    alice = KeyPair(vault.texts["callers/alice.nk"]).public
    assert alice in files["brokers/eu-1/accounts.conf"].text
    assert alice not in files["brokers/us-1/accounts.conf"].text
    assert alice not in files["brokers/branch-1/accounts.conf"].text


def test_a_second_generation_is_the_same():
    for text in (TEXT, f'credentials = "jwt"\n{TEXT}'):
        first, vault = make(text)
        assert make(text, vault.texts)[0] == first


def test_jwts_hold_no_permissions_and_are_signed():
    files, vault = make(f'credentials = "jwt"\n{TEXT}')
    token = files["callers/alice/user.creds"].text.splitlines()[1]
    body, _, signature = token.rpartition(".")
    claims = _claims(token)
    assert claims["nats"] == {
        "type": "user",
        "version": 2,
        "pub": {},
        "sub": {},
        "issuer_account": KeyPair(vault.texts["accounts/default.nk"]).public,
    }
    signer = KeyPair(vault.texts["scopes/callers/alice.nk"])
    assert claims["iss"] == signer.public
    assert signer.sign(body.encode()) == base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    assert signer.public in str(_scopes(files, "eu-1"))
    assert signer.public not in str(_scopes(files, "us-1"))


def _claims(token: str) -> dict[str, object]:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _scopes(files: dict[str, File], broker: str) -> list[object]:
    text = files[f"brokers/{broker}/accounts.conf"].text
    tokens = [line.split('"')[3] for line in text.splitlines() if line.strip().startswith('"A')]
    return [_claims(token)["nats"] for token in tokens]


@pytest.mark.parametrize("credentials", ["nkeys", "jwt"])
def test_who_may_nothing_is_allowed_nothing(credentials: str):
    """An empty list of what is allowed would allow everything."""
    alone = TEXT.replace('regions = ["branch", "eu"]\nmay = ["till", "docs/resources"]', 'may = ["till"]')
    link = everybody(alone)["leaves/branch-default"]
    assert link.grants == ((), ())
    files, _ = make(f'credentials = "{credentials}"\n{alone}')
    if credentials == "jwt":
        scopes = [scope for account in _scopes(files, "eu-1") for scope in account.get("signing_keys", ())]
        mine = next(scope["template"] for scope in scopes if scope["role"] == link.id)
        assert (mine["pub"], mine["sub"]) == ({"deny": [">"]}, {"deny": [">"]})
    else:
        assert files["brokers/eu-1/accounts.conf"].text.count('"deny": [') == 2


def test_nodes_that_share_a_server_share_state_keys():
    files, _ = make()
    keys = [files[f"nodes/{key}/state.keys"].text for key in ("n1", "n2", "n3")]
    assert keys[0] == keys[1] != keys[2]


def test_certificates_are_made_anew_before_they_end():
    text = f'[tls]\nmode = "test"\n{TEXT}'
    first, vault = make(text)
    path = "brokers/eu-1/cert.pem"
    assert make(text, vault.texts)[0][path] == first[path]
    later, kept = make(text, vault.texts, NOW + timedelta(days=340))
    assert later[path] != first[path]
    assert later["callers/alice/ca.pem"] != first["callers/alice/ca.pem"]
    assert make(text, kept.texts, NOW + timedelta(days=341))[0] == later


def test_a_name_is_asked_for_only_where_it_is_served():
    bob = everybody(TEXT.replace('nodes = ["n1", "n2"]', 'nodes = ["n1"]'))["callers/bob"]
    asked = [subject for subject in bob.grants.publish if ".us." in subject]
    assert asked == ["lr.v1.default.us.who._.bob"]


def test_pings_are_short_and_secrets_are_private():
    files, _ = make()
    assert files["brokers/eu-1/nats.conf"].text.count('"ping_interval": "2s"') == 1
    public = {path.rpartition("/")[2] for path, file in files.items() if not file.private}
    assert public == {"longreach.toml"}
