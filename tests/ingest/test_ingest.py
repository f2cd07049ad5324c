"""A delivery as a whole: what is stored, what is put aside, what stops it, and that nothing is lost or half written."""

from __future__ import annotations

import shutil
import stat
import sys

import pandas as pd
import pytest
from small_study import (
    CODEBOOK,
    EARLIER,
    JUNIOR,
    KEY,
    LOG,
    LOG_HEADER,
    PRIMARY,
    ROSTER,
    SURVEY,
    SURVEY_HEADER,
    TERM,
    child,
    log_rows,
    number,
    raw,
    response,
    write_csv,
    write_log,
    write_roster,
    write_scores,
    write_xlsx,
)

from cobench import store
from cobench.errors import (
    DuplicateStudentError,
    IngestError,
    MissingColumnError,
    StudyFileError,
    UnknownLevelError,
    UnknownTermError,
    UnreadableFileError,
)
from cobench.files import file_hash
from cobench.ingest.identities import load_names, pseudonym, read_identities
from cobench.ingest.ingest import ingest_term
from cobench.study import load_study

PEOPLE = ["赵一", "钱二宝", "孙三", "李四", "李·四", "周五", "吴六"]


def ingest(root, term: str = TERM, key: bytes = KEY):
    return ingest_term(load_study(root), term, key=key)


def table(root, name: str, term: str = TERM) -> pd.DataFrame:
    return store.read_table(load_study(root), name, [term])


def quarantine(root, term: str = TERM) -> pd.DataFrame:
    return pd.read_parquet(root / "private" / "quarantine" / f"{term}.parquet")


def who(serial: int) -> str:
    return pseudonym(KEY, "tiny", "student", number(serial))


def stored_bytes(root) -> dict[str, bytes]:
    folder = root / "data" / "processed"
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))
    }


# ---- what is stored ---------------------------------------------------------------------------------


def test_every_row_of_every_file_is_accounted_for(ingested):
    files = ingested[1].files
    assert (files["accepted"] + files["quarantined"] + files["non_data"] == files["rows_in"]).all()
    counts = files.set_index("file")[["rows_in", "accepted", "quarantined", "non_data"]]
    assert counts.loc[f"data/raw/{TERM}/{LOG}"].tolist() == [5, 4, 0, 1]
    assert counts.loc[f"data/raw/{TERM}/{ROSTER}"].tolist() == [8, 4, 0, 4]
    assert counts.loc[f"data/raw/{TERM}/{JUNIOR}/家访记录.csv"].tolist() == [2, 0, 0, 2]


def test_a_visit_that_names_two_children_is_one_row_and_two_contacts(ingested):
    root, _ = ingested
    contacts = table(root, "contacts")
    pair = contacts[contacts["date"] == "2025-10-12"]
    assert sorted(pair["student"]) == sorted([who(1), who(2)])
    assert pair["trigger"].unique().tolist() == ["targeted"]
    assert len(contacts) == 5


def test_contacts_carry_day_class_mode_minutes_and_time_of_entry(ingested):
    root, _ = ingested
    first = table(root, "contacts").sort_values("date").iloc[0]
    assert first["student"] == who(1) and first["class_id"] == "S01-2022-1" and first["term"] == TERM
    assert first["date"] == pd.Timestamp("2025-10-09") and first["minutes"] == 30
    assert first["entered_at"] == pd.Timestamp("2025-10-09 20:15")


def test_a_duration_that_cannot_be_read_is_missing_and_counted_not_lost(ingested):
    root, result = ingested
    rules = result.rules
    assert table(root, "contacts").loc[lambda rows: rows["student"] == who(4), "minutes"].isna().all()
    assert rules.loc[rules["rule"] == "unreadable_minutes", ["status", "n"]].values.tolist() == [["cell", 1]]


def test_a_nil_return_makes_the_log_of_its_class_arrived(ingested):
    root, _ = ingested
    logs = table(root, "logs")
    assert set(logs.loc[logs["table"] == "contacts", "class_id"]) == {"S01-2022-1", "S02-2025-1"}
    assert set(logs.loc[logs["table"] == "attendance", "class_id"]) == {"S01-2022-1"}
    assert (table(root, "contacts")["school"] == "S01").all()


