"""`python -m longreach.cli` is `longreach`."""

from __future__ import annotations

from longreach.cli import main

if __name__ == "__main__":
    main()
