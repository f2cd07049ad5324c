"""What an estimator found for one comparison, and how it becomes a row of the frame of estimates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cobench.effects.effect_sizes import hedges_correction, pooled_sd
from cobench.effects.estimates import as_estimates
from cobench.effects.evidence import evidence_of
from cobench.effects.exposure import check_arms_of_clusters, mostly_between
from cobench.effects.inference import Precision, dense_codes
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import Sample
from cobench.errors import NotEstimableError

BETWEEN = "between_clusters"


@dataclass(frozen=True)
class Answer:
    """Estimate of one comparison.

    Attributes
    ----------
    sample : Sample
        The rows it rests on.
    balance_weights : ndarray, (n,), or None
        Weights under which the arms are compared; None where the estimator has no such weights.
    propensity : ndarray, (n,), or None
    ess : float
        Effective number of comparison students (ATT) or of students (ATE); missing without weights.
    support : str
        ``""``, or ``on_support`` where exposed students without counterpart were left out.
    notes : dict
        What the estimator decided, for the checks: ``adjustment``, ``n_folds``, ``n_clipped``, ``clip``.
    p_value, conf_low, conf_high : float
        Where they don't follow from the error and Student's t (bootstrap, Anderson-Rubin).
    """

    sample: Sample
    estimate: float
    precision: Precision
    estimand: str
    balance_weights: np.ndarray | None = None
    propensity: np.ndarray | None = None
    ess: float = float("nan")
    support: str = ""
    notes: dict | None = None
    p_value: float = float("nan")
    conf_low: float = float("nan")
    conf_high: float = float("nan")


def row_of(answer: Answer, method: str) -> dict:
    """Numbers of an answer as a mapping with column names of the frame of estimates."""
    sample = answer.sample
    n_obs = sample.n_treated + sample.n_reference
    treated = sample.d == 1
    clusters = sample.cluster
    spread = pooled_sd(sample.y[treated], sample.y[(sample.arms == 0).all(axis=1)])
    return {
        "treatment": sample.treatment,
        "contrast": sample.level,
        "outcome": sample.outcome,
        "estimand": answer.estimand,
        "method": method,
        "estimate": answer.estimate,
        "std_error": answer.precision.std_error,
        "df": answer.precision.df,
        "p_value": answer.p_value,
        "conf_low": answer.conf_low,
        "conf_high": answer.conf_high,
        "se_type": answer.precision.se_type,
        "effect_size": answer.estimate / spread * hedges_correction(n_obs) if spread > 0 else np.nan,
        "es_type": "hedges_g (pooled SD of the two arms)",
        "n_obs": n_obs,
        "n_treated": sample.n_treated,
        "n_clusters": None if clusters is None else np.count_nonzero(np.bincount(clusters)),
        "n_treated_clusters": None if clusters is None else np.count_nonzero(np.bincount(clusters[treated])),
        "ess": answer.ess,
        "status": "ok",
    }


def row_without_answer(
    error: NotEstimableError, *, treatment: str, level: str, outcome: str, estimand: str, method: str
) -> dict:
    """The row of a comparison that can't be estimated."""
    return {
        "treatment": treatment,
        "contrast": level,
        "outcome": outcome,
        "estimand": estimand,
        "method": method,
        "status": "not_estimable",
        "reason": error.en,
        "evidence": "not_estimable",
    }


def answer_or_error(fit: Callable[[], Answer], method: str) -> Answer | NotEstimableError:
    """The answer of ``fit``, or why there is none; a matrix that can't be inverted is such a reason."""
    try:
        return fit()
    except NotEstimableError as error:
        return error
    except np.linalg.LinAlgError:
        return not_estimable("numerical", method=method)


def observational_rows(
    fits: Sequence[tuple[str, Callable[[], Answer]]],
    *,
    treatment: str,
    outcome: str,
    estimand: str,
    method: str,
) -> pd.DataFrame:
    """Frame of estimates of undeclared, hence exploratory and observational comparisons, one row a level.

    Where exposure was mostly decided for whole clusters, the row says that clusters are compared
    (``between_clusters``), which only describes; with fewer than four of them an arm it is refused.
    """
    rows = []
    for level, fit in fits:
        answer = answer_or_error(lambda fit=fit: switched(fit()), method)
        if isinstance(answer, NotEstimableError):
            row = row_without_answer(
                answer, treatment=treatment, level=level, outcome=outcome, estimand=estimand, method=method
            )
        else:
            between = answer.estimand == BETWEEN
            row = {**row_of(answer, method), "evidence": evidence_of(method, between=between).evidence}
            row["population"] = f"all:{answer.support}" if answer.support else "all"
        rows.append(row)
    return as_estimates(rows)


def switched(answer: Answer) -> Answer:
    """``answer`` to what it does answer: a contrast of clusters where those were exposed as a whole.

    Raises
    ------
    NotEstimableError
        When an arm has too few clusters for that.
    """
    if not mostly_between(answer.sample):
        return answer
    check_arms_of_clusters(answer.sample)
    return replace(answer, estimand=BETWEEN)


def checked(answer: Answer) -> Answer:
    """``answer``, unless its error is zero or not a number.

    Raises
    ------
    NotEstimableError
    """
    std_error = answer.precision.std_error
    if not np.isfinite(std_error) or std_error <= 1e-10 * float(np.std(answer.sample.y)):
        raise not_estimable("perfect_fit", outcome=answer.sample.outcome)
    return answer


def check_clusters(sample: Sample, least: int = 2) -> None:
    """Raise :class:`NotEstimableError` below ``least`` clusters, or when a side of whole clusters has one."""
    if sample.cluster is None:
        return
    if np.count_nonzero(np.bincount(sample.cluster)) < least:
        raise not_estimable("few_clusters", cluster=sample.names["cluster"], least=least)
    codes = dense_codes(sample.cluster)
    share = np.bincount(codes, weights=sample.d) / np.bincount(codes)
    whole = np.all((share == 0) | (share == 1))
    if whole and min((share == 1).sum(), (share == 0).sum()) < 2:
        raise not_estimable("one_cluster_an_arm", cluster=sample.names["cluster"])
