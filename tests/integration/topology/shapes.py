"""Descriptions of the four shapes, and of all in one, with the same servers and callers in each."""

from __future__ import annotations

from collections.abc import Mapping

BROKER = """
[brokers.{name}]
at = "{at}"
host = "127.0.0.1"
listen = "127.0.0.1"
"""
SHAPES: Mapping[str, Mapping[str, int]] = {
    "single": {"eu": 1},
    "cluster": {"eu": 3},
    "regions": {"eu": 1, "us": 1},
    "edge": {"eu": 1, "us": 1, "branch": 1},
    "large": {"eu": 3, "us": 2, "branch": 2},
}
"""How many brokers each place has; `branch` is an edge of `eu`."""

FAR = {"single": "eu", "cluster": "eu", "regions": "us", "edge": "branch", "large": "branch"}
"""Where the caller `far` is, who calls into `eu`."""


def describe(shape: str, credentials: str = "nkeys", tls: str = "test", extra: str = "") -> str:
    """A whole description; `extra` is put at its end."""
    places = SHAPES[shape]
    text = f'credentials = "{credentials}"\n[tls]\nmode = "{tls}"\n'
    for place, count in places.items():
        text += f'[edges.{place}]\nhub = "eu"\n' if place == "branch" else f"[regions.{place}]\n"
        text += "".join(BROKER.format(name=f"{place}-{number}", at=place) for number in range(1, count + 1))
    return (
        text
        + f"""
[servers.docs]
nodes = [{", ".join(f'"n-{place}"' for place in places)}]

[callers.alice]
at = "eu"
may = ["docs"]

[callers.far]
at = "{FAR[shape]}"
regions = ["eu"]
connect = []
may = ["docs"]

[callers.bob]
at = "eu"
may = ["docs.echo"]

[gateways.web]
at = "{FAR[shape]}"
regions = ["eu"]
connect = []
may = ["docs"]
settings = {{ port = 0 }}

[operators.ops]
at = "eu"
regions = [{", ".join(f'"{place}"' for place in places)}]
"""
        + "".join(f'[nodes.n-{place}]\nat = "{place}"\n' for place in places)
        + extra
    )
