"""What parents answered and what those who did not answer could change: means, top-two-box, knowledge, by topic and speaker.

The raw value speaks for those who answered. The weighted one lets each answer stand for families like it (school, grade,
sex, key student) that were asked; it is right where silence depends on these alone. The bounds hold whatever the silent think.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from cobench.declared import Text
from cobench.effects.multilevel import fit_multilevel
from cobench.errors import NotEstimableError
from cobench.ingest.codebook import instrument_ranges
from cobench.study import Study, Term

INSTRUMENT = "parents_v1"
ITEMS = ("p20", "p21", "p22", "p23")
ABOUT_LECTURES = "p21"
OVERALL = "p23"
KNOWLEDGE = r"k\d+"
ALL_RIGHT = "k_all"
CELLS = ("school", "grade", "sex", "key_student")
LEAST = 5  # answers a cell needs before its families are spoken for by it
ASKED = ["student", "school", "class_id", *CELLS[1:]]
ESTIMATES = [
    "item", "statistic", "n_asked", "n_answered", "response_rate", "raw", "weighted", "std_error", "df", "conf_low",
    "conf_high", "bound_low", "bound_high",
]  # fmt: skip
BY_LECTURE = [
    "by",
    "level",
    "outcome",
    "n",
    "mean",
    "difference",
    "conf_low",
    "conf_high",
    "verdict",
    "reason_zh",
    "reason_en",
]
ABOVE, BELOW, ALIKE = "above", "below", "not_separated"
NO_SPREAD = Text("彼此的差别不超出偶然", "they differ no more than by chance")


def satisfaction_frames(
    study: Study, term: Term, frames: Mapping[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """``satisfaction`` (district), ``satisfaction_by_school`` and ``satisfaction_by_lecture`` of ``term``."""
    roster = asked(term, frames)
    given = answers(term, frames["responses"])
    limits = instrument_ranges(study).get(INSTRUMENT, {})
    overall = given[[item for item in given if item == OVERALL]]
    by_school = [
        estimates(own, overall, limits).assign(school=school)
        for school, own in roster.groupby("school", sort=True)
    ]
    return {
        "satisfaction": estimates(roster, given, limits),
        "satisfaction_by_school": pd.concat(by_school)
        if by_school
        else pd.DataFrame(columns=[*ESTIMATES, "school"]),
        "satisfaction_by_lecture": by_lecture(term, frames, roster, given),
    }


def asked(term: Term, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Every child enrolled in ``term``, with what is known of all of them: columns :data:`ASKED`."""
    now = frames["enrolments"]
    now = now[(now["term"] == term.id) & now["status"].isin(["enrolled", "transferred_in"])]
    now = now.drop_duplicates("student")[["student", "school", "class_id", "grade"]]
    students = frames["students"]
    sex = students[students["term"] == term.id].drop_duplicates("student").set_index("student")["sex"]
    held = frames["memberships"]
    key = now["student"].isin(held.loc[held["term"] == term.id, "student"])
    return now.assign(sex=now["student"].map(sex), key_student=key).reset_index(drop=True)[ASKED]


def answers(term: Term, responses: pd.DataFrame) -> pd.DataFrame:
    """Values of satisfaction and knowledge items, a row a child and a column an item; two parents' answers are averaged.

    ``k_all`` is 1 where every knowledge item was answered right; answers that no child could be linked to are left out.
    """
    own = responses[(responses["term"] == term.id) & (responses["instrument"] == INSTRUMENT)]
    own = own[own["student"].notna() & (own["item"].isin(ITEMS) | own["item"].str.fullmatch(KNOWLEDGE))]
    wide = own.pivot_table(index="student", columns="item", values="value", aggfunc="mean")
    knowledge = [item for item in wide if item not in ITEMS]
    if knowledge:
        # An item left blank counts as not right, as in the standard A06, where anything of it was answered.
        right = wide[knowledge].fillna(0).eq(1).all(axis=1).astype(float)
        wide = wide.assign(**{ALL_RIGHT: right.where(wide[knowledge].notna().any(axis=1))})
    return wide


