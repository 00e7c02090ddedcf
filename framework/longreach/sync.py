"""The blocking mesh, for scripts and notebooks: ``from longreach import sync``."""

from longreach.client.sync import SyncMesh, connect

__all__ = ["SyncMesh", "connect"]
