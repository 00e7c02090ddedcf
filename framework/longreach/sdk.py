"""Transports for the official SDK, so that its clients reach the mesh over NATS."""
