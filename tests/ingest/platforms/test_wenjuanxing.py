from __future__ import annotations

import pandas as pd
import pytest
from questionnaire import EXPECTED, answers, codebook, codebook_text, read, same, sheet
from small_study import write_xlsx

from cobench.errors import MissingColumnError, UnknownLevelError, UnreadableFileError
from cobench.ingest import questionnaires
from cobench.ingest.platforms import find_layout

LEAD = ["序号", "提交答卷时间", "所用时间", "来源", "来源详情", "来自IP"]
WHO = ["1、学校", "2、孩子班级", "3、孩子姓名"]
MATRIX = ["4、家校沟通—老师愿意听我说", "4、家校沟通—我能联系到老师"]
HEADER = [
    *LEAD,
    *WHO,
    *MATRIX,
    "5、用过哪些联系方式",
    "6、最需要的帮助",
    "7、最喜欢的方式",
    "8、您还有什么话想说",
]
BY_TEXT, BY_NUMBER = "900_按文本_家长问卷_4_4.xlsx", "900_按序号_家长问卷_4_4.xlsx"
SECRET = "请联系张小花13800138000"


def lead(serial: int, duration: str = "2分3秒") -> list:
    return [
        serial,
        "2026/01/05 12:00:00",
        duration,
        "微信",
        "N/A",
        "203.0.113.7(示例)",
        "一小",
        "四(1)班",
        "赵一",
    ]


def rows_by_text() -> list[list]:
    return [
        [
            *lead(1),
            "符合",
            "一般,说不清",
            f"电话┋其他〖{SECRET}〗",
            "心理支持→作业辅导→家访",
            f"其他〖{SECRET}〗",
            SECRET,
        ],
        [*lead(2, "123秒"), "(空)", "不符合", "(空)", "（空）", "", "(空)"],
        [*lead(3, "1:23"), "不符合", "(空)", "微信", "家访", "电话", "(跳过)"],
        [*lead(4), "不知道", "符合", "电话┦微信", "作业辅导→心理支持→家访", "微信", ""],
    ]


def rows_by_number() -> tuple[list[str], list[list]]:
    header = [*LEAD, *WHO, *MATRIX]
    header += [f"5、用过哪些联系方式({option})" for option in ("电话", "微信", "其他")]
    header += [f"6、最需要的帮助({option})" for option in ("作业辅导", "心理支持", "家访")]
    header += ["7、最喜欢的方式", "8、您还有什么话想说"]
    rows = [
        [*lead(1), 3, 2, 1, 0, f"1〖{SECRET}〗", 2, 1, 3, f"3〖{SECRET}〗", SECRET],
        [*lead(2), -2, 1, -2, -2, -2, -2, -2, -2, -2, ""],
        [*lead(3), 1, -2, 0, 1, 0, -2, -2, 1, 1, ""],
        [*lead(4), 4, 3, 1, 1, 0, 1, 2, 3, 2, ""],
    ]
    return header, rows


def write(folder, name: str, header: list, rows: list[list]):
    path = folder / name
    write_xlsx(path, {"Sheet1": [header, *rows]})
    return path


def test_by_text_every_type_of_question_is_read(tmp_path):
    path = write(tmp_path, BY_TEXT, HEADER, rows_by_text())
    found, batch = read(path, codebook(tmp_path), platform="wenjuanxing")
    same(answers(batch), EXPECTED)
    assert found.how.startswith("问卷星 by text, xlsx, header row 1")


def test_by_number_gives_the_same_answers(tmp_path):
    # "Don't know" has a number of its own, which the code book says; the other numbers are places.
    codes = '[codes.agree]\n"1" = "不符合"\n"2" = "一般，说不清"\n"3" = "符合"\n"4" = "不知道"\n'
    path = write(tmp_path, BY_NUMBER, *rows_by_number())
    found, batch = read(path, codebook(tmp_path, codebook_text(more=codes)))
    same(answers(batch), EXPECTED)
    assert found.how.startswith("问卷星 by number")


def test_numbers_are_places_of_options_even_where_options_are_numbers(tmp_path):
    text = codebook_text([("r", "1、打分", "choice", "points")], "").replace(
        "[options.way]", '[options.points]\n"0" = 0\n"1" = 1\n"2" = 2\n[options.way]'
    )
    path = write(tmp_path, BY_NUMBER, [*LEAD, "1、打分"], [[*lead(n)[:6], n] for n in (1, 2, 3)])
    assert answers(read(path, codebook(tmp_path, text))[1])["r"].tolist() == [0, 1, 2]


