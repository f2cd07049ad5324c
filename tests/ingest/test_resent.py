"""Files sent again: what is taken for one thing sent twice, what isn't, and that a decision is kept and counted."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_study import KEY, LOG, LOG_HEADER, PRIMARY, STUDY, TERM, log_rows, raw, write_csv, write_log

from cobench import store
from cobench.errors import ResentFileError, StudyFileError, UnreadableFileError
from cobench.files import file_hash
from cobench.ingest import resent
from cobench.ingest.ingest import ingest_term
from cobench.ingest.receive import open_groups
from cobench.ingest.resent import Sent, bare_name, find_group, read_choices, record_choice, sent_again
from cobench.study import load_study

AGAIN = f"{PRIMARY}/家访记录最终版2.csv"
WHERE = "四(1)班"


def hashes(*rows: int) -> np.ndarray:
    return np.array(sorted(rows), dtype="uint64")


def visit(day: str, child: str, mode: str = "入户") -> list:
    return [day, child, WHERE, mode, "常规", "20分钟", "", ""]


def groups(root):
    return [[each.path.name for each in group] for group in open_groups(load_study(root), TERM)]


def choose(root, name: str):
    chosen, group = find_group(open_groups(load_study(root), TERM), raw(root, name))
    return record_choice(load_study(root), TERM, chosen, group)


def ingest(root):
    return ingest_term(load_study(root), TERM, key=KEY)


# ---- what is one thing sent twice -------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "家访记录(1)", "家访记录（2）", "家访记录 - 副本", "家访记录 - 副本 (2)", "副本家访记录", "家访记录最终版2", "家访记录_v2",
        "家访记录V2.1", "家访记录（修订）", "家访记录修改后", "最终版_家访记录", "家访记录第二版", "Copy of 家访记录", "家访记录 final",
        "家访记录（最终版）(1)",
    ],
)  # fmt: skip
def test_marks_of_sending_again_are_taken_off_a_name(name):
    assert bare_name(name) == "家访记录"


@pytest.mark.parametrize(
    "name",
    [
        "家访记录_401",
        "家访记录三(1)",
        "家访记录 初二(3)",
        "9月家访记录",
        "家访记录_2",
        "家访记录4(2)",
        "家访记录补充",
    ],
)
def test_classes_months_and_parts_are_names_of_their_own(name):
    assert bare_name(name) not in ("家访记录", "家访记录三", "家访记录 初二", "家访记录4")


@given(st.text(min_size=1, max_size=12))
def test_a_bare_name_is_stable_and_never_empty(name):
    once = bare_name(name)
    assert bare_name(once) == once
    assert once or not name.strip()


def test_counters_of_a_source_with_several_files_are_parts():
    assert bare_name("家访记录(2)", several=True) == "家访记录(2)"
    assert bare_name("家访记录(2)修订版", several=True) == "家访记录(2)"


def test_half_of_the_smaller_file_in_common_is_one_thing_and_less_is_not():
    one = Sent("a/9月.csv", "S01", rows=hashes(1, 2, 3, 4))
    again = Sent("a/到10月.csv", "S01", rows=hashes(3, 4, 5, 6, 7, 8, 9))
    part = Sent("a/11月.csv", "S01", rows=hashes(4, 10, 11, 12))
    assert sent_again([one, again, part]) == [(one, again)]


def test_one_row_in_common_is_chance():
    one = Sent("a/1.csv", "S01", rows=hashes(1))
    assert sent_again([one, Sent("a/2.csv", "S01", rows=hashes(1, 2, 3))]) == []


def test_the_same_name_in_two_schools_is_two_things():
    assert sent_again([Sent("a/家访.csv", "S01"), Sent("b/家访(1).csv", "S02")]) == []


ROWS = st.lists(st.tuples(*[st.sampled_from("abc")] * 2), min_size=1, max_size=6)


@given(st.lists(ROWS, min_size=2, max_size=4))
def test_files_whose_rows_are_not_compared_have_none_in_common(files):
    read = [_read(rows) for rows in files]
    compared = resent._may_share_rows(read)
    for one in range(len(files)):
        for other in range(one + 1, len(files)):
            if {*files[one]} & {*files[other]}:
                assert {one, other} <= compared
                assert np.isin(resent.row_hashes(read[one][1]), resent.row_hashes(read[other][1])).any()


def test_files_of_different_schools_are_not_compared_row_by_row():
    assert resent._may_share_rows([_read([("S01", "a")]), _read([("S02", "a")])]) == set()


def _read(rows):
    cells = pd.DataFrame(rows, columns=["school", "student_name"]).assign(sheet="", row=range(len(rows)))
    found = SimpleNamespace(located=[SimpleNamespace(cells=cells)])
    return SimpleNamespace(source=SimpleNamespace(several=False)), found


def test_a_third_file_joins_the_group_of_the_first_two():
    files = [Sent(f"a/{name}.csv", "S01") for name in ("家访", "家访(1)", "家访最终版")]
    assert sent_again(files) == [tuple(files)]


# ---- in a delivery ----------------------------------------------------------------------------------


def test_a_file_sent_again_stops_ingest_naming_both_and_the_way_out(root):
    write_log(root, TERM, log_rows()[1:], AGAIN)
    with pytest.raises(ResentFileError) as caught:
        ingest(root)
    for said in (caught.value.en, caught.value.zh):
        assert LOG in said and AGAIN in said and "cobench choose" in said and "several = true" in said
    assert not store.read_table(load_study(root), "contacts", [TERM]).size


def test_a_file_that_fits_its_source_only_without_the_mark_is_not_overlooked(root):
    write_log(root, TERM, log_rows()[1:], f"{PRIMARY}/最终版_家访记录.csv")
    assert groups(root) == [["家访记录.csv", "最终版_家访记录.csv"]]


def test_identical_content_is_skipped_and_no_conflict(root):
    raw(root, AGAIN).write_bytes(raw(root, LOG).read_bytes())
    result = ingest(root)
    assert groups(root) == []
    counts = result.files.set_index("file")
    skipped = counts[counts["how_read"].str.startswith("same content")]
    assert len(skipped) == 1 and (skipped["non_data"] == skipped["rows_in"]).all()


def test_a_log_a_month_counts_whole(root):
    before = len(ingest(root).files)
    write_log(root, TERM, [visit("2025-11-03", "孙三")], f"{PRIMARY}/家访记录_11月.csv")
    result = ingest(root)
    assert len(result.files) == before + 1
    assert len(store.read_table(load_study(root), "contacts", [TERM])) == 6


def test_a_cumulated_export_is_a_conflict_until_several_is_declared(root):
    write_log(root, TERM, [*log_rows(), visit("2025-11-03", "孙三")], f"{PRIMARY}/家访记录_到11月.csv")
    with pytest.raises(ResentFileError):
        ingest(root)
    text = STUDY.replace(
        'files = "data/raw/{term}/*/家访记录*"\n', 'files = "data/raw/{term}/*/家访记录*"\nseveral = true\n'
    )
    (root / "study.toml").write_text(text, encoding="utf-8")
    ingest(root)
    assert len(store.read_table(load_study(root), "contacts", [TERM])) == 6


def test_the_chosen_file_counts_and_every_row_of_the_other_is_superseded(root):
    write_log(root, TERM, [visit("2025-11-03", "孙三")], AGAIN)
    before = raw(root, LOG).read_bytes()
    choice = choose(root, AGAIN)
    assert choice.sha256 == file_hash(raw(root, AGAIN)) and choice.chosen_at[:2] == "20"
    files = ingest(root).files.set_index("file")
    lesser = files.loc[f"data/raw/{TERM}/{LOG}"]
    assert lesser["how_read"] == f"superseded by data/raw/{TERM}/{AGAIN}"
    assert lesser[["rows_in", "accepted", "quarantined", "non_data"]].tolist() == [5, 0, 0, 5]
    contacts = store.read_table(load_study(root), "contacts", [TERM])
    assert contacts["date"].astype("str").tolist() == ["2025-11-03"]
    assert raw(root, LOG).read_bytes() == before


def test_a_choice_holds_only_for_the_content_that_was_chosen_among(root):
    write_log(root, TERM, [visit("2025-11-03", "孙三")], AGAIN)
    choose(root, AGAIN)
    write_log(root, TERM, [visit("2025-11-04", "孙三")], LOG)
    with pytest.raises(ResentFileError):
        ingest(root)


def test_a_third_file_makes_a_settled_conflict_open_again(root):
    write_log(root, TERM, [visit("2025-11-03", "孙三")], AGAIN)
    choose(root, AGAIN)
    write_log(root, TERM, [visit("2025-11-05", "孙三")], f"{PRIMARY}/家访记录(3).csv")
    with pytest.raises(ResentFileError, match="家访记录\\(3\\)"):
        ingest(root)
    choose(root, f"{PRIMARY}/家访记录(3).csv")
    assert len(read_choices(load_study(root))) == 1
    ingest(root)
    assert store.read_table(load_study(root), "contacts", [TERM])["date"].astype("str").tolist() == [
        "2025-11-05"
    ]


def test_a_mind_changed_replaces_the_choice(root):
    write_log(root, TERM, [visit("2025-11-03", "孙三")], AGAIN)
    choose(root, AGAIN)
    choose(root, LOG)
    assert [each.file for each in read_choices(load_study(root))] == [f"data/raw/{TERM}/{LOG}"]
    ingest(root)
    assert len(store.read_table(load_study(root), "contacts", [TERM])) == 5


def test_a_superseded_file_that_cannot_be_read_no_longer_stops_ingest(root):
    write_log(root, TERM, [visit("2025-11-03", "孙三")], AGAIN)
    raw(root, LOG).write_bytes(b"\xff\xff broken \x00")
    with pytest.raises(UnreadableFileError):
        ingest(root)
    choose(root, AGAIN)
    files = ingest(root).files.set_index("file")
    assert files.loc[f"data/raw/{TERM}/{LOG}", "rows_in"] == 0


def test_choices_that_cannot_be_read_are_refused_with_the_way_out(root):
    (root / "choices.toml").write_text("choices = 3", encoding="utf-8")
    with pytest.raises(StudyFileError, match="choices"):
        ingest(root)
    (root / "choices.toml").write_text("[[choices", encoding="utf-8")
    with pytest.raises(StudyFileError, match="choose again"):
        ingest(root)


def test_several_logs_in_many_folders_are_compared_within_their_school_only(root):
    write_csv(raw(root, "S02_示例初中/家访记录(1).csv"), [LOG_HEADER, visit("2025-11-03", "周五")])
    assert groups(root) == [["家访记录(1).csv", "家访记录.csv"]]
