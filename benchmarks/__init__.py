"""How fast longreach is, always against bare nats-py, in the same run: `python -m benchmarks`."""
