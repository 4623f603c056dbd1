"""`mesostic init`: a first framework of one's own, ready to run. It is a copy of the hello world among the examples."""

import shutil
from pathlib import Path

import click

from mesostic.errors import MesosticError

FILES = ("hello.py", "hello.toml")
HELLO = Path(__file__).resolve().parents[2] / "examples" / "hello"


@click.command("init")
@click.argument("directory", type=click.Path(), default=".")
def command(directory: str) -> None:
    """Write a first framework, hello.py and its configuration hello.toml, into DIRECTORY.

    Existing files are not overwritten.
    """
    folder = Path(directory)
    present = [name for name in FILES if (folder / name).exists()]
    if present:
        raise MesosticError(f"{folder / present[0]} already exists; nothing was written.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(HELLO / name, folder / name)
    except OSError as error:
        raise MesosticError(f"{folder} cannot be written: {error.strerror}.") from None
    config = folder / "hello.toml"
    click.echo(f"Wrote {folder / 'hello.py'} and {config}. Run it with: mesostic run {config}")
