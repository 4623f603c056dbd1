"""The other examples, each run as its header says."""

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
from pathlib import Path

import pytest

PICTURES = Path(__file__).parents[2] / "examples" / "images" / "pictures"


async def test_hello_world(example):
    run = await example("hello/hello.toml")
    assert run.exit_code == 0, run.text
    assert sorted(re.findall("Hello, .*!", run.text)) == ["Hello, Mesos!", "Hello, actors!", "Hello, world!"]


async def test_many_empty_tasks(example):
    run = await example("hello/empty.toml", scheduler__tasks=300)
    assert run.exit_code == 0, run.text
    assert re.search(r"300 empty tasks in .* a second, 0 failed", run.text)


async def test_empty_tasks_go_on_with_their_store_after_a_kill(example, tmp_path):
    store = tmp_path / "empty.db"

    async def kill(pid):
        """When some have been told, and some have not."""
        while not store.exists() or told(store) < 100:
            await asyncio.sleep(0.02)
        os.kill(pid, signal.SIGKILL)

    first = await example("hello/empty.toml", meanwhile=kill, scheduler__tasks=3000, store__path=store)
    assert first.exit_code == -signal.SIGKILL
    again = await example("hello/empty.toml", scheduler__tasks=3000, store__path=store)
    assert again.exit_code == 0, again.text
    found = re.search(r"([\d,]+) empty tasks in .* a second, 0 failed", again.text)
    assert found is not None
    assert 0 < int(found[1].replace(",", "")) <= 2900


def told(store):
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM records WHERE kind = 'task-ended'")
    return count


async def test_a_folder_of_pictures_is_inverted(example, tmp_path):
    image = pytest.importorskip("PIL.Image")
    run = await example("images/images.toml", scheduler__output=tmp_path)
    assert run.exit_code == 0, run.text
    originals = sorted(PICTURES.glob("*.png"))
    assert len(list(tmp_path.glob("*-negative.png"))) == len(originals) > 3
    with image.open(originals[0]) as one, image.open(tmp_path / f"{originals[0].stem}-negative.png") as other:
        before, after = one.convert("RGB").getpixel((5, 5)), other.getpixel((5, 5))
    assert after == tuple(255 - value for value in before)


async def test_what_is_no_picture_fails_alone(example, tmp_path):
    pytest.importorskip("PIL.Image")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "text.png").write_text("no picture")
    (folder / "good.png").write_bytes(next(PICTURES.glob("*.png")).read_bytes())
    run = await example("images/images.toml", scheduler__pictures=folder, scheduler__output=tmp_path / "out")
    assert run.exit_code == 1
    assert "text.png is not a picture" in run.text
    assert (tmp_path / "out" / "good-negative.png").is_file()
    assert "Traceback" not in run.text


async def test_offers_in_hand(example):
    run = await example("offers/offers.toml")
    assert run.exit_code == 0, run.text
    assert len(re.findall("^done: ", run.text, re.MULTILINE)) == 5
    assert "5 commands, 0 failed" in run.text


async def test_offers_in_hand_tries_again_and_says_what_failed(example):
    run = await example("offers/offers.toml", scheduler__commands='["echo one", "exit 3"]')
    assert run.exit_code == 1
    assert len(re.findall("^failed: exit 3", run.text, re.MULTILINE)) == 2
    assert "2 commands, 1 failed" in run.text
    assert "Traceback" not in run.text
