import re

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from throwaway import page_context

from cobench.declared import Text
from cobench.run.index import grouped, render_index, school_rows, with_change
from cobench.run.verify_page import verify_page


def entry(report_id: str, language: str, state: str = "ok", **changes) -> dict:
    plain = {
        "id": report_id,
        "language": language,
        "title": {"zh": f"报告 {report_id}", "en": f"Report {report_id}"},
        "about": None,
        "each": None,
        "member": None,
        "notebook": f"notebooks/{report_id.split('-')[0]}.ipynb",
        "state": state,
        "reason": {"zh": "原因", "en": "the reason"} if state != "ok" else None,
        "finished": "2026-07-12T10:00:00+08:00",
        "page": f"{report_id}.{language}.html",
    }
    return plain | changes


def school(code: str, language: str, state: str = "ok") -> dict:
    return entry(f"05_school-{code}", language, state, each="school", member=code)


ENTRIES = [
    entry("00_summary", "zh", about={"zh": "两分钟", "en": "Two minutes"}),
    entry("00_summary", "en"),
    entry("04_effect-home_visit", "zh", each="treatment", member="home_visit"),
    entry("04_effect-home_visit", "en", "withheld", each="treatment", member="home_visit"),
    school("S02", "zh"),
    school("S02", "en"),
    school("S01", "zh", "failed"),
    school("S01", "en"),
]
FIGURES = pd.DataFrame(
    {
        "school": ["S01", "S02", "S03"],
        "name": ["晨光小学", "育才<小学>", "清河小学"],
        "visit_coverage": [0.625, float("nan"), 1.0],
        "lecture_attendance": [0.0, 0.5, None],
        "standards_met": [7, 3, None],
        "standards_judged": [9, 8, None],
    }
)


def manifest(entries=ENTRIES) -> dict:
    return {
        "term": "2025-2026-2",
        "finished": "2026-07-12T10:00:00+08:00",
        "versions": {"cobench": "0.1.0", "Python": "3.11"},
        "settings": {"study.toml": "ab" * 32},
        "raw_files_sha256": "cd" * 32,
        "counts": {"ok": 6, "failed": 1, "withheld": 1},
        "reports": entries,
    }


@pytest.fixture
def soup():
    html = render_index(
        manifest(),
        context=page_context(),
        language="zh",
        schools=FIGURES,
        downloads={"estimates.parquet": Text("估计", "estimates")},
    )
    return BeautifulSoup(html, "html.parser")


def test_a_report_is_as_bad_as_its_worst_language():
    states = {group.id: group.state for group in grouped(ENTRIES, "2026-07-12")}
    assert states == {
        "00_summary": "ok", "04_effect-home_visit": "withheld", "05_school-S02": "ok", "05_school-S01": "failed",
    }  # fmt: skip


def test_the_summary_card_comes_first_and_school_reports_are_no_cards(soup):
    cards = soup.find_all(class_="card")
    assert [card.h3.find(lang="en").get_text() for card in cards] == [
        "Report 00_summary", "Report 04_effect-home_visit",
    ]  # fmt: skip
    assert cards[0].find(class_="first") and "Two minutes" in cards[0].get_text()


def test_schools_stand_by_code_with_their_figures_and_dashes_for_what_is_missing(soup):
    rows = [
        [" ".join(cell.find_all(string=True, recursive=False)).strip() or cell.get_text(" ", strip=True) for cell in row.find_all("td", class_="num")]
        for row in soup.find("tbody").find_all("tr")
    ]  # fmt: skip
    assert [row[0].split()[0] for row in rows] == ["62.5", "–", "100.0"]
    assert [row[1].split()[0] for row in rows] == ["0.0", "50.0", "–"]
    assert [row[2] if "/" in row[2] else row[2].split()[0] for row in rows] == ["7 / 9", "3 / 8", "–"]
    heads = [row.find("th").get_text(" ", strip=True) for row in soup.find("tbody").find_all("tr")]
    assert "S01" in heads[0] and "育才<小学>" in heads[1] and "S03" in heads[2]


def test_failed_and_withheld_rows_keep_a_plain_reason_and_their_links(soup):
    first, second, third = soup.find("tbody").find_all("tr")
    assert first["data-state"] == "failed" and "the reason" in first.get_text() and "原因" in first.get_text()
    assert second["data-state"] == "ok" and "the reason" not in second.get_text()
    assert third["data-state"] == ""
    links = [link["href"] for link in first.find(class_="links").find_all("a")]
    assert links == ["05_school-S01.zh.html", "05_school-S01.en.html"]


