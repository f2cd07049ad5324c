"""Who is visited, how and when. Selection uses only what is observed by the landmark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cobench.demo import teachers
from cobench.demo.calendar import TERMS, after, holiday_days, open_days, stream
from cobench.demo.district import District
from cobench.demo.planted import AT_HOME, LEVELS, NONE, REMOTE, TARGETED, URGENT
from cobench.demo.written import plain_note
from cobench.study import Term

_RATES = {URGENT: 0.02, TARGETED: 0.12, AT_HOME: 0.18, REMOTE: 0.20}
_CATEGORY_PULL = np.array([0.6, 0.5, 0.5, 0.8, 0.9])
THOROUGH_SCHOOL = 2
"""The school that reaches every family by the end of the year."""

_MODES = ("at_home", "phone", "wechat", "video", "at_school")
_TRIGGERS = ("routine", "targeted", "urgent")
_ROLES = ("class_teacher", "subject_teacher", "leader")


@dataclass(frozen=True)
class Observed:
    """What is on record of each person at a landmark; arrays of shape (P,), NaN where nothing is.

    ``math`` and ``chinese`` are z scores within school and grade; ``belonging``, ``involvement`` and
    ``relation`` are survey scale scores, centred and scaled by fixed constants.
    """

    math: np.ndarray
    chinese: np.ndarray
    belonging: np.ndarray
    involvement: np.ndarray
    relation: np.ndarray

    @classmethod
    def nothing(cls, n: int) -> Observed:
        """Before the first term nothing is on record."""
        return cls(*(np.full(n, np.nan) for _ in range(5)))


def filled(values: np.ndarray) -> np.ndarray:
    """Values with zero where nothing is on record."""
    return np.where(np.isnan(values), 0.0, values)


def draw(rng: np.random.Generator, score: np.ndarray, among: np.ndarray, rate: float) -> np.ndarray:
    """Draw a logistic choice with odds by ``score``, at an expected ``rate`` among ``among``; shape (P,) bool."""
    own = score[among]
    low, high = -15.0, 15.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-own - middle))).mean() < rate else (low, middle)
    return among & (rng.random(len(score)) < 1 / (1 + np.exp(-score - low)))


def assign_levels(
    seed: int, district: District, term: int, observed: Observed, history: np.ndarray
) -> np.ndarray:
    """Exposure level of every active child in a term; shape (P,), indices into ``LEVELS``.

    A child new to its school is not yet known there: marks, answers and earlier visits don't count.
    """
    rng = stream(seed, "levels", term)
    school = district.school_of(term)
    known = (school == district.school_of(term - 1)) if term else np.zeros(len(school), dtype=bool)
    math = np.where(known, filled(observed.math), 0.0)
    belonging = np.where(known, filled(observed.belonging), 0.0)
    earlier = np.where(known, np.minimum(history, 4), 0)
    habits = stream(seed, "school habits")
    quality = district.schools["quality"].to_numpy()
    leaning = {
        TARGETED: -0.25 * quality + habits.normal(0, 0.35, len(quality)),
        AT_HOME: habits.normal(0, 0.6, len(quality)),
        REMOTE: habits.normal(0, 0.6, len(quality)),
    }
    boards = district.people["boarding"].to_numpy()
    scores = {
        URGENT: 0.8 * district.people["trouble"].to_numpy(),
        TARGETED: leaning[TARGETED][school]
        - 0.85 * math
        - 0.3 * belonging
        + 0.15 * earlier
        + district.categories @ _CATEGORY_PULL,
        AT_HOME: leaning[AT_HOME][school] - 0.3 * boards - 0.1 * math,
        REMOTE: leaning[REMOTE][school] + 0.3 * boards,
    }
    level = np.full(len(school), NONE)
    waiting = reachable(seed, district, term)
    left = 1.0
    for each in (URGENT, TARGETED, AT_HOME, REMOTE):
        chosen = draw(rng, scores[each], waiting, _RATES[each] / left)
        level[chosen] = each
        waiting = waiting & ~chosen
        left -= _RATES[each]
    return level


def quiet_classes(seed: int, district: District, term: int) -> np.ndarray:
    """Classes (rows of ``district.classes``) that report no contact at all in a term: a nil return."""
    present = np.unique(district.class_of[term][district.active(term)])
    return stream(seed, "quiet", term).choice(present, max(1, len(present) // 120), replace=False)


def reachable(seed: int, district: District, term: int) -> np.ndarray:
    """Children whom a contact may reach and be told apart in the log; shape (P,) bool."""
    quiet = np.isin(district.class_of[term], quiet_classes(seed, district, term))
    return district.active(term) & ~quiet & ~district.ambiguous & ~district.lost[term]


def silent_classes(seed: int, district: District, term: int) -> np.ndarray:
    """Classes (rows of ``district.classes``) whose contact log never arrives in a term.

    A few by chance; in the first term one whole junior school.
    """
    rng = stream(seed, "silent", term)
    present = np.unique(district.class_of[term][district.active(term)])
    may = present[~np.isin(present, quiet_classes(seed, district, term))]
    silent = set(rng.choice(may, max(1, round(0.02 * len(present))), replace=False))
    if term == 0:
        juniors = np.flatnonzero(district.schools["stage"] == "junior")
        if len(juniors) > 1:
            school = district.classes["school_index"].to_numpy()[present]
            silent |= set(present[school == juniors[-1]])
    return np.array(sorted(silent), dtype=int)


def draw_contacts(seed: int, district: District, term: int, level: np.ndarray) -> pd.DataFrame:
    """All contacts of a term, those of silent classes included.

    Returns
    -------
    DataFrame
        ``person, class_index, date, mode, trigger, teacher_role, minutes, entered_at, kind, pair``; ``kind``
        is what the row is there for (``exposure``, ``extra``, ``before_landmark``, ``holiday``, ``late``,
        ``summer``), ``pair`` numbers two rows that share one line of the log (-1: none).
    """
    rng = stream(seed, "contacts", term)
    when = TERMS[term]
    can_reach = reachable(seed, district, term)
    rows = pd.concat(
        [
            _exposure_rows(rng, when, level),
            _unrelated_rows(rng, district, term, level, can_reach),
            _summer_rows(rng, district, term, can_reach),
        ],
        ignore_index=True,
    )
    rows = rows.assign(class_index=district.class_of[term][rows["person"].to_numpy()])
    thorough = district.classes["school_index"].to_numpy()[rows["class_index"]] == THOROUGH_SCHOOL
    rows = rows.assign(
        teacher_role=_roles(rng, rows, thorough), minutes=_minutes(rng, rows["mode"].to_numpy())
    )
    rows = rows[~rows.duplicated(["person", "date"])].reset_index(drop=True)
    rows = _with_pairs(rng, rows)
    rows = rows.assign(entered_at=_entered(seed, rng, district, when, rows))
    return rows.sort_values(["class_index", "date", "person"], kind="stable").reset_index(drop=True)


def _rows(people: np.ndarray, dates: np.ndarray, mode: np.ndarray, trigger, kind: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "person": people,
            "date": dates.astype("datetime64[s]"),
            "mode": mode,
            "trigger": trigger,
            "kind": kind,
        }
    )


def _repeat(rng: np.random.Generator, people: np.ndarray, extra: float) -> np.ndarray:
    return np.repeat(people, rng.poisson(extra, len(people)))


def _exposure_rows(rng: np.random.Generator, when: Term, level: np.ndarray) -> pd.DataFrame:
    window = open_days(when, after(when.landmark), when.exposure_end)
    remote = np.array([1, 2, 3])
    blocks = []

    def add(people: np.ndarray, modes: np.ndarray, chances, trigger: int, kind: str) -> None:
        mode = rng.choice(modes, len(people), p=chances)
        blocks.append(_rows(people, rng.choice(window, len(people)), mode, trigger, kind))

    who = {each: np.flatnonzero(level == each) for each in range(len(LEVELS))}
    home, remote_chances = np.array([0]), [0.5, 0.42, 0.08]
    add(who[URGENT], np.array([4, 1, 0]), [0.5, 0.3, 0.2], 2, "exposure")
    add(who[TARGETED], home, None, 1, "exposure")
    add(who[AT_HOME], home, None, 0, "exposure")
    add(who[REMOTE], remote, remote_chances, 0, "exposure")
    add(_repeat(rng, who[TARGETED], 0.3), home, None, 1, "extra")
    add(_repeat(rng, who[AT_HOME], 0.1), home, None, 0, "extra")
    contacted = np.concatenate([who[each] for each in (REMOTE, AT_HOME, TARGETED, URGENT)])
    add(_repeat(rng, contacted, 0.35), remote, remote_chances, 0, "extra")
    holidays = holiday_days(when)
    holidays = holidays[
        (holidays > np.datetime64(when.landmark)) & (holidays <= np.datetime64(when.exposure_end))
    ]
    people = contacted[rng.random(len(contacted)) < 0.02]
    if len(holidays):
        mode = rng.choice(remote, len(people), p=remote_chances)
        blocks.append(_rows(people, rng.choice(holidays, len(people)), mode, 0, "holiday"))
    return pd.concat(blocks, ignore_index=True)


def _unrelated_rows(
    rng: np.random.Generator, district: District, term: int, level: np.ndarray, can_reach: np.ndarray
) -> pd.DataFrame:
    """Contacts outside the exposure window: before the landmark, and after its end up to the term's."""
    when = TERMS[term]
    early = np.flatnonzero(can_reach & (rng.random(len(level)) < 0.04))
    mode = rng.choice([0, 1, 2], len(early), p=[0.2, 0.4, 0.4])
    before = _rows(
        early, rng.choice(open_days(when, when.start, when.landmark), len(early)), mode, 0, "before_landmark"
    )
    chance = np.full(len(level), 0.04)
    if term % 2:
        # One school makes its yearly round complete by telephone just before the year's deadline.
        chance[(district.school_of(term) == THOROUGH_SCHOOL) & (level == NONE)] = 1.0
    late = np.flatnonzero(can_reach & (rng.random(len(level)) < chance))
    mode = rng.choice([1, 2], len(late), p=[0.7, 0.3])
    end = _rows(
        late, rng.choice(open_days(when, after(when.exposure_end), when.exam), len(late)), mode, 0, "late"
    )
    return pd.concat([before, end], ignore_index=True)


