"""Shapes of a dose-response curve: steps, a line, a restricted cubic spline; and how far students support it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cobench.effects.reasons import not_estimable
from cobench.errors import ParameterError

# Harrell (2015), table 2.3.
QUANTILES = {
    3: (0.10, 0.50, 0.90),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.50, 0.725, 0.95),
    6: (0.05, 0.23, 0.41, 0.59, 0.77, 0.95),
    7: (0.025, 0.1833, 0.3417, 0.50, 0.6583, 0.8167, 0.975),
}
KNOTS = 4
MOST_STEPS = 8
POINTS = 12
BINS_OF_MINUTES = (0.0, 0.25, 0.5, 0.75)
LEAST_GROUPS = 2


@dataclass(frozen=True)
class Shape:
    """A curve of one dose.

    Attributes
    ----------
    kind : {"bins", "linear", "spline"}
    places : tuple of float
        Lower edges of the steps, or knots; empty for a line.
    at : tuple of float
        Doses shown: mean doses of the steps, or points of the curve.
    labels : tuple of str
        Of the steps.
    beyond : tuple of float
        Doses asked for that too few students reached.
    highest : float
        The dose up to which there is support.
    """

    name: str
    kind: str
    places: tuple[float, ...]
    at: tuple[float, ...]
    labels: tuple[str, ...]
    beyond: tuple[float, ...]
    highest: float

    @property
    def n_columns(self) -> int:
        return {"linear": 1, "bins": len(self.places), "spline": len(self.places) - 1}[self.kind]

    @property
    def beyond_reason(self) -> str:
        return not_estimable("dose_beyond_support", treatment=self.name).en

    def basis(self, dose: np.ndarray) -> np.ndarray:
        """Columns (n, q) of doses (n,)."""
        if self.kind == "linear":
            return dose[:, None].astype("float64")
        if self.kind == "spline":
            return restricted_spline(dose, self.places)
        step = np.searchsorted(self.places, dose + 1e-9, side="right")
        return (step[:, None] == np.arange(1, len(self.places) + 1)).astype("float64")

    def contrast(self, dose: float, before: float = 0.0) -> str:
        """``2 vs 0``; steps by their range: ``3-4 vs 2``."""
        return f"{self._label(dose)} vs {self._label(before)}"

    def _label(self, dose: float) -> str:
        if self.kind != "bins" or dose == 0 or dose not in self.at:
            return f"{dose:g}"
        return self.labels[self.at.index(dose)]

    def curvature(self) -> np.ndarray:
        """Combinations (r, q) of the coefficients that are zero where the curve is a line through none."""
        if self.kind == "spline":
            return np.eye(self.n_columns)[1:]
        if self.kind == "bins" and len(self.at) > 1:
            rates = np.diag(1 / np.array(self.at))
            return rates[1:] - rates[0]
        return np.zeros((0, self.n_columns))


def restricted_spline(dose: np.ndarray, knots: Sequence[float]) -> np.ndarray:
    """Restricted cubic spline, linear beyond the outer knots, (n, k - 1) (Harrell 2015, eq. 2.25)."""
    t = np.asarray(knots, dtype="float64")
    span = (t[-1] - t[0]) ** 2
    cubes = [np.maximum(dose - each, 0.0) ** 3 for each in t]
    last = t[-1] - t[-2]
    bent = [
        (cubes[j] - cubes[-2] * (t[-1] - t[j]) / last + cubes[-1] * (t[-2] - t[j]) / last) / span
        for j in range(len(t) - 2)
    ]
    return np.column_stack([dose, *bent])


def choose_shape(
    name: str,
    dose: np.ndarray,
    groups: np.ndarray | None,
    kind: str | None,
    edges: Sequence[float] | None,
    knots: Sequence[float] | int | None,
    at: Sequence[float] | None,
    least_share: float,
) -> Shape:
    """The shape asked for, or what the doses allow.

    Raises
    ------
    NotEstimableError
        When nobody has some of this dose, or a curve is asked of a single amount.
    ParameterError
    """
    some = dose[dose > 0]
    if len(some) < 2:
        raise not_estimable("few_treated" if len(some) else "no_treated", level=f"{name} > 0", least=2)
    if not (dose == 0).any():
        raise not_estimable("no_controls", reference=f"{name} = 0")
    distinct = np.unique(some)
    counts = bool(np.all(distinct == np.round(distinct)))
    highest = _highest(dose, groups, distinct, least_share)
    kind = kind or ("bins" if edges is not None or (counts and len(distinct) <= MOST_STEPS) else "spline")
    if kind == "bins":
        return _steps(name, dose, _edges(edges, distinct, counts, some, highest), highest)
    if kind == "spline" and len(distinct) < 3:
        raise not_estimable("dose_one_value", treatment=name)
    if at is None:
        whole = counts and highest <= 2 * POINTS
        points = np.arange(1.0, highest + 0.5) if whole else np.linspace(0, highest, POINTS + 1)[1:]
    else:
        points = np.array(sorted({float(each) for each in at if each > 0}))
    shown = tuple(points[points <= highest + 1e-9].tolist())
    if not shown:
        raise not_estimable("dose_beyond_support", treatment=name)
    beyond = tuple(points[points > highest + 1e-9].tolist())
    places = _knots(knots, some, highest) if kind == "spline" else ()
    return Shape(name, kind, places, shown, (), beyond, highest)


def _highest(dose: np.ndarray, groups: np.ndarray | None, distinct: np.ndarray, least_share: float) -> float:
    """The highest dose that ``least_share`` of the exposed reached, in two clusters at least."""
    some = dose[dose > 0]
    for value in distinct[::-1]:
        reached = dose >= value
        enough = groups is None or len(np.unique(groups[reached])) >= LEAST_GROUPS
        if enough and reached.sum() >= least_share * len(some):
            return float(value)
    return float(distinct[0])


def _edges(
    edges: Sequence[float] | None, distinct: np.ndarray, counts: bool, some: np.ndarray, highest: float
) -> tuple[float, ...]:
    if edges is not None:
        if not len(edges) or min(edges) <= 0 or list(edges) != sorted(set(edges)):
            raise ParameterError(
                en="dose: edges must be above 0 and rise; 0 is what the steps are compared with",
                zh="dose：edges 必须大于 0 且依次递增；各档均与 0 比较",
            )
        return tuple(map(float, edges))
    if counts and len(distinct[distinct <= highest]) <= MOST_STEPS:
        return tuple(distinct[distinct <= highest].tolist())
    quarters = np.quantile(some, BINS_OF_MINUTES, method="inverted_cdf")
    return tuple(np.unique(quarters).tolist())


def _steps(name: str, dose: np.ndarray, edges: tuple[float, ...], highest: float) -> Shape:
    """Steps; those asked for that too few reached are joined to the one below and listed as ``beyond``."""
    kept = tuple(edge for edge in edges if edge <= highest + 1e-9)
    if not kept:
        raise not_estimable("dose_beyond_support", treatment=name)
    upper = (*kept[1:], np.inf)
    filled = [
        (low, high, dose[(dose >= low) & (dose < high)])
        for low, high in zip(kept, upper, strict=True)
        if ((dose >= low) & (dose < high)).any()
    ]
    labels = tuple(_range(own) for _, _, own in filled)
    middles = tuple(float(own.mean()) for _, _, own in filled)
    beyond = tuple(edge for edge in edges if edge > highest + 1e-9)
    return Shape(name, "bins", tuple(low for low, _, _ in filled), middles, labels, beyond, highest)


def _range(own: np.ndarray) -> str:
    low, high = own.min(), own.max()
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


def _knots(knots: Sequence[float] | int | None, some: np.ndarray, highest: float) -> tuple[float, ...]:
    """Knots given, or at Harrell's quantiles of the doses above zero; fewer where they would coincide."""
    if knots is not None and not isinstance(knots, int):
        places = np.unique(np.asarray(knots, dtype="float64"))
        if len(places) < 3:
            raise ParameterError(en="dose: a spline needs three knots", zh="dose：样条至少需要三个节点")
        return tuple(places.tolist())
    wanted = KNOTS if knots is None else knots
    if wanted not in QUANTILES:
        raise ParameterError(
            en="dose: 3 to 7 knots, or their places", zh="dose：节点数为 3 至 7，或给出其位置"
        )
    for number in range(wanted, 2, -1):
        places = np.unique(np.quantile(some, QUANTILES[number]))
        if len(places) == number:
            return tuple(places.tolist())
    distinct = np.unique(some)
    supported = distinct[distinct <= highest]
    distinct = supported if len(supported) > 2 else distinct
    return (float(distinct[0]), float(distinct[len(distinct) // 2]), float(distinct[-1]))
