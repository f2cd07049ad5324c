"""Schools, classes, children and who is enrolled where in each term (vectorised over people)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from cobench.demo.calendar import PROMOTION, TERMS, stream
from cobench.demo.names import invent_names, invent_numbers

STATUSES = ("absent", "enrolled", "transferred_in", "transferred_out", "suspended")
ABSENT, ENROLLED, ARRIVED, LEFT, SUSPENDED = range(5)
STAGES = ("kindergarten", "primary", "junior")
CATEGORIES = ("left_behind", "poverty", "single_parent", "learning", "mental")
FIRST_GRADE = {"kindergarten": -2, "primary": 1, "junior": 7}
N_GRADES = {"kindergarten": 3, "primary": 6, "junior": 3}
_BASE_SIZE = {"kindergarten": 33, "primary": 37, "junior": 44}
_NUMERALS = "一二三四五六七八九十"


@dataclass(frozen=True)
class District:
    """The frame of the world; P people, T terms, K classes.

    Attributes
    ----------
    schools : DataFrame
        ``school, name, short_name, stage, quality`` and habits, one row a school.
    classes : DataFrame
        ``class_id, school_index, stage, entry, number``, one row a class that ever exists.
    class_of, status : int arrays of shape (T, P)
        Row of ``classes`` (-1 where not enrolled) and index into :data:`STATUSES`.
    movers : DataFrame
        ``term, person, old_class``: children who changed school within the district.
    people : DataFrame
        One row a person: names, numbers, traits.
    categories : bool array of shape (P, 5)
        Lasting memberships, in the order of :data:`CATEGORIES`.
    ambiguous : bool array of shape (P,)
        Namesakes within one class: name-linked rows can't be told apart.
    lost : bool array of shape (T, P)
        Children whose number was destroyed in that term's roster.
    """

    schools: pd.DataFrame
    classes: pd.DataFrame
    class_of: np.ndarray
    status: np.ndarray
    movers: pd.DataFrame
    people: pd.DataFrame
    categories: np.ndarray
    ambiguous: np.ndarray
    lost: np.ndarray

    def grade(self, term: int) -> np.ndarray:
        """Grade of each person in a term; shape (P,), meaningless where not enrolled."""
        year = TERMS[term].school_year
        return self.class_grade(year)[self.class_of[term]]

    def class_grade(self, year: int) -> np.ndarray:
        """Grade of each class in the school year that began in ``year``; shape (K,)."""
        return self._grade_less_year + year

    @cached_property
    def _grade_less_year(self) -> np.ndarray:
        return self.classes["stage"].map(FIRST_GRADE).to_numpy() - self.classes["entry"].to_numpy()

    @cached_property
    def names(self) -> np.ndarray:
        """Everybody's name; object array of shape (P,)."""
        return self.people["name"].to_numpy(dtype=object)

    def school_of(self, term: int) -> np.ndarray:
        """School index of each person in a term; shape (P,), -1 where not enrolled."""
        place = self.class_of[term]
        return np.where(place >= 0, self.classes["school_index"].to_numpy()[place], -1)

    def active(self, term: int) -> np.ndarray:
        """Who attends in a term: shape (P,) bool."""
        return np.isin(self.status[term], (ENROLLED, ARRIVED))


def build_district(seed: int, n_schools: int, n_students: int) -> District:
    """Draw the district's schools, classes, people and moves."""
    schools = _schools(seed, n_schools)
    classes = _classes(schools)
    class_of = _enrol(seed, classes, n_students)
    class_of, status, movers = _move(seed, classes, class_of)
    ever = (class_of >= 0).any(axis=0)
    class_of, status = class_of[:, ever], status[:, ever]
    movers = movers.assign(person=(np.cumsum(ever) - 1)[movers["person"].to_numpy(dtype=int)])
    people = _people(seed, schools, classes, class_of)
    categories = _categories(seed, schools, people)
    ambiguous, people = _namesakes(seed, classes, class_of, people, categories, movers)
    lost = _lost(seed, class_of, status, categories, ambiguous)
    return District(schools, classes, class_of, status, movers, people, categories, ambiguous, lost)


def _schools(seed: int, n: int) -> pd.DataFrame:
    n_kindergarten = 1 if n >= 4 else 0
    n_junior = max(1, round(0.3 * n))
    n_primary = n - n_kindergarten - n_junior
    names, short_names = [], []
    for index in range(n_primary):
        numeral = _numeral(index + 1)
        names.append(f"示例区第{numeral}小学")
        short_names.append(f"{numeral}小")
    for index in range(n_junior):
        numeral = _numeral(index + 1)
        names.append(f"示例区第{numeral}初级中学")
        short_names.append(f"{numeral}初中")
    if n_kindergarten:
        names.append("示例区中心幼儿园")
        short_names.append("中心幼儿园")
    stages = ["primary"] * n_primary + ["junior"] * n_junior + ["kindergarten"] * n_kindergarten
    rng = stream(seed, "schools")
    return pd.DataFrame(
        {
            "school": [f"S{index + 1:02d}" for index in range(n)],
            "name": names,
            "short_name": short_names,
            "stage": stages,
            "quality": rng.normal(0, 1, n),
        }
    )


