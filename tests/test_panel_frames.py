"""Claims about reading for the panel: a table is read when it is asked for, and students are numbers."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from cobench import store
from cobench.panel_frames import StoredFrames, of_term, with_codes


def test_a_table_is_read_when_it_is_asked_for(district_study, monkeypatch):
    read = []
    monkeypatch.setattr(
        store,
        "read_codes",
        lambda study, name, *of, _read=store.read_codes, **how: (
            read.append(name) or _read(study, name, *of, **how)
        ),
    )
    frames = StoredFrames(district_study, district_study.newest_term())
    assert read == ["students", "enrolments"]
    assert len(frames["contacts"]) > 0
    assert len(frames["contacts"]) > 0
    assert read == ["students", "enrolments", "contacts"]
    assert "history" in frames
    assert "scores" not in frames


def test_outcomes_are_read_a_term_at_a_time(district_study):
    first, second = (each.id for each in district_study.terms[:2])
    frames = StoredFrames(district_study, district_study.terms[1])
    rows = {term: of_term(frames, "outcomes", term) for term in (first, second)}
    assert all(set(found["term"]) == {term} for term, found in rows.items())
    plain = store.read_table(district_study, "outcomes", [first, second])
    assert len(of_term({"outcomes": plain}, "outcomes", first)) == len(rows[first])


def test_numbers_are_places_in_the_names(district_study):
    term = district_study.newest_term()
    frames = StoredFrames(district_study, term)
    stored = store.read_table(district_study, "contacts", [term.id])
    named = frames["contacts"].assign(
        student=frames.names.take(pa.array(frames["contacts"]["student"])).to_pylist()
    )
    columns = ["student", "date", "mode", "trigger"]
    pd.testing.assert_frame_equal(
        _sorted(named[columns]), _sorted(stored.loc[stored["student"].notna(), columns])
    )


def test_whom_the_roster_does_not_name_has_a_number_of_their_own(district_study):
    term = district_study.newest_term()
    plain = StoredFrames(district_study, term)
    known = plain.names[0].as_py()
    scores = pd.DataFrame({"student": ["stranger", known, "other", "stranger", None], "score": range(5)})
    numbers = StoredFrames(district_study, term, scores)["scores"]["student"].tolist()
    assert numbers[1] == 0
    assert numbers[0] == numbers[3] != numbers[2]
    assert min(numbers[0], numbers[2]) >= len(plain.names)
    assert len(numbers) == 4


def test_frames_of_ones_own_get_the_same_number_for_the_same_child():
    frames, names = with_codes(
        {
            "students": pd.DataFrame({"student": ["b", "a"]}),
            "outcomes": pd.DataFrame({"student": ["a", None, "c"], "value": [1.0, 2.0, 3.0]}),
        }
    )
    assert [names[number].as_py() for number in frames["outcomes"]["student"]] == ["a", "c"]
    assert frames["outcomes"]["student"].iloc[0] == frames["students"]["student"].iloc[1]


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    texts = frame.astype("object").astype("str")
    return texts.sort_values(list(texts), ignore_index=True)