def test_every_visible_text_is_there_in_both_languages(soup):
    pairs = [span for span in soup.find_all(class_="t")]
    chinese = sum(span["lang"] == "zh-CN" for span in pairs)
    assert chinese == len(pairs) - chinese > 20
    for control in soup.find_all(["option", "select", "input"]):
        assert control["data-zh"] and control["data-en"]
    assert (
        soup.main["data-title-zh"] == "示例区 · 第二学期"
        and soup.main["data-title-en"] == "Small District · Spring term"
    )
    assert [button["data-language"] for button in soup.find_all("button")] == ["zh", "en"]


def test_counts_filters_downloads_and_provenance_are_there(soup):
    assert re.findall(r"\d+", soup.find(class_="counts").get_text()) == ["6", "1", "1"]
    assert [option["value"] for option in soup.find(id="by-kind").find_all("option")] == [
        "", "00_summary", "04_effect", "05_school",
    ]  # fmt: skip
    assert [option["value"] for option in soup.find(id="by-state").find_all("option")] == [
        "",
        "ok",
        "stale",
        "failed",
        "withheld",
    ]
    assert soup.find("a", href="estimates.parquet").has_attr("download")
    assert "abab abab abab abab" in soup.footer.get_text() and soup.find("a", href="run.json")


def test_without_figures_schools_are_listed_by_code_alone():
    rows = school_rows([group for group in grouped(ENTRIES, "") if group.each == "school"], None, [])
    assert [(row.id, row.name, row.cells, row.state) for row in rows] == [
        ("S01", "S01", (), "failed"), ("S02", "S02", (), "ok"),
    ]  # fmt: skip


def test_a_study_without_schools_has_no_table():
    html = render_index(manifest(ENTRIES[:2]), context=page_context(), language="en")
    assert "<table" not in html and 'lang="en"' in html


def test_reports_kept_from_an_earlier_run_show_their_date():
    kept = [entry("00_summary", "zh", carried_over=True, finished="2026-07-01T09:00:00+08:00")]
    html = render_index(manifest(kept), context=page_context(), language="en")
    assert "from 2026-07-01" in html and "2026-07-01 生成" in html


def test_a_kept_page_is_stale_where_data_settings_or_cobench_changed_since():
    inputs = {"data": "cd" * 32, "settings": {"study.toml": "ab" * 32}, "cobench": "0.1.0"}
    for name, reason in [("data", "data have changed"), ("settings", "study.toml"), ("cobench", "version")]:
        kept = entry("00_summary", "en", carried_over=True, inputs=inputs | {name: "old"})
        soup = BeautifulSoup(
            render_index(manifest([kept]), context=page_context(), language="en"), "html.parser"
        )
        assert soup.find("li", class_="card")["data-state"] == "stale" and reason in soup.get_text()
    fresh = entry("00_summary", "en", carried_over=True, inputs=inputs)
    html = render_index(manifest([fresh]), context=page_context(), language="en")
    assert 'data-state="ok"' in html and 'data-state="stale"' not in html


def test_the_change_on_last_term_is_the_difference_of_what_both_indexes_printed(tmp_path):
    last = tmp_path / "index.html"
    before = FIGURES.assign(visit_coverage=[0.6004, 0.5, float("nan")])
    html = render_index(manifest(), context=page_context(), language="en", schools=before)
    last.write_text(html, encoding="utf-8")
    changed = with_change(FIGURES, last)
    assert changed["change"].iloc[0] == pytest.approx(2.5) and changed["change"].iloc[1:].isna().all()
    soup = BeautifulSoup(
        render_index(manifest(), context=page_context(), language="en", schools=changed), "html.parser"
    )
    first = soup.find("tr", attrs={"data-school": "S01"})
    assert [cell.get_text() for cell in first.find_all("td", class_="num")][:2] == ["62.5", "+2.5"]
    assert with_change(FIGURES, tmp_path / "nowhere.html") is FIGURES


def test_an_index_can_be_held_against_what_it_carries(tmp_path):
    path = tmp_path / "index.html"
    html = render_index(manifest(), context=page_context(), language="en", schools=FIGURES)
    path.write_text(html, encoding="utf-8")
    assert verify_page(path).fine
    path.write_text(html.replace("62.5", "92.5", 1), encoding="utf-8")
    assert not verify_page(path).fine


def test_without_scripts_everything_is_listed_and_no_dead_control_is_shown(soup):
    assert soup.find(class_="controls").has_attr("hidden")
    assert not [item for item in soup.find_all(class_="item") if item.has_attr("hidden")]
