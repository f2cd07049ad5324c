"""Answers to the parents' and students' questionnaires at the end of each term."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from cobench.demo.calendar import TERMS, after, open_days, stream
from cobench.demo.codebook import PARENT_SCALES, STUDENT_SCALES, Codebook, codebook
from cobench.demo.district import CATEGORIES, District
from cobench.demo.exposure import Observed, draw, filled
from cobench.demo.planted import AT_HOME, REMOTE, TARGETED, URGENT, lecture_effect, visit_effect

BLANK, DONT_KNOW, SKIPPED = -1, -2, -3
REASONS = {BLANK: "blank", DONT_KNOW: "dont_know", SKIPPED: "skipped"}
# Scores are centred and scaled by constants so that no term's sample enters the process.
CENTRE = {"belonging": (3.6, 0.84), "relation": (3.6, 0.80), "involvement": (2.1, 0.85)}
_LOADING = 0.75
_AGREE_CUTS = np.array([-1.9, -1.1, -0.2, 0.8])
_FREQUENCY_CUTS = np.array([-1.3, -0.6, 0.2, 0.9])


@dataclass(frozen=True)
class Survey:
    """One questionnaire in one term, a row a respondent.

    Attributes
    ----------
    person : int array of shape (n,)
    codes : int array of shape (n, items)
        Option positions of the coded items; negative codes are :data:`BLANK`, :data:`DONT_KNOW`,
        :data:`SKIPPED`.
    submitted : datetime64[s] array of shape (n,)
    linked : bool array of shape (n,)
        Whether school, class and name lead to one child.
    wrong_class, wrong_name : bool arrays of shape (n,)
        Planted slips in what the respondent wrote.
    """

    instrument: str
    term: int
    person: np.ndarray
    codes: np.ndarray
    submitted: np.ndarray
    linked: np.ndarray
    wrong_class: np.ndarray
    wrong_name: np.ndarray


def scale_score(codes: np.ndarray, book: Codebook, scale: str) -> np.ndarray:
    """Mean of the answered items, reversed ones turned, where two thirds are answered; shape (n,)."""
    items, reversed_items = {**PARENT_SCALES, **STUDENT_SCALES}[scale]
    columns = [book.column(item) for item in items]
    values = book.values()[columns]
    own = codes[:, columns]
    answers = np.where(own >= 0, values[np.arange(len(columns)), np.maximum(own, 0)], np.nan)
    turn = np.isin(items, reversed_items)
    answers[:, turn] = (np.nanmin(values, axis=1) + np.nanmax(values, axis=1))[turn] - answers[:, turn]
    answered = (~np.isnan(answers)).sum(axis=1)
    total = np.nansum(answers, axis=1)
    enough = answered >= np.ceil(0.67 * len(items) - 0.02)
    return np.where(enough, total / np.maximum(answered, 1), np.nan)


def centred(scores: np.ndarray, scale: str) -> np.ndarray:
    """A scale score in the fixed units of :class:`~cobench.demo.exposure.Observed`."""
    centre, spread = CENTRE[scale]
    return (scores - centre) / spread


def student_survey(
    seed: int,
    district: District,
    term: int,
    observed: Observed,
    latent: dict[str, np.ndarray],
    level: np.ndarray,
) -> tuple[Survey, np.ndarray, dict[str, np.ndarray]]:
    """Students' answers, grade 4 and up.

    Returns
    -------
    survey : Survey
    untreated : float array of shape (n,)
        The belonging score each respondent would have given without the home visits.
    latent : dict of float arrays of shape (P,)
        Belonging as it stands now, for the next term.
    """
    rng = stream(seed, "students", term)
    people, categories = district.people, district.categories
    n = len(people)
    shock = rng.normal(0, 0.12, len(district.classes))[district.class_of[term]]
    earlier = np.where(np.isnan(observed.belonging), latent["belonging"], observed.belonging)
    untreated = (
        0.55 * earlier
        + 0.06 * filled(observed.math)
        + categories @ np.array([-0.08, -0.05, -0.08, -0.08, -0.20])
        + shock
        + 0.8 * rng.normal(size=n)
    )
    planted = visit_effect("belonging", level, categories[:, 0])
    factors = {"belonging": untreated + planted}
    tie = {"motivation": 0.4, "habits": 0.3, "distress": -0.4, "peers": 0.5, "support": 0.4}
    trait = 0.4 * people["ability"].to_numpy()
    for scale, weight in tie.items():
        factors[scale] = weight * untreated + 0.4 * trait + 0.8 * rng.normal(size=n)
    factors["distress"] = factors["distress"] + 0.6 * categories[:, CATEGORIES.index("mental")]
    eligible = district.active(term) & (district.grade(term) >= 4)
    person = _respondents(rng, district, term, observed, eligible, 0.72)
    book = codebook("students_v1")
    codes, noise = _answers(rng, book, STUDENT_SCALES, factors, person)
    alone, _ = _answers(
        rng, book, {"belonging": STUDENT_SCALES["belonging"]}, {"belonging": untreated}, person, noise
    )
    without = codes.copy()
    columns = [book.column(item) for item in STUDENT_SCALES["belonging"][0]]
    without[:, columns] = np.where(codes[:, columns] >= 0, alone[:, columns], codes[:, columns])
    survey = _collect(rng, district, term, book, person, codes)
    return survey, scale_score(without, book, "belonging"), {"belonging": factors["belonging"]}


def parent_survey(
    seed: int,
    district: District,
    term: int,
    observed: Observed,
    latent: dict[str, np.ndarray],
    level: np.ndarray,
    attended: np.ndarray,
) -> tuple[Survey, np.ndarray, dict[str, np.ndarray]]:
    """Parents' answers, all grades; ``untreated`` is the relation score without the lectures."""
    rng = stream(seed, "parents", term)
    people, categories = district.people, district.categories
    n = len(people)
    engagement = people["engagement"].to_numpy()
    shock = rng.normal(0, 0.1, len(district.classes))[district.class_of[term]]
    earlier = np.where(np.isnan(observed.relation), latent["relation"], observed.relation)
    untreated = (
        0.5 * earlier
        + 0.15 * filled(observed.involvement)
        + categories @ np.array([-0.10, -0.03, -0.10, 0.0, -0.10])
        + shock
        + 0.8 * rng.normal(size=n)
    )
    factors = {
        "relation": untreated + lecture_effect("relation", attended),
        "involvement": 0.75 * engagement + 0.66 * rng.normal(size=n),
        "trust": 0.4 * engagement + 0.9 * rng.normal(size=n),
        "efficacy": 0.4 * engagement + 0.3 * untreated + 0.8 * rng.normal(size=n),
    }
    factors["satisfaction"] = 0.3 + 0.6 * factors["trust"] + 0.8 * rng.normal(size=n)
    eligible = district.active(term)
    person = _respondents(rng, district, term, observed, eligible, 0.69)
    book = codebook("parents_v1")
    codes, noise = _answers(rng, book, PARENT_SCALES, factors, person)
    alone, _ = _answers(
        rng, book, {"relation": PARENT_SCALES["relation"]}, {"relation": untreated}, person, noise
    )
    without = codes.copy()
    columns = [book.column(item) for item in PARENT_SCALES["relation"][0]]
    without[:, columns] = np.where(codes[:, columns] >= 0, alone[:, columns], codes[:, columns])
    codes = _facts(rng, book, codes, level[person], attended[person], engagement[person])
    survey = _collect(rng, district, term, book, person, codes)
    now = {"relation": factors["relation"]}
    return survey, scale_score(without, book, "relation"), now


