"""The whole path on a small demo district: what comes out of the raw files is what the generator put in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from cobench import store
from cobench.demo import build_world, canonical_tables, write_raw
from cobench.ingest.identities import keyed, pseudonyms
from cobench.ingest.ingest import ingest_term
from cobench.study import load_study
from cobench.tables import TABLES

ROOT = Path(__file__).resolve().parents[2]
KEY = b"a key of thirty-two bytes or so."


@pytest.fixture(scope="module")
def district(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    shutil.copyfile(ROOT / "study.toml", folder / "study.toml")
    world = build_world(11, n_schools=4, n_students=300)
    write_raw(world, folder)
    study = load_study(folder)
    results = {term.id: ingest_term(study, term.id, key=KEY) for term in study.terms}
    return {"world": world, "study": study, "results": results}


@pytest.fixture(scope="module")
def files(district):
    joined = pd.concat([result.files for result in district["results"].values()])
    return joined.assign(file=joined["file"].str.removeprefix("data/raw/")).set_index("file")


@pytest.mark.parametrize("name", [name for name in TABLES if name != "set_aside"])
def test_every_table_is_what_a_perfect_ingest_would_give(district, name):
    world, study = district["world"], district["study"]
    numbers = world.people["student_number"]
    known = dict(zip(world.people["student"], pseudonyms(KEY, study.id, "student", numbers), strict=True))
    wanted, found = canonical_tables(world)[name], store.read_table(study, name)
    if "student" in wanted:
        wanted = wanted.assign(student=wanted["student"].map(known).astype("str"))
    for column, entity in (("teacher", "teacher"), ("speaker", "speaker"), ("note_key", "note")):
        if column in wanted:
            texts = wanted[column].astype("object")
            hashed = keyed(KEY, study.id, entity, texts.where(texts.notna(), None))
            wanted = wanted.assign(**{column: hashed.astype("str")})
    # The number of a record is the row of the file that it stands in.
    columns = [column for column in TABLES[name].columns if column != "record"]
    assert len(wanted) > 0
    pd.testing.assert_frame_equal(_in_order(found, columns), _in_order(wanted, columns))


def test_rows_of_every_file_are_counted_as_planted(district, files):
    sheets = district["world"].manifest
    planted = (
        sheets.assign(n_non_data=sheets["n_non_data"] + sheets["n_header"])
        .groupby("file")
        .sum(numeric_only=True)
    )
    # A repeated line of a cumulative export is written as data and recognised as held already.
    repeated = district["world"].traps.query("rule == 'repeated_row'").groupby("file").size()
    repeated = repeated.reindex(planted.index, fill_value=0)
    assert set(files.index) == set(planted.index)
    files = files.loc[planted.index]
    assert (files["accepted"] == planted["n_accepted"] - repeated).all()
    assert (files["quarantined"] == planted["n_quarantined"]).all()
    assert (files["non_data"] == planted["n_non_data"] + repeated).all()


def test_every_planted_fault_is_put_aside_under_its_rule_and_nothing_else_is(district):
    names = {
        "bad_number": "not_a_number",
        "blank_name": "blank_required",
        "unknown_student": "student_in_quarantine",
    }
    traps = district["world"].traps.query("expected == 'quarantined'")
    planted = set(zip(traps["file"], traps["sheet"], traps["row"], traps["rule"].replace(names), strict=True))
    root = district["study"].root
    put_aside = pd.concat(
        [pd.read_parquet(path) for path in sorted((root / "private" / "quarantine").glob("*.parquet"))]
    ).query("status == 'quarantined'")
    short = put_aside["file"].str.removeprefix("data/raw/")
    found = set(zip(short, put_aside["sheet"], put_aside["row"], put_aside["rule"], strict=True))
    assert found == planted and len(planted) > 10


def test_no_name_or_number_of_a_child_is_in_any_stored_table(district):
    world, study = district["world"], district["study"]
    folder = store.processed_dir(study)
    numbers = [number.encode() for number in world.people["student_number"]]
    # Names of two characters may be part of other words; longer ones may not.
    names = [name.encode() for name in world.people["name"] if len(name) > 2]
    for path in sorted(folder.rglob("*.*")):
        held = path.read_bytes()
        if path.suffix == ".parquet":
            held = pd.read_parquet(path).to_csv().encode()
        assert not any(number in held for number in numbers), path.name
        assert not any(name in held for name in names), path.name


def _in_order(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    frame = frame[columns]
    text = frame.astype("str").fillna("")
    return frame.loc[text.sort_values(columns).index].reset_index(drop=True)
