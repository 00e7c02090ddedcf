"""A generated topology, brought up on this machine: brokers of a description on loopback, and its users.

    with Deployment(text, tmp_path) as deployed:
        async with deployed.node("n1", docs), deployed.mesh("alice") as mesh: ...
        deployed.apply(other_text)        # writes, and reloads the brokers that must be

Hosts and ports of the description are replaced by 127.0.0.1 and free ports; all the rest is as it stands.
`options("alice")` is what a user connects with; `folder` has everything that was generated.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from tests.support.broker import free_port

from longreach import NatsOptions, Node, NodeSettings, Server, connect
from longreach.cli.settings import resolve
from longreach.cli.topology import checking, reading, store
from longreach.cli.topology.model import Broker, Description
from longreach.client.connect import Connecting
from longreach.transport.embedded import find_server_binary

_READY_TIMEOUT_S = 60.0
_PORTS = ("port", "cluster_port", "gateway_port", "leaf_port", "monitor_port")
Ports = dict[tuple[str, str], int]


def describe(text: str) -> Description:
    """The checked description that a text holds."""
    made, where = reading.read(text)
    return checking.check(made, where)


def on_loopback(made: Description, ports: Ports) -> Description:
    """The description with all brokers on this machine; `ports` are kept, and missing ones found."""

    def here(name: str, broker: Broker) -> Broker:
        for key in _PORTS:
            if (name, key) not in ports:
                ports[name, key] = _new_port(set(ports.values()))
        chosen = {key: ports[name, key] for key in _PORTS}
        return msgspec.structs.replace(broker, host="127.0.0.1", listen="127.0.0.1", **chosen)

    brokers = {name: here(name, broker) for name, broker in made.brokers.items()}
    return msgspec.structs.replace(made, brokers=brokers)


def _new_port(taken: set[int]) -> int:
    while (port := free_port()) in taken:
        continue
    return port


class RunningBroker:
    """One generated broker, as a process."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder = folder
        self.port = broker.port
        self.monitor = f"http://127.0.0.1:{broker.monitor_port}"
        self._log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [find_server_binary(), "-c", self.folder / "nats.conf", *flags],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def until_it_answers(self) -> None:
        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"nats-server does not start:\n{self.log}"
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    return probe.recv(5) == b"INFO "
            except OSError:
                return False

        wait_for(answers, lambda: self.log)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def reload(self) -> None:
        """SIGHUP, and wait until it has been obeyed."""
        before = self.log.count("Reloaded server configuration")
        self.signal(signal.SIGHUP)
        wait_for(lambda: self.log.count("Reloaded server configuration") > before, lambda: self.log[-2000:])

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None

    def about(self, page: str) -> Any:
        """What its monitoring says, such as ``gatewayz``."""
        with urllib.request.urlopen(f"{self.monitor}/{page}", timeout=5) as answer:
            return json.loads(answer.read())


class Deployment:
    """All brokers of a description, running. See above."""

    def __init__(self, text: str, folder: Path, *, flags: tuple[str, ...] = ()) -> None:
        self.folder = folder / "deployed"
        self._flags = flags
        self._ports: Ports = {}
        self.brokers: dict[str, RunningBroker] = {}
        self.description = self._write(text).description
        try:
            for name, broker in self.description.brokers.items():
                self.brokers[name] = RunningBroker(self.folder / "brokers" / name, broker)
                self.brokers[name].start(*flags)
            for running in self.brokers.values():
                running.until_it_answers()
            wait_for(self.is_joined, self._logs)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Deployment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for running in self.brokers.values():
            running.kill()

    def is_joined(self) -> bool:
        """Whether clusters, gateways and leaf links are complete."""
        made = self.description
        for name, broker in made.brokers.items():
            running = self.brokers[name]
            if running.process is None:
                continue
            peers = len(made.brokers_at(broker.at)) - 1
            others = len(made.regions) - 1 if broker.at in made.regions else 0
            hub = made.edges[broker.at].hub if broker.at in made.edges else None
            links = 0
            for space in made.namespaces:
                links += (
                    hub is not None and made.has_account(space, broker.at) and made.has_account(space, hub)
                )
            if len({route["remote_name"] for route in running.about("routez")["routes"] or ()}) < peers:
                return False
            if len(running.about("gatewayz")["outbound_gateways"] or ()) < others:
                return False
            if links and running.about("leafz")["leafnodes"] < links:
                return False
        return True

    def apply(self, text: str) -> store.Plan:
        """Write what another description says, and reload the brokers whose accounts changed."""
        plan = self._write(text)
        assert not plan.to_restart, f"these must be restarted: {plan.to_restart}"
        for name in plan.to_reload:
            self.brokers[name].reload()
        self.description = plan.description
        return plan

    def _write(self, text: str) -> store.Plan:
        read, where = reading.read(text)
        made = checking.check(on_loopback(read, self._ports), where)
        plan = store.plan(made, self.folder)
        store.write(plan, self.folder)
        return plan

    def context(self, kind: str, key: str) -> Path:
        """The settings file of a user: what `--config` takes."""
        return self.folder / kind / key / "longreach.toml"

    def found(self, key: str, kind: str | None = None) -> dict[str, dict[str, Any]]:
        """What the commands would read from the context of a user: ``n1``, ``alice``."""
        kind = kind or next(kind for kind, name in self.description.users() if name == key)
        table = {"nodes": "node", "gateways": "gateway"}.get(kind, "client")
        return resolve(table, {}, config=str(self.context(kind, key)), environment={})

    def options(self, key: str, kind: str | None = None) -> NatsOptions:
        """The broker, credentials and TLS of a user."""
        if key == "system":
            return self._system()
        return NatsOptions(**self.found(key, kind).get("connection", {}))

    def _system(self) -> NatsOptions:
        first = next(iter(self.description.users()))
        folder = self.folder / "system"
        creds, seed = folder / "user.creds", folder / "user.nk"
        return msgspec.structs.replace(
            self.options(first[1], first[0]),
            creds_file=str(creds) if creds.exists() else None,
            nkey_seed_file=str(seed) if seed.exists() else None,
        )

    def url(self, broker: str) -> str:
        scheme = "nats" if self.description.tls.mode == "off" else "tls"
        return f"{scheme}://127.0.0.1:{self.brokers[broker].port}"

    def node(self, key: str, *servers: Server, **settings: Any) -> Node:
        """A node of the description, in this process; enter it."""
        found = self.found(key, "nodes")
        connection = NatsOptions(**found.get("connection", {}))
        return Node(*servers, settings=NodeSettings(connection=connection, **found["node"], **settings))

    def mesh(self, key: str, kind: str | None = None, **options: Any) -> Connecting:
        """The mesh as a caller or operator of the description sees it; enter it."""
        return connect(connection=self.options(key, kind), **{**self.found(key, kind)["client"], **options})

    def _logs(self) -> str:
        return "\n".join(f"--- {name}\n{running.log[-3000:]}" for name, running in self.brokers.items())


def wait_for(is_so: Callable[[], bool], why: Callable[[], str] = lambda: "") -> None:
    """Wait until it is so, at most 15 s."""
    give_up_at = time.monotonic() + _READY_TIMEOUT_S
    while not is_so():
        assert time.monotonic() < give_up_at, why()
        time.sleep(0.02)


def environment() -> dict[str, str]:
    """For commands that are to see nothing of this process's settings."""
    return {key: value for key, value in os.environ.items() if not key.startswith("LONGREACH_")}
