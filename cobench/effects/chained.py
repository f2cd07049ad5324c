"""The chains of :mod:`cobench.effects.imputation` on arrays: design of each variable, and rounds over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from cobench.effects.two_level_draws import (
    Groups,
    Model,
    Streams,
    draw_donors,
    draw_flags,
    draw_numbers,
    group_sums,
    new_model,
    update,
)

MOST_NUMBERS = 30_000_000


@dataclass(frozen=True)
class Variable:
    """One column of the imputation model.

    Attributes
    ----------
    kind : {"numeric", "scale", "binary", "categorical"}
    numbers : ndarray, (n,)
        Values, or codes of ``labels``; NaN where missing.
    missing : ndarray of bool, (n,)
    labels : tuple or None
    bounds : (low, high) or None
    whole : int or None
        Level of clusters within which it is constant.
    given : bool
        A predictor only.
    """

    name: str
    kind: str
    numbers: np.ndarray
    missing: np.ndarray
    labels: tuple | None
    bounds: tuple[float, float] | None
    whole: int | None
    given: bool

    @property
    def n_columns(self) -> int:
        return len(self.labels) - 1 if self.kind == "categorical" else 1


@dataclass(frozen=True)
class Plan:
    """Variables, codes (n,) of each level of clusters, the widest first, and products by name."""

    variables: tuple[Variable, ...]
    places: tuple[np.ndarray, ...]
    products: tuple[tuple[str, str], ...]


@dataclass
class _Target:
    """What the imputation of one variable keeps from round to round."""

    variable: Variable
    seen: np.ndarray
    lost: np.ndarray
    groups: list[Groups]
    rate: np.ndarray | None
    models: list[Model] = field(default_factory=list)


def run_chains(
    plan: Plan, n_chains: int, n_iterations: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Imputed values (m, missing) by variable, and the trace (2, iterations, m) of their means and SDs."""
    width = (
        2 + sum(each.n_columns for each in plan.variables) * (1 + len(plan.places)) + 2 * len(plan.products)
    )
    block = max(1, MOST_NUMBERS // max(1, width * len(plan.variables[0].numbers)))
    parts = [
        _Rounds(plan, range(first, min(first + block, n_chains)), seed).run(n_iterations)
        for first in range(0, n_chains, block)
    ]
    names = parts[0][0].keys()
    values = {name: np.concatenate([part[0][name] for part in parts]) for name in names}
    trace = {name: np.concatenate([part[1][name] for part in parts], axis=2) for name in names}
    return values, trace


class _Rounds:
    """Some chains, side by side."""

    def __init__(self, plan: Plan, chains: Sequence[int], seed: int):
        self.plan, self.n_chains = plan, len(chains)
        self.draw = Streams(seed, chains)
        self.averaging = [_averaging(codes) for codes in plan.places]
        self.n = len(plan.variables[0].numbers)
        self.values = {each.name: self._start(each) for each in plan.variables}
        self.targets = [self._target(each) for each in plan.variables if each.missing.any()]
        self.targets.sort(key=lambda target: len(target.lost))
        complete = [self._columns(each) for each in plan.variables if not each.missing.any()]
        self.fixed = self._with_means(np.concatenate([np.ones((1, self.n, 1)), *complete], axis=2))

    def run(self, n_iterations: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        trace = {each.variable.name: np.empty((2, n_iterations, self.n_chains)) for each in self.targets}
        for iteration in range(n_iterations):
            for target in self.targets:
                name = target.variable.name
                drawn = self._impute(target)
                self.values[name][:, target.variable.missing] = drawn
                trace[name][:, iteration] = drawn.mean(axis=1), drawn.std(axis=1)
        found = {
            each.variable.name: self.values[each.variable.name][:, each.variable.missing]
            for each in self.targets
        }
        return found, trace

    def _start(self, variable: Variable) -> np.ndarray:
        """Current values (m, n), or (1, n) of a complete variable; missing ones start at random observed ones."""
        if not variable.missing.any():
            return variable.numbers[None]
        values = np.repeat(variable.numbers[None], self.n_chains, axis=0)
        seen = variable.numbers[~variable.missing]
        values[:, variable.missing] = seen[self.draw.integers(len(seen), int(variable.missing.sum()))]
        return values

    def _target(self, variable: Variable) -> _Target:
        if variable.whole is not None:
            codes = self.plan.places[variable.whole]
            n_groups = int(codes.max()) + 1
            known = np.zeros(n_groups, dtype=bool)
            known[codes[~variable.missing]] = True
            wider = [_group_of(codes, outer) for outer in self.plan.places[: variable.whole]]
            seen, lost = np.flatnonzero(known), np.flatnonzero(~known)
            groups = [Groups(each[seen], each[lost], int(each.max()) + 1) for each in wider]
            return _Target(variable, seen, lost, groups, None)
        seen, lost = np.flatnonzero(~variable.missing), np.flatnonzero(variable.missing)
        groups = [Groups(codes[seen], codes[lost], int(codes.max()) + 1) for codes in self.plan.places]
        rates = [mean[codes] for mean, codes in self._rates(variable)]
        return _Target(variable, seen, lost, groups, np.column_stack(rates)[None] if rates else None)

    def _rates(self, variable: Variable) -> list[tuple[np.ndarray, np.ndarray]]:
        """Share of missing values by group and codes of the groups, of levels where it differs."""
        shares = [average @ variable.missing.astype("float64") for average in self.averaging]
        pairs = zip(shares, self.plan.places, strict=True)
        return [(share, codes) for share, codes in pairs if np.ptp(share) > 0]

    def _columns(self, variable: Variable) -> np.ndarray:
        """Columns (m or 1, n, k) that a variable has as a predictor."""
        values = self.values[variable.name]
        if variable.kind != "categorical":
            return values[:, :, None]
        return np.stack([values == code for code in range(1, len(variable.labels))], axis=2).astype("float64")

    def _with_means(self, block: np.ndarray) -> np.ndarray:
        """``block`` (c, n, k) and the cluster means of its columns, where those aren't the columns themselves."""
        parts = [block]
        for average, codes in zip(self.averaging, self.plan.places, strict=True):
            means = group_sums(average, block)[:, codes]
            apart = np.abs(means - block).max(axis=(0, 1)) > 1e-9 * (1 + np.abs(block).max(axis=(0, 1)))
            parts.append(means[:, :, apart])
        return np.concatenate(parts, axis=2) if len(parts) > 1 else block

    def _design(self, target: _Target) -> np.ndarray:
        """Predictors (m, n, p) of a target, the intercept first."""
        name = target.variable.name
        others = [each for each in self.plan.variables if each.missing.any() and each.name != name]
        blocks = [self._columns(each) for each in others]
        blocks += [self._product(pair) for pair in self.plan.products if name not in pair]
        parts = [self.fixed]
        if blocks:
            size = max(len(each) for each in blocks)
            whole = [np.broadcast_to(each, (size, *each.shape[1:])) for each in blocks]
            parts.append(self._with_means(np.concatenate(whole, axis=2)))
        if target.rate is not None:
            parts.append(target.rate)
        whole = [np.broadcast_to(each, (self.n_chains, *each.shape[1:])) for each in parts]
        return np.concatenate(whole, axis=2)

    def _product(self, pair: tuple[str, str]) -> np.ndarray:
        by_name = {each.name: each for each in self.plan.variables}
        first, second = (self._columns(by_name[name]) for name in pair)
        first, second = (each - each.mean(axis=1, keepdims=True) for each in (first, second))
        product = first[:, :, :, None] * second[:, :, None, :]
        return product.reshape(*product.shape[:2], -1)

    def _impute(self, target: _Target) -> np.ndarray:
        """New values of the missing rows of a target, (m, missing)."""
        variable, x = target.variable, self._design(target)
        y = variable.numbers
        if variable.whole is not None:
            average = self.averaging[variable.whole]
            codes = self.plan.places[variable.whole]
            x = group_sums(average, x)
            y = np.full(len(average.indptr) - 1, np.nan)
            y[codes[~variable.missing]] = variable.numbers[~variable.missing]
        x = _standardised(x, target.seen)
        drawn = self._drawn(target, x, y[target.seen])
        if variable.whole is None:
            return drawn
        everybody = np.broadcast_to(y, (self.n_chains, len(y))).copy()
        everybody[:, target.lost] = drawn
        return everybody[:, codes[variable.missing]]

    def _drawn(self, target: _Target, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Values (m, lost) of the rows ``target.lost`` of the standardised design ``x``."""
        kind = target.variable.kind
        if len(target.lost) == 0:
            return np.empty((self.n_chains, 0))
        if kind == "categorical":
            return self._category(target, x, y)
        if not target.models:
            target.models.append(new_model(target.groups, self.n_chains, x.shape[2], kind == "binary"))
        model = target.models[0]
        fitted, applied = x[:, target.seen], x[:, target.lost]
        if kind == "binary":
            return draw_flags(update(model, fitted, y, applied, self.draw).applied, self.draw)
        middle, scale = y.mean(), y.std() or 1.0
        found = update(model, fitted, (y - middle) / scale, applied, self.draw)
        if kind == "scale":
            return draw_donors(found, y, self.draw)
        low, high = ((each - middle) / scale for each in target.variable.bounds or (-np.inf, np.inf))
        return middle + scale * draw_numbers(found.applied, model.residual, self.draw, low, high)

    def _category(self, target: _Target, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Levels one by one, the commonest first: yes or no among those who have none yet."""
        counts = np.bincount(y.astype(int), minlength=len(target.variable.labels))
        order = [int(code) for code in np.argsort(-counts, kind="stable") if counts[code]]
        found = np.full((self.n_chains, len(target.lost)), float(order[-1]))
        open_ = np.ones(found.shape, dtype=bool)
        left = np.ones(len(y), dtype=bool)
        applied = x[:, target.lost]
        for step, code in enumerate(order[:-1]):
            if step == len(target.models):
                groups = [Groups(each.fitted[left], each.applied, each.n_groups) for each in target.groups]
                target.models.append(new_model(groups, self.n_chains, x.shape[2], binary=True))
            own = (y[left] == code).astype("float64")
            fit = update(target.models[step], x[:, target.seen[left]], own, applied, self.draw)
            taken = (draw_flags(fit.applied, self.draw) > 0) & open_
            found[taken] = code
            open_ &= ~taken
            left &= y != code
        return found


def _averaging(codes: np.ndarray) -> sparse.csr_matrix:
    """Matrix (G, n) that takes means of groups."""
    sizes = np.bincount(codes)
    weights = 1 / sizes[codes]
    return sparse.csr_matrix((weights, (codes, np.arange(len(codes)))), shape=(len(sizes), len(codes)))


def _group_of(codes: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Group of ``outer``, which is wider, that each group of ``codes`` lies in, (G,)."""
    found = np.zeros(codes.max() + 1, dtype=int)
    found[codes] = outer
    return found


def _standardised(x: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """``x`` (m, n, p) with mean 0 and SD 1 over the rows ``seen``, the intercept apart; constant columns are zero."""
    own = x[:, seen, 1:]
    middle, scale = own.mean(axis=1, keepdims=True), own.std(axis=1, keepdims=True)
    scaled = (x[:, :, 1:] - middle) / np.where(scale > 1e-10, scale, np.inf)
    return np.concatenate([x[:, :, :1], scaled], axis=2)
