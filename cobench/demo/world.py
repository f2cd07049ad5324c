"""The demo district put together: four terms of children, activities, answers and results, and the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from cobench.demo import events as activities
from cobench.demo import exposure, ledger, ledger_tables, more_events, outcomes, paper, surveys
from cobench.demo.calendar import TERMS, after, days, stream
from cobench.demo.district import ABSENT, CATEGORIES, STATUSES, District, build_district
from cobench.demo.exposure import Observed
from cobench.demo.outcomes import Marks
from cobench.demo.planted import TARGETED
from cobench.demo.surveys import Survey
from cobench.demo.truth import truth_rows
from cobench.tables import conform

EVIDENCE = ("班主任摸排", "社区与民政比对", "班主任摸排", "学科教师评估", "心理筛查与班主任摸排")


@dataclass(frozen=True)
class TermRecord:
    """Everything that happened in one term, by person (P,) or by row; what the raw files are written from."""

    district: District
    since: np.ndarray
    level: np.ndarray
    silent: np.ndarray
    contacts: pd.DataFrame
    events: pd.DataFrame
    attendance: pd.DataFrame
    attended: np.ndarray
    marks: dict[str, Marks]
    reasons: dict[str, np.ndarray]
    mistyped: np.ndarray
    common: tuple[np.ndarray, np.ndarray, np.ndarray]
    absences: tuple[np.ndarray, np.ndarray, np.ndarray]
    student_survey: Survey
    student_untreated: np.ndarray
    parent_survey: Survey
    parent_untreated: np.ndarray
    ledgers: ledger.Ledgers


@dataclass(frozen=True)
class World:
    """A synthetic district.

    Attributes
    ----------
    seed : int
    people : DataFrame
        One row a person: ``student, name, student_number, sex, birth_month, boarding`` and latent traits.
    tables : dict of DataFrame
        Canonical tables as a perfect ingest of the raw files would give them, with plain synthetic ids.
    truth : DataFrame
        See :func:`cobench.demo.truth.truth_rows`.
    records : tuple of TermRecord
        One for each of :data:`cobench.demo.calendar.TERMS`.
    """

    seed: int
    people: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    truth: pd.DataFrame
    records: tuple[TermRecord, ...]

    @cached_property
    def gaming(self) -> pd.DataFrame:
        """Records that two schools dressed up, and honest ones that look alike; see :func:`paper.gaming_rows`."""
        rows = [
            paper.gaming_rows(each.district, term, each.contacts) for term, each in enumerate(self.records)
        ]
        return pd.concat(rows, ignore_index=True)

    @cached_property
    def _delivery(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        from cobench.demo.raw import delivery

        return delivery(self)

    @property
    def manifest(self) -> pd.DataFrame:
        """Rows of every raw file; see :func:`cobench.demo.raw.delivery`."""
        return self._delivery[0]

    @property
    def traps(self) -> pd.DataFrame:
        """Planted traps by file, sheet and row; see :func:`cobench.demo.raw.delivery`."""
        return self._delivery[1]


def build_world(seed: int = 20240901, *, n_schools: int = 20, n_students: int = 7000) -> World:
    """Build the demo district.

    Parameters
    ----------
    seed : int
        The same seed gives the same world.
    n_schools : int
        At least 2; about two thirds primary, a third junior, and one kindergarten from 4 schools on.
    n_students : int
        About how many children are enrolled in the first term.
    """
    if n_schools < 2 or n_students < 60 * n_schools:
        raise ValueError("a demo district needs at least 2 schools and 60 students a school")
    district = build_district(seed, n_schools, n_students)
    records = _live_through(seed, district)
    blocks = [_term_tables(term, record) for term, record in enumerate(records)]
    tables = {
        name: conform(name, pd.concat([block[name] for block in blocks], ignore_index=True))
        for name in blocks[0]
    }
    truth = pd.concat([truth_rows(term, each) for term, each in enumerate(records)], ignore_index=True)
    return World(seed, district.people, tables, truth, records)


def canonical_tables(world: World) -> dict[str, pd.DataFrame]:
    """Copies of the canonical tables that a perfect ingest of the raw files would give."""
    return {name: frame.copy() for name, frame in world.tables.items()}


def _live_through(seed: int, district: District) -> tuple[TermRecord, ...]:
    n = len(district.people)
    observed, history = Observed.nothing(n), np.zeros(n)
    latent = {
        "math": district.people["ability"].to_numpy(),
        "chinese": district.people["ability"].to_numpy(),
        "belonging": stream(seed, "belonging").normal(size=n),
        "relation": 0.5 * district.people["engagement"].to_numpy()
        + 0.8 * stream(seed, "relation").normal(size=n),
    }
    since = _first_labels(seed, district)
    records = []
    for term in range(len(TERMS)):
        record, latent = _live_term(seed, district, term, observed, history, latent, since)
        records.append(record)
        observed = _observe(record, term)
        told = record.contacts.loc[~record.contacts["class_index"].isin(record.silent), "person"]
        history = history + np.bincount(told, minlength=n)
        district, since = _next_labels(seed, district, term, record)
    return tuple(records)


def _live_term(
    seed: int,
    district: District,
    term: int,
    observed: Observed,
    history: np.ndarray,
    latent: dict[str, np.ndarray],
    since: np.ndarray,
) -> tuple[TermRecord, dict[str, np.ndarray]]:
    level = exposure.assign_levels(seed, district, term, observed, history)
    silent = exposure.silent_classes(seed, district, term)
    contacts = exposure.draw_contacts(seed, district, term, level)
    contacts = paper.made_up(seed, district, term, contacts, silent)
    contacts = paper.with_paper(seed, district, term, contacts)
    happened = activities.draw_events(seed, district, term)
    attendance = activities.draw_attendance(seed, district, term, happened, observed)
    came = attendance.loc[attendance["present"], "person"].to_numpy()
    attended = np.bincount(came, minlength=len(level)) > 0
    marks = outcomes.achievement(seed, district, term, observed, latent, level)
    chinese_reason, math_reason = outcomes.exam_reasons(seed, district, term)
    of_students, alone, belonging = surveys.student_survey(seed, district, term, observed, latent, level)
    of_parents, without, relation = surveys.parent_survey(
        seed, district, term, observed, latent, level, attended
    )
    happened = more_events.all_events(seed, district, term, happened, attendance)
    record = TermRecord(
        district=district,
        since=since,
        level=level,
        silent=silent,
        contacts=contacts,
        events=happened,
        attendance=attendance,
        attended=attended,
        marks=marks,
        reasons={"chinese": chinese_reason, "math": math_reason},
        mistyped=_mistyped(seed, district, term, math_reason, chinese_reason),
        common=outcomes.common_test(seed, district, term, marks["math"]),
        absences=outcomes.absences(seed, district, term, observed, latent["math"], level),
        student_survey=of_students,
        student_untreated=alone,
        parent_survey=of_parents,
        parent_untreated=without,
        ledgers=ledger.draw_ledgers(seed, district, term, since, happened),
    )
    here = district.active(term)
    now = {subject: result.process for subject, result in marks.items()} | belonging | relation
    return record, {name: np.where(here, now[name], latent[name]) for name in latent}


def _mistyped(
    seed: int, district: District, term: int, math_reason: np.ndarray, chinese_reason: np.ndarray
) -> np.ndarray:
    """Two children whose mark is typed with a letter in it."""
    fit = district.active(term) & (district.grade(term) >= 3) & ~district.ambiguous & ~district.lost[term]
    fit &= (math_reason == "") & (chinese_reason == "")
    chosen = stream(seed, "mistyped", term).choice(np.flatnonzero(fit), 2, replace=False)
    return np.isin(np.arange(len(fit)), chosen)


def _observe(record: TermRecord, term: int) -> Observed:
    """What next term's landmark finds on record."""
    district = record.district
    n = len(district.people)
    unlinked = district.ambiguous | district.lost[term]
    cell = outcomes.cells(district, term)
    scores = {}
    for subject, result in record.marks.items():
        counted = (record.reasons[subject] == "") & ~unlinked & ~record.mistyped
        scores[subject], _ = outcomes.standardise(np.where(counted, result.mark, np.nan), cell)
    for survey, scales in (
        (record.student_survey, ("belonging",)),
        (record.parent_survey, ("involvement", "relation")),
    ):
        for scale in scales:
            values = surveys.scale_score(survey.codes, surveys.codebook(survey.instrument), scale)
            column = np.full(n, np.nan)
            column[survey.person[survey.linked]] = surveys.centred(values[survey.linked], scale)
            scores[scale] = column
    return Observed(**scores)


