"""Exchanges of HTTP carried from the gateway that was asked to the one that has the session."""