def _summer_rows(
    rng: np.random.Generator, district: District, term: int, can_reach: np.ndarray
) -> pd.DataFrame:
    """Visits to new children in late August, delivered with the autumn log."""
    when = TERMS[term]
    new = can_reach & np.isin(district.grade(term), (1, 7)) & (when.start.month >= 8) & (term > 0)
    new &= np.isin(district.school_of(term) % 7, (0, 4))
    people = np.flatnonzero(new & (rng.random(len(new)) < 0.4))
    first = when.start.replace(month=8, day=18)
    dates = rng.choice(np.arange(np.datetime64(first), np.datetime64(when.start)), len(people))
    return _rows(people, dates, np.zeros(len(people), dtype=int), 0, "summer")


def _roles(rng: np.random.Generator, rows: pd.DataFrame, thorough: np.ndarray) -> np.ndarray:
    """Who visited; in a thorough school always the class teacher."""
    drawn = rng.choice(3, len(rows), p=[0.86, 0.11, 0.03])
    return np.where(rows["kind"].isin(["late", "summer"]) | thorough, 0, drawn)


def _minutes(rng: np.random.Generator, mode: np.ndarray) -> np.ndarray:
    face = rng.choice([30.0, 40.0, 45.0, 60.0, 90.0], len(mode), p=[0.25, 0.3, 0.2, 0.2, 0.05])
    remote = rng.choice([5.0, 8.0, 10.0, 15.0, 20.0, 30.0], len(mode))
    minutes = np.where(np.isin(mode, (0, 4)), face, remote)
    return np.where(rng.random(len(mode)) < 0.12, np.nan, minutes)


