"""Released tables as HTML."""

from html.parser import HTMLParser

import pandas as pd
import pytest

from cobench.errors import ReleaseError
from cobench.release import release_aggregate, release_table
from cobench.show import bullets, heading, md, notice, paragraph, table


class Cells(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.open, self.cells, self.attributes = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag in ("th", "td"):
            self.cells.append("")
            self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("th", "td", "span"):
            self.cells[-1] += data


def coverage():
    frame = pd.DataFrame({"school": ["S01", "S02", "<b>"], "n": [1200, 6, 40], "share": [0.995, 0.5, 0.5]})
    return release_table(frame, counts="n", values=[], shares={"share": (None, "n")}, title="覆盖率")


def shown(**options):
    return table(coverage(), **{"language": "zh", "formats": {"share": "percent"}} | options)


def test_a_table_has_caption_scoped_heads_and_units_in_the_head(labels):
    html = Cells(shown(labels=labels).html)
    assert html.open == []
    assert html.cells[:3] == ["学校", "人数", "比例（%）"]
    assert [a["scope"] for tag, a in html.attributes[:3]] == ["col"] * 3
    assert html.attributes[3] == ("th", {"scope": "row", "class": "short"})
    assert "<caption>覆盖率</caption>" in shown().html


def test_numbers_are_formatted_and_right_aligned(labels):
    html = Cells(shown(labels=labels).html)
    assert html.cells[3:6] == ["第1小学", "1,200", "≥99"]
    assert "num" in html.attributes[4][1]["class"].split()


def test_hidden_cells_show_a_mark_with_its_meaning():
    html = Cells(shown().html)
    assert html.cells[7:9] == ["<10", "n<10"]
    assert html.attributes[7][1]["class"] == "num suppressed"
    for text in ("&lt;10：人数少于 10", "≥、≤"):
        assert text in shown().html


def test_cells_are_escaped():
    assert "<b>" not in shown().html and "&lt;b&gt;" in shown().html
    frame = pd.DataFrame({"rule": ["<script>alert(1)</script>"], "rows": [1]})
    html = table(release_aggregate(frame, about="rules", title="<i>"), language="en", note="<u>").html
    assert not any(tag in html for tag in ("<script", "<i>", "<u>"))


def test_evidence_becomes_badges(estimates, labels):
    html = table(estimates, language="en", labels=labels, columns=["contrast", "evidence", "p_value"]).html
    assert html.count('class="badge"') == len(estimates)
    assert ">0.001<" in html


def test_decimals_follow_the_standard_error(estimates, labels):
    cells = Cells(table(estimates, language="en", columns=["estimate", "std_error"]).html).cells
    assert cells[2:4] == ["0.12", "0.04"]


def test_anything_unreleased_is_refused():
    with pytest.raises(ReleaseError, match="DataFrame is not released"):
        table(pd.DataFrame({"n": [1]}), language="en")


def test_the_plain_text_is_short_and_the_same_every_time(labels):
    frame = pd.DataFrame({"file": [f"f{i}" for i in range(30)], "rows": range(30)})
    released = release_aggregate(frame, about="files")
    text = table(released, language="en").text
    assert text.splitlines()[0] == "file | rows" and text.endswith("… +18")
    assert text == table(released, language="en").text
    assert shown(labels=labels).text.splitlines()[:3] == [
        "覆盖率",
        "学校 | 人数 | 比例（%）",
        "第1小学 | 1,200 | ≥99",
    ]


def test_an_empty_table_says_so():
    assert "没有记录" in table(coverage().head(0), language="zh").html


def test_displayed_objects_publish_html_and_text():
    bundle = paragraph("a < b")._repr_mimebundle_()
    assert bundle == {"text/html": "<p>a &lt; b</p>", "text/plain": "a < b"}


def test_texts_are_escaped_everywhere():
    for piece in (paragraph("<b>"), bullets(["<b>"]), notice("<b>")):
        assert "<b>" not in piece.html and "&lt;b&gt;" in piece.html
    assert md("*x* <b> [a](b)") == r"\*x\* &lt;b&gt; \[a\]\(b\)"


def test_headings_have_anchors():
    assert heading("page.checks", "zh").html == '<h2 id="page-checks">未通过的检查</h2>'
