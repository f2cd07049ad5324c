from __future__ import annotations

import pytest
from questionnaire import EXPECTED, answers, codebook, codebook_text, read, same
from small_study import write_xlsx

ITEMS = [
    ("m1", "talk/listens", "choice", "agree"),
    ("m2", "reach", "choice", "agree"),
    ("way", "talk/way", "multiple", "way"),
    ("need", "need", "ranking", "help"),
    ("best", "best", "choice", "way"),
]
IDENTIFY = 'identify = {school = "who/school", class = "who/class", name = "who/child"}\n'
SPLIT = ["talk/way/tel", "talk/way/wechat", "talk/way/other"]
HEADER = [
    "start", "end", "username", "who/school", "who/class", "who/child", "talk/listens", "talk/reach", "talk/way", *SPLIT,
    "need/1", "need/2", "need/3", "best", "note", "_id", "_uuid", "_submission_time", "__version__", "_index",
]  # fmt: skip
CODES = '[codes.way]\ntel = "电话"\nwechat = "微信"\nother = "其他"\n'
IGNORED = 'ignore = ["note"]\n'
AFTER = [1, "5e-77", "2026-01-05T04:00:02", "v1", 1]
BEFORE = [
    "2026-01-05T11:58:00.000+08:00",
    "2026-01-05T23:30:01.123+08:00",
    "collector7",
    "一小",
    "四(1)班",
    "赵一",
]
ROWS = [
    ["符合", "一般，说不清", "tel other", 1, 0, 1, 2, 1, 3, "other", "赵一很好"],
    ["", "不符合", "", "", "", "", "", "", "", "", ""],
    ["不符合", "", "wechat", 0, 1, 0, "", "", 1, "tel", ""],
    ["不知道", "符合", "tel;wechat", 1, 1, 0, 1, 2, 3, "wechat", ""],
]
LINES = [HEADER, *([*BEFORE, *row, *AFTER] for row in ROWS)]


def write(folder, lines: list[list], form: str):
    path = folder / f"data.{form}"
    if form == "xlsx":
        write_xlsx(path, {"data": lines, "children": [["name", "_index", "_parent_index"], ["赵一", 1, 1]]})
    else:
        text = "\n".join(";".join(f'"{cell}"' for cell in line) for line in lines)
        path.write_text(text, encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_groups_and_several_ticks_in_one_cell(tmp_path, form):
    book = codebook(tmp_path, codebook_text(ITEMS, IDENTIFY + IGNORED, CODES))
    found, batch = read(write(tmp_path, LINES, form), book)
    same(answers(batch), EXPECTED)
    assert found.how.startswith("KoboToolbox by text")
    assert not batch.cells.isin(["collector7", "赵一很好", "5e-77"]).any(axis=None)
    if form == "xlsx":
        assert found.non_data["rule"].tolist().count("repeat_group") == 2


def test_the_day_is_the_one_where_it_was_filled_in_not_that_of_the_server(tmp_path):
    _, batch = read(
        write(tmp_path, LINES, "csv"), codebook(tmp_path, codebook_text(ITEMS, IDENTIFY + IGNORED, CODES))
    )
    assert batch.cells["submitted"].unique().tolist() == ["2026-01-05 23:30:01"]


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("TRUE", "FALSE"), ("tel", "")])
def test_a_column_for_each_option_alone_gives_the_same(tmp_path, yes, no):
    place = HEADER.index("talk/way")
    lines = [[*line[:place], *line[place + 1 :]] for line in LINES]
    for line in lines[1:]:
        ticked = [str(cell) == "1" for cell in line[place : place + 3]]
        names = ["tel", "wechat", "other"] if yes == "tel" else [yes] * 3
        line[place : place + 3] = [name if tick else no for name, tick in zip(names, ticked, strict=True)]
    book = codebook(tmp_path, codebook_text(ITEMS, IDENTIFY + IGNORED, CODES))
    same(answers(read(write(tmp_path, lines, "csv"), book)[1]), EXPECTED)
