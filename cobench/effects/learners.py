"""Default models of the nuisance functions: ridge and ridge-logistic, deterministic and fast.

Numeric columns are standardised and flags keep their unit. The penalty of 1 is a normal prior of SD 1 on each
log-odds ratio, and one pseudo-observation a column in the linear model: it matters only for rare kinds of
students and for collinear columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

PENALTY = 1.0
STEPS = 50
TOLERANCE = 1e-13


@dataclass
class Ridge:
    """Linear model with an unpenalised intercept."""

    penalty: float = PENALTY
    coefficients: np.ndarray = field(default=None, repr=False)

    def fit(self, x: np.ndarray, y: np.ndarray) -> Ridge:
        self.centre, self.scale = _moments(x)
        z = (x - self.centre) / self.scale
        mean = y.mean()
        gram = z.T @ z + self.penalty * np.eye(z.shape[1])
        self.coefficients = np.linalg.solve(gram, z.T @ (y - mean))
        self.intercept = mean
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.intercept + ((x - self.centre) / self.scale) @ self.coefficients


@dataclass
class Logistic:
    """Logistic model with an unpenalised intercept, fitted by Newton's method with halved steps."""

    penalty: float = PENALTY
    coefficients: np.ndarray = field(default=None, repr=False)

    def fit(self, x: np.ndarray, y: np.ndarray) -> Logistic:
        self.centre, self.scale = _moments(x)
        z = np.column_stack([np.ones(len(x)), (x - self.centre) / self.scale])
        penalty = np.full(z.shape[1], self.penalty)
        penalty[0] = 0.0
        share = np.clip(y.mean(), 1e-6, 1 - 1e-6)
        beta = np.zeros(z.shape[1])
        beta[0] = np.log(share / (1 - share))
        loss = _loss(z, y, beta, penalty)
        for _ in range(STEPS):
            mean = _expit(z @ beta)
            gradient = z.T @ (y - mean) - penalty * beta
            curvature = (z * (mean * (1 - mean))[:, None]).T @ z + np.diag(penalty + 1e-10)
            step = np.linalg.solve(curvature, gradient)
            beta, new = _line_search(z, y, beta, step, penalty, loss)
            if loss - new < TOLERANCE * (1 + abs(loss)):
                break
            loss = new
        self.coefficients = beta
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Columns of probability of 0 and of 1, (n, 2)."""
        z = np.column_stack([np.ones(len(x)), (x - self.centre) / self.scale])
        p = _expit(z @ self.coefficients)
        return np.column_stack([1 - p, p])


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and scale of the columns; a two-valued column keeps its unit.

    Scaling a rare flag to variance one would leave its coefficient all but free, and one held-out student of a
    rare kind could then get any weight.
    """
    spread = x.std(axis=0)
    low, high = (x.min(axis=0), x.max(axis=0)) if len(x) else (spread, spread)
    flag = ((x == low) | (x == high)).all(axis=0)
    return x.mean(axis=0), np.where(flag, np.where(high > low, high - low, 1.0), spread)


def _expit(eta: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(eta, -500, 500)))


def _loss(z: np.ndarray, y: np.ndarray, beta: np.ndarray, penalty: np.ndarray) -> float:
    eta = z @ beta
    return float(np.sum(np.logaddexp(0, eta) - y * eta) + 0.5 * np.sum(penalty * beta**2))


def _line_search(
    z: np.ndarray, y: np.ndarray, beta: np.ndarray, step: np.ndarray, penalty: np.ndarray, loss: float
) -> tuple[np.ndarray, float]:
    size = 1.0
    for _ in range(30):
        new = _loss(z, y, beta + size * step, penalty)
        if new <= loss:
            return beta + size * step, new
        size /= 2
    return beta, loss
