"""A study drafted from files: it can be read, marks every guess, guesses no direction, and holds no answer or name."""

from __future__ import annotations

import re
import tomllib

import pytest
from confirmed import confirm
from small_study import (
    JUNIOR,
    KEY,
    PRIMARY,
    SURVEY,
    SURVEY_HEADER,
    TERM,
    lay_out,
    raw,
    response,
    write_csv,
    write_xlsx,
)

from cobench import store
from cobench.errors import RunError, StudyFileError
from cobench.ingest.codebook import load_codebook
from cobench.ingest.draft_study import draft_study, guesses
from cobench.ingest.ingest import ingest_term
from cobench.ingest.inspect_command import inspect_for_user
from cobench.new_study import lay_out as new
from cobench.run.check import check_term
from cobench.study import load_study

PEOPLE = ["赵一", "钱二宝", "孙三", "李四", "李·四", "周五", "吴六", "谢谢老师", "谈学习"]


@pytest.fixture
def files(tmp_path):
    """The raw files of the small study, with enough questionnaires to see options."""
    root = lay_out(tmp_path / "tiny")
    answers = ["符合", "不符合", "一般，说不清"]
    rows = [response(i, "四(1)班", "赵一", answers[i % 3], answers[(i + 1) % 3]) for i in range(1, 13)]
    write_xlsx(raw(root, SURVEY), {"Sheet1": [SURVEY_HEADER, *rows]})
    return root / "data" / "raw"


@pytest.fixture
def drafted(files, tmp_path):
    new(tmp_path / "drafted", files)
    return tmp_path / "drafted"


def test_the_draft_is_a_study_that_can_be_read(drafted):
    study = load_study(drafted)
    tables = [source.table for source in study.sources]
    assert sorted(set(tables)) == sorted(
        ["schools", "students", "memberships", "contacts", "events", "attendance", "outcomes", "responses"]
    )
    assert [term.id for term in study.terms] == ["2024-2025-2", TERM]
    patterns = {source.table: source.files for source in study.sources}
    assert patterns["contacts"] == "data/raw/{term}/*/家访记录*.csv"
    assert patterns["schools"] == "data/raw/{term}/学校名录.csv"
    assert patterns["responses"] == "data/raw/{term}/*家长问卷*.xlsx"


def test_spellings_labels_and_the_second_row_of_a_header_are_found(drafted):
    by_table = {source.table: source for source in load_study(drafted).sources}
    assert by_table["contacts"].levels["mode"] == {"入户": "at_home", "电话": "phone"}
    assert by_table["outcomes"].measures == {"chinese": ("语文",), "math": ("数学",)}
    assert by_table["students"].levels["boarding"] == {"否": False}
    assert by_table["memberships"].school == "column" and by_table["contacts"].school == "folder"


def test_every_guess_is_marked(files):
    text = draft_study(files, "x").study_toml
    guessed = re.compile(
        r'^(start|landmark|exam|end|files|columns|school|"[^"]+" = |measures|event_kind|linkage)'
    )
    lines = [line for line in text.splitlines() if guessed.match(line)]
    assert len(lines) > 25 and all("# confirm" in line for line in lines)


def test_no_option_has_a_value_and_the_code_book_is_refused_until_it_has(drafted):
    (path,) = (drafted / "codebooks").glob("*.toml")
    book = tomllib.loads(path.read_text(encoding="utf-8"))
    values = [value for options in book["options"].values() for value in options.values()]
    assert len(values) == 3 and set(values) == {"?"} == set(book["directions"].values())
    assert "reverse" not in path.read_text(encoding="utf-8")
    with pytest.raises(StudyFileError, match="draft"):
        load_codebook(path)


def test_questions_that_identify_are_known_and_free_text_stays_out(drafted):
    (path,) = (drafted / "codebooks").glob("*.toml")
    book = tomllib.loads(path.read_text(encoding="utf-8"))
    assert book["identify"] == {"school": "1、学校", "class": "2、孩子班级", "name": "3、孩子姓名"}
    assert [item.get("kind") for item in book["items"]] == ["choice", "choice", "text"]


