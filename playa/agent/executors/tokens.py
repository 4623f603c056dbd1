"""What executors authenticate with: a JSON Web Token each, signed by their agent (HS256, RFC 7519).

The claims `fid`, `eid` and `cid` name the framework, the executor and its container, and a call that is not about just these is
refused (Mesos documentation, "Authentication", executors). The key stays in the agent's folder, for executors that survive the agent.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from playa.agent.messages import ExecutorRun

Claims = Mapping[str, str]
_HEADER: Final = {"alg": "HS256", "typ": "JWT"}


def key_of(folder: Path) -> bytes:
    """The key that is kept in a folder, made when there is none. Only its owner can read it."""
    path = folder / "jwt_secret_key"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) < 32:  # none, or one that a full disk cut off
        key = secrets.token_hex(32).encode()
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(key)
        fresh.replace(path)
    return key


def sign(key: bytes, claims: Claims) -> str:
    """A token with these claims."""
    parts = (json.dumps(part, separators=(",", ":")).encode() for part in (_HEADER, claims))
    signed = ".".join(map(_encode, parts))
    return f"{signed}.{_encode(_signature(key, signed))}"


@lru_cache(256)  # an executor sends its token with every call
def claims_of(key: bytes, token: str) -> Claims | None:
    """The claims of a token that was signed with this key, None of any other."""
    signed, _, signature = token.rpartition(".")
    try:
        if not hmac.compare_digest(_decode(signature), _signature(key, signed)):
            return None
        claims = json.loads(_decode(signed.partition(".")[2]))
    except ValueError:
        return None
    return {str(name): str(value) for name, value in claims.items()} if isinstance(claims, dict) else None


def token_of(key: bytes, run: ExecutorRun) -> str:
    """The token of one run of an executor."""
    return sign(key, {"fid": run.framework_id, "eid": run.executor_id, "cid": run.container_id})


def why_not(claims: Claims, run: ExecutorRun) -> str | None:
    """Why an executor with these claims may not make a call in the name of another; None if it is its own."""
    if claims.get("fid") != run.framework_id:
        wrong = f"an 'fid' claim with the framework ID {run.framework_id}, which is set in the call"
    elif claims.get("eid") != run.executor_id:
        wrong = f"an 'eid' claim with the executor ID {run.executor_id}, which is set in the call"
    elif claims.get("cid") != run.container_id:
        wrong = "a 'cid' claim with the correct active ContainerID"
    else:
        return None
    shown = json.dumps({"claims": dict(claims)}, separators=(",", ":"))
    return f"Authenticated principal '{shown}' does not contain {wrong}"


def _signature(key: bytes, signed: str) -> bytes:
    return hmac.new(key, signed.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