def _first_labels(seed: int, district: District) -> np.ndarray:
    """Day from which each membership counts, shape (P, categories); NaT where there is none."""
    rng = stream(seed, "labels")
    first_term = (district.status != ABSENT).argmax(axis=0)
    landmarks = np.array([np.datetime64(term.landmark) for term in TERMS])[first_term]
    day = landmarks[:, None] - rng.integers(2, 12, district.categories.shape)
    return np.where(district.categories, day, np.datetime64("NaT"))


def _next_labels(seed: int, district: District, term: int, record: TermRecord) -> tuple[District, np.ndarray]:
    """Children labelled during the term, more often after a targeted visit: known from the next term on."""
    rng = stream(seed, "new labels", term)
    chance = np.where(record.level == TARGETED, 0.03, 0.004)
    open_to = district.active(term) & ~district.ambiguous & ~district.lost.any(axis=0)
    new = open_to & (rng.random(len(chance)) < chance)
    which = rng.choice([CATEGORIES.index("learning"), CATEGORIES.index("mental")], len(chance))
    window = days(after(TERMS[term].landmark), TERMS[term].exposure_end)
    day = rng.choice(window, len(chance))
    categories, since = district.categories.copy(), record.since
    fresh = np.zeros_like(categories)
    fresh[np.flatnonzero(new), which[new]] = True
    fresh &= ~categories
    since_next = np.where(fresh, day[:, None], since)
    # The list of this term is sent in at its end, so it shows the new labels, dated after the landmark.
    record.since[fresh] = since_next[fresh]
    return replace(district, categories=categories | fresh), since_next