def test_a_skipped_question_is_apart_from_a_blank_one_in_every_type(tmp_path):
    skipped = [*lead(1), "(跳过)", "〖跳过〗", "(跳过)", "〖跳过〗", "(跳过)", ""]
    path = write(tmp_path, BY_TEXT, HEADER, [skipped])
    assert set(answers(read(path, codebook(tmp_path))[1]).iloc[0]) == {"skipped"}
    header, _ = rows_by_number()
    path = write(tmp_path, BY_NUMBER, header, [[*lead(1), *[-3] * 9, ""]])
    assert set(answers(read(path, codebook(tmp_path))[1]).iloc[0]) == {"skipped"}


def test_what_is_typed_in_is_never_kept_unless_declared(tmp_path):
    path = write(tmp_path, BY_TEXT, HEADER, rows_by_text())
    _, batch = read(path, codebook(tmp_path))
    for frame in (batch.cells, batch.recodes):
        assert not frame.astype(str).apply(lambda column: column.str.contains("张小花|138001")).any(axis=None)
    assert "电话┋其他〖…〗" in set(batch.recodes["raw"])


def test_declared_free_text_is_kept_apart_from_the_option(tmp_path):
    book = codebook(tmp_path, codebook_text(free_text=("way", "best", "open")))
    path = write(tmp_path, BY_TEXT, HEADER, rows_by_text())
    _, batch = read(path, book)
    assert batch.cells.loc[0, ["way_text", "best_text", "open"]].tolist() == [SECRET] * 3
    same(answers(batch)[list(EXPECTED)], EXPECTED)


def test_further_columns_of_the_platform_are_never_read(tmp_path):
    header = [*LEAD, "总分", "昵称", "openid", *HEADER[6:]]
    rows = [[*row[:6], "9", "妈妈", "oX1", *row[6:]] for row in rows_by_text()]
    _, batch = read(write(tmp_path, BY_TEXT, header, rows), codebook(tmp_path))
    assert not batch.cells.isin(["妈妈", "oX1", "9", "203.0.113.7(示例)", "微信 ", "2分3秒"]).any(axis=None)


def test_a_numbered_question_that_is_called_like_a_column_of_the_platform_is_a_question(tmp_path):
    with pytest.raises(UnknownLevelError, match="column P"):
        read(write(tmp_path, BY_TEXT, [*HEADER, "9、备注"], rows_by_text()), codebook(tmp_path))


def test_look_alike_radicals_dashes_and_widths_in_headers_do_not_matter(tmp_path):
    header = [
        name.replace("—", "——").replace("8、", "８、").replace("目", "⽬").replace("见", "⻅")
        for name in HEADER
    ]
    items = [("m1", "4、家校沟通—老师愿意听我说", "choice", "agree"), ("see", "9、目见", "choice", "agree")]
    path = write(tmp_path, BY_TEXT, [*header[:10], "9、⽬⻅"], [[*lead(1), "符合", "符合"]])
    assert answers(read(path, codebook(tmp_path, codebook_text(items)))[1]).iloc[0].tolist() == [3, 3]


def test_the_other_matrix_header_of_the_platform_fits_too(tmp_path):
    header = [name.replace("4、家校沟通—", "第4题(") + ")" if name in MATRIX else name for name in HEADER]
    assert "第4题(老师愿意听我说)" in header
    same(answers(read(write(tmp_path, BY_TEXT, header, rows_by_text()), codebook(tmp_path))[1]), EXPECTED)


def test_more_than_a_hundred_questions_are_read(tmp_path):
    items = [(f"q{n}", f"{n}、问题{n}", "choice", "agree") for n in range(4, 160)]
    header = [*LEAD, *WHO, *(item[1] for item in items)]
    path = write(tmp_path, BY_TEXT, header, [[*lead(1), *["符合", "不符合"] * 78]])
    found = answers(read(path, codebook(tmp_path, codebook_text(items)))[1]).iloc[0]
    assert len(found) == 156 and found["q159"] == 1 and found["q158"] == 3


def test_the_mode_is_read_from_the_cells_where_the_name_does_not_tell(tmp_path):
    book = codebook(tmp_path)
    assert "by text" in read(write(tmp_path, "家长问卷.xlsx", HEADER, rows_by_text()), book)[0].how
    header, rows = rows_by_number()
    assert "by number" in read(write(tmp_path, "家长问卷.xlsx", header, rows), book)[0].how


def test_cells_that_fit_both_modes_are_refused_with_the_way_out(tmp_path):
    items = [("r", "4、打分", "choice", "agree")]
    path = write(tmp_path, "家长问卷.xlsx", [*LEAD, *WHO, "4、打分"], [[*lead(1), 3]])
    with pytest.raises(UnreadableFileError, match='mode = "text" or "number"'):
        read(path, codebook(tmp_path, codebook_text(items)))
    assert answers(read(path, codebook(tmp_path, codebook_text(items)), mode="number")[1])["r"].tolist() == [
        3
    ]


