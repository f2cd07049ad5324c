"""Claims about the wrong-report guard: reports about another school or term fail, true coincidences don't."""

import html
import json
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from throwaway import PARAMETERS, TERM, make_study, notebook, planned, run

from cobench import store
from cobench.declared import Text
from cobench.run.execute import Outcome
from cobench.run.guard import check_reports
from cobench.run.plan import Report
from cobench.show.figure import TABLE_MIME

SCHOOL_PARAMETERS = PARAMETERS + 'school: str = "S01"\n'
OPEN = "from cobench import open_study\ndesk = open_study(study, term, language)"
THREE = {school: Text(school, school) for school in ("S01", "S02", "S03")}


def report(school: str, notebook: Path = Path("70_school.ipynb")) -> Report:
    title = Text("x", "x")
    return Report(
        f"70_school-{school}", notebook, {}, "en", title, f"70_school-{school}.en.html", "school", school
    )


def outcome(folder: Path, school: str, *outputs: str | dict, reads=(("stage", TERM, "reach"),), ledger=None):
    """A finished report whose cells show ``outputs``."""
    shown = [
        new_output("display_data", data={"text/html": each} if isinstance(each, str) else each)
        for each in outputs
    ]
    path = folder / f"{school}.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("x", outputs=shown)]), path)
    return Outcome(report(school), "ok", 1.0, notebook=path, reads=tuple(reads), ledger=ledger)


def table(*numbers) -> str:
    return "<table>" + "".join(f"<tr><td>{number}</td></tr>" for number in numbers) + "</table>"


def checked(outcomes, **choices) -> dict[str, str]:
    """English reason by school of what is wrong."""
    found = check_reports(outcomes, term=TERM, **choices)
    return {each.report.member: each.reason.en for each in found if each.state != "ok"}


def test_reports_of_three_schools_with_figures_of_their_own_pass(tmp_path):
    district = table(431, 38.5, 77.2, 90.4, 1204)
    outcomes = [
        outcome(tmp_path, school, district, table(*(start + step for step in (0, 11, 23, 34))))
        for school, start in (("S01", 101), ("S02", 202), ("S03", 303))
    ]
    assert checked(outcomes) == {}


def test_rows_read_of_another_school_fail_the_report(tmp_path):
    outcomes = [
        outcome(tmp_path, "S01", table(1), reads=[("own", TERM, "panel", "S01")]),
        outcome(tmp_path, "S02", table(1), reads=[("own", TERM, "panel", "S01")]),
    ]
    assert checked(outcomes) == {"S02": "The report uses data of another school."}


@pytest.mark.parametrize(
    ("reads", "also", "wrong"),
    [
        ([("stage", TERM, "reach"), ("stage", "2025-2026-1", "estimates")], ["2025-2026-1"], False),
        ([("stage", TERM, "reach"), ("stage", "2026-2027-1", "estimates")], ["2025-2026-1"], True),
        ([("stage", "2025-2026-1", "reach")], ["2025-2026-1"], True),
        ([("table", "schools", "all")], [], False),
    ],
)
def test_a_report_reads_its_own_term_and_earlier_ones_at_most_beside_it(tmp_path, reads, also, wrong):
    found = checked([outcome(tmp_path, "S01", reads=reads)], also=also)
    assert found == ({"S01": "The report uses data of another term."} if wrong else {})


def test_a_released_table_of_another_school_alone_fails_the_report(tmp_path):
    def noted(name, *schools):
        counts = [
            {"key": ["classes", "n", [["school", school]]], "value": 40, "known": True, "low": 40, "high": 40}
            | {"secret": False, "weight": 1.0}
            for school in schools
        ]
        path = tmp_path / name
        path.write_text(json.dumps({"table": "t", "counts": counts, "sums": []}) + "\n")
        return path

    district, other = noted("district.jsonl", "S01", "S02"), noted("other.jsonl", "S01")
    outcomes = [outcome(tmp_path, "S02", ledger=district), outcome(tmp_path, "S03", ledger=other)]
    assert checked(outcomes) == {"S03": "The report uses data of another school."}


def test_a_table_that_two_of_three_schools_share_fails_both_and_not_the_third(tmp_path):
    rows = {"S01": (412, 33.1, 57.9, 88), "S02": (412, 33.1, 57.9, 88), "S03": (95, 12.0, 41.3, 77)}
    outcomes = [outcome(tmp_path, school, table(*numbers)) for school, numbers in rows.items()]
    assert set(checked(outcomes)) == {"S01", "S02"}
    assert set(checked(outcomes, populations={"S01": 1, "S02": 2, "S03": 3})) == {"S01", "S02"}
    alike = {"S01": (412, 30), "S02": (412, 30), "S03": (95, 7)}
    assert checked(outcomes, populations=alike) == {}, "schools that are alike may have the same figures"


def test_a_figure_is_known_by_the_numbers_behind_it(tmp_path):
    def figure(*numbers):
        return {"image/png": "aaaa", TABLE_MIME: table(*numbers)}

    shared = figure(412, 33.1, 57.9, 88)
    outcomes = [
        outcome(tmp_path, "S01", table(501, 502, 503, 504), shared),
        outcome(tmp_path, "S02", table(601, 602, 603, 604), shared),
        outcome(tmp_path, "S03", table(701, 702, 703, 704), figure(95, 12.5, 41.3, 77)),
    ]
    assert set(checked(outcomes)) == {"S01", "S02"}