def _with_pairs(rng: np.random.Generator, rows: pd.DataFrame) -> pd.DataFrame:
    """Let some neighbouring rows of one class share date, role and minutes: two children on one line."""
    order = rows.sort_values(["class_index", "mode", "trigger", "kind"], kind="stable").index.to_numpy()
    ordered = rows.loc[order]
    same = (
        ordered[["class_index", "mode", "trigger", "kind"]].to_numpy()[1:]
        == ordered[["class_index", "mode", "trigger", "kind"]].to_numpy()[:-1]
    ).all(axis=1)
    same &= ordered["person"].to_numpy()[1:] != ordered["person"].to_numpy()[:-1]
    same &= (ordered["kind"].to_numpy()[1:] == "exposure") & (rng.random(len(same)) < 0.03)
    same[1:] &= ~same[:-1]
    first, second = order[:-1][same], order[1:][same]
    shared = ["date", "teacher_role", "minutes"]
    joined = rows.copy()
    for column in shared:
        values = joined[column].to_numpy(copy=True)
        values[second] = values[first]
        joined[column] = values
    clash = joined.duplicated(["person", "date"], keep=False).to_numpy()
    keep = ~(clash[first] | clash[second])
    pair = np.full(len(rows), -1)
    pair[first[keep]] = pair[second[keep]] = np.arange(keep.sum())
    undo = second[~keep]
    for column in shared:
        values = joined[column].to_numpy(copy=True)
        values[undo] = rows[column].to_numpy()[undo]
        joined[column] = values
    return joined.assign(pair=pair)


