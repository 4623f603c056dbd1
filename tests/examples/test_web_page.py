"""index.html: one file with everything in it, whatever the pages were called."""

import json
import re

from examples.rendler.drawings import to_html
from examples.rendler.messages import PageRecord, PageState

SEED = "http://s.example/"


def html(pages, tmp_path, **options):
    return to_html(pages, seed=SEED, ended="", when="today", seconds=1.5, images=tmp_path, **options)


def data(text):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_it_needs_no_network(tmp_path):
    text = html([PageRecord(SEED, PageState.CRAWLED)], tmp_path)
    assert not re.search(r'(src|href)="?(https?:)?//', text)
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_thumbnails_travel_inside(tmp_path):
    (tmp_path / "t.jpg").write_bytes(b"picture")
    page = PageRecord(SEED, PageState.CRAWLED, picture="p.png", thumbnail="t.jpg")
    (node,) = data(html([page], tmp_path))["pages"]
    assert node["th"].startswith("data:image/jpeg;base64,")
    assert node["i"] == "p.png"


def test_too_many_thumbnails_stay_files(tmp_path):
    (tmp_path / "t.jpg").write_bytes(b"x" * 8)
    pages = [
        PageRecord(f"{SEED}{n}", PageState.CRAWLED, picture="p.png", thumbnail="t.jpg") for n in range(2)
    ]
    first, second = data(html(pages, tmp_path, max_inline_bytes=10))["pages"]
    assert first["th"].startswith("data:")
    assert second["th"] == "images/t.jpg"


def test_a_picture_that_is_not_there_leaves_no_hole(tmp_path):
    page = PageRecord(SEED, PageState.CRAWLED, picture="p.png", thumbnail="gone.jpg")
    assert "th" not in data(html([page], tmp_path))["pages"][0]


def test_a_hostile_title_cannot_leave_the_data(tmp_path):
    title = "</script><script>alert(1)</script>\u2028<!--"
    text = html([PageRecord(SEED, PageState.CRAWLED, title=title)], tmp_path)
    assert "alert(1)</script>" not in text
    assert data(text)["pages"][0]["t"] == title


def test_links_are_numbers_of_pages(tmp_path):
    pages = [
        PageRecord(SEED, PageState.CRAWLED, links=(f"{SEED}a", "http://elsewhere.example/")),
        PageRecord(f"{SEED}a", PageState.REDIRECT, parent=SEED, redirect=SEED),
    ]
    first, second = data(html(pages, tmp_path))["pages"]
    assert (first["l"], first["o"]) == ([1], 1)
    assert (second["r"], second["p"]) == (0, 0)
