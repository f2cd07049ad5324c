from __future__ import annotations

import pytest
from small_study import ROSTER, TERM, raw, write_xlsx

from cobench.errors import IngestError
from cobench.ingest import batches
from cobench.study import load_study

CODES = {"S01": "S01", "示例第一小学": "S01", "一小": "S01", "S02": "S02", "示例第一小学分校": "S02"}


@pytest.mark.parametrize(
    ("name", "school"),
    [
        ("S01_示例第一小学", "S01"),
        ("S01", "S01"),
        ("示例第一小学", "S01"),
        ("家访记录-示例第一小学-定稿", "S01"),
        ("家访记录-示例第一小学分校", "S02"),
        ("家访记录", None),
        ("S99_无名学校", None),
    ],
)
def test_the_school_is_known_from_a_folder_or_file_name(name, school):
    assert batches.school_in(name, CODES) == school


def _read(root, name):
    study = load_study(root)
    found = {each.label: each for each in batches.find_files(study, study.term(TERM))}
    return batches.read_file(found[f"data/raw/{TERM}/{name}"], None)


def test_a_sheet_of_notes_beside_the_table_is_no_data_but_counted(root):
    header = ["姓名", "学籍号", "性别", "出生年月", "班级", "住宿", "状态"]
    write_xlsx(raw(root, ROSTER), {"名册": [header], "说明": [["填写说明"], ["请用文本格式"]]})
    found = _read(root, ROSTER)
    assert found.rows_in == 3
    assert found.non_data["rule"].tolist() == ["header", "notes_sheet", "notes_sheet"]


def test_a_workbook_without_any_table_is_refused(root):
    write_xlsx(raw(root, ROSTER), {"说明": [["填写说明"]]})
    with pytest.raises(IngestError, match="no sheet holds a table"):
        _read(root, ROSTER)


def test_how_a_file_was_read_does_not_repeat_sheet_names(root):
    header = ["姓名", "学籍号", "性别", "出生年月", "班级", "住宿", "状态"]
    write_xlsx(raw(root, ROSTER), {"赵一": [header], "钱二宝": [header]})
    assert _read(root, ROSTER).how == "2 sheets: xlsx, header row 1"


def test_every_file_of_the_delivery_is_found_with_its_hash(root):
    study = load_study(root)
    found = batches.find_files(study, study.term(TERM))
    assert [each.label for each in found] == sorted(each.label for each in found)
    assert len(found) == 10 and all(each.source is not None and len(each.sha256) == 64 for each in found)
