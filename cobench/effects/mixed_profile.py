"""Profile-likelihood intervals of standard deviations: where the criterion, minimised over the rest, rises by chi-squared.

For factors with an intercept only, and for the residual. Near zero such an interval starts at zero, where one by the standard error
would say too much or, by chi-squared with a fraction of a degree of freedom, nothing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import optimize, stats

from cobench.effects.mixed_inference import RESIDUAL, Mixed

ENOUGH = 1e-4
LARGEST = 1e4


class Profile:
    """The criterion as a function of one standard deviation ``value``; ``place`` in theta, None for the residual."""

    def __init__(self, mixed: Mixed, place: int | None):
        self.mixed, self.place = mixed, place
        theta = mixed.minimum.theta
        self.best = np.r_[theta, np.log(mixed.sigma)]
        self.moving = np.array([j for j in range(len(theta) + 1) if j != self._held])
        errors = np.zeros(len(self.best))
        errors[[*mixed.minimum.curvature.free, -1]] = np.sqrt(np.diag(mixed.parameter_covariance))
        self.unit = np.where(errors > 0, errors, 0.1)[self.moving]
        self.last = self.best[self.moving]

    @property
    def _held(self) -> int:
        return len(self.mixed.minimum.theta) if self.place is None else self.place

    def _value(self, moving: np.ndarray, value: float) -> float:
        """The criterion before the residual variance is profiled out."""
        criterion = self.mixed.criterion
        given = self.best.copy()
        given[self.moving] = moving
        if self.place is None:
            given[-1] = np.log(value)
        else:
            given[self.place] = value / np.exp(given[-1])
        try:
            found = criterion.factor(given[:-1])
        except np.linalg.LinAlgError:
            return np.inf
        square = found.rss * criterion.system.scale**2 / np.exp(2 * given[-1])
        return criterion.log_det(found) + criterion.dof * (np.log(2 * np.pi) + 2 * given[-1]) + square

    def above(self, value: float) -> float:
        """By how much the criterion at ``value`` exceeds its minimum."""

        def objective(z: np.ndarray) -> tuple[float, np.ndarray]:
            moving = self.last + z * self.unit
            gradient = np.empty_like(z)
            for j, unit in enumerate(self.unit):
                step = np.zeros_like(z)
                step[j] = 1e-3 * unit
                gradient[j] = (self._value(moving + step, value) - self._value(moving - step, value)) / 2e-3
            found = self._value(moving, value)
            return (found, gradient) if np.isfinite(gradient).all() else (1e300, np.zeros_like(z))

        if len(self.moving):
            start = np.zeros(len(self.moving))
            options = {"ftol": ENOUGH / abs(self.mixed.minimum.criterion or 1.0), "gtol": 1e-2}
            found = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
            self.last = self.last + found.x * self.unit
            lowest = float(found.fun)
        else:
            lowest = self._value(self.last, value)
        return max(lowest - self.mixed.minimum.criterion, 0.0)

    def interval(self, estimate: float, error: float, level: float) -> tuple[float, float]:
        """Limits of the standard deviation; a limit that isn't found is missing."""
        rise = float(stats.chi2.ppf(level, 1))
        root = np.sqrt(rise)
        spread = error if np.isfinite(error) and error > 0 else 0.1 * self.mixed.sigma

        def short(value: float) -> float:
            return np.sqrt(self.above(value)) - root

        low = estimate
        if estimate > 0:
            low = max(estimate * np.exp(-1.96 * spread / estimate), 1e-3 * self.mixed.sigma)
            while short(low) < 0 and low > 1e-3 * self.mixed.sigma:
                low = max(low / 2, 1e-3 * self.mixed.sigma)
            low = self._root(short, low, estimate) if short(low) >= 0 else 0.0
        self.last = self.best[self.moving]
        high = estimate + 2.5 * spread
        while short(high) < 0 and high < LARGEST * (estimate + spread):
            high = estimate + 2 * (high - estimate)
        return low, self._root(short, estimate, high) if short(high) >= 0 else np.nan

    @staticmethod
    def _root(short: object, low: float, high: float) -> float:
        return float(optimize.brentq(short, low, high, xtol=1e-4 * high, rtol=1e-4))


def profiled(mixed: Mixed, table: pd.DataFrame, level: float) -> pd.DataFrame:
    """``table`` (:func:`cobench.effects.mixed_inference.variance_table`) with profile intervals of the standard deviations and variances
    of intercept-only terms and the residual; column ``interval`` says which rows have them.
    """
    places, at = {RESIDUAL: None}, 0
    for term in mixed.system.terms:
        if term.q == 1:
            places[term.name] = at
        at += term.n_parameters
    low, high = table["conf_low"].to_numpy(copy=True), table["conf_high"].to_numpy(copy=True)
    kind = table["interval"].to_numpy(dtype=object, copy=True)
    for group, place in places.items():
        own = (table["group"] == group).to_numpy()
        row = table[own & (table["kind"] == "sd")].iloc[0]
        limits = Profile(mixed, place).interval(row["estimate"], row["std_error"], level)
        for name, power in (("sd", 1), ("variance", 2)):
            at_row = own & (table["kind"] == name).to_numpy()
            low[at_row], high[at_row] = limits[0] ** power, limits[1] ** power
            kind[at_row] = "profile"
    return table.assign(conf_low=low, conf_high=high, interval=kind).astype({"interval": "str"})
