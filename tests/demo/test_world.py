"""The synthetic district: reproducible, complete, and consistent with itself."""

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from cobench.demo import build_world, canonical_tables
from cobench.demo.calendar import PROMOTION, TERMS
from cobench.demo.planted import LEVELS
from cobench.tables import TABLES


def test_the_same_seed_gives_identical_frames():
    one, other = (build_world(11, n_schools=4, n_students=400) for _ in range(2))
    for name in one.tables:
        assert_frame_equal(one.tables[name], other.tables[name])
    assert_frame_equal(one.truth, other.truth)
    assert_frame_equal(one.people, other.people)


def test_two_seeds_differ_in_people_and_in_every_table_of_behaviour():
    one, other = (build_world(seed, n_schools=4, n_students=400) for seed in (11, 12))
    assert not one.people["name"].equals(other.people["name"])
    for name in ("enrolments", "memberships", "contacts", "attendance", "responses", "outcomes"):
        assert not one.tables[name].equals(other.tables[name])


def test_tables_have_the_canonical_columns_and_types(district):
    tables = canonical_tables(district)
    assert set(tables) == set(TABLES) - {"set_aside"}  # nothing is put aside in the world itself
    for name, frame in tables.items():
        assert list(frame.columns) == list(TABLES[name].columns)
        assert len(frame) > 0
    assert set(tables["enrolments"]["status"]) == {
        "enrolled",
        "transferred_in",
        "transferred_out",
        "suspended",
    }


def test_canonical_tables_are_copies(district):
    tables = canonical_tables(district)
    tables["students"]["sex"] = "x"
    assert set(district.tables["students"]["sex"]) == {"f", "m"}


def test_the_default_district_has_the_size_it_is_described_with(district):
    schools = district.tables["schools"].drop_duplicates("school")
    assert schools["stage"].value_counts().to_dict() == {"primary": 13, "junior": 6, "kindergarten": 1}
    enrolments = district.tables["enrolments"]
    first = enrolments[enrolments["term"] == TERMS[0].id]
    assert 6800 < first["student"].nunique() < 7200
    assert first["class_id"].nunique() == 177


def test_tables_refer_only_to_children_and_classes_of_their_term(district):
    tables = district.tables
    enrolled = set(map(tuple, tables["enrolments"][["student", "term"]].to_numpy()))
    classes = set(map(tuple, tables["enrolments"][["class_id", "term"]].to_numpy()))
    for name in ("contacts", "attendance", "outcomes", "memberships"):
        assert set(map(tuple, tables[name][["student", "term"]].drop_duplicates().to_numpy())) <= enrolled
    linked = tables["responses"].dropna(subset="student")
    assert set(map(tuple, linked[["student", "term"]].drop_duplicates().to_numpy())) <= enrolled
    for name in ("contacts", "attendance", "logs"):
        assert set(map(tuple, tables[name][["class_id", "term"]].drop_duplicates().to_numpy())) <= classes


def test_in_september_classes_go_up_a_grade_and_keep_their_id(district):
    enrolments = district.tables["enrolments"]
    before, after = (
        enrolments[(enrolments["term"] == TERMS[term].id) & (enrolments["status"] == "enrolled")]
        for term in (PROMOTION - 1, PROMOTION)
    )
    both = before.merge(after, on="student", suffixes=("_before", "_after"), validate="1:1")
    assert ((both["grade_after"] - both["grade_before"]) == 1).all()
    stayed = both[~both["grade_before"].isin([0, 6])]
    assert (stayed["class_id_before"] == stayed["class_id_after"]).all()
    left_primary = both[both["grade_before"] == 6]
    assert len(left_primary) > 500
    assert (left_primary["class_id_before"] != left_primary["class_id_after"]).all()
    assert not set(before.loc[before["grade"] == 9, "student"]) & set(after["student"])