@pytest.mark.parametrize(
    "same",
    [
        (0, 1, "0 of 1", "3 / 5"),
        ("100.0", "100.0", "100.0", "100.0", "100.0"),
        ("2022", "2023", "2024", "2025", "2026-03-02"),
        ("<10", "<10", "–", "≥95%"),
    ],
)
def test_small_true_coincidences_pass(tmp_path, same):
    rows = {"S01": same, "S02": same, "S03": (95, 12.5, 41.3, 77)}
    assert checked([outcome(tmp_path, school, table(*row)) for school, row in rows.items()]) == {}


def test_the_same_page_for_every_school_fails_all_of_them(tmp_path):
    outcomes = [outcome(tmp_path, school, table(412, 33.1, 57.9, 88)) for school in THREE]
    assert set(checked(outcomes)) == set(THREE)
    images = [outcome(tmp_path, school, {"image/png": "aaaa"}) for school in THREE]
    assert set(checked(images)) == set(THREE)
    words = [outcome(tmp_path, school, "<p>Nothing was sent this term.</p>") for school in THREE]
    assert checked(words) == {}


# ---- in runs ----------------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path):
    study = make_study(tmp_path)
    panel = pd.DataFrame(
        {
            "student": [f"s{number}" for number in range(12)],
            "school": ["S01"] * 4 + ["S02"] * 4 + ["S03"] * 4,
            "x": [float(11 * number + 101) for number in range(12)],
        }
    )
    frames = {"panel": panel, "reach": panel.groupby("school").size().rename("n_students").reset_index()}
    store.write_stage(study, TERM, "k1", frames)
    return study


def test_notebooks_that_read_or_show_the_wrong_school_fail_the_run_and_are_not_published(study):
    declared = {"each": "school", "title": {"zh": "{school}", "en": "{school}"}}
    show = "print(*desk.own('panel', {school})['x'])"
    plain = "frame = desk.derived('panel')\nprint(*frame[frame['school'] == {school}]['x'])"
    sources = {
        "10_right": show.format(school="school"),
        "20_reads": show.format(school="'S01'"),
        "30_shows": plain.format(school="'S01'"),
        "40_leftover": plain.format(school="('S02' if school == 'S03' else school)"),
    }
    for name, source in sources.items():
        notebook(
            study.root / "notebooks" / f"{name}.ipynb", OPEN, source,
            declared=declared, parameters=SCHOOL_PARAMETERS,
        )  # fmt: skip
    result, _ = run(study, planned(study, languages=("en",), schools=THREE))
    wrong = {each.report.id: each.reason.en.split(":")[0] for each in result.outcomes if each.state != "ok"}
    other = "The report uses data of another school."
    everywhere = "Every school's page shows the same"
    same = "Figures of the report are the same as another school's"
    assert wrong == {
        **{f"20_reads-{school}": other for school in ("S02", "S03")},
        **{f"30_shows-{school}": everywhere for school in THREE},
        **{f"40_leftover-{school}": same for school in ("S02", "S03")},
    }
    assert result.exit_code == 1
    page = (study.root / "reports" / TERM / "30_shows-S01.en.html").read_text(encoding="utf-8")
    assert everywhere in html.unescape(page) and "112.0" not in page
    notes = {path.name for path in (study.root / "private" / "cache" / TERM).iterdir() if path.is_dir()}
    assert notes == {f"10_right-{school}.en" for school in THREE} | {"20_reads-S01.en", "40_leftover-S01.en"}


def bare(content: str) -> dict:
    return {"image/png": content, "text/plain": "<Figure>"}


def test_a_bare_image_that_two_of_three_schools_share_fails_both(tmp_path):
    def page(school, image, start):
        return outcome(tmp_path, school, table(*(start + step for step in (0, 11, 23, 34))), bare(image))

    outcomes = [page("S01", "aaaa", 101), page("S02", "aaaa", 202), page("S03", "bbbb", 303)]
    assert set(checked(outcomes)) == {"S01", "S02"}
    assert checked(outcomes, populations=dict.fromkeys(("S01", "S02", "S03"), 7)) == {}


def test_a_bare_image_of_the_district_on_every_page_passes(tmp_path):
    outcomes = [
        outcome(tmp_path, school, table(*(start + step for step in (0, 11, 23, 34))), bare("district"))
        for school, start in (("S01", 101), ("S02", 202), ("S03", 303))
    ]
    assert checked(outcomes) == {}


def named(own: str, *numbers, extra: tuple = ()) -> dict:
    """An output whose carried rows name a school."""
    columns = ["school", *(f"c{i}" for i in range(len(numbers)))]
    carried = {"kind": "table", "columns": columns, "rows": [[own, *numbers], *extra]}
    return {"text/html": table(*numbers), "application/vnd.cobench.carried+json": [carried]}


SAME, OTHER = (38, 44.7, 23.7, 18.5, 55), (27, 51.3, 32.1, 12.5, 68)


def test_rows_that_name_their_own_school_may_have_the_numbers_of_another(tmp_path):
    """Of sixty small schools three had the same five numbers of one programme."""
    shown = {"S01": SAME, "S02": SAME, "S03": OTHER}
    pages = [outcome(tmp_path, school, named(school, *numbers)) for school, numbers in shown.items()]
    assert checked(pages) == {}


@pytest.mark.parametrize("wrong", [("S09",), ("S09", "S01"), ("S01",)])
def test_rows_that_name_another_school_or_several_may_not(tmp_path, wrong):
    shown = {"S01": SAME, "S02": SAME, "S03": OTHER}
    extra = tuple([each, *SAME] for each in wrong[1:])
    pages = [
        outcome(tmp_path, school, named(school if school == "S03" else wrong[0], *numbers, extra=extra))
        for school, numbers in shown.items()
    ]
    assert "S02" in checked(pages)
