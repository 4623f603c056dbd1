"""The other examples, each run as its header says."""

import re
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
