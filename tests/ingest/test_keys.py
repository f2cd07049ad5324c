"""Claims about the life of a key: nothing is written with a wrong one, copies come back, rotation is all or nothing."""

from __future__ import annotations

import os
import stat
import sys

import pandas as pd
import pytest
from small_study import EARLIER, KEY, TERM

from cobench import store
from cobench.errors import KeyMismatchError, KeyMissingError
from cobench.ingest import keys
from cobench.ingest.identities import check_key, key_id, load_key, pseudonym, read_identities
from cobench.ingest.ingest import ingest_term
from cobench.study import load_study

OTHER = b"another key of thirty-two bytes!"
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows guards files by access lists, not modes")


@pytest.fixture
def env(tmp_path):
    """Variables that name a key file holding the key with which ``held`` was made."""
    path = tmp_path / "keys" / "tiny.key"
    path.parent.mkdir()
    path.write_text(KEY.hex() + "\n")
    path.chmod(0o600)
    return {"COBENCH_KEY_FILE": str(path)}


def stored(study) -> dict[str, pd.DataFrame]:
    return {name: store.read_table(study, name) for name in store.table_names(study)}


def everything(root) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in ("data/processed", "private")
        for path in (root / folder).rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_a_wrong_key_stops_ingest_before_anything_is_written(held):
    study, before = load_study(held), everything(held)
    with pytest.raises(KeyMismatchError, match=key_id(KEY)) as caught:
        ingest_term(study, TERM, key=OTHER)
    assert key_id(OTHER) in caught.value.zh and "--restore" in caught.value.en
    assert everything(held) == before


def test_the_right_key_and_an_empty_study_pass(held, root):
    check_key(load_study(held), KEY)
    check_key(load_study(root), OTHER)


def test_a_copy_brings_the_key_back_on_another_machine(held, env, tmp_path):
    study, copy = load_study(held), tmp_path / "safe" / "copy.txt"
    copy.parent.mkdir()
    said = keys.backup_key(study, copy, env)
    assert key_id(KEY) in said.zh and KEY.hex() not in said.zh + said.en
    assert key_id(KEY) in copy.read_text(encoding="utf-8")
    elsewhere = {"COBENCH_KEY_FILE": str(tmp_path / "new" / "tiny.key")}
    keys.restore_key(study, copy, elsewhere)
    assert keys.study_key(study, elsewhere) == KEY
    keys.restore_key(study, copy, elsewhere)
    assert load_key("tiny", env={"COBENCH_KEY_FILE": str(copy)}) == KEY


