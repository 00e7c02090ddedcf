from __future__ import annotations

import subprocess
import sys

from longreach.testing import free_port, ports


def test_a_port_is_given_to_one_process_at_a_time() -> None:
    port = free_port()
    code = f"from longreach.testing import ports; print(ports._reserved({port}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "False\n"
    assert ports._reserved(port)
