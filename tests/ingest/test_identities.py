from __future__ import annotations

import hashlib
import hmac
import os
import stat
import sys

import pandas as pd
import pytest

from cobench.errors import KeyMissingError
from cobench.ingest import identities

HEX = "0f" * 32
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows guards files by access lists, not modes")


@pytest.fixture
def home(tmp_path):
    return {"XDG_CONFIG_HOME": str(tmp_path), "APPDATA": str(tmp_path)}


def test_a_pseudonym_is_the_keyed_hash_of_study_entity_and_identifier():
    wanted = hmac.new(b"k" * 32, b"demo|student|G1", hashlib.sha256).hexdigest()[:20]
    assert identities.pseudonym(b"k" * 32, "demo", "student", "G1") == f"s_{wanted}"


def test_pseudonyms_differ_by_key_study_and_entity():
    made = {
        identities.pseudonym(key, study, entity, "G1")
        for key in (b"a" * 32, b"b" * 32)
        for study in ("demo", "other")
        for entity in ("student", "teacher")
    }
    assert len(made) == 8


def test_missing_identifiers_have_no_pseudonym():
    made = identities.pseudonyms(b"k" * 32, "demo", "student", pd.Series(["G1", None, "G1"]))
    assert made[0] == made[2] and pd.isna(made[1])


def test_a_key_comes_from_the_environment_as_hexadecimal_or_text():
    assert identities.load_key("demo", env={"COBENCH_KEY": HEX}) == bytes.fromhex(HEX)
    assert identities.load_key("demo", env={"COBENCH_KEY": "x" * 40}) == b"x" * 40


@pytest.mark.parametrize("short", ["abc", "0f" * 31, "x" * 31])
def test_a_short_key_is_refused_and_not_repeated(short):
    with pytest.raises(KeyMissingError, match="too short") as caught:
        identities.load_key("demo", env={"COBENCH_KEY": short})
    assert short not in caught.value.en


def test_a_made_key_is_found_again_and_never_replaced(home):
    path = identities.create_key("demo", home)
    assert len(identities.load_key("demo", env=home)) == 32
    with pytest.raises(KeyMissingError, match="stays"):
        identities.create_key("demo", home)
    assert path.name == "demo.key"


@POSIX
def test_a_made_key_is_for_its_owner_only(home):
    path = identities.create_key("demo", home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@POSIX
def test_a_key_that_others_can_read_is_refused_with_the_command_that_mends_it(home):
    path = identities.create_key("demo", home)
    path.chmod(0o644)
    with pytest.raises(KeyMissingError, match="chmod 600"):
        identities.load_key("demo", env=home)


def test_without_a_key_the_message_says_how_to_make_one(home):
    with pytest.raises(KeyMissingError, match="cobench key") as caught:
        identities.load_key("demo", env=home)
    assert "cobench key" in caught.value.zh


def test_a_key_inside_the_study_is_refused(tmp_path):
    path = tmp_path / "demo.key"
    path.write_text(HEX)
    path.chmod(0o600)
    with pytest.raises(KeyMissingError, match="inside the study"):
        identities.load_key("demo", tmp_path, {"COBENCH_KEY_FILE": str(path)})


def test_a_key_file_elsewhere_is_read(tmp_path):
    path = tmp_path / "demo.key"
    path.write_text(HEX + "\n")
    path.chmod(0o600)
    (tmp_path / "study").mkdir()
    assert identities.load_key("demo", tmp_path / "study", {"COBENCH_KEY_FILE": str(path)}) == bytes.fromhex(
        HEX
    )


def test_ensuring_a_key_twice_gives_the_same_key(home):
    first = identities.ensure_key("demo", env=home)
    again = identities.ensure_key("demo", env=home)
    found = identities.key_id(identities.load_key("demo", env=home))
    assert found in first.en and found in again.zh
    assert len(list(os.scandir(home["XDG_CONFIG_HOME"]))) == 1


def test_the_key_id_tells_keys_apart_without_being_part_of_them():
    one, other = identities.key_id(b"a" * 32), identities.key_id(b"b" * 32)
    assert one != other and len(one) == 8
    assert one not in (b"a" * 32).hex()


def test_remembered_pseudonyms_are_those_that_are_made_anew(monkeypatch):
    monkeypatch.setattr(identities, "_WORTH_REMEMBERING", 2)
    first, later = pd.Series(["a", "b", "c"]), pd.Series(["b", "d", None, "a"])
    for key in (bytes(range(32)), bytes(range(1, 33))):
        identities.pseudonyms(key, "tiny", "student", first)
        found = identities.pseudonyms(key, "tiny", "student", later)
        wanted = [identities.pseudonym(key, "tiny", "student", each) for each in ("b", "d", "a")]
        assert found.dropna().tolist() == wanted and pd.isna(found[2])
