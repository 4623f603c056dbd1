"""Batch image inversion: each picture of a folder becomes a task, and its negative comes back as an upload.

    mesostic run examples/images/images.toml --set scheduler.pictures=FOLDER

A picture travels to its task inside the task's payload, so that no agent needs to share a disk with the scheduler. One that is
not a picture fails its task; the others are not affected.
"""

import io
import shutil
from dataclasses import dataclass
from pathlib import Path

from mesostic import (
    Executor,
    SchedulerActor,
    TaskContext,
    TaskFailed,
    TaskFailure,
    TaskFinished,
    Uploaded,
    message,
    setting,
    task,
)

MAX_BYTES = 4_000_000
"""Larger files belong on a file server, with their address in the payload."""


@message
class Invert:
    """A picture to be inverted."""

    name: str
    picture: bytes


@message
class Inverted:
    """It was, and is uploaded under that name."""

    name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ImagesSettings:
    """`[scheduler]`."""

    pictures: str = setting("pictures", help="The folder of pictures.", unit="path")
    output: str = setting("results/images", help="The folder for their negatives.", unit="path")


class InvertExecutor(Executor):
    """Inverts pictures; a plain function, which runs in a thread of its own."""

    @task
    def invert(self, invert: Invert, context: TaskContext) -> Inverted:
        from PIL import Image, ImageOps, UnidentifiedImageError

        try:
            image = Image.open(io.BytesIO(invert.picture)).convert("RGB")
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise TaskFailed(f"{invert.name} is not a picture: {error}", retry=False) from None
        negative = io.BytesIO()
        ImageOps.invert(image).save(negative, "png")
        name = f"{Path(invert.name).stem}-negative.png"
        context.upload_blocking(name, negative.getvalue(), "image/png")
        return Inverted(name, image.width, image.height)


class ImagesScheduler(SchedulerActor):
    """One task for each file, all at once: the offers set the pace."""

    Settings = ImagesSettings
    settings: ImagesSettings

    def on_start(self) -> None:
        super().on_start()
        self._failed = 0

    def on_reregistered(self, event: object) -> None:
        """Continues with the tasks of an earlier run, if any are left."""
        self._end_when_done()

    def on_registered(self, event: object) -> None:
        folder = Path(self.settings.pictures)
        files = sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []
        if not files:
            print(f"there are no pictures in {folder}")
            self.finish(1)
            return
        Path(self.settings.output).mkdir(parents=True, exist_ok=True)
        for path in files:
            if path.stat().st_size > MAX_BYTES:
                self._failed += 1
                print(f"{path.name}: larger than {MAX_BYTES:,} bytes")
            else:
                self.launch(Invert(path.name, path.read_bytes()), executor="invert", cpus=0.5, mem=64)
        self._end_when_done()

    def on_uploaded(self, upload: Uploaded) -> None:
        shutil.move(upload.path, Path(self.settings.output) / upload.name)

    def on_task_finished(self, done: TaskFinished) -> None:
        result: Inverted = done.result
        print(f"{result.name}: {result.width} x {result.height}")
        self._end_when_done()

    def on_task_failed(self, failed: TaskFailure) -> None:
        self._failed += 1
        print(failed.message)
        self._end_when_done()

    def _end_when_done(self) -> None:
        if not self.active_tasks:
            print(f"the negatives are in {self.settings.output}; {self._failed} failed")
            self.finish(1 if self._failed else 0)
