"""Effects in declared subgroups, and one joint test of whether they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from cobench.effects.adjust import Errors, check_se_type, effect_columns, fit_difference, fit_regress
from cobench.effects.aipw import answer_aipw
from cobench.effects.answers import Answer, answer_or_error, check_clusters, observational_rows
from cobench.effects.entropy import fit_entropy
from cobench.effects.estimates import as_estimates
from cobench.effects.exposure import default_within
from cobench.effects.matching import fit_matching
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import as_level, check_known, levels_of, require_columns, take_sample
from cobench.effects.weighting import fit_ipw
from cobench.errors import NotEstimableError

INTERACTION = [
    "by", "contrast", "outcome", "method", "groups", "statistic", "df_num", "df_denom", "p_value", "test",
    "status", "reason",
]  # fmt: skip
HTZ = "HTZ (approximate Hotelling's T-squared)"
METHODS = ("difference", "regress", "ipw", "entropy_balance", "matching", "aipw")


@dataclass(frozen=True)
class WaldTest:
    """Equality of several effects: ``statistic ~ F(df_num, df_denom)``."""

    statistic: float
    df_num: float
    df_denom: float
    p_value: float


def subgroups(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    by: str | Sequence[str],
    covariates: Sequence[str] = (),
    within: Sequence[str] | None = None,
    cluster: str | None = None,
    method: str = "regress",
    estimand: str = "ATT",
    reference: object = None,
    se_type: str | None = None,
) -> pd.DataFrame:
    """The effect in every level of each declared column.

    Parameters
    ----------
    by : str or sequence of str
        Columns measured before the exposure, declared beforehand; a level a row.
    within : sequence of str, optional
        Cells (``regress``: fixed effects, none by default; other methods: the clusters, unless whole clusters
        were exposed).
    method : {"difference", "regress", "ipw", "entropy_balance", "matching", "aipw"}
        Every level has a fit of its own, so every coefficient may differ between levels.

    Returns
    -------
    DataFrame
        :data:`cobench.effects.estimates.COLUMNS`, ``subgroup`` such as ``sex=f``. Whether the levels differ is
        not to be read off the rows: see :func:`interactions`.
    """
    found = _fit_all(
        frame, outcome, treatment, by, covariates, within, cluster, method, estimand, reference, se_type
    )
    rows = []
    for (column, level), fits in found.items():
        part = observational_rows(
            [(contrast, partial(_again, fit)) for contrast, fit in fits.items()], treatment=treatment,
            outcome=outcome, estimand=_estimand(method, estimand, covariates, within), method=method,
        )  # fmt: skip
        rows.append(part.assign(subgroup=f"{column}={level}"))
    return (
        as_estimates(pd.concat(rows, ignore_index=True).drop(columns="estimate_id"))
        if rows
        else as_estimates([])
    )


def interactions(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    by: str | Sequence[str],
    covariates: Sequence[str] = (),
    within: Sequence[str] | None = None,
    cluster: str | None = None,
    method: str = "regress",
    estimand: str = "ATT",
    reference: object = None,
    se_type: str | None = None,
) -> pd.DataFrame:
    """Whether the effects of :func:`subgroups` differ between the levels, one joint test a column and contrast.

    Returns
    -------
    DataFrame
        Columns :data:`INTERACTION`. Levels that aren't estimable leave the test; with fewer than two left the
        row is ``not_estimable``.
    """
    found = _fit_all(
        frame, outcome, treatment, by, covariates, within, cluster, method, estimand, reference, se_type
    )
    rows = []
    for column in dict.fromkeys(column for column, _ in found):
        by_level = {level: fits for (name, level), fits in found.items() if name == column}
        for contrast in next(iter(by_level.values())):
            row = {"by": column, "contrast": contrast, "outcome": outcome, "method": method}
            answers = {level: fits[contrast] for level, fits in by_level.items()}
            rows.append(row | _tested(answers))
    return pd.DataFrame(rows, columns=INTERACTION)


def equality_test(answers: Sequence[Answer]) -> WaldTest:
    """Joint test that effects of disjoint groups of students are equal, small-sample corrected.

    The effects covary only through clusters that groups share; their covariance is that of the summed cluster
    contributions. The denominator is that of the approximate Hotelling's test (HTZ) of Pustejovsky and Tipton
    (2018), ``eta = q (q + 1) / sum_st Var(d_st)``, ``F = (eta - q + 1) / (eta q) Q ~ F(q, eta - q + 1)``, where under
    an identity working model contributions of disjoint groups are independent. Their covariance is estimated all the
    same where they share clusters, and what that costs is in ``Var(d_st)``; never more than all clusters less one.

    Raises
    ------
    NotEstimableError
        With fewer than two answers, or too few clusters to test so many at once.
    """
    if len(answers) < 2:
        raise not_estimable("one_group")
    covariance = _covariance(answers)
    values = np.array([each.estimate for each in answers])
    contrasts = np.column_stack([-np.ones(len(answers) - 1), np.eye(len(answers) - 1)])
    working = np.array([(each.notes or {}).get("working", each.precision.std_error**2) for each in answers])
    df = np.array([each.precision.df for each in answers])
    df = np.where(np.isfinite(df), df, np.inf)
    uncertain = np.outer(working, working) / np.sqrt(np.outer(df, df)) * _overlap(answers)
    expected = contrasts @ np.diag(working) @ contrasts.T
    eigen, vectors = np.linalg.eigh(expected)
    d = (vectors / np.sqrt(eigen)) @ vectors.T @ contrasts
    q = len(contrasts)
    inner = d.T @ d
    lengths = np.diag(inner)
    spread = float(np.sum(uncertain * (np.outer(lengths, lengths) + inner**2)))
    eta = min(q * (q + 1) / spread if spread > 0 else np.inf, _shared_groups(answers) - 1)
    if eta <= q - 1:
        raise not_estimable("few_df")
    gaps = contrasts @ values
    quadratic = float(gaps @ np.linalg.solve(contrasts @ covariance @ contrasts.T, gaps))
    scale = 1 / q if np.isinf(eta) else (eta - q + 1) / (eta * q)
    statistic, denominator = scale * quadratic, eta - q + 1
    p = stats.chi2.sf(quadratic, q) if np.isinf(eta) else stats.f.sf(statistic, q, denominator)
    return WaldTest(statistic, float(q), float(denominator), float(p))


def _overlap(answers: Sequence[Answer]) -> np.ndarray:
    """Share of clusters that two answers have in common: one with itself, and zero where no cluster is declared."""
    own = [
        set() if each.sample.cluster is None
        else {each.sample.cluster_labels[code] for code in np.unique(each.sample.cluster)}
        for each in answers
    ]  # fmt: skip
    sizes = np.array([max(len(each), 1) for each in own])
    common = np.array([[len(a & b) for b in own] for a in own]) / np.sqrt(np.outer(sizes, sizes))
    return np.where(np.eye(len(own), dtype=bool), 1.0, common)


def _shared_groups(answers: Sequence[Answer]) -> float:
    """Number of clusters that any of the answers rests on; infinite without clusters."""
    if any(each.sample.cluster is None for each in answers):
        return np.inf
    return len(
        {each.sample.cluster_labels[code] for each in answers for code in np.unique(each.sample.cluster)}
    )


def _covariance(answers: Sequence[Answer]) -> np.ndarray:
    """Covariance of the estimates from contributions of shared clusters; scaled to each row's own error."""
    errors = np.array([each.precision.std_error for each in answers])
    if any(each.precision.scores is None for each in answers):
        return np.diag(errors**2)
    columns = [
        pd.Series(
            each.precision.scores,
            index=[each.sample.cluster_labels[code] for code in np.unique(each.sample.cluster)],
        )
        for each in answers
    ]
    scores = pd.concat(columns, axis=1).fillna(0.0).to_numpy()
    scores = scores * errors / np.sqrt(np.sum(scores**2, axis=0))
    return scores.T @ scores


