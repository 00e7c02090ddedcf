from __future__ import annotations

import msgspec
import pytest

from longreach.errors import ConfigError
from longreach.transport.options import NatsOptions, connect_arguments, parse_url, redact


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("localhost", "nats://localhost:4222"),
        ("localhost:4333", "nats://localhost:4333"),
        ("nats://secret@host", "nats://host:4222"),
        ("nats://user:s@cret@host:1", "nats://host:1"),
        ("tls://host", "tls://host:4222"),
        ("nats://[::1]", "nats://[::1]:4222"),
        (" nats://host ", "nats://host:4222"),
        ("ws://me:secret@host", "ws://host:80"),
        ("wss://host", "wss://host:443"),
    ],
)
def test_a_url_is_completed_and_shown_without_credentials(url: str, shown: str):
    assert redact(url) == shown


@pytest.mark.parametrize(
    "url",
    ["http://host", "nats-leaf://host", "nats://", "nats://t0psecret@host:port", "", "nats://t0psecret@"],
)
def test_a_bad_url_is_refused_without_showing_credentials(url: str):
    with pytest.raises(ConfigError) as refused:
        NatsOptions(urls=(url,))
    assert "t0psecret" not in str(refused.value)


def test_the_options_never_show_secrets():
    options = NatsOptions(
        urls=("nats://t0psecret@host",),
        token="t0psecret",
        user="me",
        password="t0psecret",
        nkey_seed="t0psecret",
        creds="t0psecret",
    )
    assert "t0psecret" not in repr(options)
    assert "t0psecret" not in f"{options}"
    assert "me" in repr(options)
    assert "nats://host:4222" in repr(options)


def test_options_can_be_read_from_a_configuration_file():
    options = msgspec.convert({"urls": ["nats://a", "nats://b"], "token": "x"}, NatsOptions)
    assert options.urls == ("nats://a", "nats://b")


@pytest.mark.parametrize(
    "setting", ["connect_timeout_s", "ping_interval_s", "max_silence_s", "failback_s", "renew_every_s"]
)
def test_times_must_be_positive(setting: str):
    with pytest.raises(ConfigError, match=setting):
        NatsOptions(**{setting: 0.0})


def test_silence_must_be_longer_than_the_ping_interval():
    with pytest.raises(ConfigError, match="max_silence_s"):
        NatsOptions(ping_interval_s=2.0, max_silence_s=2.0)


def test_files_are_read_anew_each_time(tmp_path):
    secret = tmp_path / "token"
    secret.write_text("one\n")
    options = NatsOptions(urls=("nats://h",), token_file=str(secret))
    assert connect_arguments(options, "nats://h")["token"] == "one"
    secret.write_text("two\n")
    assert connect_arguments(options, "nats://h")["token"] == "two"


@pytest.mark.parametrize("setting", ["token_file", "nkey_seed_file", "creds_file", "tls_ca"])
def test_a_file_that_is_not_there_is_named(setting: str, tmp_path):
    options = NatsOptions(urls=("nats://h",), **{setting: str(tmp_path / "missing")})
    with pytest.raises(ConfigError, match=setting):
        connect_arguments(options, "nats://h")


def test_password_goes_with_its_user(tmp_path):
    secret = tmp_path / "password"
    secret.write_text("pw\n")
    options = NatsOptions(user="me", password_file=str(secret))
    arguments = connect_arguments(options, "nats://h")
    assert (arguments["user"], arguments["password"]) == ("me", "pw")
    assert arguments["servers"] == ["nats://h:4222"]
    assert "tls" not in arguments


def test_a_tls_url_brings_a_verifying_context():
    context = connect_arguments(NatsOptions(), "tls://h")["tls"]
    assert context.check_hostname


def test_a_tls_file_of_the_wrong_kind_is_refused(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(ConfigError, match="TLS"):
        connect_arguments(NatsOptions(tls_ca=str(file)), "nats://h")


def test_the_port_may_be_missing_behind_a_colon():
    assert parse_url("nats://host:").port == 4222


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nats://u:p@h", {"user": "u", "password": "p"}),
        ("nats://u%40x:a%2Fb%23c%3Fd%3A%25@h", {"user": "u@x", "password": "a/b#c?d:%"}),
        ("nats://u:100%@h", {"user": "u", "password": "100%"}),
        ("nats://u:%zz+%2@h", {"user": "u", "password": "%zz+%2"}),
        ("nats://u:%252F@h", {"user": "u", "password": "%2F"}),
        ("nats://u:@h", {"user": "u", "password": ""}),
        ("ws://caf%C3%A9:x@h", {"user": "café", "password": "x"}),
        ("nats://t%2Fo@h", {"token": "t/o"}),
    ],
)
def test_user_and_password_of_a_url_are_percent_decoded_once(url: str, expected: dict[str, str]) -> None:
    arguments = connect_arguments(NatsOptions(), url)

    assert {key: arguments[key] for key in ("user", "password", "token") if key in arguments} == expected
    assert "@" not in arguments["servers"][0]


def test_credentials_of_the_options_come_before_those_of_a_url() -> None:
    assert connect_arguments(NatsOptions(token="one"), "nats://u:p@h")["token"] == "one"


@pytest.mark.parametrize("url", ["nats://u:a/b@h", "nats://u:a#b@h", "nats://u:a?b@h", "nats://u:1/b@h:4222"])
def test_a_password_that_must_be_encoded_is_told_how(url: str) -> None:
    with pytest.raises(ConfigError, match="write / as %2F") as caught:
        parse_url(url)
    assert "a/b" not in str(caught.value)


def test_percent_encoding_that_is_no_utf_8_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError, match="UTF-8") as caught:
        connect_arguments(NatsOptions(), "nats://u:secret%FF@h")
    assert "secret" not in str(caught.value)
