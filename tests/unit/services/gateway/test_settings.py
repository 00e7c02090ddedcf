from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from longreach.cli import loop
from longreach.cli.settings import resolve, settings_of
from longreach.errors import BrokerUnavailable, ConfigError
from longreach.transport.natslink import NatsLink
from longreach.transport.options import NatsOptions
from longreach_gateway.cli import banner, gateway
from longreach_gateway.settings import TABLE, GatewaySettings, gateway_settings, new_gateway_id

JWT: dict[str, Any] = {"jwks_url": "https://i.example.com/keys", "issuer": "https://i.example.com"}


def test_flags_win_then_the_file_then_the_environment(tmp_path: Path):
    config = tmp_path / "l.toml"
    config.write_text(
        '[gateway]\nport = 1\nhost = "::1"\nonly_servers = ["docs"]\nbearer_tokens = "tokens"\n'
    )
    environment = {"LONGREACH_PORT": "2", "LONGREACH_MAX_BODY": "1MiB", "LONGREACH_NATS": "nats://x"}

    found = resolve(TABLE, {"port": "3", "only_tags": ("a,b",)}, config=str(config), environment=environment)
    settings = gateway_settings(found)

    assert (settings.port, settings.host, settings.max_body) == (3, "::1", 2**20)
    assert (settings.servers, settings.tags) == (("docs",), ("a", "b"))
    assert settings.bearer_tokens == str(tmp_path / "tokens")
    assert NatsOptions(**found["connection"]).urls == ("nats://x",)


def test_every_setting_is_one_of_a_struct_and_has_a_name_of_its_own():
    fields = {f"gateway.{name}" for name in GatewaySettings.__struct_fields__}
    settings = list(settings_of(TABLE))

    assert {each.target for each in settings if each.target.startswith("gateway.")} <= fields
    for names in ([each.key for each in settings], [flag for each in settings for flag in each.flags]):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({**JWT, "jwks_file": "x"}, "two things"),
        ({"jwks_url": "https://x"}, "both"),
        ({"issuer": "https://x"}, "both"),
        ({"audiences": ("x",)}, "about JWTs"),
        ({"scopes": ("x",)}, "about JWTs"),
        ({"public_url": "mcp.example.com"}, "no URL"),
        ({**JWT, "host": "0.0.0.0", "audiences": ("x",)}, "--public-url"),
        ({**JWT, "anonymous": True}, "leave one out"),
        ({"bearer_tokens": "tokens", "anonymous": True}, "leave one out"),
        ({"anonymous": False}, "no token is valid"),
        ({**JWT, "claims": ("sub",)}, "name --claims-key"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: dict[str, Any], wrong: str):
    with pytest.raises(ConfigError, match=wrong):
        GatewaySettings(**given)


def test_jwts_that_are_for_this_gateway_are_taken():
    assert GatewaySettings(**JWT).has_jwts
    assert GatewaySettings(**JWT, host="0.0.0.0", public_url="https://mcp.example.com").has_jwts
    assert GatewaySettings(**JWT, audiences=("mesh",)).has_jwts
    assert not GatewaySettings().has_jwts


@pytest.mark.parametrize(
    ("host", "place"), [("eu-1.example.com", "eu-1-example-com"), ("", "gateway"), ("Ä", "gateway")]
)
def test_a_gateway_has_a_name_that_no_other_has(host: str, place: str):
    first, second = new_gateway_id(host), new_gateway_id(host)

    assert first != second
    assert first.rpartition("-")[0] == place
    assert len(new_gateway_id("x" * 300)) < 60


def test_help_shows_settings_by_section():
    shown = CliRunner().invoke(gateway, ["--help"]).output

    for text in (
        "HTTP:",
        "Who may ask:",
        "What is offered:",
        "Limits:",
        "--allowed-origin",
        "LONGREACH_JWKS_URL",
    ):
        assert text in shown
    assert "--as " not in shown


def test_the_banner_says_where_it_is():
    text = banner("g1", "http://127.0.0.1:1", None)

    for part in ("g1", "http://127.0.0.1:1/mcp", "/readyz", "none just now"):
        assert part in text


def run_gateway(*words: str, **environment: str) -> Any:
    nowhere = {"LONGREACH_NATS": "nats://127.0.0.1:1", "LONGREACH_PORT": "0", **environment}
    return CliRunner().invoke(gateway, words, env=nowhere, standalone_mode=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "0"])
@pytest.mark.parametrize("source", ["flag", "environment", "file"])
def test_a_gateway_for_everybody_is_not_started_in_silence_whichever_source_says_so(
    host: str, source: str, tmp_path: Path
):
    (tmp_path / "l.toml").write_text(f'[gateway]\nhost = "{host}"\n')
    words, environment = {
        "flag": (("--host", host), {}),
        "environment": ((), {"LONGREACH_HOST": host}),
        "file": (("--config", str(tmp_path / "l.toml")), {}),
    }[source]

    done = run_gateway(*words, **environment)

    assert isinstance(done.exception, ConfigError)  # and not BrokerUnavailable: no broker was looked for
    assert "--anonymous" in str(done.exception)


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (("--host", "0.0.0.0", "--anonymous"), {}),
        (("--host", "0.0.0.0"), {"LONGREACH_ANONYMOUS": "yes"}),
        (("--host", "0.0.0.0"), {"LONGREACH_BEARER_TOKENS": "/dev/null"}),
        ((), {}),
        (("--host", "localhost"), {}),
    ],
)
def test_with_tokens_or_said_so_or_on_a_loopback_address_a_broker_is_looked_for(
    words: tuple[str, ...], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loop, "GIVE_UP_AFTER_S", 0.05)

    assert isinstance(run_gateway(*words, **environment).exception, BrokerUnavailable)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--bearer-tokens", "nothing/tokens"), "nothing/tokens cannot be read"),
        (("--bearer-tokens", "."), "cannot be read"),
        (("--audit", "nothing/audit"), "nothing/audit cannot be written"),
        (("--allowed-origin", "example.com"), "is no origin"),
        (("--jwks-url", "example.com/keys", "--issuer", "https://x"), "is no URL of a JWKS"),
        (("--claims-key", "nothing/key", "--jwks-url", "https://x", "--issuer", "https://x"), "nothing/key"),
        (("--burst-per-caller", "3"), "--rate-per-caller"),
        (("--port", "99999"), "--port"),
    ],
)
def test_what_is_misused_is_said_before_a_broker_is_looked_for(
    words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(NatsLink, "open", None)

    done = run_gateway(*words)

    assert isinstance(done.exception, ConfigError), done.exception
    assert said in str(done.exception)