def _respondents(
    rng: np.random.Generator,
    district: District,
    term: int,
    observed: Observed,
    eligible: np.ndarray,
    rate: float,
) -> np.ndarray:
    """Who answers depends on what is on record at the landmark, never on the visits themselves."""
    school = rng.normal(0, 0.3, len(district.schools))[district.school_of(term)]
    score = school + 0.2 * filled(observed.involvement) + 0.12 * filled(observed.math)
    score = score - 0.2 * district.categories.any(axis=1)
    return np.flatnonzero(draw(rng, score, eligible, rate))


def _answers(
    rng: np.random.Generator,
    book: Codebook,
    scales: dict,
    factors: dict[str, np.ndarray],
    person: np.ndarray,
    noise: dict[str, np.ndarray] | None = None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Turn factors into option positions; with ``noise`` given, the same answering errors are used again."""
    codes = np.full((len(person), len(book.coded)), BLANK)
    drawn = {} if noise is None else noise
    for scale, (items, reversed_items) in scales.items():
        if noise is None:
            drawn[scale] = rng.normal(size=(len(person), len(items)))
        cuts = _FREQUENCY_CUTS if scale == "involvement" else _AGREE_CUTS
        answer = _LOADING * factors[scale][person, None] + np.sqrt(1 - _LOADING**2) * drawn[scale]
        for position, item in enumerate(items):
            option = np.searchsorted(cuts, answer[:, position])
            codes[:, book.column(item)] = len(cuts) - option if item in reversed_items else option
    if noise is None:
        chance = rng.random(codes.shape)
        codes = np.where(chance < 0.008, BLANK, np.where(chance < 0.02, DONT_KNOW, codes))
    return codes, drawn


def _facts(
    rng: np.random.Generator,
    book: Codebook,
    codes: np.ndarray,
    level: np.ndarray,
    attended: np.ndarray,
    engagement: np.ndarray,
) -> np.ndarray:
    """Exposure check, the questions that it lets skip, and the knowledge questions."""
    codes = codes.copy()
    n = len(codes)
    told = np.select([level == REMOTE, np.isin(level, (AT_HOME, TARGETED)), level == URGENT], [1, 2, 3], 0)
    told = np.where(rng.random(n) < 0.08, rng.integers(0, 3, n), told)
    codes[:, book.column("p24")] = told
    codes[told == 0, book.column("p20")] = SKIPPED
    codes[attended == 0, book.column("p21")] = SKIPPED
    for index, item in enumerate(("k1", "k2", "k3", "k4", "k5")):
        right = int(np.argmax(book.coded[book.column(item)].values))
        wrong = np.array([option for option in range(3) if option != right])
        chance = 1 / (1 + np.exp(-(1.6 - 0.35 * index + 0.2 * engagement + 0.3 * attended)))
        answer = np.where(rng.random(n) < chance, right, rng.choice(wrong, n))
        codes[:, book.column(item)] = np.where(rng.random(n) < 0.05, DONT_KNOW, answer)
    return codes


def _collect(
    rng: np.random.Generator,
    district: District,
    term: int,
    book: Codebook,
    person: np.ndarray,
    codes: np.ndarray,
) -> Survey:
    when = TERMS[term]
    days = open_days(when, after(when.exposure_end), when.exam)
    day = rng.choice(days[: max(len(days) - 2, 1)], len(person)).astype("datetime64[s]")
    submitted = day + rng.integers(8 * 3600, 22 * 3600, len(person)).astype("timedelta64[s]")
    findable = ~district.ambiguous[person] & ~district.lost[term][person]
    slips = rng.choice(np.flatnonzero(findable), 4, replace=False)
    wrong_class, wrong_name = np.zeros(len(person), dtype=bool), np.zeros(len(person), dtype=bool)
    wrong_class[slips[:2]] = True
    wrong_name[slips[2:]] = True
    linked = findable & ~wrong_class & ~wrong_name
    return Survey(book.instrument, term, person, codes, submitted, linked, wrong_class, wrong_name)


def response_rows(district: District, survey: Survey) -> pd.DataFrame:
    """Canonical table ``responses`` of one questionnaire in one term, long."""
    book = codebook(survey.instrument)
    n, n_items = survey.codes.shape
    codes = survey.codes.ravel()
    item = np.tile(np.arange(n_items), n)
    row = np.repeat(np.arange(n), n_items)
    place = district.class_of[survey.term][survey.person]
    school = district.classes["school_index"].to_numpy()[place]
    values = book.values()
    offsets = np.arange(n_items) * values.shape[1]
    texts = [
        text for each in book.coded for text in (*each.texts, *[""] * (values.shape[1] - len(each.texts)))
    ]
    reasons = np.array([0, *REASONS])
    labels = [*REASONS.values()]
    return pd.DataFrame(
        {
            "instrument": _constant(book.instrument, len(codes)),
            "version": _constant(book.version, len(codes)),
            "term": _constant(TERMS[survey.term].id, len(codes)),
            "respondent": _constant(book.respondent, len(codes)),
            "student": _labels(district.people["student"], np.where(survey.linked, survey.person, -1)[row]),
            "school": _labels(district.schools["school"], school[row]),
            "class_id": _labels(district.classes["class_id"], np.where(survey.wrong_class, -1, place)[row]),
            "item": _labels([each.id for each in book.coded], item),
            "raw": _labels_or_missing(
                texts, np.where(codes >= 0, offsets[item] + np.maximum(codes, 0), -1), codes
            ),
            "value": np.where(codes >= 0, values[item, np.maximum(codes, 0)], np.nan),
            "missing_reason": _labels(labels, _position(codes, reasons)),
            "measured_on": survey.submitted.astype("datetime64[D]").astype("datetime64[s]")[row],
        }
    )


RAW_MISSING = {BLANK: "(空)", DONT_KNOW: "不知道", SKIPPED: "(跳过)"}


def _position(codes: np.ndarray, reasons: np.ndarray) -> np.ndarray:
    position = np.full(len(codes), -1)
    for index, code in enumerate(reasons[1:]):
        position[codes == code] = index
    return position


def _labels_or_missing(texts: list[str], position: np.ndarray, codes: np.ndarray) -> pd.Series:
    all_texts = [*texts, *RAW_MISSING.values()]
    for index, code in enumerate(RAW_MISSING):
        position = np.where(codes == code, len(texts) + index, position)
    return _labels(all_texts, position)


def _labels(values, codes: np.ndarray) -> pd.Series:
    """Texts by position, -1 is missing; through Arrow, as these are by far the longest columns."""
    texts = pa.array([str(value) for value in values], type=pa.large_string())
    taken = texts.take(pa.array(np.maximum(codes, 0), mask=codes < 0))
    return pd.Series(pd.StringDtype("pyarrow", na_value=np.nan).__from_arrow__(taken))


def _constant(value: str, n: int) -> pd.Series:
    return _labels([value], np.zeros(n, dtype=int))