def test_exposure_that_the_tables_show_is_the_exposure_that_was_planted(district):
    """Levels rebuilt from contacts within the window, first that fits, against the process's own."""
    contacts = district.tables["contacts"]
    names = district.people["student"].to_numpy()
    for term, record in zip(TERMS, district.records, strict=True):
        own = contacts[contacts["term"] == term.id]
        during = own[
            (own["date"] > pd.Timestamp(term.landmark)) & (own["date"] <= pd.Timestamp(term.exposure_end))
        ]
        fits = [
            during["trigger"] == "urgent",
            during["trigger"] == "targeted",
            during["mode"] == "at_home",
        ]
        rank = pd.Series(np.select(fits, [4, 3, 2], 1), index=during.index)
        shown = rank.groupby(during["student"]).max().reindex(names, fill_value=0).to_numpy()
        arrived = ~np.isin(record.district.class_of[TERMS.index(term)], record.silent)
        assert (shown[arrived] == record.level[arrived]).all()


def test_targeted_contacts_are_at_home(district):
    contacts = district.tables["contacts"]
    assert set(contacts.loc[contacts["trigger"] == "targeted", "mode"]) == {"at_home"}


@pytest.mark.parametrize(("level", "share"), [("targeted", 0.12), ("at_home", 0.18), ("remote", 0.20)])
def test_levels_have_their_shares_in_every_term(district, level, share):
    for term, record in enumerate(district.records):
        here = record.district.active(term)
        assert abs((record.level[here] == LEVELS.index(level)).mean() - share) < 0.02


def test_some_logs_are_missing_and_one_junior_school_sends_none_in_the_first_term(district):
    tables = district.tables
    logs = tables["logs"][tables["logs"]["table"] == "contacts"]
    enrolments = tables["enrolments"].merge(logs, on=["term", "school", "class_id"], how="left")
    missing = enrolments["table"].isna().groupby([enrolments["term"], enrolments["school"]]).mean()
    assert (missing.groupby("term").mean() > 0).all()
    assert list(missing[missing == 1].index) == [(TERMS[0].id, "S19")]
    silent = enrolments.loc[enrolments["table"].isna(), ["term", "class_id"]].drop_duplicates()
    assert tables["contacts"].merge(silent, on=["term", "class_id"]).empty


def test_a_quiet_class_sent_its_log_and_has_no_contact(district):
    logs = district.tables["logs"]
    logs = logs[logs["table"] == "contacts"]
    counted = logs.merge(district.tables["contacts"], on=["term", "class_id"], how="left")
    quiet = counted[counted["student"].isna()].groupby("term").size()
    assert list(quiet.index) == [term.id for term in TERMS]


def test_contacts_before_the_landmark_in_holidays_and_after_the_window_exist(district):
    contacts = district.tables["contacts"]
    for term in TERMS:
        dates = contacts.loc[contacts["term"] == term.id, "date"]
        assert (dates <= pd.Timestamp(term.landmark)).sum() > 50
        assert (dates > pd.Timestamp(term.exposure_end)).sum() > 50
        assert any(dates.between(*map(pd.Timestamp, holiday)).any() for holiday in term.holidays)


def test_labels_given_after_the_landmark_follow_targeted_visits(district):
    memberships = district.tables["memberships"]
    for term, record in zip(TERMS, district.records, strict=True):
        own = memberships[memberships["term"] == term.id]
        late = own.loc[own["valid_from"] > pd.Timestamp(term.landmark), "student"]
        position = pd.Index(district.people["student"]).get_indexer(late)
        assert len(late) > 10
        assert (record.level[position] == LEVELS.index("targeted")).mean() > 0.3


def test_every_missing_value_has_a_reason(district):
    outcomes = district.tables["outcomes"]
    assert (outcomes["value"].isna() == outcomes["missing_reason"].notna()).all()
    assert set(outcomes["missing_reason"].dropna()) == {"absent", "exempt", "deferred", "blank"}
    responses = district.tables["responses"]
    assert (responses["value"].isna() == responses["missing_reason"].notna()).all()
    assert set(responses["missing_reason"].dropna()) == {"blank", "dont_know", "skipped"}