@POSIX
def test_copies_and_restored_keys_are_for_their_owner_only(held, env, tmp_path):
    study, copy = load_study(held), tmp_path / "copy.txt"
    keys.backup_key(study, copy, env)
    elsewhere = {"COBENCH_KEY_FILE": str(tmp_path / "new.key")}
    keys.restore_key(study, copy, elsewhere)
    for path in (copy, tmp_path / "new.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_copy_is_refused_inside_the_study_and_over_a_file(held, env, tmp_path):
    study = load_study(held)
    with pytest.raises(KeyMismatchError, match="inside the study"):
        keys.backup_key(study, held / "private" / "copy.txt", env)
    (tmp_path / "copy.txt").write_text("mine")
    with pytest.raises(KeyMismatchError, match="stays"):
        keys.backup_key(study, tmp_path / "copy.txt", env)
    assert (tmp_path / "copy.txt").read_text() == "mine"


def test_restoring_refuses_a_key_of_other_tables_and_another_key_in_place(held, root, env, tmp_path):
    wrong = tmp_path / "wrong.txt"
    wrong.write_text(OTHER.hex())
    with pytest.raises(KeyMismatchError, match="made with key"):
        keys.restore_key(load_study(held), wrong, {"COBENCH_KEY_FILE": str(tmp_path / "n.key")})
    assert not (tmp_path / "n.key").exists()
    with pytest.raises(KeyMismatchError, match="in place already"):
        keys.restore_key(load_study(root), wrong, env)
    with pytest.raises(KeyMissingError, match="can't be read"):
        keys.restore_key(load_study(root), tmp_path / "nowhere.txt", env)


# ---- rotation -----------------------------------------------------------------------------------------


def test_rotation_gives_every_child_another_pseudonym_and_changes_nothing_else(held, env):
    study = load_study(held)
    before, people = stored(study), read_identities(study)
    done = keys.rotate_key(study, env)
    after, new = stored(study), keys.study_key(study, env)
    assert (done.old, done.new) == (key_id(KEY), key_id(new)) and done.n_students == 6
    translated = {
        pseudonym(KEY, "tiny", "student", each): pseudonym(new, "tiny", "student", each)
        for each in people["student_number"].dropna()
    }
    assert not set(translated) & set(translated.values())
    for name, frame in before.items():
        wanted = frame.assign(student=frame["student"].map(translated)) if "student" in frame else frame
        pd.testing.assert_frame_equal(after[name], wanted.astype(after[name].dtypes.to_dict()))
    assert set(read_identities(study)["key_id"]) == {key_id(new)}
    everywhere = b"".join(everything(held).values())
    assert not [old for old in translated if old.encode() in everywhere]


def test_after_rotation_the_raw_files_give_the_same_tables_again(held, env):
    study = load_study(held)
    keys.rotate_key(study, env)
    rotated, key = stored(study), keys.study_key(study, env)
    for term in (EARLIER, TERM):
        assert ingest_term(study, term, key=key).changed
    again = stored(study)
    for name, frame in rotated.items():
        pd.testing.assert_frame_equal(again[name], frame)


def test_both_keys_are_on_record_and_the_old_one_is_kept(held, env, tmp_path):
    study = load_study(held)
    done = keys.rotate_key(study, env)
    again = keys.rotate_key(study, env)
    record = keys.recorded(study)
    assert [(each["old"], each["new"], each["done"]) for each in record] == [
        (done.old, done.new, True),
        (again.old, again.new, True),
    ]
    assert done.kept.name == f"tiny.key.{done.old}"
    assert bytes.fromhex(done.kept.read_text().strip()) == KEY
    assert again.old == done.new


def test_a_key_from_a_variable_is_replaced_by_the_one_in_the_other(held):
    study = load_study(held)
    env = {"COBENCH_KEY": KEY.hex()}
    with pytest.raises(KeyMissingError, match="COBENCH_NEW_KEY"):
        keys.rotate_key(study, env)
    assert keys.rotate_key(study, env | {"COBENCH_NEW_KEY": OTHER.hex()}).new == key_id(OTHER)
    with pytest.raises(KeyMismatchError):
        keys.study_key(study, env)
    assert keys.study_key(study, {"COBENCH_KEY": OTHER.hex()}) == OTHER


class Killed(BaseException):
    pass


@pytest.mark.parametrize("n_before", range(0, 21, 2))
def test_a_rotation_cut_short_leaves_all_old_or_all_new_and_a_key_that_fits(held, env, monkeypatch, n_before):
    study = load_study(held)
    people = read_identities(study)["student_number"].dropna().unique()
    real, calls = os.replace, []

    def replace(*places):
        calls.append(places)
        if len(calls) > n_before:
            raise Killed
        real(*places)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        finished = True
        try:
            keys.rotate_key(study, env)
        except Killed:
            finished = False
    key = keys.study_key(study, env)
    allowed = {pseudonym(key, "tiny", "student", each) for each in people}
    for name, frame in stored(study).items():
        if "student" in frame:
            assert set(frame["student"].dropna()) <= allowed, name
    assert set(read_identities(study)["key_id"]) == {key_id(key)}
    assert key != KEY if finished else n_before < 20
    if n_before < 10:
        assert key == KEY
    keys.rotate_key(study, env)
    assert keys.study_key(study, env) != key


def test_a_pseudonym_without_a_number_stops_the_rotation_and_nothing_is_changed(held, env):
    study = load_study(held)
    path = held / "private" / "identities" / f"{TERM}.parquet"
    identities = pd.read_parquet(path)
    gone = identities["student_number"].iloc[0]
    for each in path.parent.glob("*.parquet"):
        frame = pd.read_parquet(each)
        frame[frame["student_number"] != gone].to_parquet(each, index=False)
    before = stored(study)
    with pytest.raises(KeyMismatchError, match="1 stored pseudonyms"):
        keys.rotate_key(study, env)
    assert keys.study_key(study, env) == KEY
    for name, frame in stored(study).items():
        pd.testing.assert_frame_equal(frame, before[name])