def test_no_person_and_no_answer_in_free_text_reaches_the_draft(drafted):
    texts = [path.read_text(encoding="utf-8") for path in drafted.rglob("*.toml")]
    assert not [name for name in PEOPLE for text in texts if name in text]
    assert not any(re.search(r"[GJL]\d{17}|203\.0\.113", text) for text in texts)


def test_check_lists_what_is_still_to_be_confirmed(drafted):
    study = load_study(drafted)
    with pytest.raises(RunError) as caught:
        check_term(study, TERM)
    assert "study.toml:" in caught.value.en and "codebooks/" in caught.value.en
    n = len(guesses({path.name: path.read_text(encoding="utf-8") for path in drafted.rglob("*.toml")}))
    assert caught.value.en.startswith(f"{n} guesses") and f"{n} 处" in caught.value.zh


def test_a_confirmed_draft_ingests_the_files_that_it_was_drafted_from(files, drafted):
    for path in drafted.rglob("*.toml"):
        path.write_text(confirm(path.read_text(encoding="utf-8")), encoding="utf-8")
    (drafted / "data" / "raw").rmdir()
    files.rename(drafted / "data" / "raw")
    study = load_study(drafted)
    result = ingest_term(study, TERM, key=KEY)
    assert "unrecognised" not in set(result.files["kind"])
    assert len(store.read_table(study, "contacts", [TERM])) == 5
    assert len(store.read_table(study, "responses", [TERM])) == 24


def test_files_that_nothing_can_be_made_of_are_named_with_a_reason(files):
    (files / TERM / PRIMARY / "总结.docx").write_bytes(b"PK\x03\x04 no workbook")
    write_xlsx(files / TERM / JUNIOR / "菜单.xlsx", {"a": [["星期", "菜"], ["一", "鱼"]]})
    draft = draft_study(files, "x")
    assert [file for file, _ in draft.unknown] == [
        f"{TERM}/{PRIMARY}/总结.docx",
        f"{TERM}/{JUNIOR}/菜单.xlsx",
    ]
    assert "菜单.xlsx" in draft.study_toml.rsplit("# Not drafted", 1)[1]


def test_a_folder_without_any_known_file_is_refused_and_nothing_is_made(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyFileError, match="could be recognised"):
        new(tmp_path / "drafted", tmp_path / "empty")
    assert not (tmp_path / "drafted").exists()


def test_the_files_are_neither_changed_nor_copied(files, drafted):
    assert not list((drafted / "data" / "raw").rglob("*.xlsx"))
    assert raw(files.parent.parent, SURVEY).exists()


REGISTERS = {
    "班级台账汇总.csv": (
        ["学校", "班级", "日期", "类别"],
        [["一小", "四(1)班", "2025-10-09", "班级动态"], ["一小", "四(1)班", "2025-10-10", "读书沙龙"]],
    ),
    "学生台账汇总.csv": (
        ["学校", "姓名", "班级", "健康档案", "9月联系卡"],
        [["一小", "赵一", "四(1)班", "√", ""], ["一小", "钱二宝", "四(1)班", "", "×"]],
    ),
    "一生一案汇总.csv": (
        ["学校", "姓名", "班级", "类别", "建档日期", "一人一方案", "家访档案"],
        [["一小", "赵一", "四(1)班", "留守", "2025-10-09", "有", "无"]],
    ),
    "护学岗签到.csv": (["学校", "日期", "上学在岗家长", "放学在岗家长"], [["一小", "2025-10-09", "2", "3"]]),
    "亲子共读打卡.csv": (
        ["学校", "姓名", "班级", "打卡日期", "阅读分钟"],
        [["一小", "赵一", "四(1)班", "2025-10-09", "25"]],
    ),
    "任课表.csv": (["学校", "班级", "教师", "学科", "职务"], [["一小", "四(1)班", "周五", "语文", "班主任"]]),
    "教共体名单.csv": (
        ["编号", "形式", "学校", "角色"],
        [["JGT01", "结对学校", "一小", "主体校"], ["JGT01", "结对学校", "初中", "结对校"]],
    ),
    "教共体交流教师.csv": (
        ["编号", "教师", "派出学校", "接收学校", "形式", "送教天数"],
        [["JGT01", "吴六", "一小", "初中", "骨干支教", "20"]],
    ),
    "教共体任务.csv": (
        ["任务编号", "编号", "任务", "计划数", "完成数", "完成日期"],
        [["B01", "JGT01", "同步课堂", "1", "1", "2025-10-09"]],
    ),
    "教共体活动.csv": (["编号", "学校", "日期", "活动类型"], [["JGT01", "", "2025-10-09", "同步课堂"]]),
    "教共体师徒结对.csv": (["编号", "结对编号", "师傅学校", "师傅"], [["JGT01", "MP1", "一小", "吴六"]]),
    "家校协同台账.csv": (
        ["学校", "类别", "项目", "数量", "有无", "日期", "教师"],
        [["一小", "制度机构", "家长会制度", "", "有", "", ""], ["一小", "家长意见", "谈学习", "", "", "2025-10-09", "孙三"]],
    ),
}  # fmt: skip


