from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from longreach.cli import values
from longreach.cli.run import node_settings
from longreach.cli.settings import SETTINGS, Table, add_table, resolve, setting, settings_of
from longreach.errors import ConfigError
from longreach.node.settings import NodeSettings
from longreach.policy.limits import Limits
from longreach.transport.options import NatsOptions

FLAG, FILE, VARIABLE = "flag", "file", "variable"


def _file(text: str) -> str:
    path = Path("settings.toml")
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("sources", "winner"),
    [
        ({FLAG, FILE, VARIABLE}, FLAG),
        ({FILE, VARIABLE}, FILE),
        ({VARIABLE}, VARIABLE),
        ({FLAG, VARIABLE}, FLAG),
        (set(), None),
    ],
)
def test_flags_win_then_the_file_then_the_environment(sources: set[str], winner: str | None):
    config = _file('[node]\nregion = "file"\n' if FILE in sources else "")
    environment = {"LONGREACH_REGION": "variable"} if VARIABLE in sources else {}

    found = resolve(
        "node", {"region": "flag" if FLAG in sources else None}, config=config, environment=environment
    )

    assert found.get("node", {}).get("region") == winner


def test_every_field_of_a_node_and_its_connection_can_be_set():
    """One that is added to the structs must be added to the table."""
    targets = {setting.target for setting in settings_of("node")}
    fields = {f"node.{name}" for name in NodeSettings.__struct_fields__} - {"node.connection", "node.limits"}
    fields |= {f"connection.{name}" for name in NatsOptions.__struct_fields__}
    fields |= {f"limits.{name}" for name in Limits.__struct_fields__} - {"limits.fleet_rate_per_s"}

    assert fields <= targets
    assert {target for target in targets if not target.startswith("cli.")} == fields


@pytest.mark.parametrize("table", ["node", "client"])
def test_keys_flags_and_targets_are_unique(table: Table):
    settings = list(settings_of(table))

    for names in (
        [each.key for each in settings],
        [flag for each in settings for flag in each.flags],
        [each.target for each in settings],
    ):
        assert len(set(names)) == len(names)


def test_no_setting_is_called_like_a_variable_with_another_meaning():
    assert not {setting.variable for setting in SETTINGS} & {
        "LONGREACH_DEBUG", "LONGREACH_RUNTIME_DIR", "LONGREACH_WORKER",
    }  # fmt: skip


def test_everything_arrives_in_the_nodes_settings():
    config = _file(
        '[node]\nlabels = {disk = "ssd"}\nnats = ["nats://a:1", "nats://b:2"]\ndrain_timeout = 5\n'
        "bare_inboxes = false\n"
    )
    flags: dict[str, Any] = {"region": "eu", "user": "me"}

    settings = node_settings(resolve("node", flags, config=config, environment={"LONGREACH_PASSWORD": "pw"}))

    assert settings.region == "eu"
    assert settings.labels == {"disk": "ssd"}
    assert settings.drain_timeout_s == 5.0
    assert settings.bare_inboxes is False
    assert settings.connection.urls == ("nats://a:1", "nats://b:2")
    assert (settings.connection.user, settings.connection.password) == ("me", "pw")


def test_without_any_source_there_are_the_defaults():
    assert node_settings(resolve("node", {}, environment={})) == NodeSettings()


@pytest.mark.parametrize(
    ("shown", "value"),
    [
        (setting.shown_default, getattr(struct(), setting.target.partition(".")[2]))
        for struct, part in ((NodeSettings, "node"), (NatsOptions, "connection"))
        for setting in settings_of("node")
        if setting.target.startswith(f"{part}.") and setting.shown_default
        if not setting.shown_default.startswith(("the ", "user-host", "only "))
    ],
)
def test_the_defaults_that_help_shows_are_the_real_ones(shown: str, value: Any):
    if shown.endswith("MiB"):
        assert values.size(shown) == value
    else:
        assert shown == (
            "no" if value is False else f"{value:g}" if isinstance(value, (int, float)) else value
        )


def test_the_file_of_the_working_directory_is_read_if_it_is_there():
    Path("longreach.toml").write_text('[client]\nregion = "eu"\n')

    assert resolve("client", {}, environment={}) == {"client": {"region": "eu"}}
    assert resolve("node", {}, environment={}) == {}


def test_paths_in_a_file_are_relative_to_that_file(tmp_path: Path):
    (tmp_path / "etc").mkdir()
    config = tmp_path / "etc" / "node.toml"
    config.write_text('[node]\ntoken_file = "token"\ntls_ca = "/ca.pem"\ncreds = "~/me.creds"\n')

    found = resolve("node", {"tls_key": "key.pem"}, config=str(config), environment={})["connection"]

    assert found["token_file"] == str(tmp_path / "etc" / "token")
    assert found["tls_ca"] == "/ca.pem"
    assert found["tls_key"] == "key.pem"
    assert found["creds_file"] == str(Path.home() / "me.creds")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[node]\nregoin = "eu"\n', "'regoin' in [node]; did you mean region?"),
        ("[node]\nxyz = 1\n", "--help lists"),
        ("[node]\ndrain_timeout = 0\n", "drain_timeout in [node] of settings.toml takes seconds"),
        ("[node", "cannot be read"),
        ("node = 1", "must be a table"),
        ('region = "eu"\n[node]', "has 'region' above its tables: write it below [node]"),
        ('[nodes]\nregion = "eu"', "unknown table [nodes]; did you mean [node]?"),
        ('[node]\nresidency = "eu"\n', "residency"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(text: str, said: str):
    with pytest.raises(ConfigError) as caught:
        resolve("node", {}, config=_file(text), environment={})
    assert said in str(caught.value)


def test_a_file_that_was_named_must_be_there():
    with pytest.raises(ConfigError, match=r"there is no file nowhere\.toml"):
        resolve("node", {}, config="nowhere.toml", environment={})


def test_wrong_values_name_their_source():
    with pytest.raises(ConfigError, match="LONGREACH_WORKERS takes a whole number"):
        resolve("node", {}, environment={"LONGREACH_WORKERS": "many"})
    with pytest.raises(ConfigError, match="--workers takes a whole number"):
        resolve("node", {"workers": "many"}, environment={"LONGREACH_WORKERS": "2"})


def test_an_empty_variable_is_none():
    assert resolve("node", {}, environment={"LONGREACH_REGION": ""}) == {}


def test_a_command_of_another_package_has_a_table_with_those_of_the_clients_and_its_own():
    own = setting("port", "door.port", values.port, "Where.", "PORT", "Door")
    add_table("door", (own,), without=("caller",))

    found = resolve(
        "door",
        {"port": "80"},
        config=_file('[door]\nregion = "eu"\n'),
        environment={"LONGREACH_NATS": "nats://x"},
    )

    assert found == {"door": {"port": 80}, "client": {"region": "eu"}, "connection": {"urls": ("nats://x",)}}
    assert "caller" not in {each.key for each in settings_of("door")}
    with pytest.raises(ConfigError, match="unknown key 'caller'"):
        resolve("door", {}, config=_file('[door]\ncaller = "me"\n'))
