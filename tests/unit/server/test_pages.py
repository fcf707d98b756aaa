"""What people see of a run in their browser."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.server.serving import serving

from trackd_server.api import ansi, exhibits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.server.serving import Serving

PICTURE = "media/images/a_0_00.png"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    """An application."""
    with serving(tmp_path / "data") as opened:
        yield opened


def page_with(server: Serving, summary: dict[str, Any], **stored: bytes | str) -> str:
    """Return the page of a run with this summary and files (`__` stands for `/`)."""
    server.upsert(summaryMetrics=summary)
    for name, content in stored.items():
        path = name.replace("__", "/").replace("_DOT_", ".")
        server.http.put(f"/files/local/p/r/{path}", content=content)
    page = server.http.get("/local/p/runs/r")
    assert page.status_code == 200, page.text
    return page.text


def put(server: Serving, name: str, content: bytes | str) -> None:
    """Upload a file of the run."""
    assert server.http.put(f"/files/local/p/r/{name}", content=content).status_code == 200


def test_pictures_are_shown_with_caption_and_boxes(server: Serving) -> None:
    server.upsert()
    put(server, PICTURE, b"png")
    boxes = {
        "box_data": [
            {"position": {"minX": 0.1, "maxX": 0.5, "minY": 0.2, "maxY": 0.6}, "class_id": 1},
            {
                "position": {"middle": [50, 20], "width": 20, "height": 10},
                "domain": "pixel",
                "box_caption": "<b>tram",
            },
            {"position": {"minX": "left"}},
        ],
        "class_labels": {"1": "car"},
    }
    put(server, "media/boxes.json", json.dumps(boxes))
    single = {
        "_type": "image-file",
        "path": PICTURE,
        "caption": "a <cat>",
        "width": 100,
        "height": 40,
        "boxes": {"truth": {"path": "media/boxes.json"}},
    }
    many = {"_type": "images/separated", "count": 2, "filenames": [PICTURE, "media/late.png"]}
    text = page_with(server, {"one": single, "val": {"many": many}})
    assert f'<img src="/files/local/p/r/{PICTURE}"' in text
    assert "a &lt;cat&gt;" in text and "<cat>" not in text
    assert "left: 10.0%; top: 20.0%" in text and ">car<" in text
    assert "left: 40.0%; top: 37.5%" in text and "&lt;b&gt;tram" in text
    assert "val.many" in text and "media/late.png has not arrived" in text
    assert "[2 × image]" in text, "the summary names it in a few words"  # noqa: RUF001


def test_what_is_played_has_a_player_and_its_type(server: Serving) -> None:
    server.upsert()
    for name in ("media/a.wav", "media/v.mp4", "media/v.gif"):
        put(server, name, b"bytes")
    summary = {
        "sound": {"_type": "audio-file", "path": "media/a.wav", "caption": "a tone"},
        "film": {"_type": "video-file", "path": "media/v.mp4"},
        "loop": {"_type": "video-file", "path": "media/v.gif"},
    }
    text = page_with(server, summary)
    assert re.search(r'<audio controls [^>]*src="/files/local/p/r/media/a.wav"', text)
    assert re.search(r'<video controls [^>]*src="/files/local/p/r/media/v.mp4"', text)
    assert '<img src="/files/local/p/r/media/v.gif"' in text
    for name, kind in (("a.wav", "audio/"), ("v.mp4", "video/mp4"), ("v.gif", "image/gif")):
        answer = server.http.get(f"/files/local/p/r/media/{name}")
        assert answer.headers["content-type"].startswith(kind)


def test_a_logged_page_is_framed_and_may_do_nothing(server: Serving) -> None:
    server.upsert()
    put(server, "media/p.html", "<script>top.location = 'https://example.org'</script>")
    text = page_with(server, {"page": {"_type": "html-file", "path": "media/p.html"}})
    assert '<iframe sandbox src="/files/local/p/r/media/p.html"' in text
    answer = server.http.get("/files/local/p/r/media/p.html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'") and "script" not in policy
    assert "frame-ancestors 'self'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_beginning_of_a_table_is_shown(server: Serving) -> None:
    server.upsert()
    columns = [f"c{number}" for number in range(30)]
    row = ["<i>", None, float("nan"), {"_type": "image-file"}, [1, {"a": "\ud800"}], *range(25)]
    put(server, "media/t.table.json", json.dumps({"columns": columns, "data": [row] * 400}))
    table = {"_type": "table-file", "path": "media/t.table.json", "nrows": 400, "ncols": 30}
    text = page_with(server, {"t": table})
    assert "400 rows, 30 columns; the first 50 rows, 16 columns" in text
    assert text.count("&lt;i&gt;") == exhibits.MAX_TABLE_ROWS and "<th>c15</th>" in text
    assert "<th>c16</th>" not in text and "[image]" in text
    put(server, "media/t.table.json", b"x" * (exhibits.MAX_FILE_BYTES + 1))
    text = server.http.get("/local/p/runs/r").text
    assert '<a href="/files/local/p/r/media/t.table.json">' in text, "too long: a link"


def test_histograms_are_drawn_by_the_width_of_their_bins(server: Serving) -> None:
    uneven = {"_type": "histogram", "values": [1, 1, 8], "bins": [0, 1, 2, 10]}
    packed = {"_type": "histogram", "values": [2, 4], "packedBins": {"min": -1, "size": 0.5}}
    text = page_with(server, {"uneven": uneven, "packed": packed})
    heights = [float(bar) for bar in re.findall(r'<rect [^>]*height="([\d.]+)"', text)]
    assert heights[:2] == [0.5, 1.0], "packed"
    assert heights[2:] == pytest.approx([1.0, 1.0, 1.0]), "as dense everywhere"
    assert "<span>-1</span><span>0</span>" in text and "<span>0</span><span>10</span>" in text


ODD_MEDIA: list[Any] = [
    {"_type": ["image-file"]},
    {"_type": "image-file", "path": 3, "boxes": [1], "masks": "m", "caption": {"a": 1}},
    {"_type": "image-file", "path": "../../etc/passwd", "width": 10**400},
    {"_type": "images/separated", "filenames": [None, 1, {"path": []}], "captions": {"a": 1}},
    {"_type": "table-file", "path": PICTURE, "nrows": "many", "ncols": None},
    {"_type": "histogram", "values": ["a", None, -1, 10**400], "bins": [3, 2, 1, "x", None]},
    {"_type": "histogram", "values": {}, "packedBins": {"min": "a"}},
    {"_type": "histogram", "values": [1, 2], "bins": [1, 1, 1]},
    {"_type": "audio", "audio": 7, "count": "<u>"},
    {"_type": "none-of-ours", "path": "x"},
]


@pytest.mark.parametrize("value", ODD_MEDIA)
def test_a_page_stands_whatever_a_program_says_of_its_media(server: Serving, value: Any) -> None:
    server.upsert()
    put(server, PICTURE, b'{"columns": 3, "data": {"a": 1}}')
    text = page_with(server, {"it": value})
    assert "<h1>" in text and "<u>" not in text


def test_a_page_has_an_end(server: Serving) -> None:
    histogram = {"_type": "histogram", "values": [1] * 512, "bins": list(range(513))}
    summary: dict[str, Any] = {f"h{number}": histogram for number in range(200)}
    summary["p"] = {"_type": "images/separated", "filenames": ["x.png"] * 108}
    text = page_with(server, summary)
    assert text.count('class="exhibit') == exhibits.MAX_EXHIBITS
    assert text.count("<rect") <= exhibits.MAX_EXHIBITS * exhibits.MAX_BARS


def test_the_console_has_colours_instead_of_escape_sequences(server: Serving) -> None:
    server.upsert()
    line = "\x1b[31mred\x1b[39m \x1b[1;34mblue\x1b[0m\x1b[2K \x1b]0;title\x07<b>plain"
    content = [json.dumps({"ts": "t", "content": line})]
    server.stream({"files": {"output.log": {"offset": 0, "content": content}}})
    text = server.http.get("/local/p/runs/r").text
    assert "\x1b" not in text and "title" not in text.partition("output")[2].partition("files")[0]
    assert '<span class="ansi-red">red</span>' in text
    assert '<span class="ansi-blue ansi-bold">blue</span>' in text and "&lt;b&gt;plain" in text


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain", [("", "plain")]),
        ("", []),
        ("\x1b[91mbright\x1b[m off", [("ansi-red", "bright"), ("", " off")]),
        ("\x1b[38;5;208morange\x1b[0m", [("", "orange")]),
        ("\x1b[1;99999;32mgo", [("ansi-green ansi-bold", "go")]),
        ("cut \x1b[3", [("", "cut \x1b[3")]),
    ],
)
def test_styles_of_a_line(line: str, shown: list[tuple[str, str]]) -> None:
    assert list(ansi.pieces(line)) == shown


def test_the_config_is_the_users(server: Serving) -> None:
    server.upsert(
        config={
            "lr": {"value": 0.1},
            "_wandb": {"value": {"visualize": {"conf": {"panel_type": "Vega2"}}}},
        }
    )
    text = server.http.get("/local/p/runs/r").text
    assert "Vega2" not in text and ">lr<" in text


def test_the_machines_of_a_run_are_shown(server: Serving) -> None:
    node = {"host": "gpu-<7>", "gpu": "H100", "gpu_count": 8, "memory": {"total": str(2**40)}}
    environments = {f"w{index}": {**node, "writerId": f"w{index}"} for index in range(2)}
    server.upsert(config={"_wandb": {"value": {"e": environments}}})
    page = server.http.get("/local/p/runs/r").text
    shown = page.partition("<h2>Machine</h2>")[2]
    assert "gpu-&lt;7&gt;" in shown and "2 processes" in shown
    assert "8 x H100" in shown and "1,024 GiB" in shown


def test_a_browser_gets_a_page_for_what_is_not_there(server: Serving) -> None:
    for address in ("/local/p/runs/<none>", "/nowhere/at/all"):
        answer = server.http.get(address, headers={"accept": "text/html,*/*"})
        assert answer.status_code == 404 and answer.headers["content-type"].startswith("text/html")
        assert "cannot be shown" in answer.text and "<none>" not in answer.text
    assert server.http.get("/local/p/runs/none").json()["errors"], "a program gets JSON"


def test_a_run_that_was_uploaded_later_shows_when_it_ran(server: Serving) -> None:
    began = time.time() - 3 * 86_400
    summary = {"_timestamp": began + 90_000, "_runtime": 90_000, "_wandb": {"runtime": 90_060}}
    server.upsert(summaryMetrics=summary)
    server.stream({"complete": True, "exitcode": 0})
    for address in ("/local/p/runs/r", "/local/p", "/"):
        text = server.http.get(address).text
        assert "1 d 1 h" in text and "3 d 0 h ago" in text
    server.upsert(summaryMetrics={"_timestamp": "soon", "_runtime": float("nan"), "_wandb": [1]})
    assert "0 s" in server.http.get("/local/p/runs/r").text


def test_a_notebook_on_this_machine_may_frame_a_run(server: Serving) -> None:
    server.upsert()
    policy = server.http.get("/local/p/runs/r").headers["content-security-policy"]
    ancestors = policy.partition("frame-ancestors ")[2].split()
    assert ancestors == ["'self'", "http://localhost:*", "http://127.0.0.1:*"]


def test_a_file_that_a_browser_has_is_not_sent_again(server: Serving) -> None:
    server.upsert()
    put(server, PICTURE, b"png")
    address = f"/files/local/p/r/{PICTURE}"
    known = {"if-none-match": server.http.get(address).headers["etag"]}
    again = server.http.get(address, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == known["if-none-match"]
    put(server, PICTURE, b"other")
    assert server.http.get(address, headers=known).content == b"other"


def test_nested_values_have_columns_of_their_own_in_the_order_they_came(server: Serving) -> None:
    server.rows({"_step": 0, "z": 1, "val": {"pic": {"_type": "image-file"}, "acc": 0.123456789}})
    text = server.http.get("/local/p/runs/r").text
    heads = re.findall(r'<th class="num">([^<]*)</th>', text)
    assert heads == ["_step", "z", "val.pic", "val.acc"]
    assert '<td class="num">[image]</td><td class="num">0.123457</td>' in text
