"""Handlers as actors: declared, given a mailbox, supervised, run."""
