"""From a frame to the rows, columns and grouping factors of a multilevel model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cobench.effects.adjust import as_text, standardised
from cobench.effects.folds import cell_means
from cobench.effects.inference import independent_columns
from cobench.effects.mixed_system import System, Term, build_system
from cobench.effects.reasons import not_estimable
from cobench.effects.sample import (
    FLOW,
    Covariates,
    Sample,
    add_step,
    as_level,
    as_number,
    code_covariates,
    coded,
    group_codes,
    require_columns,
)
from cobench.errors import ParameterError

INTERCEPT = "(intercept)"


@dataclass(frozen=True)
class Declared:
    """What a model is made of, after combinations of columns have become columns of ``frame``.

    ``slopes`` maps a grouping factor to the columns whose slopes vary between its groups; ``labels`` a factor to the names of
    its groups by code; ``cluster`` is the highest level of independence, by default the factor with fewest groups.
    """

    frame: pd.DataFrame
    groups: tuple[str, ...]
    slopes: dict[str, tuple[str, ...]]
    covariates: tuple[str, ...]
    labels: dict[str, tuple[str, ...]]
    treatment: str | None
    cluster: str

    @property
    def slope_columns(self) -> list[str]:
        names = [column for group in self.groups for column in self.slopes[group] if column != self.treatment]
        return list(dict.fromkeys(names))

    @property
    def extra(self) -> list[str]:
        """Columns of numbers that a sample carries: codes of the groups and the cluster, then slopes."""
        return [*map(code_column, dict.fromkeys([*self.groups, self.cluster])), *self.slope_columns]


@dataclass(frozen=True)
class Rows:
    """The arrays of one model, n rows.

    ``arms`` (n, A) are dummies of the treatment's levels, named in ``arm_names``; ``extra`` (n, e) holds the columns of
    :attr:`Declared.extra`; ``cell`` (n,) are the cells whose means are adjusted for.
    """

    y: np.ndarray
    arms: np.ndarray
    arm_names: tuple[str, ...]
    covariates: Covariates
    extra: np.ndarray
    cell: np.ndarray | None
    within: str
    flow: pd.DataFrame
    outcome: str


def code_column(group: str) -> str:
    return f"group {group}"


def declare(
    frame: pd.DataFrame,
    groups: Sequence[str | tuple[str, ...]],
    slopes: Mapping[str | tuple[str, ...], Sequence[str]] | None,
    covariates: Sequence[str],
    contrasts: Mapping[str, str] | None,
    treatment: str | None = None,
    cluster: str | None = None,
) -> Declared:
    """Names of groups and covariates, with their columns in the frame.

    Raises
    ------
    ParameterError
        Without groups, for a group given twice, slopes of something that isn't a group, or an unknown contrast.
    MissingColumnError
    """
    groups = [groups] if isinstance(groups, str) else list(groups)
    slopes = {} if slopes is None else dict(slopes)
    names = {each: each if isinstance(each, str) else " x ".join(each) for each in groups}
    strange = [each for each in slopes if each not in names]
    if not groups or len(set(names.values())) < len(groups) or strange:
        raise ParameterError(
            en="multilevel needs groups, each once, and slopes only of those groups, as in groups=['school'], "
            "slopes={'school': ['baseline']}",
            zh="multilevel 需要 groups，每个分组只写一次，slopes 只能属于这些分组，例如 groups=['school']，"
            "slopes={'school': ['baseline']}",
        )
    parts = {each: [each] if isinstance(each, str) else list(each) for each in groups}
    slope_columns = [column for columns in slopes.values() for column in columns]
    given = [*[c for each in parts.values() for c in each], *covariates, *slope_columns]
    require_columns(frame, [*given, *([cluster] if cluster and cluster not in names.values() else [])])
    if cluster and cluster not in names.values():
        parts[cluster] = [cluster]
    added, labels = {}, {}
    for each, columns in parts.items():
        text = (
            as_level(frame[each])
            if isinstance(each, str)
            else pd.Series(as_text(frame, columns), frame.index)
        )
        name = names.get(each, each)
        codes, labels[name] = coded(text.astype("object"))
        added[code_column(name)] = np.where(codes >= 0, codes, np.nan).astype("float64")
        if not isinstance(each, str):
            added[name] = text.astype("object")
    frame, covariates = _contrasted(frame.assign(**added), covariates, contrasts or {})
    named = {names[each]: tuple(dict.fromkeys(slopes.get(each, ()))) for each in groups}
    top = cluster or min(reversed(names.values()), key=lambda name: len(labels[name]))
    return Declared(frame, tuple(names.values()), named, tuple(covariates), labels, treatment, top)


def _contrasted(
    frame: pd.DataFrame, covariates: Sequence[str], contrasts: Mapping[str, str]
) -> tuple[pd.DataFrame, list[str]]:
    """Covariates of which those in ``contrasts`` became orthogonal polynomials of their order."""
    kept = []
    for name in covariates:
        if name not in contrasts:
            kept.append(name)
            continue
        values = frame[name]
        ordered = isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered
        if contrasts[name] != "polynomial" or not ordered:
            raise ParameterError(
                en=f"contrasts: {name} must be an ordered categorical column with the contrast 'polynomial'",
                zh=f"contrasts：{name} 必须是有序的分类列，且对比方式为 'polynomial'",
            )
        codes = values.cat.remove_unused_categories().cat.codes.to_numpy()
        basis = polynomials(int(codes.max(initial=0)) + 1)
        for degree, column in enumerate(basis.T, start=1):
            of_degree = f"{name}^{degree}"
            kept.append(of_degree)
            frame = frame.assign(**{of_degree: np.where(codes >= 0, column[np.maximum(codes, 0)], np.nan)})
    return frame, kept


def polynomials(size: int) -> np.ndarray:
    """Orthonormal polynomials of degree 1 to ``size - 1`` at ``size`` equally spaced points, (size, size - 1)."""
    places = np.arange(size) - (size - 1) / 2
    q, r = np.linalg.qr(np.vander(places, size, increasing=True))
    return (q * np.sign(np.diag(r)))[:, 1:]


def rows_of(sample: Sample, arm_names: Sequence[str], within: str) -> Rows:
    """Rows of a sample that was taken with :attr:`Declared.extra`."""
    return Rows(
        y=sample.y, arms=sample.arms, arm_names=tuple(arm_names), covariates=sample.covariates, extra=sample.extra,
        cell=sample.cell, within=within, flow=sample.flow, outcome=sample.outcome,
    )  # fmt: skip


def rows_without_treatment(declared: Declared, outcome: str, within: Sequence[str]) -> Rows:
    """The complete rows of a model without exposure, in an order set by their content.

    Raises
    ------
    NotEstimableError
    """
    frame, extra = declared.frame, declared.extra
    require_columns(frame, [outcome, *within])
    places = dict.fromkeys([*declared.groups, declared.cluster, *within])
    steps = [("outcome_missing", "", outcome), *(("place_missing", name, name) for name in places)]
    steps += [("covariate_missing", name, name) for name in (*declared.covariates, *declared.slope_columns)]
    keep = np.ones(len(frame), dtype=bool)
    flow = add_step(pd.DataFrame(columns=FLOW), "given", len(frame))
    for step, name, column in steps:
        keep &= frame[column].notna().to_numpy(dtype=bool)
        flow = add_step(flow, step, int(keep.sum()), name)
    if not keep.any():
        raise not_estimable("no_complete_rows", outcome=outcome)
    rows = frame[keep]
    y, numbers = as_number(rows[outcome]), np.column_stack([as_number(rows[name]) for name in extra])
    if np.ptp(y) <= 1e-12 * max(1.0, np.abs(y).max()):
        raise not_estimable("constant_outcome", outcome=outcome)
    covariates, cell = code_covariates(rows, declared.covariates), group_codes(rows, within)
    order = np.lexsort([*covariates.x.T, *numbers.T, y])
    return Rows(
        y=y[order], arms=np.zeros((len(y), 0)), arm_names=(), covariates=covariates.take(order), extra=numbers[order],
        cell=None if cell is None else cell[order], within=" x ".join(within), flow=flow, outcome=outcome,
    )  # fmt: skip


def assemble(rows: Rows, declared: Declared) -> tuple[System, tuple[str, ...], dict[str, int | None]]:
    """The system of a model, names of its coefficients, and the place of each arm among them (None if dropped).

    The exposure stands last, so that what it shares with the rest is taken from it.

    Raises
    ------
    NotEstimableError
    """
    blocks, names = [rows.covariates.x], list(rows.covariates.names)
    if rows.cell is not None:
        blocks.append(cell_means(np.column_stack([rows.covariates.x, rows.arms]), rows.cell))
        names += [f"mean of {each} by {rows.within}" for each in (*rows.covariates.names, *rows.arm_names)]
    names += list(rows.arm_names)
    x = np.column_stack([*blocks, rows.arms])
    if not np.isfinite(x).all():
        raise not_estimable("infinite", column="covariates")
    length = np.full(x.shape[1], np.sqrt(len(x)))
    kept = independent_columns(standardised(x), length)
    design = np.column_stack([np.ones(len(x)), x[:, kept]])
    if len(x) <= design.shape[1]:
        raise not_estimable("perfect_fit", outcome=rows.outcome)
    terms = _terms(rows, declared)
    system = build_system(rows.y, design, terms)
    if system.scale <= 1e-10 * np.std(rows.y):
        raise not_estimable("perfect_fit", outcome=rows.outcome)
    first_arm = x.shape[1] - rows.arms.shape[1]
    places = {
        arm: int(np.flatnonzero(kept == first_arm + a)[0]) + 1 if first_arm + a in kept else None
        for a, arm in enumerate(rows.arm_names)
    }
    return system, (INTERCEPT, *(names[each] for each in kept)), places


def cluster_codes(rows: Rows, declared: Declared) -> np.ndarray:
    """Codes (n,) of the cluster."""
    return rows.extra[:, declared.extra.index(code_column(declared.cluster))].astype(int)


def _terms(rows: Rows, declared: Declared) -> list[Term]:
    numbers = dict(zip(declared.extra, rows.extra.T, strict=True))
    terms: list[Term] = []
    for group in declared.groups:
        given = numbers[code_column(group)].astype(int)
        present, codes = np.unique(given, return_inverse=True)
        labels = tuple(declared.labels[group][code] for code in present)
        z, effects, back = _slopes(rows, declared, group, numbers)
        term = Term(group, effects, codes, labels, z, back)
        if term.n_levels < 2:
            raise not_estimable("one_cluster", cluster=group)
        if term.n_levels * term.q >= len(rows.y):
            raise not_estimable("groups_as_rows", group=group)
        for other in terms:
            pairs = np.unique(codes.astype("int64") * other.n_levels + other.codes)
            if len(pairs) == term.n_levels == other.n_levels:
                raise not_estimable("same_groups", group=group, other=other.name)
        terms.append(term)
    return terms


def _slopes(
    rows: Rows, declared: Declared, group: str, numbers: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """``z`` (n, q), names of the effects, and the map back to those of the given columns."""
    columns: list[tuple[str, np.ndarray]] = []
    for name in declared.slopes[group]:
        if name == declared.treatment:
            columns += list(zip(rows.arm_names, rows.arms.T, strict=True))
        else:
            columns.append((name, numbers[name]))
    z, back = [np.ones(len(rows.y))], np.eye(1 + len(columns))
    for place, (name, values) in enumerate(columns, start=1):
        mean, spread = values.mean(), values.std()
        if spread <= 1e-12 * max(1.0, np.abs(values).max()):
            raise not_estimable("one_level", column=name)
        z.append((values - mean) / spread)
        back[0, place], back[place, place] = -mean / spread, 1 / spread
    q = len(z)
    stacked = np.column_stack(z)
    if len(independent_columns(stacked, np.full(q, np.sqrt(len(stacked))))) < q:
        raise not_estimable("same_slopes", group=group)
    return stacked, (INTERCEPT, *(name for name, _ in columns)), back