def _term_tables(term: int, record: TermRecord) -> dict[str, pd.DataFrame]:
    district, when = record.district, TERMS[term]
    happened = record.events
    unlinked = district.ambiguous | district.lost[term]
    return {
        "schools": district.schools.assign(term=when.id),
        "students": _students(term, record),
        "enrolments": _enrolments(term, record),
        "memberships": _memberships(term, record),
        "contacts": exposure.canonical_contacts(district, term, record.contacts, record.silent),
        "logs": _logs(term, record),
        "events": happened,
        "attendance": activities.canonical_attendance(district, term, record.attendance),
        "responses": pd.concat(
            [surveys.response_rows(district, each) for each in (record.parent_survey, record.student_survey)],
            ignore_index=True,
        ),
        "outcomes": outcomes.outcome_rows(
            district,
            term,
            record.marks,
            record.reasons,
            record.common[0],
            record.absences[0],
            unlinked,
            record.mistyped,
        ),
        **ledger_tables.ledger_tables(district, term, record.ledgers),
    }


def _students(term: int, record: TermRecord) -> pd.DataFrame:
    district = record.district
    listed = (district.status[term] != ABSENT) & ~district.lost[term]
    return district.people.loc[listed, ["student", "sex", "birth_month"]].assign(term=TERMS[term].id)


def _enrolments(term: int, record: TermRecord) -> pd.DataFrame:
    district, when = record.district, TERMS[term]
    listed = np.flatnonzero((district.status[term] != ABSENT) & ~district.lost[term])
    moved = district.movers[district.movers["term"] == term]
    person = np.concatenate([listed, moved["person"].to_numpy()])
    place = np.concatenate([district.class_of[term][listed], moved["old_class"].to_numpy()])
    status = np.array(STATUSES)[district.status[term][listed]]
    return pd.DataFrame(
        {
            "student": district.people["student"].to_numpy()[person],
            "term": when.id,
            "school": district.schools["school"].to_numpy()[
                district.classes["school_index"].to_numpy()[place]
            ],
            "class_id": district.classes["class_id"].to_numpy()[place],
            "grade": district.class_grade(when.school_year)[place],
            "boarding": district.people["boarding"].to_numpy()[person],
            "status": np.concatenate([status, np.full(len(moved), "transferred_out")]),
            "valid_from": np.datetime64(when.start),
            "valid_to": np.datetime64(when.end),
        }
    )


def _memberships(term: int, record: TermRecord) -> pd.DataFrame:
    district = record.district
    listed = district.active(term) & ~district.ambiguous & ~district.lost[term]
    person, category = np.nonzero(~np.isnat(record.since) & listed[:, None])
    return pd.DataFrame(
        {
            "student": district.people["student"].to_numpy()[person],
            "term": TERMS[term].id,
            "category": np.array(CATEGORIES)[category],
            "valid_from": record.since[person, category],
            "valid_to": np.datetime64("NaT", "s"),
            "source": np.array(EVIDENCE)[category],
        }
    )


def _logs(term: int, record: TermRecord) -> pd.DataFrame:
    district = record.district
    present = np.unique(district.class_of[term][district.active(term)])
    sent = {
        "contacts": present[~np.isin(present, record.silent)],
        "attendance": np.unique(record.attendance["class_index"].to_numpy()),
    }
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "table": table,
                    "school": district.schools["school"].to_numpy()[
                        district.classes["school_index"].to_numpy()[places]
                    ],
                    "class_id": district.classes["class_id"].to_numpy()[places],
                    "term": TERMS[term].id,
                }
            )
            for table, places in sent.items()
        ],
        ignore_index=True,
    )