def test_a_class_keeps_its_id_over_the_september_promotion(ingested):
    root, _ = ingested
    before, now = table(root, "enrolments", EARLIER), table(root, "enrolments")
    one, other = (rows[rows["student"] == who(1)].iloc[0] for rows in (before, now))
    assert one["class_id"] == other["class_id"] == "S01-2022-1"
    assert (one["grade"], other["grade"]) == (3, 4)


def test_marks_exam_states_and_full_width_digits(ingested):
    root, _ = ingested
    rows = table(root, "outcomes").set_index(["student", "measure"])
    assert rows.loc[(who(1), "math"), "value"] == 90
    assert rows.loc[(who(2), "chinese"), "missing_reason"] == "absent"
    assert pd.isna(rows.loc[(who(2), "chinese"), "value"])
    assert rows.loc[(who(2), "math"), "measured_on"] == pd.Timestamp("2026-01-16")
    assert len(rows) == 4


def test_grades_of_a_sheet_without_marks_are_levels_of_their_own_measure(root):
    where = "四(1)班"
    lines = [["赵一", where, "优", "良"], ["钱二宝", where, "缺考", "差"], ["李四", where, "中", "中"]]
    write_scores(root, [*lines, ["孙三", where, "90", "中"]])
    ingest(root)
    rows = table(root, "outcomes").set_index(["student", "measure"])
    assert rows.loc[(who(1), "chinese_level"), ["level", "value"]].tolist() == ["优", 4]
    assert rows.loc[(who(2), "chinese_level"), "missing_reason"] == "absent"
    assert quarantine(root).query("rule == 'not_a_level'")[["row", "column"]].values.tolist() == [[7, "语文"]]
    assert set(table(root, "outcomes")["measure"]) == {"chinese_level", "math_level"}


def test_events_and_who_came(ingested):
    root, _ = ingested
    events, attendance = table(root, "events"), table(root, "attendance")
    assert events["event"].tolist() == ["S01-20251020-lecture-all", "S01-20250912-parent_meeting-S01-2022-1"]
    assert set(attendance["event"]) == {"S01-20251020-lecture-all"}
    assert attendance.set_index("student")["present"].to_dict() == {who(1): True, who(3): False}
    assert attendance["invited"].all()


def test_a_lecture_that_only_the_list_knows_becomes_an_event(root):
    (raw(root, f"{PRIMARY}/活动记录.xlsx")).unlink()
    ingest(root)
    assert table(root, "events")[["event", "topic"]].values.tolist() == [
        ["S01-20251020-lecture-all", "亲子沟通"]
    ]
    assert set(table(root, "attendance")["event"]) == {"S01-20251020-lecture-all"}


def test_answers_are_long_and_unlinked_ones_keep_school_and_class(ingested):
    root, result = ingested
    rows = table(root, "responses")
    assert len(rows) == 6 and set(rows["item"]) == {"p1", "p2"}
    assert rows.loc[rows["student"] == who(1), "value"].tolist() == [3, 1]
    unlinked = rows[rows["student"].isna()]
    assert (unlinked["school"] == "S01").all()
    assert unlinked["class_id"].fillna("").tolist() == ["S01-2022-1"] * 2 + [""] * 2
    assert unlinked["missing_reason"].fillna("").tolist() == ["blank", "dont_know", "skipped", ""]
    links = result.links.query("table == 'responses'").iloc[0]
    assert (links["n_rows"], links["n_linked"], links["n_unlinked"], links["role"]) == (3, 1, 2, "parent")


def test_memberships_are_dated_and_linked(ingested):
    root, _ = ingested
    row = table(root, "memberships").iloc[0]
    assert (row["student"], row["category"], row["source"]) == (who(2), "left_behind", "摸排")
    assert row["valid_from"] == pd.Timestamp("2025-09-05")


