from __future__ import annotations

import pytest
from questionnaire import EXPECTED, answers, codebook, codebook_text, read, same
from small_study import write_csv, write_xlsx

ITEMS = [
    ("m1", "老师愿意听我说", "choice", "agree"),
    ("m2", "我能联系到老师", "choice", "agree"),
    ("way", "用过哪些联系方式", "multiple", "way"),
    ("need", "最需要的帮助", "ranking", "help"),
    ("best", "最喜欢的方式", "choice", "way"),
]
IDENTIFY = 'identify = {school = "学校", class = "孩子班级", name = "孩子姓名"}\n'
HEADER = [
    "序号", "学校", "孩子班级", "孩子姓名", *(item[1] for item in ITEMS), "还想说什么",
    "提交人", "提交时间", "修改时间", "填写设备", "操作系统", "浏览器", "IP", "微信昵称",
]  # fmt: skip
AFTER = [
    "花妈",
    "2026-01-05 12:00:00",
    "2026-01-05 12:00:00",
    "手机",
    "Android",
    "微信",
    "203.0.113.7",
    "花妈",
]
ROWS = [
    ["符合", "一般，说不清", "电话,其他〖托人〗", "心理支持→作业辅导→家访", "其他〖托人〗", "谢谢赵老师"],
    ["", "不符合", "", "", "", ""],
    ["不符合", "", "微信", "家访", "电话", ""],
    ["不知道", "符合", "电话，微信", "作业辅导>心理支持>家访", "微信", ""],
]
LINES = [HEADER, *([n, "一小", "四(1)班", "赵一", *row, *AFTER] for n, row in enumerate(ROWS, 1))]
IGNORED = 'ignore = ["还想说什么"]\n'


@pytest.mark.parametrize("form", ["xlsx", "utf-8-sig", "gbk"])
def test_commas_between_ticks_and_the_platforms_columns_after_the_questions(tmp_path, form):
    path = tmp_path / ("数据.xlsx" if form == "xlsx" else "数据.csv")
    if form == "xlsx":
        write_xlsx(path, {"数据": LINES})
    else:
        write_csv(path, LINES, form)
    found, batch = read(path, codebook(tmp_path, codebook_text(ITEMS, IDENTIFY + IGNORED)))
    same(answers(batch), EXPECTED)
    assert found.how.startswith("金数据 by text")
    assert batch.cells["student_name"].tolist() == ["赵一"] * 4
    assert not batch.cells.isin(["花妈", "203.0.113.7", "谢谢赵老师"]).any(axis=None)


def test_an_option_that_holds_a_comma_is_one_option(tmp_path):
    text = codebook_text([("way", "用过哪些联系方式", "multiple", "way")], IDENTIFY + IGNORED)
    book = codebook(tmp_path, text.replace('"微信" = 2', '"微信，QQ等" = 2'))
    path = tmp_path / "数据.xlsx"
    write_xlsx(
        path,
        {
            "数据": [
                [*HEADER[:4], "用过哪些联系方式", *HEADER[9:]],
                [1, "", "", "", "微信，QQ等,电话", "", *AFTER],
            ]
        },
    )
    assert answers(read(path, book)[1]).iloc[0].tolist() == [1, 1, 0]