def estimates(
    roster: pd.DataFrame, given: pd.DataFrame, limits: Mapping[str, tuple[float, float]]
) -> pd.DataFrame:
    """Every item's mean and top-two-box share, and every knowledge item's rate, of the families in ``roster``.

    Parameters
    ----------
    roster : DataFrame
        Columns :data:`ASKED`.
    given : DataFrame, index ``student``
        As :func:`answers` gives it.
    limits : ``{item: (lowest, highest)}``

    Returns
    -------
    DataFrame
        Columns :data:`ESTIMATES`; ``statistic`` is ``mean``, ``top_two`` or ``rate``.
    """
    values, codes = given.reindex(roster["student"]), cell_codes(roster)
    rows = []
    for item in [item for item in (*ITEMS, *sorted(set(given) - set(ITEMS))) if item in given]:
        value = values[item].to_numpy(dtype=float)
        low, high = limits.get(item, (0.0, 1.0))
        if item not in ITEMS:
            rows.append(
                {"item": item, "statistic": "rate"} | estimate(roster, value, (0.0, 1.0), codes=codes)
            )
            continue
        top = np.where(np.isnan(value), np.nan, value >= high - 1)
        rows.append({"item": item, "statistic": "mean"} | estimate(roster, value, (low, high), codes=codes))
        rows.append({"item": item, "statistic": "top_two"} | estimate(roster, top, (0.0, 1.0), codes=codes))
    return pd.DataFrame(rows, columns=ESTIMATES)


def estimate(
    roster: pd.DataFrame,
    value: np.ndarray,
    limits: tuple[float, float],
    *,
    cells: Sequence[str] = CELLS,
    cluster: str = "class_id",
    conf_level: float = 0.95,
    codes: Sequence[np.ndarray] | None = None,
) -> dict[str, float]:
    """One quantity of all families asked: raw, weighted with its interval, and bounds that need no assumption.

    Parameters
    ----------
    roster : DataFrame, n rows
    value : ndarray, (n,)
        NaN where there is no answer.
    limits : lowest and highest possible value
    cells : columns, most important first; a cell with fewer than five answers joins its neighbours in all but the last column.
    cluster : column of ``roster`` whose rows aren't independent.
    codes : :func:`cell_codes` of ``roster``, where they are known already.

    Returns
    -------
    dict
        The numbers of :data:`ESTIMATES`. The error sums weighted residuals by cluster, with G/(G-1), as for a sample of such
        classes; for these families alone it is wide. Residuals from cell means would not do: where a cell lies within a class
        they cancel, and intervals covered 87 % instead of 95.
    """
    answered = ~np.isnan(value)
    n, n_answered = len(value), int(answered.sum())
    row = {"n_asked": n, "n_answered": n_answered, "response_rate": n_answered / n if n else np.nan}
    total = float(value[answered].sum())
    low, high = ((total + (n - n_answered) * end) / n if n else np.nan for end in limits)
    row |= {"bound_low": low, "bound_high": high}
    if not n_answered:
        return row
    weight, _ = weights(roster, answered, cells, codes)
    y = value[answered]
    row |= {"raw": float(y.mean()), "weighted": float(weight[answered] @ y / n)}
    residual = weight[answered] * (y - row["weighted"])
    clusters = pd.factorize(roster[cluster].to_numpy()[answered])[0]
    g = clusters.max() + 1
    error = (
        np.sqrt(np.sum(np.bincount(clusters, weights=residual) ** 2) * g / (g - 1)) / n if g > 1 else np.nan
    )
    if not error > 0:
        return row
    reach = stats.t.ppf(0.5 + conf_level / 2, g - 1) * error
    return row | {
        "std_error": float(error), "df": float(g - 1), "conf_low": row["weighted"] - reach,
        "conf_high": row["weighted"] + reach,
    }  # fmt: skip


