"""Credential files as Mesos reads them: JSON, or one "principal secret" pair per line.

See "--credentials" in Mesos's configuration page. No error ever quotes a file's content.
"""

from __future__ import annotations

import json
from pathlib import Path as FilePath

from mesostic.errors import ConfigError


def read_credentials(file: FilePath) -> dict[str, str]:
    """Secrets by principal.

    Raises:
        ConfigError: the file cannot be read, or has neither form.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The credentials {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The credentials {file} are not text.") from None
    found = _from_json(text, file) if text.lstrip().startswith("{") else _from_lines(text, file)
    if not found:
        raise ConfigError(f"The file {file} holds no credentials, so no one would have access.")
    return found


def _from_json(text: str, file: FilePath) -> dict[str, str]:
    try:
        entries = json.loads(text)["credentials"]
        return {str(entry["principal"]): str(entry["secret"]) for entry in entries}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(
            f'The credentials {file} are not of the form {{"credentials": [{{"principal": …, "secret": …}}]}}.'
        ) from None


def _from_lines(text: str, file: FilePath) -> dict[str, str]:
    credentials = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if len(words) == 2:
            credentials[words[0]] = words[1]
        elif words:
            raise ConfigError(f'{file}:{number}: expected "principal secret", found {len(words)} words.')
    return credentials
