from __future__ import annotations

from datetime import date

import pytest
from questionnaire import answers, codebook, codebook_text, read
from small_study import write_csv

from cobench.errors import UnreadableFileError

ITEMS = [("m1", "q1", "choice", "agree"), ("m2", "q2", "choice", "agree")]
IDENTIFY = 'identify = {name = "child"}\n'
LINES = [["child", "q1", "q2"], ["赵一", "符合", "不符合"], ["钱二", "", "不知道"]]


def test_a_plain_table_is_read_only_where_it_is_declared(tmp_path):
    write_csv(tmp_path / "a.csv", LINES, "utf-8")
    book = codebook(tmp_path, codebook_text(ITEMS, IDENTIFY))
    with pytest.raises(UnreadableFileError, match='platform = "table"'):
        read(tmp_path / "a.csv", book)
    _, batch = read(tmp_path / "a.csv", book, platform="table", answered_on=date(2026, 1, 5))
    assert answers(batch).to_numpy().tolist() == [[3, 1], ["blank", "dont_know"]]
    assert batch.cells["submitted"].tolist() == ["2026-01-05"] * 2
