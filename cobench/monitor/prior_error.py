"""Prior results without their measurement error, for models of value added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cobench.declared import Text
from cobench.errors import NotEstimableError, ParameterError
from cobench.measures.scales import cronbach_alpha

LEAST_TRUE_SHARE = 0.1
Reliability = Mapping[str, float | Sequence[str]]
TOO_UNRELIABLE = Text(
    en="at the stated reliability next to nothing of what differs within {cluster} in the prior results is more than "
    "measurement error",
    zh="按所给信度，同一 {cluster} 内前测成绩的差异几乎全是测量误差",
)


@dataclass(frozen=True)
class Calibrated:
    """Best linear predictions of true priors, n rows and k columns, in J groups.

    Attributes
    ----------
    values : ndarray (n, k)
        Predicted true columns; those without error come back as they were.
    excess : ndarray (J, k, k)
        Covariance of what a group's mean still errs by, beyond what independent errors of its rows amount to.
    """

    values: np.ndarray
    excess: np.ndarray


def known_reliability(
    frame: pd.DataFrame, priors: Sequence[str], given: Reliability | None
) -> dict[str, float]:
    """Reliability of each prior that has one: a number, or Cronbach's alpha of the columns that hold its items.

    Raises
    ------
    ParameterError
        For a reliability of anything but the priors, or outside (0, 1].
    """
    found = {}
    for name, value in (given or {}).items():
        number = value if isinstance(value, int | float) else cronbach_alpha(frame[list(value)].dropna())
        if name not in priors or not 0 < number <= 1:
            raise ParameterError(
                en=f"reliability of {name!r}: give a number above 0 and up to 1, or its items, of one of the priors",
                zh=f"{name!r} 的信度：请给出某一前测的信度（大于 0、不超过 1），或它的题目列",
            )
        found[name] = float(number)
    return found


def calibrate(columns: np.ndarray, error: np.ndarray, codes: np.ndarray, cluster: str) -> Calibrated:
    """Predict true columns from observed ones by regression calibration of nested rows.

    With observed W = T + error, T = mean + group part + own part, the prediction of T given all of its group's W shrinks a
    row towards its group's mean by the reliability within groups, and group means towards the overall mean by the
    reliability of such a mean (Carroll, Ruppert, Stefanski and Crainiceanu 2006, ch. 4; for value added Battauz,
    Bellio and Gori 2011, who maximise the joint likelihood instead; moments here). Shrinking everybody towards the
    overall mean would hand schools with a strong intake part of their pupils' head start as value added.

    Parameters
    ----------
    columns : ndarray (n, k)
        Priors, and the covariates that stand beside them, which are taken to be free of error.
    error : ndarray (k,)
        Variance of the measurement error of each column, zero for covariates; errors are independent of each other.
    codes : ndarray (n,)
        Group of each row, 0 to J - 1.

    Raises
    ------
    NotEstimableError
        Where less than a tenth of some prior's variance within groups, or of a combination of priors, is true.
    """
    n, k = columns.shape
    size = np.bincount(codes).astype(float)
    means = np.stack([np.bincount(codes, column) for column in columns.T], axis=1) / size[:, None]
    own = columns - means[codes]
    within = own.T @ own / (n - len(size))
    noise = np.diag(error)
    _check_true_share(within, error, cluster)
    overall = columns.mean(axis=0)
    apart = means - overall
    # Moments of a one-way layout with unequal groups (Searle, Casella and McCulloch 1992, 3.6).
    usual = (n - np.sum(size**2) / n) / (len(size) - 1)
    between = _positive(((size[:, None] * apart).T @ apart / (len(size) - 1) - within) / usual)
    share = np.eye(k) - noise @ np.linalg.pinv(within)
    values, excess = np.empty_like(columns), np.empty((len(size), k, k))
    for j, count in enumerate(size):
        of_mean = np.eye(k) - (noise / count) @ np.linalg.pinv(between + within / count)
        rows = codes == j
        values[rows] = overall + of_mean @ apart[j] + own[rows] @ share.T
        excess[j] = (of_mean - share) @ noise / count
    return Calibrated(values, (excess + excess.transpose(0, 2, 1)) / 2)


def _check_true_share(within: np.ndarray, error: np.ndarray, cluster: str) -> None:
    noisy = error > 0
    if not noisy.any():
        return
    block, noise = within[np.ix_(noisy, noisy)], np.diag(error[noisy])
    scale = 1 / np.sqrt(np.diag(block))
    true = np.linalg.eigvalsh((block - noise) * np.outer(scale, scale))
    whole = np.linalg.eigvalsh(block * np.outer(scale, scale))
    if true.min() < LEAST_TRUE_SHARE * whole.min():
        raise NotEstimableError(
            en=TOO_UNRELIABLE.en.format(cluster=cluster), zh=TOO_UNRELIABLE.zh.format(cluster=cluster)
        )


def _positive(matrix: np.ndarray) -> np.ndarray:
    """The nearest matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.maximum(values, 0)) @ vectors.T