def test_grades_1_and_2_have_levels_and_higher_grades_have_marks(district):
    outcomes = district.tables["outcomes"].merge(
        district.tables["enrolments"].drop_duplicates(["student", "term"], keep="last")[
            ["student", "term", "grade"]
        ],
        on=["student", "term"],
    )
    grades = outcomes.groupby("measure")["grade"].agg(["min", "max"])
    assert tuple(grades.loc["math"]) == (3, 9)
    assert tuple(grades.loc["math_level"]) == (1, 2)
    assert tuple(grades.loc["math_common"]) == (4, 4)
    assert grades.loc["absences", "min"] == -2
    assert set(outcomes.loc[outcomes["measure"] == "math_common", "term"]) == {each.id for each in TERMS}


def test_two_thirds_to_three_quarters_answer_the_questionnaires(district):
    answered = district.tables["responses"].groupby(["term", "respondent"])
    for term, record in enumerate(district.records):
        here = record.district.active(term)
        older = here & (record.district.grade(term) >= 4)
        for respondent, eligible in (("parent", here), ("student", older)):
            n = len(answered.get_group((TERMS[term].id, respondent))) / (29 if respondent == "parent" else 22)
            assert 0.65 < n / eligible.sum() < 0.76


def test_standards_are_met_by_most_and_missed_by_some(district):
    events = district.tables["events"]
    kinds = events.groupby(["school", "term", "kind"]).size().unstack(fill_value=0)
    assert kinds["lecture"].between(1, 3).all()
    short = (kinds["guidance"] < 2).groupby("school").any()
    assert list(short[short].index) == ["S05", "S10"]
    enrolments = district.tables["enrolments"]
    classes = enrolments.loc[enrolments["status"] == "enrolled", ["term", "class_id"]].drop_duplicates()
    held = events[events["kind"] == "parent_meeting"].groupby(["term", "class_id"]).size().rename("held")
    met = classes.join(held, on=["term", "class_id"])["held"].fillna(0) >= 2
    assert 0.8 < met.mean() < 0.99


def test_most_schools_do_not_visit_every_family_in_a_year(district):
    tables = district.tables
    year = [term.id for term in TERMS[:2]]
    last = tables["enrolments"][
        (tables["enrolments"]["term"] == year[1]) & (tables["enrolments"]["status"] == "enrolled")
    ]
    contacted = set(tables["contacts"].loc[tables["contacts"]["term"].isin(year), "student"])
    coverage = last["student"].isin(contacted).groupby(last["school"]).mean()
    assert (coverage < 1).sum() >= 18
    assert coverage["S03"] > 0.99


@pytest.mark.parametrize("n_schools", [2, 3, 5])
def test_a_small_district_can_be_built(n_schools):
    world = build_world(3, n_schools=n_schools, n_students=60 * n_schools)
    assert world.tables["schools"]["school"].nunique() == n_schools
    assert len(world.truth) > 0


def test_a_district_too_small_for_its_schools_is_refused():
    with pytest.raises(ValueError, match="at least 2 schools"):
        build_world(n_schools=5, n_students=100)


UNCHANGED = {
    "contacts": (["student", "class_id", "date", "mode", "trigger", "teacher_role"], 0x6EB8F172450D336D),
    "attendance": (["event", "student", "present"], 0xFBA327373DE1A27),
    "memberships": (["student", "category", "valid_from"], 0x332479B3907FC14D),
    "events": (["event", "topic"], 0x13A9C09FC4E62025),
    "enrolments": (["student", "class_id", "grade", "status"], 0x8FED365BDAF3A3A),
}
DRAWN_BEFORE = ("lecture", "guidance", "parent_meeting")
PLANTED = ("copied", "relabelled", "route", "late_entry", "busy_saturday")


