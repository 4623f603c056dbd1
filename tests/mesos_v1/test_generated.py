"""The generated code that is kept is what the .proto files give."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_kept_code_is_up_to_date_with_the_proto_files():
    pytest.importorskip("grpc_tools")
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "generate_protobuf.py", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