def test_a_child_that_changed_school_has_two_spells_and_is_one_child(root):
    moved = [11, "周五", number(11), "女", "2015-03", "四(1)班", "否", "转出"]
    write_roster(root, [child(1, "赵一", "四(1)班"), child(2, "钱二宝", "四(1)班"), moved])
    ingest(root)
    assert sorted(table(root, "enrolments").query(f"student == '{who(11)}'")["status"]) == [
        "enrolled",
        "transferred_out",
    ]
    assert (table(root, "students")["student"] == who(11)).sum() == 1


# ---- terms, deliveries, repetition ------------------------------------------------------------------


def test_the_same_files_give_the_same_stored_tables(held):
    first = stored_bytes(held)
    ingest(held)
    ingest(held, EARLIER)
    assert stored_bytes(held) == first and len(first) > 10


def test_a_cumulative_export_adds_nothing_that_is_already_held(held):
    root = held
    earlier = [["2025-03-10", "赵一", "三(1)班", "入户", "常规", "40分钟", "", "谈学习"]]
    ingest(root, EARLIER)
    write_log(
        root, TERM, [*earlier, ["2025-04-01", "孙三", "三(1)班", "电话", "常规", "", "", ""], *log_rows()]
    )
    result = ingest(root)
    assert len(table(root, "contacts", EARLIER)) == 2
    assert table(root, "contacts", EARLIER)["student"].tolist() == [who(1), who(3)]
    log = result.rules.query("rule == 'duplicate'")
    assert log["n"].tolist() == [1]


def test_a_visit_in_the_summer_counts_for_the_term_that_follows(root):
    write_log(root, TERM, [["2025-08-20", "赵一", "四(1)班", "入户", "常规", "", "", ""]])
    ingest(root)
    assert table(root, "contacts")["date"].tolist() == [pd.Timestamp("2025-08-20")]


@pytest.mark.parametrize(
    ("day", "rule"),
    [
        ("2025-09-31", "impossible_date"),
        ("2027-03-01", "date_outside_term"),
        ("2015-03-01", "date_outside_term"),
        ("5.6", "date_outside_term"),
        ("", "blank_required"),
    ],
)
def test_a_date_out_of_place_is_put_aside_with_the_rule(root, day, rule):
    write_log(root, TERM, [*log_rows(), [day, "赵一", "四(1)班", "入户", "常规", "", "", ""]])
    ingest(root)
    found = quarantine(root).query("status == 'quarantined'")
    assert found[["row", "column", "rule"]].values.tolist() == [[6, "日期", rule]]


def test_a_file_sent_twice_with_the_same_content_counts_once(root):
    path = raw(root, LOG)
    path.with_name("家访记录(1).csv").write_bytes(path.read_bytes())
    result = ingest(root)
    assert len(table(root, "contacts")) == 5
    assert result.rules.query("rule == 'identical_file'")["n"].tolist() == [5]


def test_a_row_repeated_within_a_file_is_a_duplicate(root):
    write_log(root, TERM, [*log_rows(), log_rows()[0]])
    result = ingest(root)
    assert len(table(root, "contacts")) == 5
    assert result.rules.query("rule == 'duplicate'")["n"].tolist() == [1]


def test_two_keys_give_disjoint_pseudonyms_and_equal_tables_otherwise(held):
    first = table(held, "outcomes")
    for name in ("data/processed", "private"):
        shutil.rmtree(held / name)
    for term in (EARLIER, TERM):
        ingest(held, term=term, key=b"another key of thirty-two bytes!")
    other = table(held, "outcomes")
    assert not set(first["student"]) & set(other["student"])
    pd.testing.assert_frame_equal(first.drop(columns="student"), other.drop(columns="student"))


# ---- put aside --------------------------------------------------------------------------------------


def _put_aside(root, **row):
    cells = {
        "日期": "2025-10-10",
        "学生姓名": "赵一",
        "班级": "四(1)班",
        "家访方式": "入户",
        "类型": "常规",
    } | row
    write_log(root, TERM, [*log_rows(), [cells.get(name, "") for name in LOG_HEADER]])
    result = ingest(root)
    return quarantine(root).query("status == 'quarantined'"), result


