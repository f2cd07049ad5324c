from __future__ import annotations

import csv

import pytest
from questionnaire import EXPECTED, answers, codebook, codebook_text, read, same

from cobench.errors import UnreadableFileError

OWN = ["StartDate", "EndDate", "Status", "IPAddress", "Progress", "Finished", "RecordedDate", "ResponseId"]
NAMES = ["Q1", "Q2", "Q3", "Q4_1", "Q4_2", "Q5", "Q5_3_TEXT", "Q6_1", "Q6_2", "Q6_3", "Q7", "Q7_3_TEXT", "Q8"]
TEXTS = [
    "School", "Class", "Child's name", "Contact - The teacher listens", "Contact - I can reach the teacher",
    "Ways of contact - Selected Choice", "Ways of contact - 其他 - Text", "Help - 作业辅导", "Help - 心理支持", "Help - 家访",
    "Best way - Selected Choice", "Best way - 其他 - Text", "Anything\nelse?",
]  # fmt: skip
ITEMS = [
    ("m1", "Q4_1", "choice", "agree"),
    ("m2", "Contact - I can reach the teacher", "choice", "agree"),
    ("way", "Q5", "multiple", "way"),
    ("need", "Q6", "ranking", "help"),
    ("best", "Q7", "choice", "way"),
    ("open", "Q8", "text", None),
]
IDENTIFY = 'identify = {school = "Q1", class = "Q2", name = "Q3"}\n'


def lead(number: int, status: str = "IP Address") -> list:
    times = ["2026-01-05 11:58:00", "2026-01-05 12:00:00"]
    return [
        *times,
        status,
        "203.0.113.7",
        100,
        "True",
        "2026-01-05 12:00:01",
        f"R_{number}",
        "一小",
        "四(1)班",
        "赵一",
    ]


ROWS = [
    [*lead(1), "符合", "一般，说不清", "电话,其他", "托人带话", 2, 1, 3, "其他", "托人", "谢谢"],
    [*lead(2), "", "不符合", "", "", "", "", "", "", "", ""],
    [*lead(3), "不符合", "-99", "微信", "", "", "", 1, "电话", "", ""],
    [*lead(4), "不知道", "符合", "电话,微信", "", 1, 2, 3, "微信", "", ""],
    [*lead(5, "Survey Preview"), "符合", "符合", "电话", "", 1, 2, 3, "微信", "", ""],
]


def write(path, rows: list[list], imports: bool = True):
    header = [[*OWN, *NAMES], [*OWN, *TEXTS], [f'{{"ImportId":"{name}"}}' for name in [*OWN, *NAMES]]]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([*(header if imports else header[:2]), *rows])
    return path


def test_three_header_rows_and_test_entries_are_told_from_answers(tmp_path):
    found, batch = read(write(tmp_path / "a.csv", ROWS), codebook(tmp_path, codebook_text(ITEMS, IDENTIFY)))
    same(answers(batch), EXPECTED)
    assert found.how.startswith("Qualtrics by text") and "header row 1-3" in found.how
    assert found.non_data["rule"].tolist() == ["header"] * 3 + ["test_entry"]
    assert not batch.cells.isin(["203.0.113.7", "托人带话", "托人", "谢谢", "R_1"]).any(axis=None)


def test_choice_values_instead_of_texts_go_by_the_codes_of_the_code_book(tmp_path):
    rows = [[*lead(1), 11, 12, "1,3", "", 2, 1, 3, 3, "", ""]]
    path = write(tmp_path / "a.csv", rows)
    codes = '[codes.agree]\n"13" = "不符合"\n"12" = "一般，说不清"\n"11" = "符合"\n'
    codes += '[codes.way]\n"1" = "电话"\n"2" = "微信"\n"3" = "其他"\n'
    same(answers(read(path, codebook(tmp_path, codebook_text(ITEMS, IDENTIFY, codes)))[1]), EXPECTED.head(1))


def test_codes_that_the_code_book_does_not_give_are_never_guessed(tmp_path):
    rows = [[*lead(1), 1, 2, "1,3", "", 2, 1, 3, 3, "", ""]]
    _, batch = read(write(tmp_path / "a.csv", rows), codebook(tmp_path, codebook_text(ITEMS, IDENTIFY)))
    with pytest.raises(AssertionError, match=r"a code goes under codes\.agree"):
        answers(batch)


def test_an_export_without_its_third_header_row_is_refused(tmp_path):
    with pytest.raises(UnreadableFileError, match="no questionnaire platform recognised"):
        read(write(tmp_path / "a.csv", ROWS, imports=False), codebook(tmp_path))