@pytest.fixture
def registers(files):
    for name, (head, rows) in REGISTERS.items():
        write_csv(files / TERM / name, [head, *rows])
    return files


def test_registers_are_drafted_as_the_tables_they_are_every_line_a_guess(registers, tmp_path):
    new(tmp_path / "drafted", registers)
    study = load_study(tmp_path / "drafted")
    tables = {source.title: source for source in study.sources}
    assert {name.removesuffix(".csv"): tables[name.removesuffix(".csv")].table for name in REGISTERS} == {
        "班级台账汇总": "events", "学生台账汇总": "records", "一生一案汇总": "records", "护学岗签到": "records",
        "亲子共读打卡": "checkins", "任课表": "teaching", "教共体名单": "communities", "教共体交流教师": "postings",
        "教共体任务": "tasks", "教共体活动": "events", "教共体师徒结对": "records", "家校协同台账": "records",
    }  # fmt: skip
    cards = tables["学生台账汇总"]
    assert cards.measures == {"health_record": ("健康档案",), "contact_card.month_9": ("9月联系卡",)}
    assert cards.levels["holds"] == {"√": True, "×": False} and cards.expected == "school"
    assert tables["一生一案汇总"].measures == {"plan": ("一人一方案",), "archive": ("家访档案",)}
    assert (tables["护学岗签到"].kind, tables["教共体师徒结对"].kind) == ("guard_slot", "mentor_pair")
    assert tables["教共体任务"].expected == "district" and tables["教共体任务"].school is None
    assert tables["班级台账汇总"].levels["kind"] == {"班级动态": "bulletin", "读书沙龙": "unknown"}
    text = (tmp_path / "drafted" / "study.toml").read_text(encoding="utf-8")
    block = text.split('"data/raw/{term}/学生台账汇总')[1].split("[[sources]]")[0]
    guessed = [line for line in block.splitlines() if "=" in line]
    assert guessed and all(line.endswith("# confirm") or "# confirm:" in line for line in guessed)
    # The item of an opinion is what a parent said: only words that are known stand in a draft.
    assert not [word for word in (*PEOPLE, "谈学习") if word in text]


def test_a_confirmed_draft_of_registers_ingests_them(registers, tmp_path):
    drafted = tmp_path / "drafted"
    new(drafted, registers)
    for path in drafted.rglob("*.toml"):
        path.write_text(confirm(path.read_text(encoding="utf-8")), encoding="utf-8")
    (drafted / "data" / "raw").rmdir()
    registers.rename(drafted / "data" / "raw")
    study = load_study(drafted)
    ingest_term(study, TERM, key=KEY)
    assert {"plan", "archive", "health_record", "guard_slot", "mentor_pair", "flag"} <= set(
        store.read_table(study, "records", [TERM])["kind"]
    )
    for table in ("checkins", "teaching", "communities", "postings", "tasks"):
        assert len(store.read_table(study, table, [TERM])) > 0, table


def test_inspect_drafts_a_register_too(registers):
    said = inspect_for_user(registers / TERM / "亲子共读打卡.csv")
    assert 'table = "checkins"  # confirm' in said.zh and 'table = "checkins"  # confirm' in said.en
    assert "赵一" not in said.zh + said.en
