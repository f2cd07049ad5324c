from __future__ import annotations

import pytest
from questionnaire import EXPECTED, answers, codebook, codebook_text, read, same
from small_study import write_csv

NAMES = ["listens", "reach", "way", "need", "best"]
LABELS = ["The teacher listens", "I can reach the teacher", "Ways of contact", "Help", "Best way"]
KINDS = [("m1", "choice", "agree"), ("m2", "choice", "agree"), ("way", "multiple", "way")]
KINDS += [("need", "ranking", "help"), ("best", "choice", "way")]
CODES = """
[codes.agree]
"0" = "不符合"
"1" = "一般，说不清"
"2" = "符合"
"9" = "不知道"
[codes.way]
"1" = "电话"
"2" = "微信"
"3" = "其他"
"""


def items(headers: list[str]) -> list[tuple]:
    return [
        (item, header, kind, options) for header, (item, kind, options) in zip(headers, KINDS, strict=True)
    ]


RAW = [
    ["record_id", "redcap_event_name", "survey_timestamp", "school", "class", "child", "listens", "reach",
     "way___1", "way___2", "way___3", "need_1", "need_2", "need_3", "best", "survey_complete"],
    [1, "term", "2026-01-05 12:00:00", "一小", "四(1)班", "赵一", 2, 1, 1, 0, 1, 2, 1, 3, 3, 2],
    [2, "term", "2026-01-05 12:00:00", "一小", "四(1)班", "赵一", "", 0, 0, 0, 0, "", "", "", "", 2],
    [3, "term", "2026-01-05 12:00:00", "一小", "四(1)班", "赵一", 0, "", 0, 1, 0, "", "", 1, 1, 2],
    [4, "term", "2026-01-05 12:00:00", "一小", "四(1)班", "赵一", 9, 2, 1, 1, 0, 1, 2, 3, 2, 2],
]  # fmt: skip


def test_raw_codes_and_boxes(tmp_path):
    write_csv(tmp_path / "raw.csv", RAW, "utf-8")
    identify = 'identify = {school = "school", class = "class", name = "child"}\n'
    book = codebook(tmp_path, codebook_text(items(NAMES), identify, CODES))
    found, batch = read(tmp_path / "raw.csv", book)
    same(answers(batch), EXPECTED)
    assert found.how.startswith("REDCap by number")


def test_labels_and_boxes(tmp_path):
    boxes = [f"Ways of contact (choice={option})" for option in ("电话", "微信", "其他")]
    header = ["Record ID", "Survey Timestamp", "School", "Class", "Child", *LABELS[:2], *boxes]
    header += ["Help (作业辅导)", "Help (心理支持)", "Help (家访)", "Best way", "Complete?"]
    ticks = [["Checked" if tick else "Unchecked" for tick in row[8:11]] for row in RAW[1:]]
    agree = {0: "不符合", 1: "一般，说不清", 2: "符合", 9: "不知道", "": ""}
    way = {1: "电话", 2: "微信", 3: "其他", "": ""}
    rows = [
        [
            row[0],
            row[2],
            *row[3:6],
            agree[row[6]],
            agree[row[7]],
            *boxed,
            *row[11:14],
            way[row[14]],
            "Complete",
        ]
        for row, boxed in zip(RAW[1:], ticks, strict=True)
    ]
    write_csv(tmp_path / "labels.csv", [header, *rows], "utf-8")
    identify = 'identify = {school = "School", class = "Class", name = "Child"}\n'
    book = codebook(tmp_path, codebook_text(items(LABELS), identify))
    found, batch = read(tmp_path / "labels.csv", book)
    same(answers(batch), EXPECTED)
    assert found.how.startswith("REDCap by text")


def test_no_box_ticked_may_be_declared_an_answer(tmp_path):
    write_csv(tmp_path / "raw.csv", RAW, "utf-8")
    identify = 'identify = {school = "school", class = "class", name = "child"}\n'
    text = codebook_text(items(NAMES), identify, CODES)
    text = text.replace('kind = "multiple"', 'kind = "multiple"\nnothing_ticked = "zero"')
    found = answers(read(tmp_path / "raw.csv", codebook(tmp_path, text))[1])
    assert found.loc[1, ["way_1", "way_2", "way_3"]].tolist() == [0, 0, 0]


@pytest.mark.parametrize("cell", ["2", "-1", "maybe"])
def test_a_box_that_is_neither_ticked_nor_not_is_an_unlisted_option(tmp_path, cell):
    rows = [list(row) for row in RAW]
    rows[1][9] = cell
    write_csv(tmp_path / "raw.csv", rows, "utf-8")
    identify = 'identify = {school = "school", class = "class", name = "child"}\n'
    _, batch = read(tmp_path / "raw.csv", codebook(tmp_path, codebook_text(items(NAMES), identify, CODES)))
    if cell == "2":  # its own code
        assert answers(batch)["way_2"].iloc[0] == 1
        return
    with pytest.raises(AssertionError, match="row 2: an option that code book"):
        answers(batch)
