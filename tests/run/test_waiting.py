"""Claims about waiting: what is missing is told by school and kind, files are opened only when something changed."""

from __future__ import annotations

import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ingest"))

from small_study import JUNIOR, STUDY, TERM, lay_out, raw, write_csv

from cobench.ingest.receive import receive
from cobench.run import waiting
from cobench.run.waiting import Arrived, Lack, fingerprint, look, wait_for_files
from cobench.run.words import phrase

NOBODY_ELSE = STUDY.replace(
    '"data/raw/{term}/*/活动记录*.xlsx"', '"data/raw/{term}/*/活动记录*.xlsx"\nexpected = "none"'
)
NOBODY_ELSE = NOBODY_ELSE.replace('家长学校签到*.xlsx"', '家长学校签到*.xlsx"\nexpected = "none"')
SCORES = f"{JUNIOR}/成绩册.xlsx"


@pytest.fixture
def root(tmp_path):
    """A study in which only the scores of one school are missing."""
    lay_out(tmp_path)
    (tmp_path / "study.toml").write_text(NOBODY_ELSE, encoding="utf-8")
    return tmp_path


def send_scores(root: Path) -> None:
    from small_study import write_xlsx

    head = [["期末成绩册"], ["姓名", "班级", "期末成绩", None], [None, None, "语文", "数学"]]
    rows = [["周五", "初一(1)班", 80, 81]]
    write_xlsx(raw(root, SCORES), {"初一": [*head, *rows]}, ("A1:D1", "A2:A3", "B2:B3", "C2:D2"))


def wait(root: Path, *, seconds: float, every: float = 0.1) -> tuple[Arrived, list[str]]:
    said: list[str] = []
    found = wait_for_files(
        root,
        TERM,
        deadline=datetime.now(UTC) + timedelta(seconds=seconds),
        every=timedelta(seconds=every),
        say=lambda text: said.append(text.en),
        say_lacking=lambda arrived: said.append("; ".join(arrived.lines("en")) or "complete"),
        now=lambda: datetime.now(UTC),
    )
    return found, said


def test_a_look_names_the_school_and_the_kind_and_never_a_file(root):
    found = look(root, TERM)
    assert found == Arrived((Lack("S02", "示例初中", "成绩册", "missing"),))
    assert found.lines("zh") == ["S02 示例初中：成绩册 缺"]
    send_scores(root)
    assert look(root, TERM) == Arrived() and Arrived().complete


def test_a_file_that_cannot_be_read_or_came_twice_has_not_arrived(root):
    raw(root, SCORES).write_bytes(b"PK half a workbook")
    assert [each.state for each in look(root, TERM).lacking] == ["unreadable"]
    send_scores(root)
    again = raw(root, SCORES).with_name("成绩册最终版.xlsx")
    again.write_bytes(raw(root, "S01_示例第一小学/成绩册.xlsx").read_bytes())
    assert [each.state for each in look(root, TERM).lacking] == ["duplicate"]


def test_without_a_list_of_schools_the_look_says_why_and_is_not_complete(root):
    raw(root, "学校名录.csv").unlink()
    found = look(root, TERM)
    assert not found.complete and found.error and "学校名录" in found.error.zh + found.error.en


def test_the_wait_ends_soon_after_the_last_file_came_and_says_each_change_once(root):
    threading.Timer(0.8, send_scores, [root]).start()
    began = time.monotonic()
    found, said = wait(root, seconds=60)
    assert found.complete and time.monotonic() - began < 20
    # A look may fall between two writes, when what is there is unreadable or still changing.
    changes = [each for each in said if each != phrase("schedule.still_changing")["en"]]
    assert changes[0] == "S02 示例初中: 成绩册 missing" and changes[-1] == "complete"
    assert len(set(changes)) == len(changes)


def test_at_the_deadline_what_is_missing_is_handed_on(root):
    found, said = wait(root, seconds=0.5)
    assert [each.kind for each in found.lacking] == ["成绩册"] and len(said) == 1


def test_files_are_opened_again_only_where_something_changed(root, monkeypatch):
    opened = []
    monkeypatch.setattr(waiting, "receive", lambda *given: opened.append(1) or receive(*given))
    wait(root, seconds=1, every=0.05)
    assert len(opened) == 1


@pytest.mark.parametrize(
    "name", [f"data/raw/{TERM}/学校名录.csv", "study.toml", "codebooks/parents.toml", "choices.toml"]
)
def test_whatever_decides_what_has_arrived_is_seen_to_change(root, name):
    before, path = fingerprint(root, TERM), root / name
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b"\n")
    assert fingerprint(root, TERM) != before


def test_a_file_that_still_grows_is_waited_for(root):
    """A copy in progress can be read as a whole file; the run must not begin with half of it."""
    send_scores(root)
    path, stop = raw(root, "S01_示例第一小学/家访记录.csv"), threading.Event()
    whole = path.read_bytes()

    def grow():
        for n in range(12):
            path.write_bytes(whole + b"\n" * n)
            time.sleep(0.1)
        stop.set()

    grower = threading.Thread(target=grow)
    grower.start()
    found, said = wait(root, seconds=60, every=0.5)
    assert stop.is_set(), "it began while the file was growing"
    grower.join()
    assert found.complete and "files are still changing; looking again" in said


def test_of_many_schools_some_are_named_and_the_rest_counted():
    lacking = tuple(Lack(f"S{n:02d}", "x", kind, "missing") for n in range(30) for kind in ("a", "b"))
    lines = Arrived(lacking).lines("en")
    assert (
        len(lines) == 21 and lines[0] == "S00 x: a missing, b missing" and lines[-1] == "and 10 more schools"
    )
    assert Arrived((Lack("", "", "a", "missing"),)).lines("zh") == ["全区：a 缺"]


def test_schools_that_owe_nothing_are_not_named(root):
    write_csv(
        raw(root, "学校名录.csv"),
        [["学校代码", "学校名称", "简称", "学段"], ["S01", "示例第一小学", "一小", "小学"]],
    )
    assert look(root, TERM).complete