def _entered(
    seed: int, rng: np.random.Generator, district: District, when: Term, rows: pd.DataFrame
) -> np.ndarray:
    """When each row was typed in: blank in some schools, heaped before the deadline in others."""
    school = district.classes["school_index"].to_numpy()[rows["class_index"].to_numpy()]
    date = rows["date"].to_numpy().astype("datetime64[s]")
    delay = rng.geometric(0.45, len(rows)) - 1
    day = date.astype("datetime64[D]") + delay
    deadline = np.datetime64(when.exam)
    heaped = (school % 9 == 5) & (rng.random(len(rows)) < 0.6) & (day < deadline - 3)
    day = np.where(heaped, deadline - rng.integers(0, 3, len(rows)), day)
    minute = rng.integers(17 * 60, 22 * 60, len(rows))
    stamp = day.astype("datetime64[s]") + (minute * 60).astype("timedelta64[s]")
    leader = np.where(rows["pair"].to_numpy() >= 0, rows["pair"].to_numpy(), -1 - np.arange(len(rows)))
    stamp = pd.Series(stamp).groupby(leader).transform("first").to_numpy()
    return np.where(school % 5 == 3, np.datetime64("NaT"), stamp)


def canonical_contacts(
    district: District, term: int, contacts: pd.DataFrame, silent: np.ndarray
) -> pd.DataFrame:
    """The contacts that reach the district, in the columns of canonical table ``contacts``.

    Where ingest has pseudonyms of teachers and keyed hashes of notes, these hold what is hashed.
    """
    arrived = contacts[~contacts["class_index"].isin(silent)]
    person, place = arrived["person"].to_numpy(), arrived["class_index"].to_numpy()
    return pd.DataFrame(
        {
            "student": district.people["student"].to_numpy()[person],
            "term": TERMS[term].id,
            "school": district.schools["school"].to_numpy()[
                district.classes["school_index"].to_numpy()[place]
            ],
            "class_id": district.classes["class_id"].to_numpy()[place],
            "date": arrived["date"].to_numpy(),
            "mode": np.array(_MODES)[arrived["mode"].to_numpy()],
            "trigger": np.array(_TRIGGERS)[arrived["trigger"].to_numpy()],
            "teacher_role": np.array(_ROLES)[arrived["teacher_role"].to_numpy()],
            "minutes": arrived["minutes"].to_numpy(),
            "entered_at": arrived["entered_at"].to_numpy(),
            "teacher": teachers.identity(
                district, district.classes["school_index"].to_numpy()[place], arrived["visitor"].to_numpy()
            ),
            "follow_up_due": arrived["follow_up_due"].to_numpy(),
            "follow_up_done": arrived["follow_up_done"].to_numpy(),
            "has_form": arrived["has_form"].to_numpy(),
            "has_photo": arrived["has_photo"].to_numpy(),
            "note_key": np.array([plain_note(note) for note in arrived["note"]], dtype=object),
        }
    )