def _fit_all(
    frame: pd.DataFrame,
    outcome: str,
    treatment: str,
    by: str | Sequence[str],
    covariates: Sequence[str],
    within: Sequence[str] | None,
    cluster: str | None,
    method: str,
    estimand: str,
    reference: object,
    se_type: str | None,
) -> Mapping[tuple[str, str], dict[str, Answer | NotEstimableError]]:
    """Answer or reason by (column, level) and contrast."""
    check_known("method", method, METHODS)
    check_se_type(se_type if method in ("difference", "regress") else None, cluster, wild=False)
    columns = [by] if isinstance(by, str) else list(by)
    require_columns(frame, [outcome, treatment, *columns])
    levels, base = levels_of(frame, treatment, reference)
    found: dict[tuple[str, str], dict[str, Answer | NotEstimableError]] = {}
    for column in columns:
        groups = as_level(frame[column])
        for group in sorted(groups.dropna().unique()) or ["no level"]:
            part = frame[(groups == group).to_numpy(dtype=bool)]
            found[column, group] = {
                level: answer_or_error(
                    partial(_one, part, outcome, treatment, level, base, covariates, within, cluster, method,
                            estimand, se_type), method,
                )
                for level in levels
            }  # fmt: skip
    return found


def _one(
    part: pd.DataFrame,
    outcome: str,
    treatment: str,
    level: str,
    base: str,
    covariates: Sequence[str],
    within: Sequence[str] | None,
    cluster: str | None,
    method: str,
    estimand: str,
    se_type: str | None,
) -> Answer:
    cells, dummies = within or (), []
    if method == "regress":
        part, cells, dummies = effect_columns(part, within or ())
    elif within is None and method != "difference":
        cells = default_within(part, treatment, level, base, cluster)
    sample = take_sample(
        part, outcome=outcome, treatment=treatment, level=level, reference=base,
        covariates=[*covariates, *dummies], within=cells, cluster=cluster,
    )  # fmt: skip
    check_clusters(sample)
    fits: dict[str, Callable[[], Answer]] = {
        "difference": lambda: fit_difference(sample, Errors(se_type)),
        "regress": lambda: fit_regress(
            sample, Errors(se_type), _estimand(method, estimand, covariates, within)
        ),
        "ipw": lambda: fit_ipw(sample, estimand),
        "entropy_balance": lambda: fit_entropy(sample, estimand),
        "matching": lambda: fit_matching(sample),
        "aipw": lambda: answer_aipw(sample, estimand),
    }
    return fits[method]()


def _tested(answers: Mapping[str, Answer | NotEstimableError]) -> dict:
    """Columns of the joint test over the levels that could be estimated."""
    usable = {level: each for level, each in answers.items() if isinstance(each, Answer)}
    try:
        test = equality_test(list(usable.values()))
    except (NotEstimableError, np.linalg.LinAlgError) as error:
        reason = (
            error.en if isinstance(error, NotEstimableError) else not_estimable("numerical", method="HTZ").en
        )
        return {"groups": ", ".join(answers), "test": HTZ, "status": "not_estimable", "reason": reason}
    return {
        "groups": ", ".join(usable), "statistic": test.statistic, "df_num": test.df_num, "df_denom": test.df_denom,
        "p_value": test.p_value, "test": HTZ, "status": "ok", "reason": "",
    }  # fmt: skip


def _estimand(method: str, estimand: str, covariates: Sequence[str], within: Sequence[str] | None) -> str:
    if method == "regress" and (covariates or within):
        return "variance_weighted"
    return "mean_difference" if method in ("regress", "difference") else estimand


def _again(found: Answer | NotEstimableError) -> Answer:
    if isinstance(found, NotEstimableError):
        raise found
    return found