def test_an_export_by_score_is_refused(tmp_path):
    with pytest.raises(UnreadableFileError, match="by option text"):
        read(write(tmp_path, "9_按分数_家长问卷.xlsx", HEADER, rows_by_text()), codebook(tmp_path))


def test_a_file_of_another_kind_is_refused_and_says_what_it_looks_like():
    with pytest.raises(UnreadableFileError, match="not recognised as a 问卷星 export"):
        find_layout(sheet([["姓名", "班级"], ["赵一", "三(1)班"]]), "a.xlsx", platform="wenjuanxing")
    kobo = sheet([["end", "q1", "_uuid", "_submission_time"], ["", "", "", ""]])
    with pytest.raises(UnreadableFileError, match="it looks like KoboToolbox"):
        find_layout(kobo, "a.xlsx", platform="wenjuanxing")


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda h: [*h[:9], *h[10:]], MissingColumnError, "4、家校沟通—老师愿意听我说 is missing"),
        (lambda h: [*h, "9、新加的题"], UnknownLevelError, "column P: a question"),
        (
            lambda h: [*h[:9], h[9].replace("家校沟通", "家校互动"), *h[10:]],
            MissingColumnError,
            "column J: 4、家校沟通—老师愿意听我说 is missing",
        ),
        (lambda h: [*h, h[9]], MissingColumnError, "there twice"),
        (
            lambda h: [*h[:13], "7、您最喜欢的方式是", *h[14:]],
            MissingColumnError,
            "column N: 7、最喜欢的方式 is missing, .*expects exactly this wording",
        ),
        (
            lambda h: [*h[:9], h[10], h[9], *h[11:]],
            UnknownLevelError,
            "column J: the questions stand in another order; .*expects 4、家校沟通—我能联系到老师 after 4、家校沟通—老师",
        ),
    ],
)
def test_a_changed_questionnaire_stops_the_run(tmp_path, change, error, says):
    path = write(tmp_path, BY_TEXT, change(HEADER), [])
    with pytest.raises(error, match=says) as caught:
        read(path, codebook(tmp_path))
    assert path.name in caught.value.en and path.name in caught.value.zh


@pytest.mark.parametrize(
    ("place", "cell", "item"),
    [
        (9, "很 符合", "m1"),
        (11, "电话┋传真", "way"),
        (11, "电话┋电话", "way"),
        (12, "家访→家访", "need"),
        (12, "家访→送礼", "need"),
        (13, "其他〖没有收尾", "best"),
    ],
)
def test_an_unlisted_option_is_named_by_question_and_row_and_never_repeated(tmp_path, place, cell, item):
    rows = rows_by_text()
    rows[2][place] = cell
    book = codebook(tmp_path)
    _, batch = read(write(tmp_path, BY_TEXT, HEADER, rows), book)
    errors = questionnaires.unknown_options(batch.cells, book)
    assert len(errors) == 1
    assert f"column {HEADER[place]}, row 4:" in errors[0].en and f"for {item};" in errors[0].en
    assert cell not in errors[0].en + errors[0].zh


def test_the_kinds_of_missing_answers_are_kept_apart(tmp_path):
    book = codebook(tmp_path)
    texts = pd.Series(["符合", "一般,说不清", "", "(空)", "(跳过)", "不知道", "拒答"], dtype="object")
    found = questionnaires.answers(texts, book.stored[0], book)
    assert found["value"].fillna(-1).tolist() == [3, 2, -1, -1, -1, -1, -1]
    reasons = ["", "", "blank", "blank", "skipped", "dont_know", "refused"]
    assert found["missing_reason"].fillna("").tolist() == reasons
    assert found["raw"].tolist() == ["符合", "一般，说不清", "(空)", "(空)", "(跳过)", "不知道", "拒答"]


def test_every_recode_is_counted_before_and_after(tmp_path):
    _, batch = read(write(tmp_path, BY_TEXT, HEADER, rows_by_text()), codebook(tmp_path))
    recodes = batch.recodes
    assert recodes.groupby("item")["n"].sum().tolist() == [4] * 5
    m1 = recodes[recodes["item"] == "m1"].set_index("raw")
    assert m1.loc["符合", ["recoded", "value", "n"]].tolist() == ["符合", 3.0, 1]
    assert m1.loc["不知道", "missing_reason"] == "dont_know"
    need = recodes[recodes["item"] == "need"].set_index("raw")
    assert need.loc["心理支持→作业辅导→家访", "recoded"] == "2 1 3"
