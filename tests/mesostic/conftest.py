"""What the tests of the product share: a port that is free, and the command run as a user runs it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mesos_http.conftest import certificates

__all__ = ["certificates"]

MESOSTIC = Path(sys.executable).with_name("mesostic")


@pytest.fixture
def unused_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture
def mesostic(tmp_path):
    """Runs `mesostic …` in the test's folder; stdout and stderr are text."""

    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def run(*arguments, timeout=60, **options):
        return subprocess.run(
            [MESOSTIC, *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"TMPDIR": str(temporary)},
            **options,
        )

    return run