@pytest.mark.parametrize(
    ("row", "column", "rule"),
    [
        ({"班级": "四(8)班"}, "班级", "unknown_class"),
        ({"班级": "老班"}, "班级", "unreadable_class"),
        ({"学生姓名": ""}, "学生姓名", "blank_required"),
        ({"学生姓名": "赵"}, "学生姓名", "unknown_student"),
        ({"学生姓名": "赵一、查无"}, "学生姓名", "unknown_student"),
        ({"家访方式": ""}, "家访方式", "blank_required"),
    ],
)
def test_a_row_put_aside_names_row_column_and_rule(root, row, column, rule):
    found, result = _put_aside(root, **row)
    assert found[["file", "row", "column", "rule"]].values.tolist() == [
        [f"data/raw/{TERM}/{LOG}", 6, column, rule]
    ]
    assert len(table(root, "contacts")) == 5
    assert result.rules.query("status == 'quarantined'")["n"].sum() == 1


def test_a_row_put_aside_keeps_its_values_in_private_only(root):
    found, result = _put_aside(root, 学生姓名="查无此人")
    assert "查无此人" in found["values"].iloc[0]
    assert "查无此人" not in result.rules.to_csv() + result.files.to_csv()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows guards files by access lists, not modes")
def test_private_files_are_for_their_owner_only(ingested):
    root, _ = ingested
    for path in (root / "private").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path.name
    assert stat.S_IMODE((root / "private").stat().st_mode) == 0o700


def test_namesakes_in_one_class_are_never_picked(root):
    rows = [child(1, "赵一", "四(1)班"), child(2, "钱二宝", "四(1)班"), child(3, "赵一", "四(1)班")]
    write_roster(root, rows)
    ingest(root)
    assert who(1) not in set(table(root, "contacts")["student"])
    assert set(quarantine(root)["rule"]) >= {"ambiguous_student"}


def test_a_number_destroyed_by_a_spreadsheet_is_put_aside_and_the_childs_rows_with_it(root):
    lost = child(1, "赵一", "四(1)班")
    lost[2] = float(number(1)[1:18] + "0")
    write_roster(
        root, [lost, child(2, "钱二宝", "四(1)班"), child(3, "孙三", "四(1)班"), child(4, "李·四", "四(1)班")]
    )
    ingest(root)
    found = quarantine(root)
    roster = found[found["file"].str.endswith("学籍名册.xlsx")].iloc[0]
    assert roster[["sheet", "row", "column", "rule"]].tolist() == ["名册", 3, "学籍号", "destroyed_number"]
    assert set(found.loc[found["file"].str.endswith("成绩册.xlsx"), "rule"]) == {"student_in_quarantine"}
    assert who(1) not in set(table(root, "enrolments")["student"])


def test_a_namesake_of_a_child_in_quarantine_does_not_inherit_its_rows(root):
    lost = child(1, "赵一", "四(1)班")
    lost[2] = 1.5e17
    write_roster(root, [lost, child(2, "钱二宝", "四(1)班"), child(5, "赵一", "四(1)班")])
    ingest(root)
    assert who(5) not in set(table(root, "contacts")["student"])


def test_two_lines_of_marks_that_contradict_each_other_are_both_put_aside(root):
    write_scores(
        root,
        [
            ["赵一", "四(1)班", 85, 90],
            ["赵一", "四(1)班", 85, 91],
            ["孙三", "四(1)班", 70, 70],
            ["孙三", "四(1)班", 70, 70],
        ],
    )
    result = ingest(root)
    assert quarantine(root).query("rule == 'contradicting_rows'")["row"].tolist() == [4, 5]
    assert set(table(root, "outcomes")["student"]) == {who(3)}
    assert result.rules.query("rule == 'duplicate'")["n"].tolist() == [1]


