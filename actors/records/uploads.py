"""What executors have uploaded and the author has not been told of yet: records like those of tasks.

An upload is answered only when its bytes and its record are durable; the record goes when `on_uploaded` has been called. So
an executor that has heard "stored" may forget the file, whatever happens to the scheduler.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from actors.messages import Record, ServerReady, Uploaded
from actors.records.tasks import read_record
from actors.runtime import pack_value

UPLOAD = "upload"


def folder_beside(store_path: str) -> Path:
    """Return the folder for uploads of a framework with a durable store."""
    return Path(f"{store_path}.uploads").absolute()


def upload_record(upload: Uploaded) -> Record:
    """Return the durable form of an upload."""
    return Record(UPLOAD, upload.key, pack_value(upload))


def upload_key(upload: Uploaded) -> tuple[str, str]:
    """Return the key of an upload's record, to delete it."""
    return (UPLOAD, upload.key)


def untold_uploads(records: Iterable[Record], server: ServerReady) -> tuple[Uploaded, ...]:
    """Return the uploads that an earlier run was not told of, with where they are now, oldest first."""
    found = (read_record(Uploaded, record) for record in records if record.kind == UPLOAD)
    return tuple(
        replace(
            upload,
            path=str(Path(server.upload_dir) / upload.name),
            url=f"{server.url}/uploads/{upload.name}",
        )
        for upload in found
    )