def _numeral(number: int) -> str:
    if number <= 10:
        return _NUMERALS[number - 1]
    tens, ones = divmod(number, 10)
    return ("" if tens == 1 else _NUMERALS[tens - 1]) + "十" + (_NUMERALS[ones - 1] if ones else "")


def _classes(schools: pd.DataFrame) -> pd.DataFrame:
    """Every class of either school year; a class is school, entry year and number."""
    rows = []
    rank = schools.groupby("stage").cumcount()
    for index, (school, stage) in enumerate(zip(schools["school"], schools["stage"], strict=True)):
        if stage == "primary":
            n_parallel = 2 if rank[index] % 2 == 0 else 1
        elif stage == "junior":
            n_parallel = 2 if rank[index] == 5 else 3
        else:
            n_parallel = 2
        first_year = TERMS[0].school_year
        last_year = TERMS[-1].school_year
        rows.extend(
            (f"{school}-{entry}-{number}", index, stage, entry, number)
            for entry in range(first_year - N_GRADES[stage] + 1, last_year + 1)
            for number in range(1, n_parallel + 1)
        )
    return pd.DataFrame(rows, columns=["class_id", "school_index", "stage", "entry", "number"])


def _sizes(rng: np.random.Generator, classes: pd.DataFrame, scale: float) -> np.ndarray:
    base = classes["stage"].map(_BASE_SIZE).to_numpy() * scale
    return np.maximum(np.rint(base * rng.uniform(0.9, 1.1, len(classes))), 4).astype(int)


def _enrol(seed: int, classes: pd.DataFrame, n_students: int) -> np.ndarray:
    """Class of each person in each term before any transfer; shape (T, people)."""
    rng = stream(seed, "enrol")
    year0 = TERMS[0].school_year
    stage, entry = classes["stage"].to_numpy(), classes["entry"].to_numpy()
    here_first = np.flatnonzero(entry <= year0)
    scale = n_students / sum(_BASE_SIZE[each] for each in stage[here_first])
    sizes = _sizes(rng, classes, scale)
    first = np.repeat(here_first, sizes[here_first])
    grade = pd.Series(stage).map(FIRST_GRADE).to_numpy() + year0 - entry
    stays = grade < pd.Series(stage).map({"kindergarten": 0, "primary": 6, "junior": 9}).to_numpy()
    second = np.where(stays[first], first, -1)
    leavers = np.flatnonzero((stage[first] == "primary") & ~stays[first])
    second[leavers] = _to_junior(rng, classes, first[leavers])
    to_school = np.flatnonzero((stage[first] == "kindergarten") & ~stays[first])
    new_first = np.flatnonzero((stage != "junior") & (entry == year0 + 1))
    places = np.repeat(new_first, sizes[new_first])
    in_primary = np.flatnonzero(stage[places] == "primary")
    taken = rng.choice(in_primary, min(len(to_school), len(in_primary)), replace=False)
    second[to_school[: len(taken)]] = places[taken]
    fresh = np.delete(places, taken)
    before = np.concatenate([first, np.full(len(fresh), -1)])
    later = np.concatenate([second, fresh])
    return np.array([before if term < PROMOTION else later for term in range(len(TERMS))])