def test_a_mark_with_a_letter_puts_its_line_aside(root):
    write_scores(root, [["赵一", "四(1)班", "1O3", 90], ["孙三", "四(1)班", 70, 70]])
    ingest(root)
    assert quarantine(root).query("status == 'quarantined'")[["row", "column", "rule"]].values.tolist() == [
        [4, "语文", "not_a_number"]
    ]
    assert set(table(root, "outcomes")["student"]) == {who(3)}


# ---- what stops an ingest ---------------------------------------------------------------------------


def refused(root, error, *parts: str):
    """Ingest stops with ``error`` naming ``parts``; tables, private files and raw files stay as they were."""
    before, raws = stored_bytes(root), _hashes(root)
    private = {path: path.read_bytes() for path in (root / "private").rglob("*.parquet")}
    with pytest.raises(error) as caught:
        ingest(root)
    for part in parts:
        assert part in caught.value.en
    assert any("\u4e00" <= character <= "\u9fff" for character in caught.value.zh)
    for name in (*PEOPLE, number(1), number(2)):
        assert name not in caught.value.en + caught.value.zh
    assert stored_bytes(root) == before and _hashes(root) == raws
    assert {path: path.read_bytes() for path in (root / "private").rglob("*.parquet")} == private
    return caught.value


def _hashes(root) -> dict[str, str]:
    return {str(path): file_hash(path) for path in sorted((root / "data" / "raw").rglob("*.*"))}


def test_an_unknown_term_lists_the_known_ones(held):
    with pytest.raises(UnknownTermError, match="2024-2025-2, 2025-2026-1"):
        ingest(held, "2031-2032-1")


def test_a_wrong_encoding_stops_and_names_file_and_line(held):
    raw(held, LOG).write_bytes("日期,學生姓名,班級\n2025-10-09,趙一,四年級一班\n".encode("big5"))
    refused(held, UnreadableFileError, LOG, "line 1", "save as UTF-8 or GB18030 csv")


def test_one_broken_byte_in_a_log_stops_and_names_the_line(held):
    path = raw(held, LOG)
    path.write_bytes(path.read_bytes().replace("商量".encode("gb18030"), b"\xff\xff"))
    refused(held, UnreadableFileError, LOG, "line 3, byte")


def test_a_truncated_workbook_stops(held):
    path = raw(held, ROSTER)
    path.write_bytes(path.read_bytes()[:3000])
    refused(held, UnreadableFileError, ROSTER, "cut off or damaged")


def test_an_empty_file_stops(held):
    raw(held, LOG).write_bytes(b"")
    refused(held, UnreadableFileError, LOG, "empty")


def test_a_missing_column_stops_and_says_what_was_tried_and_found(held):
    write_csv(
        raw(held, LOG),
        [["日期", "学生", "班级", "家访方式", "类型"], ["2025-10-09", "赵一", "四(1)班", "入户", "常规"]],
    )
    refused(held, MissingColumnError, LOG, "student_name: 学生姓名", "headers found: 日期, 学生, 班级")


def test_an_unknown_label_stops_and_names_column_rows_and_allowed_labels(held):
    write_log(held, TERM, [*log_rows(), ["2025-10-10", "赵一", "四(1)班", "路遇", "常规", "", "", ""]])
    error = refused(held, UnknownLevelError, LOG, "column 家访方式", "row 6", "入户 | 电话")
    assert "路遇" not in error.en


def test_an_unknown_option_stops_and_names_the_question(held):
    rows = [response(1, "四(1)班", "赵一"), response(2, "四(1)班", "孙三", first="很 符合")]
    write_xlsx(raw(held, SURVEY), {"Sheet1": [SURVEY_HEADER, *rows]})
    refused(
        held,
        UnknownLevelError,
        SURVEY,
        "Sheet1",
        "4、家校沟通—老师愿意听我说",
        "row 3",
        "不符合 | 一般，说不清 | 符合",
    )


def test_one_student_number_on_two_different_children_stops(held):
    other = child(1, "钱二宝", "四(1)班")
    write_roster(held, [child(1, "赵一", "四(1)班"), other, child(3, "孙三", "四(1)班")])
    refused(held, DuplicateStudentError, ROSTER, "名册", "rows 3, 4")


