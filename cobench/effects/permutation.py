"""Permutation test of a difference of means: the draw is repeated as it was made, by whole clusters, within strata.

The statistic is the difference over its cluster-robust error, which keeps the test sound for unequal spreads too
(Chung and Romano 2013). For the null that everybody gains ``r`` the outcomes of the exposed are lowered by ``r``; sums
by unit are linear in ``r`` and their squares quadratic, so a draw costs a few sums and the interval, by inversion,
next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, islice, product
from math import comb, prod

import numpy as np

from cobench.effects.bootstrap import DRAWS, SEED, interval_end
from cobench.effects.inference import dense_codes
from cobench.effects.reasons import not_estimable

TIE = 1e-9
BLOCK = 4_000_000
SMALLEST = 1e-300


@dataclass(frozen=True)
class Permutation:
    """A permutation test.

    Attributes
    ----------
    p_value : float
        Share of draws whose statistic is at least as large in absolute value, the draw that was made among them.
    conf_low, conf_high : float
        Common gains that are not rejected; infinite where rejection is never reached.
    n_draws : int
        All draws there could have been where ``enumerated``.
    seed : int
    """

    p_value: float
    conf_low: float
    conf_high: float
    n_draws: int
    enumerated: bool
    seed: int

    @property
    def label(self) -> str:
        """How it was drawn, as it stands in ``se_type``."""
        return f"permutation ({self.n_draws} draws, {'all' if self.enumerated else f'seed {self.seed}'})"


def permutation_test(
    y: np.ndarray,
    d: np.ndarray,
    cluster: np.ndarray | None = None,
    stratum: np.ndarray | None = None,
    *,
    n_draws: int = DRAWS,
    seed: int = SEED,
    level: float = 0.95,
) -> Permutation:
    """Test and interval of the difference of means between ``d`` 1 and 0.

    Parameters
    ----------
    cluster, stratum : ndarray of int, (n,), optional
        Groups that were drawn as a whole (rows by default), and groups within which as many were drawn as were.
    n_draws : int
        All draws are enumerated where there are no more than this.

    Raises
    ------
    NotEstimableError
        When exposure differs within a cluster, a cluster lies in two strata, or no stratum has both arms.
    """
    units = _units(y, d, cluster, stratum)
    total = prod(comb(len(each), int(units.drawn[each].sum())) for each in units.strata)
    if total == 1:
        raise not_estimable("nothing_drawn")
    enumerated = total <= n_draws
    blocks = _all_draws(units, total) if enumerated else _some_draws(units, n_draws, seed)
    drawn = np.concatenate([block @ units.columns for block in blocks])
    made = units.drawn[None, :] @ units.columns
    p_of = _p_values(units.columns.sum(axis=0), drawn, made, counted=not enumerated)
    difference = float(y[d == 1].mean() - y[d == 0].mean())
    error = float(y.std()) / np.sqrt(len(units.drawn))
    low, high = (interval_end(p_of, difference, sign * error, 1 - level) for sign in (-1, 1))
    return Permutation(p_of(0.0), low, high, total if enumerated else n_draws, enumerated, seed)


@dataclass(frozen=True)
class _Units:
    """Units drawn: whether exposed ``drawn`` (U,), places of units by stratum, and what is summed over units (U, 9).

    ``columns``: rows n, sum of outcomes s, sum of exposures o, then nn, ns, no, ss, so, oo.
    """

    drawn: np.ndarray
    strata: list[np.ndarray]
    columns: np.ndarray


def _units(y: np.ndarray, d: np.ndarray, cluster: np.ndarray | None, stratum: np.ndarray | None) -> _Units:
    codes = np.arange(len(y)) if cluster is None else dense_codes(cluster)
    n = np.bincount(codes).astype("float64")
    drawn = np.bincount(codes, weights=d) / n
    if np.any((drawn > 0) & (drawn < 1)):
        raise not_estimable("not_drawn_whole")
    strata = np.zeros(len(y), dtype=int) if stratum is None else dense_codes(stratum)
    of_unit = np.zeros(len(n), dtype=int)
    of_unit[codes] = strata
    if np.any(of_unit[codes] != strata):
        raise not_estimable("unit_in_strata")
    s, o = np.bincount(codes, weights=y), n * drawn
    columns = np.column_stack([n, s, o, n * n, n * s, n * o, s * s, s * o, o * o])
    return _Units(drawn, [np.flatnonzero(of_unit == each) for each in np.unique(of_unit)], columns)


def _all_draws(units: _Units, total: int) -> Iterator[np.ndarray]:
    """Every draw there could have been, in blocks (b, U)."""
    ways = [combinations(each, int(units.drawn[each].sum())) for each in units.strata]
    chosen = product(*ways)
    size = max(1, BLOCK // len(units.drawn))
    for start in range(0, total, size):
        block = np.zeros((min(size, total - start), len(units.drawn)))
        for row, picks in enumerate(islice(chosen, len(block))):
            block[row, np.concatenate([np.asarray(each, dtype=int) for each in picks])] = 1.0
        yield block


def _some_draws(units: _Units, n_draws: int, seed: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(seed)
    size = max(1, BLOCK // len(units.drawn))
    for start in range(0, n_draws, size):
        block = np.tile(units.drawn, (min(size, n_draws - start), 1))
        for each in units.strata:
            block[:, each] = generator.permuted(block[:, each], axis=1)
        yield block


def _statistic(total: np.ndarray, drawn: np.ndarray, gain: float) -> np.ndarray:
    """Difference of means over its error, (b,), after ``gain`` is taken from those who were exposed.

    ``total`` (9,) and ``drawn`` (b, 9) are sums over all units and over those drawn.
    """
    means, variances = [], []
    for arm in (drawn, total - drawn):
        n, s, o, nn, ns, no, ss, so, oo = arm.T
        mean = (s - gain * o) / n
        squares = ss - 2 * gain * so + gain**2 * oo
        means.append(mean)
        variances.append((squares - 2 * mean * (ns - gain * no) + mean**2 * nn) / n**2)
    return (means[0] - means[1]) / np.sqrt(np.maximum(variances[0] + variances[1], SMALLEST))


def _p_values(
    total: np.ndarray, drawn: np.ndarray, made: np.ndarray, *, counted: bool
) -> Callable[[float], float]:
    """Function from a common gain to its p-value; where draws are sampled the one that was made counts too."""

    def p_value(gain: float) -> float:
        found = abs(float(_statistic(total, made, gain)[0]))
        as_large = np.sum(np.abs(_statistic(total, drawn, gain)) >= found * (1 - TIE))
        return float((as_large + counted) / (len(drawn) + counted))

    return p_value
