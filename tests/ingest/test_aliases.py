"""Claims about numbers that change: a child keeps one pseudonym where people say so, and only there."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from small_study import (
    EARLIER,
    KEY,
    TERM,
    child,
    grade,
    log_rows,
    number,
    raw,
    write_csv,
    write_log,
    write_roster,
    write_xlsx,
)

from cobench import store
from cobench.errors import IngestError
from cobench.ingest import aliases
from cobench.ingest.declare import declare_aliases, list_proposals
from cobench.ingest.identities import pseudonym, read_identities
from cobench.ingest.ingest import ingest_term
from cobench.study import load_study

TODAY = date(2026, 1, 31)
TEMPORARY, FORMAL = number(2, "L"), number(2)


@pytest.fixture
def env(monkeypatch):
    monkeypatch.setenv("COBENCH_KEY", KEY.hex())


@pytest.fixture
def changed(root, env):
    """A study in which 钱二宝 has an L number in the first term and a G number in the second."""
    where = grade(EARLIER)
    rows = [
        child(1, "赵一", where),
        child(2, "钱二宝", where),
        child(3, "孙三", where),
        child(4, "李·四", where),
    ]
    rows[1][2] = TEMPORARY
    write_roster(root, rows, EARLIER)
    return both_terms(root)


def both_terms(root):
    study = load_study(root)
    return study, [ingest_term(study, term, key=KEY) for term in (EARLIER, TERM)][-1]


def who(text: str) -> str:
    return pseudonym(KEY, "tiny", "student", text)


def declared(tmp_path, *pairs: tuple[str, str]):
    path = tmp_path / "变更.csv"
    write_csv(path, [["原学籍号", "现学籍号", "依据"], *[[*pair, "转正"] for pair in pairs]])
    return path


def students(study, term: str) -> set[str]:
    return set(store.read_table(study, "enrolments", [term])["student"])


def test_without_a_declaration_two_numbers_are_two_children(changed):
    study, _ = changed
    assert who(TEMPORARY) in students(study, EARLIER) and who(FORMAL) in students(study, TERM)


def test_a_declared_change_keeps_the_first_pseudonym_in_every_term_at_once(changed, tmp_path):
    study, _ = changed
    said = declare_aliases(study, declared(tmp_path, (TEMPORARY, FORMAL)), TODAY)
    assert "1" in said.en and "转正" in aliases.read_aliases(study)["evidence"].tolist()
    tables = {name: store.read_table(study, name) for name in store.table_names(study)}
    assert who(TEMPORARY) in students(study, EARLIER) & students(study, TERM)
    assert who(FORMAL) not in {
        each for t in tables.values() if "student" in t for each in t["student"].dropna()
    }
    both_terms(study.root)
    for name, frame in tables.items():
        pd.testing.assert_frame_equal(store.read_table(study, name), frame, obj=name)
    numbers = read_identities(study).query("student == @who(@TEMPORARY)")["student_number"]
    assert set(numbers) == {TEMPORARY, FORMAL}


def test_rows_with_another_number_of_the_child_are_linked_and_counted_as_such(changed, tmp_path):
    study, _ = changed
    text = (study.root / "study.toml").read_text(encoding="utf-8")
    wanted = 'class = "班级", category = "类别"'
    with_number = 'class = "班级", student_number = "学籍号", category = "类别"'
    assert wanted in text
    (study.root / "study.toml").write_text(text.replace(wanted, with_number), encoding="utf-8")
    rows = [
        ["S01", "名字写错", TEMPORARY, "四1班", "留守", "2025-09-05", "摸排"],
        ["S01", "赵一", number(1), "四1班", "留守", "2025-09-05", "摸排"],
        ["S01", "孙三", "", "四1班", "留守", "2025-09-05", "摸排"],
    ]
    head = ["学校代码", "姓名", "学籍号", "班级", "类别", "认定日期", "依据"]
    write_xlsx(raw(study.root, "重点学生名单.xlsx"), {"名单": [head, *rows]})
    declare_aliases(study, declared(tmp_path, (TEMPORARY, FORMAL)), TODAY)
    _, result = both_terms(study.root)
    links = result.links.set_index("table").loc["memberships"]
    counts = ["n_rows", "n_linked", "n_by_number", "n_by_alias", "n_by_name", "n_unlinked"]
    assert links[counts].tolist() == [3, 3, 1, 1, 1, 0]
    held = store.read_table(load_study(study.root), "memberships", [TERM])
    assert who(TEMPORARY) in set(held["student"])


def test_a_likely_change_is_proposed_and_applied_only_once_confirmed(changed):
    study, _ = changed
    said = list_proposals(study)
    path = study.root / "private" / "aliases_to_confirm.csv"
    text = path.read_text(encoding="utf-8-sig")
    assert "1 more" in said.en and TEMPORARY in text and FORMAL in text
    assert TEMPORARY not in said.en + said.zh
    assert who(TEMPORARY) not in students(study, TERM)
    assert "0 changes" in declare_aliases(study, path, TODAY).en
    assert who(TEMPORARY) not in students(study, TERM)
    lines = text.splitlines()
    path.write_text("\n".join([lines[0], "是" + lines[1]]), encoding="utf-8-sig")
    assert "1 changes" in declare_aliases(study, path, TODAY).en
    assert who(TEMPORARY) in students(study, TERM)
    assert "no further" in list_proposals(study).en


IDENTITY = ["student", "student_number", "name", "term", "school", "class_id"]


def people(*rows: tuple[str, str, str, str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(number, name, term, class, birth month) as identity map and months of birth."""
    frame = pd.DataFrame(rows, columns=["student_number", "name", "term", "class_id", "birth_month"])
    frame = frame.assign(student=frame["student_number"], school="S01")
    return frame[IDENTITY], frame[["student", "term", "birth_month"]]