def test_one_student_number_in_two_schools_for_different_children_stops(held):
    stranger = [5, "周五", number(12), "女", "2015-03", "四(1)班", "否", "在读"]
    write_roster(held, [child(1, "赵一", "四(1)班"), stranger])
    refused(held, DuplicateStudentError, ROSTER, f"{JUNIOR}/学籍名册.xlsx")


def test_an_identical_roster_line_is_only_a_duplicate(root):
    write_roster(
        root, [child(1, "赵一", "四(1)班"), child(1, "赵一", "四(1)班"), child(3, "孙三", "四(1)班")]
    )
    result = ingest(root)
    assert result.rules.query("rule == 'duplicate'")["n"].tolist() == [1]
    assert (table(root, "enrolments")["student"] == who(1)).sum() == 1


def test_a_folder_that_is_no_school_stops(held):
    path = raw(held, "S99_无名学校/家访记录.csv")
    path.parent.mkdir()
    path.write_bytes(raw(held, LOG).read_bytes())
    refused(held, IngestError, "S99_无名学校/家访记录.csv", "names no school")


def test_without_a_list_of_schools_it_says_which_file_is_wanted(held):
    raw(held, "学校名录.csv").unlink()
    refused(held, IngestError, f"data/raw/{TERM}/学校名录.csv")


def test_several_problems_are_listed_together(held):
    raw(held, LOG).write_bytes(b"")
    raw(held, ROSTER).write_bytes(b"PK\x03\x04 not a zip")
    write_scores(held, [["赵一", "四(1)班", 85, 90]])
    write_xlsx(raw(held, SURVEY), {"Sheet1": [SURVEY_HEADER, response(1, "四(1)班", "赵一", first="嗯")]})
    error = refused(held, IngestError, LOG, ROSTER, SURVEY, "3 problems")
    assert error.en.count("\n") == 3


def test_more_than_twenty_problems_are_cut_with_their_number(held):
    for index in range(25):
        raw(held, f"{PRIMARY}/家访记录{index}.csv").write_bytes(b" ")
    error = refused(held, IngestError, "25 problems", "and 5 more")
    assert error.en.count("家访记录") == 20


def test_a_file_that_fits_no_source_is_reported(root):
    raw(root, f"{PRIMARY}/安全演练.docx").write_bytes(b"whatever")
    raw(root, f"{PRIMARY}/~$成绩册.xlsx").write_bytes(b"lock")
    files = ingest(root).files
    assert files.loc[files["kind"] == "unrecognised", "file"].tolist() == [
        f"data/raw/{TERM}/{PRIMARY}/安全演练.docx"
    ]