@pytest.mark.parametrize("name", UNCHANGED)
def test_registers_left_what_was_drawn_before_them_as_it_was(district, name):
    """Sums of row hashes of the world before it had registers: planted effects rest on these rows."""
    columns, expected = UNCHANGED[name]
    rows = district.tables[name]
    if name == "events":
        rows = rows[rows["kind"].isin(DRAWN_BEFORE)]
    if name == "contacts":
        made = district.records[-1].contacts
        made = made[made["kind"].isin(PLANTED)]
        names = district.people["student"].to_numpy()[made["person"].to_numpy()]
        planted = set(zip(names, made["date"], strict=True))
        rows = rows[[pair not in planted for pair in zip(rows["student"], rows["date"], strict=True)]]
        assert (made["date"] > pd.Timestamp(TERMS[-1].exposure_end)).all() and len(made) > 100
    hashed = pd.util.hash_pandas_object(rows[columns].astype("str"), index=False)
    assert int(hashed.sum()) == expected


def test_every_activity_of_the_field_has_its_kind_and_every_term_its_share(district):
    """What domain.md lists: a kind of event or record, or a table, for each."""
    events, records = (
        district.tables[name].groupby("kind")["term"].nunique() for name in ("events", "records")
    )
    held = {
        "lecture", "guidance", "parent_meeting", "forum", "open_day", "open_class", "reception_day", "parent_teaching",
        "resident_day", "bulletin", "theme_discussion", "call_round", "communication_review", "teacher_training",
        "appraisal", "selection", "inspection", "survey", "parent_school_activity", "course", "midterm_exam",
        "sync_lesson", "online_research", "community_meeting", "mentor_activity", "lead_principal",
    }  # fmt: skip
    assert set(events[events == len(TERMS)].index) >= held
    assert {"publicity_week", "exchange_meeting", "year_summary", "offline_research", "assessment"} <= set(
        events.index
    )
    kept = {
        "plan", "archive", "growth", "contact_card", "awareness", "opinion", "fee_violation", "score_breach", "budget",
        "plan_month", "class_volunteers", "represented", "guard_slot", "resident_day", "agreement", "mentor_pair",
        "report", "needs_help",
    }  # fmt: skip
    assert set(records[records == len(TERMS)].index) >= kept
    yearly = {
        "flag",
        "committee",
        "committee_flag",
        "supervision_group",
        "volunteers",
        "health_record",
        "study_plan",
    }
    assert set(records[records == 2].index) >= yearly | {"grade_criterion", "jury", "community_score"}
    assert set(district.tables["communities"]["unit"]) == {f"JGT0{number}" for number in range(1, 7)}


def test_schools_differ_and_one_sends_nothing_of_some_kinds(district):
    events, records = district.tables["events"], district.tables["records"]
    assert "S09" not in set(events.loc[events["kind"] == "bulletin", "school"])
    assert "S17" not in set(records.loc[records["kind"] == "growth", "school"])
    assert "S12" not in set(records.loc[records["kind"] == "plan", "school"])
    flags = records[records["kind"] == "flag"].groupby("school")["holds"].mean()
    assert (flags == 1).any() and (flags < 0.8).any()


def test_what_was_made_up_stands_in_two_schools_and_honest_irregularities_in_others(district):
    gaming = district.gaming
    assert set(gaming.loc[gaming["planted"], "school"]) == {"S06", "S15"}
    assert set(gaming.loc[gaming["planted"], "sign"]) == {
        "late_entry",
        "heaped",
        "copied",
        "relabelled",
        "route",
    }
    assert set(gaming.loc[~gaming["planted"], "school"]) == {"S08", "S11"}
    contacts = district.tables["contacts"]
    texts = contacts.dropna(subset=["note_key"]).groupby("school")["note_key"]
    most = texts.agg(lambda notes: notes.value_counts().iloc[0] / len(notes))
    assert most["S06"] > 0.1 and most.drop("S06").max() < 0.02
    newest = contacts[contacts["term"] == TERMS[-1].id]
    a_day = newest[newest["mode"] == "at_home"].groupby(["school", "teacher", "date"])["minutes"].sum()
    assert set(a_day[a_day > 10 * 60].index.get_level_values("school")) == {"S15"}
