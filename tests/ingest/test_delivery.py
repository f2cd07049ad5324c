"""Claims about re-reading: only what changed is read, and whatever the steps, the end is that of one fresh ingest."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pandas as pd
import pytest
from small_study import (
    EARLIER,
    JUNIOR,
    KEY,
    LOG,
    PRIMARY,
    STUDY,
    TERM,
    child,
    grade,
    lay_out,
    log_rows,
    raw,
    write_log,
    write_roster,
    write_scores,
)

from cobench import store
from cobench.errors import KeyMismatchError
from cobench.ingest import batches, delivery
from cobench.ingest.identities import read_identities
from cobench.ingest.ingest import ingest_term, ingest_terms
from cobench.ingest.report import read_quarantine
from cobench.study import load_study
from cobench.tables import TABLES

FRAMES = (*TABLES, "ingest_files", "ingest_rules", "ingest_links")


def everything(root: Path) -> dict[str, str]:
    """All that is stored of the study, private files included, as text; rows in the order they are read."""
    study = load_study(root)
    held = {name: store.read_table(study, name).to_csv() for name in FRAMES}
    held["identities"] = read_identities(study).to_csv()
    held |= {f"quarantine {term}": read_quarantine(study, term).to_csv() for term in (EARLIER, TERM)}
    return held


def ingest(root: Path) -> list[str]:
    return ingest_terms(load_study(root), [EARLIER, TERM], key=KEY)


def fresh(root: Path, folder: Path) -> dict[str, str]:
    """What one ingest from nothing gives."""
    shutil.copytree(root, folder, ignore=shutil.ignore_patterns("processed", "private"))
    ingest(folder)
    return everything(folder)


@pytest.fixture
def files_read(monkeypatch) -> list[str]:
    """Names of files that are read, as they are."""
    names: list[str] = []
    real = batches.read_file

    def read(file, codebook):
        names.append(file.label.removeprefix("data/raw/"))
        return real(file, codebook)

    monkeypatch.setattr(batches, "read_file", read)
    return names


# ---- what is read again -----------------------------------------------------------------------------


def test_where_nothing_changed_nothing_is_read_or_written(held, files_read):
    path = store.processed_dir(load_study(held)) / "manifest.json"
    before = path.stat().st_mtime_ns
    result = ingest_term(load_study(held), TERM, key=KEY)
    assert not result.changed and files_read == [] and path.stat().st_mtime_ns == before
    assert result.files["rows_in"].sum() > 0
    assert ingest(held) == []


def test_only_the_changed_file_is_read_again(held, files_read):
    write_log(held, TERM, log_rows()[:2])
    assert ingest(held) == [TERM]
    assert files_read == [f"{TERM}/{LOG}"]


def test_what_rests_on_a_roster_is_linked_again_without_being_read_again(held, files_read):
    rows = [child(1, "赵一", grade(TERM)), child(2, "钱二宝", grade(TERM)), child(3, "孙三丰", grade(TERM))]
    write_roster(held, rows)
    assert ingest(held) == [TERM]
    assert len(files_read) == 1
    found = read_quarantine(load_study(held), TERM)
    assert "unknown_student" in set(found.loc[found["file"].str.endswith(LOG), "rule"])


def test_a_file_put_back_is_read_from_what_was_kept_only_as_long_as_it_counts(held, files_read):
    path = raw(held, LOG)
    data = path.read_bytes()
    path.unlink()
    ingest(held)
    kept = list((held / "private" / "cells").iterdir())
    path.write_bytes(data)
    ingest(held)
    assert files_read == [f"{TERM}/{LOG}"]
    assert len(list((held / "private" / "cells").iterdir())) == len(kept) + 1


def test_another_key_reads_everything_again_once_the_old_tables_are_gone(held):
    before = everything(held)
    with pytest.raises(KeyMismatchError):
        ingest_terms(load_study(held), [EARLIER, TERM], key=KEY[::-1])
    shutil.rmtree(held / "data" / "processed")
    assert ingest_terms(load_study(held), [EARLIER, TERM], key=KEY[::-1]) == [EARLIER, TERM]
    assert everything(held)["students"] != before["students"]


def test_a_change_in_an_earlier_term_reaches_a_later_one_that_looked_at_it(held, tmp_path):
    old = ["2025-03-10", "赵一", grade(EARLIER), "入户", "常规", "40分钟", "", "谈学习"]
    write_log(held, TERM, [*log_rows(), old])
    assert ingest(held) == [TERM]
    study = load_study(held)
    assert len(store.read_table(study, "contacts", [EARLIER])) == 1
    write_log(held, EARLIER, [["2025-03-11", *old[1:]]])
    assert ingest(held) == [EARLIER, TERM]
    assert len(store.read_table(study, "contacts", [EARLIER])) == 2
    assert everything(held) == fresh(held, tmp_path / "fresh")


# ---- any steps, one end -----------------------------------------------------------------------------


def _edit(root: Path, choose: random.Random) -> None:
    """One random change of the raw files, of a kind that people make."""
    term = choose.choice([EARLIER, TERM])
    where = grade(term)
    names = ["赵一", "钱二宝", "孙三", "李·四", "查无此人", "赵一、钱二宝"]
    old = ["2025-03-10", "赵一", grade(EARLIER), "入户", "常规", "40分钟", "", ""]
    days = (
        ["2025/10/09", "11.20", "2025-02-30", "2025-03-10"] if term == TERM else ["2025-03-10", "2025-04-01"]
    )
    rows = [
        [
            choose.choice(days),
            choose.choice(names),
            where,
            choose.choice(["入户", "电话"]),
            "常规",
            "",
            "",
            "",
        ]
        for _ in range(choose.randrange(4))
    ] + [old] * choose.randrange(2)
    extra = raw(root, f"{PRIMARY}/家访记录_补{choose.randrange(2)}.csv", term)
    kind = choose.randrange(7)
    if kind == 0:
        write_log(root, term, rows)
    elif kind == 1:
        write_log(root, term, rows, extra.relative_to(raw(root, "", term)).as_posix())
    elif kind == 2:
        extra.unlink(missing_ok=True)
    elif kind == 3 and extra.exists():
        extra.rename(extra.with_name(f"家访记录_改名{choose.randrange(3)}.csv"))
    elif kind == 4:
        listed = [child(n, name, where) for n, name in enumerate(names[:4], 1) if choose.random() < 0.8]
        write_roster(root, [child(1, "赵一", where), *listed[1:]], term)
    elif kind == 5:
        marks = [
            [name, where, choose.choice([85, "缺考", "x"]), 90] for name in names[: choose.randrange(1, 5)]
        ]
        if term == TERM:
            write_scores(root, marks)
    else:
        copy = raw(root, f"{PRIMARY}/家访记录_另存.csv", term)
        copy.write_bytes(raw(root, LOG, term).read_bytes())


@pytest.mark.parametrize("seed", range(3))
def test_after_any_edits_the_tables_are_those_of_one_fresh_ingest(tmp_path, seed):
    choose = random.Random(seed)
    root = lay_out(tmp_path / "tiny")
    # A copy of a log whose original then changes would be a file sent again.
    logs = 'files = "data/raw/{term}/*/家访记录*"\n'
    (root / "study.toml").write_text(STUDY.replace(logs, logs + "several = true\n"), encoding="utf-8")
    ingest(root)
    for step in range(3):
        for _ in range(choose.randrange(1, 4)):
            _edit(root, choose)
        ingest(root)
        assert everything(root) == fresh(root, tmp_path / f"fresh{step}")


def test_terms_read_side_by_side_give_what_one_after_the_other_gives(tmp_path, monkeypatch):
    monkeypatch.setattr("cobench.ingest.ingest._WORTH_PROCESSES", 0)
    root = lay_out(tmp_path / "tiny")
    old = ["2025-03-10", "赵一", grade(EARLIER), "入户", "常规", "40分钟", "", "谈学习"]
    write_log(root, TERM, [*log_rows(), old])
    done = []
    tidied, commit = delivery._tidied, store.commit
    monkeypatch.setattr(delivery, "_tidied", lambda *of: done.append(of[1]) or tidied(*of))
    monkeypatch.setattr(store, "commit", lambda *of, **more: done.append("commit") or commit(*of, **more))
    ingest_terms(load_study(root), [EARLIER, TERM], key=KEY, jobs=2)
    # Only what looked at the earlier term is made again, now that it is stored.
    assert done[done.index("commit") :] == ["commit", "contacts", "commit"]
    monkeypatch.undo()
    assert everything(root) == fresh(root, tmp_path / "fresh")


def test_a_file_of_another_school_leaves_the_rest_as_it_stands(held):
    before = {entry[-1] for entry in store.contents(load_study(held), [TERM]) if entry[2] == "outcomes"}
    write_log(held, TERM, [], f"{JUNIOR}/家访记录.csv")
    ingest(held)
    after = {entry[-1] for entry in store.contents(load_study(held), [TERM]) if entry[2] == "outcomes"}
    assert before == after and before


def test_quarantine_of_files_taken_over_stays(held):
    before = read_quarantine(load_study(held), TERM)
    write_scores(held, [["赵一", "四(1)班", "x", 90]])
    ingest(held)
    after = read_quarantine(load_study(held), TERM)
    old = before[~before["file"].str.endswith("成绩册.xlsx")].reset_index(drop=True)
    kept = after[~after["file"].str.endswith("成绩册.xlsx")].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, old)
    assert "not_a_number" in set(after["rule"])
