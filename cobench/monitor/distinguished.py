"""Which groups differ from the average one: simultaneous bounds by the largest of correlated t statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ABOVE, BELOW, NOT_DISTINGUISHABLE = "above", "below", "not_distinguishable"
DRAWS = 20_000
CHUNK = 2_000_000


@dataclass(frozen=True)
class Differences:
    """Differences from the average group, J each: ``estimate``, ``std_error``, and the factor ``critical`` of the bounds."""

    estimate: np.ndarray
    std_error: np.ndarray
    critical: float
    df: float

    @property
    def low(self) -> np.ndarray:
        return self.estimate - self.critical * self.std_error

    @property
    def high(self) -> np.ndarray:
        return self.estimate + self.critical * self.std_error

    @property
    def verdicts(self) -> np.ndarray:
        return np.select([self.low > 0, self.high < 0], [ABOVE, BELOW], NOT_DISTINGUISHABLE)


def differences(
    effects: np.ndarray,
    covariance: np.ndarray,
    contrasts: np.ndarray,
    df: float,
    *,
    seed: int,
    level: float = 0.95,
) -> Differences:
    """Simultaneous bounds of ``contrasts @ effects`` (analysis of means: Nelson 1983; Hothorn, Bretz and Westfall 2008).

    All bounds hold their truths at once with probability ``level``, whichever groups differ, so a bound away from zero
    is wrong somewhere in at most ``1 - level`` of the districts. The critical value is the quantile of the largest of J
    multivariate t statistics with the contrasts' own correlation, from a fixed number of draws.

    Parameters
    ----------
    effects : ndarray (J,)
    covariance : ndarray (J, J)
        Of the errors of ``effects``.
    contrasts : ndarray (J, J)
        Takes the average (of those compared) from each effect.
    """
    spread = contrasts @ covariance @ contrasts.T
    error = np.sqrt(np.maximum(np.diag(spread), 0))
    told = error > 1e-8 * np.sqrt(np.diag(covariance).max())
    values, vectors = np.linalg.eigh(spread[np.ix_(told, told)] / np.outer(error[told], error[told]))
    root = vectors * np.sqrt(np.maximum(values, 0))
    generator = np.random.default_rng(seed)
    chunk = max(1, CHUNK // len(root))
    largest = []
    for first in range(0, DRAWS, chunk):
        count = min(chunk, DRAWS - first)
        draws = np.abs(generator.standard_normal((count, len(root))) @ root.T).max(axis=1)
        largest.append(draws / np.sqrt(generator.chisquare(df, count) / df))
    critical = float(np.quantile(np.concatenate(largest), level))
    return Differences(contrasts @ effects, np.where(told, error, np.nan), critical, df)
