"""Claims about the store: a delivery replaces its own rows only, and a reader sees the old tables or the new."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cobench import store
from cobench.errors import ConservationError, StageMissingError
from cobench.files import file_hash, write_text
from cobench.study import Study, study_from
from cobench.tables import TABLES, conform

HEADER = {
    "study": {"id": "s", "label": "s"},
    "terms": [
        {"id": "t1", "start": pd.Timestamp("2025-02-17").date(), "end": pd.Timestamp("2025-07-04").date()}
    ],
}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    root = tmp_path / "o'brien 区 1"
    root.mkdir()
    return study_from(HEADER, root)


def _schools(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["school", "term"]).assign(name="School", stage="primary")


def _contacts(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["student", "term"]).assign(date="2025-03-10", mode="at_home")


def _pairs(study: Study, name: str, column: str) -> list[tuple[str, str]]:
    frame = store.read_table(study, name)
    return sorted(zip(frame[column], frame["term"], strict=True))


def _parquet_files(study: Study) -> set[str]:
    root = store.processed_dir(study)
    return {path.relative_to(root).as_posix() for path in root.glob("*/term=*/*.parquet")}


# ---- deliveries ---------------------------------------------------------------------------------------


def test_nothing_stored_reads_as_an_empty_table(study):
    assert store.read_table(study, "contacts").equals(conform("contacts", pd.DataFrame()))
    assert store.read_table(study, "panel_source").empty
    assert store.table_names(study) == ()
    assert store.deliveries(study) == ()


def test_replacing_a_delivery_replaces_exactly_its_rows(study):
    store.write_tables(study, "first", {"schools": _schools(("S1", "t1"), ("S2", "t2"))})
    store.write_tables(
        study,
        "second",
        {"schools": _schools(("S3", "t1")), "contacts": _contacts(("a", "t1"), ("b", "t2"))},
    )
    store.write_tables(study, "first", {"schools": _schools(("S4", "t1"))})
    assert _pairs(study, "schools", "school") == [("S3", "t1"), ("S4", "t1")]
    assert _pairs(study, "contacts", "student") == [("a", "t1"), ("b", "t2")]
    store.write_tables(study, "second", {"contacts": _contacts(("c", "t2"))})
    assert _pairs(study, "schools", "school") == [("S4", "t1")]
    assert _pairs(study, "contacts", "student") == [("c", "t2")]
    assert store.deliveries(study) == ("first", "second")


def test_writing_the_same_delivery_twice_changes_nothing(study):
    frames = {"contacts": _contacts(("a", "t1"), ("b", "t1"))}
    store.write_tables(study, "one", frames)
    manifest = (store.processed_dir(study) / "manifest.json").read_bytes()
    files = _parquet_files(study)
    store.write_tables(study, "one", frames)
    assert (store.processed_dir(study) / "manifest.json").read_bytes() == manifest
    assert _parquet_files(study) == files


def test_two_deliveries_with_the_same_rows_keep_them_when_one_goes(study):
    for delivery in ("one", "two"):
        store.write_tables(study, delivery, {"contacts": _contacts(("a", "t1"))})
    store.write_tables(study, "one", {})
    assert _pairs(study, "contacts", "student") == [("a", "t1")]
    assert store.deliveries(study) == ("two",)


def test_terms_and_deliveries_can_be_read_apart(study):
    store.write_tables(study, "one", {"contacts": _contacts(("a", "t1"), ("b", "t2"))})
    store.write_tables(study, "two", {"contacts": _contacts(("c", "t2"))})
    assert store.read_table(study, "contacts", ["t1"])["student"].tolist() == ["a"]
    assert store.read_table(study, "contacts", []).empty
    assert sorted(store.read_table(study, "contacts", deliveries=["two"])["student"]) == ["c"]


def test_files_that_no_manifest_names_are_collected(study):
    store.write_tables(study, "one", {"contacts": _contacts(("a", "t1"))})
    before = _parquet_files(study)
    store.write_tables(study, "one", {"contacts": _contacts(("b", "t1"))})
    after = _parquet_files(study)
    assert len(after) == 1
    assert not before & after
    store.write_tables(study, "one", {})
    assert _parquet_files(study) == set()


def test_a_file_that_a_reader_holds_open_is_collected_by_a_later_write(study, monkeypatch):
    store.write_tables(study, "one", {"contacts": _contacts(("a", "t1"))})

    def held(self, missing_ok=False):
        raise PermissionError("held by a reader")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", held)
        store.write_tables(study, "one", {"contacts": _contacts(("b", "t1"))})
    assert _pairs(study, "contacts", "student") == [("b", "t1")]
    assert len(_parquet_files(study)) == 2
    store.write_tables(study, "one", {"contacts": _contacts(("c", "t1"))})
    assert len(_parquet_files(study)) == 1


def test_tables_are_split_by_term_and_named_by_their_content(study):
    store.write_tables(study, "one", {"contacts": _contacts(("a", "t1"), ("b", "t2"))})
    assert {file.rsplit("/", 1)[0] for file in _parquet_files(study)} == {
        "contacts/term=t1",
        "contacts/term=t2",
    }
    root = store.processed_dir(study)
    for file in _parquet_files(study):
        assert Path(file).stem == file_hash(root / file)[:16]
    manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    parts = manifest["deliveries"]["one"]["parts"]
    assert parts["all"]["tables"]["contacts"]["t1"]["rows"] == 1


def test_a_row_without_a_term_is_refused_and_never_dropped(study):
    store.write_tables(study, "one", {"contacts": _contacts(("a", "t1"))})
    with pytest.raises(ConservationError) as caught:
        store.write_tables(study, "one", {"contacts": _contacts(("b", "t1"), ("c", None))})
    assert "contacts: 1 rows have no term" in caught.value.en
    assert "1 行没有学期" in caught.value.zh
    assert _pairs(study, "contacts", "student") == [("a", "t1")]


def test_a_repeated_key_is_refused_and_leaves_the_store_as_it_was(study):
    store.write_tables(study, "one", {"schools": _schools(("S1", "t1"))})
    with pytest.raises(ConservationError):
        store.write_tables(study, "one", {"schools": _schools(("S2", "t1"), ("S2", "t1"))})
    assert _pairs(study, "schools", "school") == [("S1", "t1")]


# ---- types --------------------------------------------------------------------------------------------

SAMPLES = {
    "text": ["甲", None, "a'b"],
    "int": [3, None, -2],
    "float": [1.5, None, 0.1],
    "bool": [True, None, False],
    "date": ["2025-03-10", None, "2024-02-29"],
    "time": ["2025-03-10 23:59:59", None, "2025-01-01 00:00:01"],
}


@pytest.mark.parametrize("name", TABLES)
def test_every_canonical_table_comes_back_with_its_values_and_types(study, name):
    columns = {column: SAMPLES[kind] for column, kind in TABLES[name].columns.items()}
    frame = conform(name, pd.DataFrame(columns | {"term": ["t1", "t1", "t1"]}))
    store.write_tables(study, "one", {name: frame})
    pd.testing.assert_frame_equal(store.read_table(study, name), frame)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_missing_throughout_keeps_its_types(study, name):
    only_keys = {
        column: SAMPLES[kind][:1]
        for column, kind in TABLES[name].columns.items()
        if column in TABLES[name].key
    }
    frame = conform(name, pd.DataFrame(only_keys | {"term": ["t1"]}))
    store.write_tables(study, "one", {name: frame})
    pd.testing.assert_frame_equal(store.read_table(study, name), frame)


def test_a_frame_that_is_no_canonical_table_keeps_its_own_columns(study):
    frame = pd.DataFrame({"term": ["t1", "t1"], "iq.36": [90.5, None], "site": ["a", "b"], "n": [1, 2]})
    store.write_tables(study, "one", {"panel_source": frame})
    pd.testing.assert_frame_equal(
        store.read_table(study, "panel_source"), frame, check_dtype=False, check_exact=True
    )


def test_a_frame_without_terms_is_read_whatever_term_is_asked_for(study):
    store.write_tables(study, "one", {"notes": pd.DataFrame({"n": [1, 2]})})
    assert store.read_table(study, "notes", ["t9"])["n"].tolist() == [1, 2]


def test_tables_can_be_queried_by_name(study):
    store.write_tables(study, "it's", {"contacts": _contacts(("a", "t1"), ("b", "t1"), ("b", "t2"))})
    with store.connect(study) as connection:
        found = connection.sql("select student, count(*) from contacts group by 1 order by 1").fetchall()
    assert found == [("a", 1), ("b", 2)]


# ---- interruptions ------------------------------------------------------------------------------------

OLD = {"schools": _schools(("S1", "t1")), "contacts": _contacts(("a", "t1"), ("b", "t2"))}
NEW = {"schools": _schools(("S2", "t1")), "contacts": _contacts(("c", "t1"), ("d", "t2"))}


class Interrupted(BaseException):
    """Stands for a power cut: nothing is meant to catch it."""


def _break_at(patch: pytest.MonkeyPatch, owner: object, name: str, k: int) -> list[int]:
    """Let the ``k``-th call (from 0) of ``owner.name`` raise; returns a list that counts the calls."""
    real = getattr(owner, name)
    calls: list[int] = []

    def call(*args, **options):
        calls.append(1)
        if len(calls) == k + 1:
            raise Interrupted
        return real(*args, **options)

    patch.setattr(owner, name, call)
    return calls


def _state(study: Study) -> tuple:
    return (_pairs(study, "schools", "school"), _pairs(study, "contacts", "student"))


OLD_STATE = ([("S1", "t1")], [("a", "t1"), ("b", "t2")])
NEW_STATE = ([("S2", "t1")], [("c", "t1"), ("d", "t2")])


@pytest.mark.parametrize(
    ("owner", "name", "n_calls", "n_old"),
    [
        (os, "replace", 4, 4),  # three Parquet files, then the manifest
        (pq, "write_table", 3, 3),
        (Path, "unlink", 4, 0),  # after the manifest: the old files go, then word of the writer
    ],
)
def test_a_reader_sees_the_old_tables_or_the_new_wherever_a_write_breaks(
    study, monkeypatch, owner, name, n_calls, n_old
):
    for k in range(n_calls):
        store.write_tables(study, "one", OLD)
        with monkeypatch.context() as patch:
            _break_at(patch, owner, name, k)
            with pytest.raises(Interrupted):
                store.write_tables(study, "one", NEW)
        assert _state(study) == (OLD_STATE if k < n_old else NEW_STATE)
        store.write_tables(study, "one", NEW)
        assert _state(study) == NEW_STATE
        assert len(_parquet_files(study)) == 3
        assert [path for path in store.processed_dir(study).rglob(".*") if path.name != ".lock"] == []
    with monkeypatch.context() as patch:
        calls = _break_at(patch, owner, name, 10**6)
        store.write_tables(study, "one", OLD)
        assert len(calls) == n_calls


@pytest.mark.parametrize("k", [0, 1])
def test_a_first_write_that_breaks_leaves_nothing_to_read(study, monkeypatch, k):
    with monkeypatch.context() as patch:
        _break_at(patch, os, "replace", k)
        with pytest.raises(Interrupted):
            store.write_tables(study, "one", {"contacts": _contacts(("a", "t1"))})
    assert store.read_table(study, "contacts").empty
    assert store.deliveries(study) == ()


def test_a_text_file_is_replaced_whole_or_not_at_all(study, monkeypatch):
    path = study.root / "note.txt"
    write_text(path, "旧\n")
    with monkeypatch.context() as patch:
        _break_at(patch, os, "replace", 0)
        with pytest.raises(Interrupted):
            write_text(path, "新\n")
    assert path.read_bytes() == "旧\n".encode()
    write_text(path, "新\n")
    assert path.read_bytes() == "新\n".encode()
    assert [each.name for each in study.root.iterdir()] == ["note.txt"]


# ---- the term stage -----------------------------------------------------------------------------------


def test_a_stage_is_replaced_whole(study):
    store.write_stage(
        study, "t1", "k1", {"panel": pd.DataFrame({"x": [1]}), "flow": pd.DataFrame({"y": [1]})}
    )
    assert store.stage_key(study, "t1") == "k1"
    store.write_stage(study, "t1", "k2", {"panel": pd.DataFrame({"x": [2]})})
    assert store.stage_key(study, "t1") == "k2"
    assert store.read_stage(study, "t1", "panel")["x"].tolist() == [2]
    with pytest.raises(StageMissingError):
        store.read_stage(study, "t1", "flow")
    folders = [path for path in (store.processed_dir(study) / "derived" / "t1").iterdir() if path.is_dir()]
    assert len(folders) == 1


def test_a_stage_that_breaks_at_any_frame_leaves_the_current_one(study, monkeypatch):
    old = {"panel": pd.DataFrame({"x": [1]}), "flow": pd.DataFrame({"y": [1]})}
    new = {"panel": pd.DataFrame({"x": [2]}), "flow": pd.DataFrame({"y": [2]})}
    for owner, name, k in [
        (pd.DataFrame, "to_parquet", 0),
        (pd.DataFrame, "to_parquet", 1),
        (os, "replace", 0),
    ]:
        store.write_stage(study, "t1", "old", old)
        with monkeypatch.context() as patch:
            _break_at(patch, owner, name, k)
            with pytest.raises(Interrupted):
                store.write_stage(study, "t1", "new", new)
        assert store.stage_key(study, "t1") == "old"
        assert store.read_stage(study, "t1", "panel")["x"].tolist() == [1]
        assert store.read_stage(study, "t1", "flow")["y"].tolist() == [1]
    store.write_stage(study, "t1", "new", new)
    folders = [path for path in (store.processed_dir(study) / "derived" / "t1").iterdir() if path.is_dir()]
    assert len(folders) == 1


def test_a_stage_of_one_term_leaves_the_others(study):
    store.write_stage(study, "t1", "k", {"panel": pd.DataFrame({"x": [1]})})
    store.write_stage(study, "t2", "k", {"panel": pd.DataFrame({"x": [2]})})
    assert store.read_stage(study, "t1", "panel")["x"].tolist() == [1]
    assert store.stage_key(study, "t3") is None


def test_a_stage_keeps_the_types_of_its_frames(study):
    frame = pd.DataFrame(
        {
            "student": pd.Series(["a", None], dtype="str"),
            "flag": [True, False],
            "grade": [3, 4],
            "z": [0.1, None],
            "day": pd.to_datetime(["2025-03-10", None]).astype("datetime64[ms]"),  # Parquet's coarsest
        }
    )
    store.write_stage(study, "t1", "k", {"panel": frame})
    pd.testing.assert_frame_equal(store.read_stage(study, "t1", "panel"), frame, check_dtype=True)


def test_asking_for_what_is_not_computed_names_the_command_in_both_languages(study):
    with pytest.raises(StageMissingError) as caught:
        store.read_stage(study, "t1", "panel")
    assert "cobench run t1" in caught.value.en
    assert "cobench run t1" in caught.value.zh


def test_the_key_of_a_stage_follows_tables_study_file_and_code(study):
    seen = {store.inputs_key(study)}
    store.write_tables(study, "one", {"contacts": _contacts(("a", "t1"))})
    seen.add(store.inputs_key(study))
    store.write_tables(study, "one", {"contacts": _contacts(("b", "t1"))})
    seen.add(store.inputs_key(study))
    (study.root / "study.toml").write_text("[study]\n", encoding="utf-8")
    seen.add(store.inputs_key(study))
    seen.add(store.inputs_key(study, "another version"))
    assert len(seen) == 5
    assert store.inputs_key(study) == store.inputs_key(study)


# ---- private ------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no owner bits")
def test_private_folders_are_open_to_their_owner_only_even_if_they_were_not(study):
    loose = study.root / "private"
    loose.mkdir(mode=0o755)
    loose.chmod(0o755)
    made = store.private_dir(study, "quarantine", "t1")
    assert made == study.root / "private" / "quarantine" / "t1"
    for folder in (made, made.parent, made.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_private_folder_may_be_asked_for_twice(study):
    assert store.private_dir(study) == store.private_dir(study) == study.root / "private"