OLD, NEW = ("L1", "王一", "2024-2025-2", "c1", "2015-03"), ("G1", "王一", "2025-2026-1", "c1", "2015-03")


@pytest.mark.parametrize(
    "rows",
    [
        [OLD, ("G1", "王二", "2025-2026-1", "c1", "2015-03")],
        [OLD, ("G1", "王一", "2025-2026-1", "c2", "2015-03")],
        [OLD, ("G1", "王一", "2025-2026-1", "c1", "2015-04")],
        [OLD, ("G1", "王一", "2024-2025-2", "c1", "2015-03")],
        [("G2", *OLD[1:]), NEW],
        [OLD, NEW, ("G2", *NEW[1:])],
        [OLD, ("L2", *OLD[1:]), NEW],
        [OLD, (*NEW[:4], None)],
    ],
    ids=["name", "class", "birth", "same term", "G to G", "two later", "two earlier", "no birth month"],
)
def test_what_is_not_alike_or_not_unique_is_not_proposed(rows):
    assert aliases.propose(*people(*rows), {}).empty


def test_what_is_alike_and_unique_is_proposed_unless_declared():
    found = aliases.propose(*people(OLD, NEW), {})
    assert found[["earlier", "later"]].to_numpy().tolist() == [["L1", "G1"]]
    assert aliases.propose(*people(OLD, NEW), {"L1": "L1"}).empty


def test_a_chain_of_numbers_leads_to_the_first():
    table = pd.DataFrame({"earlier": ["J1", "L1"], "later": ["L1", "G1"]})
    assert aliases.first_numbers(table) == {"J1": "J1", "L1": "J1", "G1": "J1"}


@pytest.mark.parametrize(
    "pairs", [[("A", "C"), ("B", "C")], [("A", "B"), ("B", "A")]], ids=["two before one", "circle"]
)
def test_a_contradicting_table_is_refused(pairs):
    with pytest.raises(IngestError, match="contradicts"):
        aliases.first_numbers(pd.DataFrame(pairs, columns=["earlier", "later"]))


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(TEMPORARY, FORMAL[:-1])], "row 2"),
        ([(FORMAL, FORMAL)], "row 2"),
        ([(TEMPORARY, FORMAL), ("", FORMAL)], "row 3"),
        ([(number(1), number(3))], "two children"),
    ],
)
def test_a_bad_declaration_names_its_rows_and_changes_nothing(changed, tmp_path, pairs, words):
    study, _ = changed
    before = students(study, TERM)
    with pytest.raises(IngestError, match=words) as caught:
        declare_aliases(study, declared(tmp_path, *pairs), TODAY)
    assert not [n for pair in pairs for n in pair if n and n in caught.value.en + caught.value.zh]
    assert aliases.read_aliases(study).empty and students(study, TERM) == before


def test_linked_and_unlinked_rows_are_compared_by_what_both_have(root, env):
    write_log(root, TERM, [*log_rows(), ["2025-11-22", "查无此人", "四(1)班", "电话", "常规", "", "", ""]])
    study, _ = both_terms(root)
    traits = store.read_table(study, "ingest_link_traits", [TERM])
    mode = traits[(traits["table"] == "contacts") & (traits["trait"] == "mode")].set_index("level")
    assert mode.loc["phone", ["n_linked", "n_unlinked"]].tolist() == [2, 1]
    assert mode.loc["at_home", ["n_linked", "n_unlinked"]].tolist() == [2, 0]
    report = store.read_table(study, "ingest_links", [TERM])
    for name in ("grade", "month", "mode"):
        own = traits[(traits["table"] == "contacts") & (traits["trait"] == name)]
        assert own["n_unlinked"].sum() == report[report["table"] == "contacts"]["n_unlinked"].sum()