def _to_junior(rng: np.random.Generator, classes: pd.DataFrame, old: np.ndarray) -> np.ndarray:
    """Neighbouring primary schools feed neighbouring junior schools, with some mixing."""
    new = np.flatnonzero(
        ((classes["stage"] == "junior") & (classes["entry"] == TERMS[-1].school_year)).to_numpy()
    )
    school = classes["school_index"].to_numpy()[old]
    order = np.argsort(school + rng.normal(0, 1.5, len(old)), kind="stable")
    slots = new[np.arange(len(old)) * len(new) // max(len(old), 1)]
    juniors = classes["school_index"].to_numpy()[slots]
    shuffled = np.lexsort((rng.random(len(old)), juniors))
    placed = np.empty(len(old), dtype=int)
    placed[order] = slots
    for each in np.unique(juniors):
        inside = order[shuffled[juniors[shuffled] == each]]
        placed[inside] = np.resize(new[classes["school_index"].to_numpy()[new] == each], len(inside))
    return placed


def _move(
    seed: int, classes: pd.DataFrame, class_of: np.ndarray
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Arrivals, departures, suspensions and changes of school, about one child in a hundred a term."""
    rng = stream(seed, "moves")
    class_of = class_of.copy()
    status = np.where(class_of >= 0, ENROLLED, ABSENT)
    movers = []
    school = classes["school_index"].to_numpy()
    for term in range(len(TERMS)):
        here = np.flatnonzero(status[term] == ENROLLED)
        n_out = max(1, round(0.004 * len(here)))
        chosen = rng.choice(here, n_out + max(1, round(0.0015 * len(here))) + 4, replace=False)
        out, suspended, moved = np.split(chosen, [n_out, len(chosen) - 4])
        status[term, out] = LEFT
        status[term + 1 :, out], class_of[term + 1 :, out] = ABSENT, -1
        status[term, suspended] = SUSPENDED
        if term:
            for person in moved:
                old = class_of[term, person]
                same = (classes["stage"] == classes["stage"][old]) & (
                    classes["entry"] == classes["entry"][old]
                )
                others = np.flatnonzero(same.to_numpy() & (school != school[old]))
                if len(others) and class_of[term - 1, person] == old:
                    new = rng.choice(others)
                    class_of[term:, person] = np.where(
                        class_of[term:, person] == old, new, class_of[term:, person]
                    )
                    status[term, person] = ARRIVED
                    movers.append((term, person, old))
        n_in = max(1, round(0.004 * len(here)))
        arrivals = class_of[:, rng.choice(here, n_in, replace=False)].copy()
        arrivals[:term] = -1
        state = np.where(arrivals >= 0, ENROLLED, ABSENT)
        if term:
            state[term] = ARRIVED
        class_of, status = np.hstack([class_of, arrivals]), np.hstack([status, state])
    return class_of, status, pd.DataFrame(movers, columns=["term", "person", "old_class"]).astype(int)


def _people(seed: int, schools: pd.DataFrame, classes: pd.DataFrame, class_of: np.ndarray) -> pd.DataFrame:
    rng = stream(seed, "people")
    n = class_of.shape[1]
    first_seen = (class_of >= 0).argmax(axis=0)
    seen = class_of[first_seen, np.arange(n)]
    year = np.array([term.school_year for term in TERMS])[first_seen]
    stage = classes["stage"].to_numpy()[seen]
    grade = pd.Series(stage).map(FIRST_GRADE).to_numpy() + year - classes["entry"].to_numpy()[seen]
    born = year - grade - 6
    births = np.array([f"{each}-09-01" for each in born], dtype="datetime64[D]") + rng.integers(0, 365, n)
    boy = rng.random(n) < 0.52
    ability, engagement = rng.normal(size=n), rng.normal(size=n)
    school = classes["school_index"].to_numpy()[seen]
    boards = rng.uniform(0.1, 0.45, len(schools))[school] * (stage == "junior")
    boards = boards + 0.04 * ((stage == "primary") & (school % 4 == 3))
    return pd.DataFrame(
        {
            "student": [f"D{index + 1:06d}" for index in range(n)],
            "name": invent_names(rng, born),
            "student_number": invent_numbers(rng, births, boy),
            "sex": np.where(boy, "m", "f"),
            "birth_month": pd.Series(births).dt.strftime("%Y-%m"),
            "boarding": rng.random(n) < boards,
            "ability": ability,
            "engagement": 0.35 * ability + np.sqrt(1 - 0.35**2) * engagement,
            "trouble": rng.normal(size=n),
            "first_school": school,
        }
    )


def _categories(seed: int, schools: pd.DataFrame, people: pd.DataFrame) -> np.ndarray:
    rng = stream(seed, "categories")
    ability, trouble = people["ability"].to_numpy(), people["trouble"].to_numpy()
    away = rng.normal(0, 0.5, len(schools))[people["first_school"].to_numpy()]
    scores = np.column_stack(
        [
            -1.6 + away - 0.25 * ability,
            -3.0 - 0.35 * ability + 0.5 * away,
            -3.2 - 0.15 * ability,
            -3.6 - 1.1 * ability,
            -4.0 + 0.7 * trouble,
        ]
    )
    return rng.random(scores.shape) < 1 / (1 + np.exp(-scores))


def _namesakes(
    seed: int,
    classes: pd.DataFrame,
    class_of: np.ndarray,
    people: pd.DataFrame,
    categories: np.ndarray,
    movers: pd.DataFrame,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Give two children of one class the same name, in a primary and a junior class."""
    rng = stream(seed, "namesakes")
    ambiguous = np.zeros(len(people), dtype=bool)
    names = people["name"].to_numpy(dtype=object).copy()
    steady = (class_of[0] == class_of[-1]) & (class_of[0] >= 0) & ~categories.any(axis=1)
    steady &= (class_of == class_of[0]).all(axis=0) & ~np.isin(np.arange(len(people)), movers["person"])
    for stage in ("primary", "junior"):
        of_stage = steady & (classes["stage"].to_numpy()[class_of[0]] == stage)
        place = rng.choice(class_of[0][of_stage])
        one, other = rng.choice(np.flatnonzero(of_stage & (class_of[0] == place)), 2, replace=False)
        names[other] = names[one]
        ambiguous[[one, other]] = True
    return ambiguous, people.assign(name=names)


def _lost(
    seed: int, class_of: np.ndarray, status: np.ndarray, categories: np.ndarray, ambiguous: np.ndarray
) -> np.ndarray:
    """One child a term whose number the roster holds as a rounded number."""
    rng = stream(seed, "lost")
    lost = np.zeros(class_of.shape, dtype=bool)
    plain = ~categories.any(axis=1) & ~ambiguous
    for term in range(len(TERMS)):
        person = rng.choice(np.flatnonzero(plain & (status[term] == ENROLLED)))
        lost[term, person] = True
    return lost