def test_a_file_that_fits_two_sources_stops(root):
    text = (root / "study.toml").read_text(encoding="utf-8")
    double = '[[sources]]\ntable = "events"\nfiles = "data/raw/{term}/*/活动*.xlsx"\nschool = "folder"\n'
    double += 'event_kind = "lecture"\ncolumns = {date = "日期"}\n'
    (root / "study.toml").write_text(
        text.replace("[instruments.parents]", double + "[instruments.parents]"), encoding="utf-8"
    )
    with pytest.raises(StudyFileError, match="fits two sources"):
        ingest(root)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('student_name = "学生姓名", class = "班级", ', 'student_name = "学生姓名", ', "columns.class"),
        ('levels.trigger = {"常规" = "routine", "重点" = "targeted"}', "", "levels.trigger"),
        ('event_kind = "lecture"', "", "event_kind"),
        (
            'school = "column"\ncolumns = {school = "学校代码", student_name',
            "columns = {student_name",
            ".school",
        ),
    ],
)
def test_a_source_that_does_not_say_enough_stops(root, old, new, says):
    text = (root / "study.toml").read_text(encoding="utf-8")
    assert old in text
    (root / "study.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(StudyFileError, match=says):
        ingest(root)


def test_a_codebook_without_an_option_list_stops(root):
    (root / "codebooks" / "parents.toml").write_text(
        CODEBOOK.replace("[options.agree]", "[options.agreed]"), encoding="utf-8"
    )
    with pytest.raises(StudyFileError, match="options 'agree' are not declared"):
        ingest(root)


def test_files_of_headers_only_give_empty_tables(root):
    write_log(root, TERM, [])
    write_scores(root, [])
    write_xlsx(raw(root, SURVEY), {"Sheet1": [SURVEY_HEADER]})
    write_xlsx(raw(root, f"{PRIMARY}/家长学校签到.xlsx"), {"a": [["姓名", "孩子班级", "场次", "状态"]]})
    write_xlsx(raw(root, f"{PRIMARY}/活动记录.xlsx"), {"a": [["日期", "活动类型", "班级", "主题"]]})
    write_xlsx(
        raw(root, "重点学生名单.xlsx"), {"a": [["学校代码", "姓名", "班级", "类别", "认定日期", "依据"]]}
    )
    files = ingest(root).files
    assert files["quarantined"].sum() == 0
    assert len(table(root, "contacts")) == len(table(root, "outcomes")) == len(table(root, "responses")) == 0


# ---- nobody is exposed ------------------------------------------------------------------------------


def test_canaries_in_every_column_reach_no_table_and_no_report(root):
    """A name and a number planted in every cell of good, bad and free-text columns."""
    canary, secret = "孙三", number(3)
    planted = f"{canary}{secret}"
    write_log(
        root,
        TERM,
        [
            ["2025-10-09", "赵一", "四(1)班", "入户", "常规", planted, planted, planted],
            [planted, planted, planted, "入户", "常规", planted, planted, planted],
        ],
    )
    write_xlsx(
        raw(root, "重点学生名单.xlsx"),
        {
            "a": [
                ["学校代码", "姓名", "班级", "类别", "认定日期", "依据"],
                ["S01", "钱二宝", "四1班", "留守", "2025-09-05", planted],
                [planted] * 3 + ["留守", planted, planted],
            ]
        },
    )
    write_xlsx(
        raw(root, f"{PRIMARY}/活动记录.xlsx"),
        {
            "a": [
                ["日期", "活动类型", "班级", "主题"],
                ["2025-10-20", "家长讲座", "全校", f"看望{canary}"],
                [planted, "家长会", planted, planted],
            ]
        },
    )
    write_xlsx(
        raw(root, f"{PRIMARY}/家长学校签到.xlsx"),
        {
            "a": [
                ["姓名", "孩子班级", "场次", "状态"],
                ["赵一", "四(1)班", f"2025-10-20 {planted}", "已签到"],
                [planted] * 3 + ["未到"],
            ]
        },
    )
    write_scores(root, [["赵一", "四(1)班", 85, planted], [planted] * 4])
    odd = response(2, planted, planted)
    odd[1] = odd[6] = planted
    write_xlsx(
        raw(root, SURVEY), {"Sheet1": [SURVEY_HEADER, [*response(1, "四(1)班", canary)[:-1], planted], odd]}
    )
    result = ingest(root)
    tables = [table(root, name).to_csv() for name in store.table_names(load_study(root))]
    shown = "".join([*tables, result.files.to_csv(), result.rules.to_csv(), result.links.to_csv()])
    everything = shown.encode() + b"".join(stored_bytes(root).values())
    for private in (canary, secret, secret[1:]):
        assert private not in shown
        assert private.encode() not in everything
    topics = table(root, "events")["topic"].dropna().tolist()
    assert "看望＊" in topics


def test_names_are_known_to_the_scan_of_finished_pages(ingested):
    root, _ = ingested
    assert set(load_names(load_study(root))) >= {"赵一", "周五"}
    identities = read_identities(load_study(root))
    assert set(identities.loc[identities["name"] == "赵一", "student"]) == {who(1)}


def test_raw_files_are_never_changed(root):
    before = _hashes(root)
    ingest(root)
    assert _hashes(root) == before
