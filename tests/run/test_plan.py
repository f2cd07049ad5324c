import pytest
from throwaway import SCHOOLS, TERM, make_study, notebook, planned

from cobench.declared import Text
from cobench.errors import ParameterError, RunError
from cobench.run.plan import plan_term

TREATMENTS = {
    "home_visit": Text("家访", "home visits"),
    "parent_lecture": Text("家长讲座", "parent lectures"),
}


@pytest.fixture
def study(tmp_path):
    study = make_study(tmp_path)
    folder = study.root / "notebooks"
    notebook(folder / "05_school.ipynb", declared={"each": "school", "order": 5})
    notebook(folder / "00_summary.ipynb", declared={"about": {"zh": "两分钟", "en": "two minutes"}})
    title = {"zh": "{treatment}的成效", "en": "{treatment}: the effect"}
    notebook(folder / "04_effect.ipynb", declared={"each": "treatment", "order": 4, "title": title})
    notebook(folder / "draft_mine.ipynb", declared=None)
    notebook(folder / "_scratch.ipynb", declared=None)
    notebook(folder / "99_helper.ipynb", declared={"report": False})
    return study


def test_every_notebook_is_planned_for_each_member_and_language(study):
    reports = planned(study, treatments=TREATMENTS)
    assert [report.path for report in reports] == [
        "00_summary.zh.html", "00_summary.en.html",
        "04_effect-home_visit.zh.html", "04_effect-home_visit.en.html",
        "04_effect-parent_lecture.zh.html", "04_effect-parent_lecture.en.html",
        "05_school-S01.zh.html", "05_school-S01.en.html", "05_school-S02.zh.html", "05_school-S02.en.html",
    ]  # fmt: skip


def test_a_report_gets_its_parameters_and_title(study):
    summary, *_ = planned(study)
    assert summary.parameters == {"study": ".", "term": TERM, "language": "zh"}
    assert summary.about["en"] == "two minutes"
    effect = next(r for r in planned(study, treatments=TREATMENTS) if r.kind == "04_effect")
    assert effect.parameters["treatment"] == "home_visit"
    assert effect.order == 4
    assert effect.title == Text("家访的成效", "Home visits: the effect")


def test_a_page_on_communities_is_left_out_where_the_study_declares_none(study):
    title = {"zh": "教共体", "en": "communities"}
    notebook(
        study.root / "notebooks" / "06_communities.ipynb", declared={"needs": "communities", "title": title}
    )
    ids = {declares: {r.id for r in planned(study, communities=declares)} for declares in (True, False)}
    assert ids[True] - ids[False] == {"06_communities"}


def test_ids_alone_serve_as_labels(study):
    reports = plan_term(
        study.root / "notebooks", TERM, languages=["en"], treatments=["home_visit"], schools=["S01"]
    )
    assert [report.path for report in reports] == [
        "00_summary.en.html", "04_effect-home_visit.en.html", "05_school-S01.en.html",
    ]  # fmt: skip
    assert reports[1].title.en == "Home_visit: the effect"


@pytest.mark.parametrize(
    ("choice", "ids"),
    [
        ({"only": ["00_summary"]}, {"00_summary"}),
        ({"only": ["05_school-S02"]}, {"05_school-S02"}),
        ({"only": ["04_effect.ipynb"]}, {"04_effect-home_visit", "04_effect-parent_lecture"}),
        ({"only": ["0[04]*"]}, {"00_summary", "04_effect-home_visit", "04_effect-parent_lecture"}),
        ({"school": "S02"}, {"05_school-S02"}),
        ({"school": "S02", "only": ["00_summary", "05_school"]}, {"00_summary", "05_school-S02"}),
    ],
)
def test_only_and_school_choose_reports(study, choice, ids):
    assert {report.id for report in planned(study, treatments=TREATMENTS, **choice)} == ids


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"only": ["04_efect"]}, "--only 04_efect names nothing; did you mean '04_effect'?"),
        ({"school": "S3"}, "--school S3 names nothing"),
    ],
)
def test_a_choice_that_names_nothing_is_refused(study, choice, said):
    with pytest.raises(ParameterError) as caught:
        planned(study, treatments=TREATMENTS, **choice)
    assert said in caught.value.en


def test_a_notebook_that_does_not_say_how_it_is_run_is_refused_with_the_way_out(study):
    notebook(study.root / "notebooks" / "mine.ipynb", declared=None)
    with pytest.raises(RunError) as caught:
        planned(study)
    assert "mine.ipynb" in caught.value.en and "add metadata.cobench" in caught.value.en
    assert "draft_" in caught.value.en and "metadata.cobench" in caught.value.zh


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"each": "class"}, "each must be null, treatment or school"),
        ({"title": {"en": "only English"}}, "title needs zh and en"),
        ({"about": "a sentence"}, "about needs zh and en"),
        ({"order": "first"}, "order must be a whole number"),
        ({"eech": "school"}, "unknown key 'eech'"),
    ],
)
def test_a_declaration_that_is_not_as_documented_is_refused(study, declared, said):
    notebook(study.root / "notebooks" / "mine.ipynb", declared=declared)
    with pytest.raises(RunError) as caught:
        planned(study)
    assert said in caught.value.en and "mine.ipynb" in caught.value.zh


@pytest.mark.parametrize("bad", ["../S01", "S 01", "a/b", ""])
def test_an_id_that_cannot_be_a_file_name_is_refused(study, bad):
    with pytest.raises(RunError):
        planned(study, schools={**SCHOOLS, bad: Text("x", "x")})
