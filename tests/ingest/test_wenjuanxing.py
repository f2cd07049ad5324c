from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_study import CODEBOOK, SURVEY_HEADER, response

from cobench.errors import MissingColumnError, UnknownLevelError, UnreadableFileError
from cobench.ingest import wenjuanxing
from cobench.ingest.codebook import load_codebook
from cobench.ingest.readers import EMPTY, TEXT, Sheet

LABEL = "data/raw/t/900_按文本_家长问卷_1_1.xlsx"


@pytest.fixture
def codebook(tmp_path):
    path = tmp_path / "parents.toml"
    path.write_text(CODEBOOK, encoding="utf-8")
    return load_codebook(path)


def sheet(header: list[str], *rows: list) -> Sheet:
    width = max(len(row) for row in (header, *rows))
    lines = [[*map(str, row), *[""] * (width - len(row))] for row in (header, *rows)]
    text = np.array(lines, dtype=object)
    return Sheet("Sheet1", text, np.where(text == "", EMPTY, TEXT).astype(np.uint8))


def test_only_questions_of_the_codebook_and_the_time_are_read(codebook):
    found = wenjuanxing.locate(sheet(SURVEY_HEADER, response(1, "三(1)班", "赵一")), codebook, LABEL)
    columns = set(found.cells.columns) - {"sheet", "row"}
    assert columns == {"submitted", "school", "class", "student_name", "p1", "p2"}
    assert not found.cells.isin(["203.0.113.7(示例)", "谢谢老师", "微信"]).any(axis=None)


def test_further_columns_of_the_platform_are_left_out(codebook):
    header = [*SURVEY_HEADER[:6], "总分", "昵称", "openid", *SURVEY_HEADER[6:]]
    row = response(1, "三(1)班", "赵一")
    found = wenjuanxing.locate(sheet(header, [*row[:6], "9", "妈妈", "oX1", *row[6:]]), codebook, LABEL)
    assert not found.cells.isin(["妈妈", "oX1"]).any(axis=None)


def test_the_other_matrix_header_of_the_platform_fits_too(codebook):
    header = [
        name.replace("4、家校沟通—", "第4题(") + ")" if name.startswith("4、") else name
        for name in SURVEY_HEADER
    ]
    assert "第4题(老师愿意听我说)" in header
    found = wenjuanxing.locate(sheet(header, response(1, "三(1)班", "赵一")), codebook, LABEL)
    assert found.cells["p1"].tolist() == ["符合"]


def test_look_alike_radicals_and_dashes_in_headers_do_not_matter(codebook):
    header = [name.replace("—老", "⸺老".replace("⸺", "——")).replace("5、", "５、") for name in SURVEY_HEADER]
    assert len(wenjuanxing.locate(sheet(header, response(1, "三(1)班", "赵一")), codebook, LABEL).cells) == 1


def test_an_export_by_number_is_refused(codebook):
    with pytest.raises(UnreadableFileError, match="by option text"):
        wenjuanxing.locate(sheet(SURVEY_HEADER), codebook, LABEL.replace("按文本", "按序号"))


def test_a_file_of_another_kind_is_refused(codebook):
    with pytest.raises(UnreadableFileError, match="not recognised as a 问卷星 export"):
        wenjuanxing.locate(sheet(["姓名", "班级"], ["赵一", "三(1)班"]), codebook, LABEL)


def test_a_question_that_is_gone_is_named(codebook):
    header = [name for name in SURVEY_HEADER if "我能联系到老师" not in name]
    with pytest.raises(MissingColumnError, match="4、家校沟通—我能联系到老师 is missing") as caught:
        wenjuanxing.locate(sheet(header), codebook, LABEL)
    assert LABEL in caught.value.zh


def test_a_new_question_stops_the_run(codebook):
    with pytest.raises(UnknownLevelError, match="column M"):
        wenjuanxing.locate(sheet([*SURVEY_HEADER, "6、新加的题"]), codebook, LABEL)


def test_a_question_that_is_there_twice_is_refused(codebook):
    with pytest.raises(MissingColumnError, match="there twice"):
        wenjuanxing.locate(sheet([*SURVEY_HEADER, SURVEY_HEADER[9]]), codebook, LABEL)


def test_unknown_options_are_named_by_question_and_row_with_the_allowed_ones(codebook):
    cells = pd.DataFrame(
        {
            "file": LABEL,
            "sheet": "Sheet1",
            "row": [2, 3, 4],
            "p1": ["符合", "很 符合", "(空)"],
            "p2": "不符合",
        }
    )
    errors = wenjuanxing.unknown_options(cells, codebook)
    assert len(errors) == 1
    for part in (LABEL, "4、家校沟通—老师愿意听我说", "row 3:", "不符合 | 一般，说不清 | 符合"):
        assert part in errors[0].en
    assert "很 符合" not in errors[0].en + errors[0].zh


def test_the_three_kinds_of_missing_answers_are_kept_apart(codebook):
    texts = pd.Series(["符合", "一般,说不清", "", "(空)", "(跳过)", "〖跳过〗", "不知道"], dtype="object")
    found = wenjuanxing.answers(texts, codebook.coded[0], codebook)
    assert found["value"].fillna(-1).tolist() == [3, 2, -1, -1, -1, -1, -1]
    assert found["missing_reason"].fillna("").tolist() == [
        "", "", "blank", "blank", "skipped", "skipped", "dont_know",
    ]  # fmt: skip
    assert found["raw"].tolist() == ["符合", "一般，说不清", "(空)", "(空)", "(跳过)", "(跳过)", "不知道"]