def weights(
    roster: pd.DataFrame,
    answered: np.ndarray,
    cells: Sequence[str] = CELLS,
    codes: Sequence[np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of each answer, (n,), asked / answered within its cell, and codes of the cells; zero for the silent.

    Weights add up to the number asked. Families whom no cell of five answers holds are spoken for by all who answered.
    """
    cell = _joined_cells(cell_codes(roster, cells) if codes is None else codes, answered)
    asked_in = np.bincount(cell)
    answered_in = np.bincount(cell[answered], minlength=len(asked_in))
    ratio = np.where(answered_in > 0, asked_in / np.maximum(answered_in, 1), 0.0)
    weight = np.where(answered, ratio[cell], 0.0)
    return weight * len(roster) / weight.sum(), cell


def cell_codes(roster: pd.DataFrame, cells: Sequence[str] = CELLS) -> list[np.ndarray]:
    """Codes 0, 1, ... of the cells by no column, by the first, by the first two, ...; each (n,)."""
    found = [np.zeros(len(roster), dtype=np.int64)]
    for name in cells:
        code = pd.factorize(roster[name], sort=True, use_na_sentinel=False)[0]
        found.append(np.unique(found[-1] * (code.max(initial=0) + 1) + code, return_inverse=True)[1])
    return found


def _joined_cells(codes: Sequence[np.ndarray], answered: np.ndarray) -> np.ndarray:
    label = np.zeros(len(answered), dtype=np.int64)
    waiting = np.ones(len(answered), dtype=bool)
    found = 0
    for depth, code in reversed(list(enumerate(codes))):
        enough = np.bincount(code[answered & waiting], minlength=code.max() + 1) >= LEAST
        settled = waiting & (enough[code] | (depth == 0))
        label[settled] = found + code[settled]
        found += code.max() + 1
        waiting &= ~settled
    return np.unique(label, return_inverse=True)[1]


def by_lecture(
    term: Term, frames: Mapping[str, pd.DataFrame], roster: pd.DataFrame, given: pd.DataFrame
) -> pd.DataFrame:
    """Answers of families that came to lectures of one topic (by one speaker), shrunken towards their common mean.

    Returns
    -------
    DataFrame
        Columns :data:`BY_LECTURE`, in the order of names, never of values. ``outcome`` is ``p21`` (the lectures help) or
        ``k_share`` (share of knowledge items right); ``difference`` is a topic's distance from the mean over topics with its
        interval; ``verdict`` is ``not_separated`` unless the interval leaves zero out. Families that came to lectures of several
        topics are left out, because nobody knows which one they answer for. Speakers are numbered, not named.
    """
    came = frames["attendance"]
    came = came[(came["term"] == term.id) & came["present"].fillna(False)]
    events = frames["events"].drop_duplicates("event").set_index("event")
    values = _outcomes(given)
    rows = []
    for by in ("topic", "speaker"):
        level = came["event"].map(events[by])
        one = _only_one(came.assign(level=level).dropna(subset=["level"]))
        if by == "speaker":
            one = _numbered(one)
        joined = roster.merge(one.rename("level"), left_on="student", right_index=True).join(
            values, on="student"
        )
        for outcome in values:
            rows += _pooled(joined.dropna(subset=[outcome]), by, outcome)
    return pd.DataFrame(rows, columns=BY_LECTURE)


def _outcomes(given: pd.DataFrame) -> pd.DataFrame:
    knowledge = [item for item in given if item not in (*ITEMS, ALL_RIGHT)]
    found = {ABOUT_LECTURES: given[ABOUT_LECTURES]} if ABOUT_LECTURES in given else {}
    return pd.DataFrame(
        found | ({"k_share": given[knowledge].mean(axis=1)} if knowledge else {}), index=given.index
    )


def _only_one(came: pd.DataFrame) -> pd.Series:
    """Level of each child whose family came to lectures of one level only."""
    levels = came.groupby("student")["level"].agg(["nunique", "first"])
    return levels.loc[levels["nunique"] == 1, "first"]


def _numbered(speakers: pd.Series) -> pd.Series:
    names = sorted(speakers.unique())
    return speakers.map({name: f"{place:02d}" for place, name in enumerate(names, start=1)})


def _pooled(rows: pd.DataFrame, by: str, outcome: str) -> list[dict[str, object]]:
    counted = rows.groupby("level", sort=True)[outcome].agg(["size", "mean"])
    base = {
        level: {"by": by, "level": level, "outcome": outcome, "n": int(each["size"]), "mean": each["mean"]}
        for level, each in counted.iterrows()
    }
    try:
        fit = fit_multilevel(rows, outcome, groups=["level", "school"], cluster="school")
    except NotEstimableError as refused:
        told = {"reason_zh": refused.zh, "reason_en": refused.en, "verdict": ALIKE}
        return [each | told for each in base.values()]
    found = fit.groups[fit.groups["group"] == "level"].set_index("level")
    return [each | _shrunken(found.loc[level]) for level, each in base.items()]


def _shrunken(row: pd.Series) -> dict[str, object]:
    low, high = row["conf_low"], row["conf_high"]
    if not np.isfinite([low, high]).all():
        return {"verdict": ALIKE, "reason_zh": NO_SPREAD["zh"], "reason_en": NO_SPREAD["en"]}
    verdict = ABOVE if low > 0 else BELOW if high < 0 else ALIKE
    return {"difference": row["estimate"], "conf_low": low, "conf_high": high, "verdict": verdict}
