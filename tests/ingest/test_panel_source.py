from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cobench import store
from cobench.errors import (
    DuplicateStudentError,
    IngestError,
    MissingColumnError,
    StudyFileError,
    UnreadableFileError,
)
from cobench.ingest.identities import pseudonym
from cobench.ingest.ingest import ingest_term
from cobench.ingest.panel_source import infer_types, panel_cells, tidy_panel
from cobench.ingest.readers import EMPTY, TEXT, Sheet
from cobench.study import Source, load_study

SOURCE = Source(table="panel", files="data/raw/{term}/a.csv", key=("id",))
KEY = b"k" * 32


def cells(text: str) -> pd.DataFrame:
    rows = [line.split(",") for line in text.strip().splitlines()]
    array = np.array([[*row, *[""] * (len(rows[0]) - len(row))] for row in rows], dtype=object)
    return panel_cells(Sheet("", array, np.where(array == "", EMPTY, TEXT).astype(np.uint8)), "a.csv")


def tidy(text: str, **changes) -> pd.DataFrame:
    made = tidy_panel(
        cells(text), replace(SOURCE, **changes), study_id="x", key=KEY, term_id="t", label="a.csv"
    )
    return made.tables["panel_source"]


def test_types_are_inferred_from_every_value_or_not_at_all():
    typed = infer_types(
        pd.DataFrame(
            {
                "whole": ["1", "-2", "3"],
                "gaps": ["1", "NA", ""],
                "real": ["1.0", ".5", "1e3"],
                "text": ["1", "2", "3a"],
                "code": ["007", "010", "100"],
                "truth": ["TRUE", "false", "."],
                "nothing": ["", "NA", "."],
            },
            dtype="object",
        )
    )
    kinds = {name: str(dtype) for name, dtype in typed.dtypes.items()}
    assert kinds == {
        "whole": "int64", "gaps": "Int64", "real": "float64", "text": "str", "code": "str", "truth": "boolean",
        "nothing": "float64",
    }  # fmt: skip
    assert typed["gaps"].isna().tolist() == [False, True, True]
    assert typed["code"].tolist() == ["007", "010", "100"]


def test_columns_are_derived_and_rows_filtered_in_sql():
    made = tidy(
        "id,read,math,kind\n1,10,5,a\n2,20,NA,a\n3,30,5,b\n",
        derive={"score": "read + math", "kind": "'kind ' || kind"},
        filter="read < 25 and kind = 'kind a'",
    )
    assert made["score"].fillna(-1).tolist() == [15, -1]
    assert made["kind"].tolist() == ["kind a", "kind a"]
    assert list(made.columns) == ["rid", "read", "math", "score", "kind", "student", "term"]


def test_the_key_becomes_a_pseudonym_and_leaves_the_table():
    made = tidy("id,x\n11,1\n12,2\n")
    assert made["student"].tolist() == [pseudonym(KEY, "x", "student", each) for each in ("11", "12")]
    assert "id" not in made


def test_a_part_of_a_key_that_tells_nobody_apart_stays():
    made = tidy("school,child,x\na,1,1\na,2,2\nb,1,3\n", key=("school", "child"))
    assert made[["school", "child"]].values.tolist() == [["a", 1], ["a", 2], ["b", 1]]
    assert made["student"].is_unique


def test_the_row_of_the_file_can_be_the_key():
    made = tidy("x,y\n1,2\n1,2\n", key=("row_number",))
    assert made["student"].tolist() == [pseudonym(KEY, "x", "student", each) for each in ("2", "3")]
    assert "row_number" not in made


def test_rows_are_accepted_filtered_blank_or_in_quarantine():
    made = tidy_panel(
        cells("id,x\n1,1\n,2\nNA,.\n3,9\n"),
        replace(SOURCE, filter="x < 5"),
        study_id="x", key=KEY, term_id="t", label="a.csv",
    )  # fmt: skip
    assert made.tables["panel_source"]["rid"].tolist() == [2]
    assert made.quarantined[["rid", "rule"]].values.tolist() == [[3, "blank_required"]]
    assert sorted(made.non_data[["rid", "rule"]].values.tolist()) == [[4, "blank"], [5, "filtered"]]


def test_a_key_that_stands_twice_is_named_by_row():
    with pytest.raises(DuplicateStudentError, match=r"a\.csv.*rows 2, 4") as caught:
        tidy("id,x\n771177,1\n2,2\n771177,3\n")
    assert "771177" not in caught.value.en


def test_a_missing_key_column_is_named():
    with pytest.raises(MissingColumnError, match="missing key column id"):
        tidy("ident,x\n1,1\n")


@pytest.mark.parametrize(
    "changes", [{"derive": {"y": "nosuch + 1"}}, {"filter": "nosuch = 1"}, {"filter": "x ="}]
)
def test_an_expression_that_cannot_be_evaluated_is_the_studys_error(changes):
    with pytest.raises(StudyFileError, match="derive or filter"):
        tidy("id,x\n1,1\n", **changes)


def test_an_error_of_evaluation_does_not_repeat_a_cell():
    with pytest.raises(StudyFileError) as caught:
        tidy("id,x\n1,Zaphod\n", derive={"y": "cast(x as integer)"})
    assert "Zaphod" not in caught.value.en + caught.value.zh


def test_expressions_cannot_read_other_files(tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(StudyFileError):
        tidy("id,x\n1,1\n", filter=f"x in (select a from read_csv('{secret.as_posix()}'))")


def test_more_cells_than_headers_are_refused():
    array = np.array([["id", "x", ""], ["1", "2", "3"]], dtype=object)
    with pytest.raises(UnreadableFileError, match="row 2"):
        panel_cells(Sheet("", array, np.full(array.shape, TEXT, dtype=np.uint8)), "a.csv")


STUDY = """
[study]
id = "x"
label = "x"
[[terms]]
id = "t"
start = 2025-09-01
end = 2026-01-23
[[sources]]
table = "panel"
files = "data/raw/{term}/*.csv"
key = ["id"]
"""


def test_a_panel_file_goes_through_the_same_door(tmp_path):
    folder = tmp_path / "data" / "raw" / "t"
    folder.mkdir(parents=True)
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    (folder / "a.csv").write_text("id,x\n1,1\n2,2\n", encoding="utf-8")
    (folder / "readme.txt").write_text("notes")
    study = load_study(tmp_path)
    result = ingest_term(study, "t", key=KEY)
    shown = result.files.set_index("file")[["kind", "rows_in", "accepted", "non_data"]]
    assert shown.loc["data/raw/t/a.csv"].tolist() == ["panel", 3, 2, 1]
    assert shown.loc["data/raw/t/readme.txt", "kind"] == "unrecognised"
    stored = store.read_table(study, "panel_source", ["t"])
    assert list(stored.columns) == ["x", "student", "term"]
    (folder / "b.csv").write_text("id,x\n1,1\n", encoding="utf-8")
    with pytest.raises(IngestError, match="2 files where one is wanted"):
        ingest_term(study, "t", key=KEY)
