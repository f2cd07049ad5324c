"""Likelihood-ratio test of two multilevel models, one of which holds the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from cobench.declared import Text
from cobench.effects.mixed_system import Term
from cobench.effects.multilevel import MultilevelFit
from cobench.errors import ParameterError

NOTES = {
    "none": Text(
        en="Only coefficients differ, so the statistic is compared with chi-squared.",
        zh="两个模型只相差固定系数，统计量与卡方分布比较。",
    ),
    "mixture": Text(
        en="A variance of zero lies at the edge of what is possible: p_value is of the mixture of two chi-squared "
        "distributions that holds there, p_chi2 would be too large.",
        zh="方差为零处于取值范围的边界：p_value 来自两个卡方分布的混合，p_chi2 会偏大。",
    ),
    "several": Text(
        en="Several variances are tested at the edge of what is possible; no simple distribution holds, and p_value, "
        "from chi-squared, is too large (on the safe side).",
        zh="同时检验多个处于边界的方差，没有简单的分布可用；p_value 取自卡方分布，偏大（偏保守）。",
    ),
}


def likelihood_ratio(smaller: MultilevelFit, larger: MultilevelFit) -> pd.DataFrame:
    """Test whether ``smaller`` is enough.

    Where one random effect is added, the statistic follows half and half chi-squared distributions with the added
    covariances alone and with the variance too (Self and Liang 1987; Stram and Lee 1994).

    Returns
    -------
    DataFrame
        One row: ``statistic, df, p_value, p_chi2, note_zh, note_en``.

    Raises
    ------
    ParameterError
        For models of different rows or methods, that don't hold each other, or REML with different coefficients.
    """
    _check(smaller, larger)
    statistic = max(smaller.criterion - larger.criterion, 0.0)
    df = larger.n_parameters - smaller.n_parameters
    p_chi2 = float(stats.chi2.sf(statistic, df))
    small, large = _effects(smaller), _effects(larger)
    added = sum(map(len, large.values())) - sum(map(len, small.values()))
    if added == 1 and len(smaller.fixed) == len(larger.fixed):
        # df - 1 covariances beside the variance; chi-squared with 0 df is zero.
        lower = float(stats.chi2.sf(statistic, df - 1)) if df > 1 else float(statistic <= 0)
        p_value, note = 0.5 * (lower + p_chi2), "mixture"
    else:
        p_value, note = p_chi2, "several" if added else "none"
    text = NOTES[note]
    return pd.DataFrame(
        [(statistic, df, p_value, p_chi2, text.zh, text.en)],
        columns=["statistic", "df", "p_value", "p_chi2", "note_zh", "note_en"],
    )


def _check(smaller: MultilevelFit, larger: MultilevelFit) -> None:
    small, large = _effects(smaller), _effects(larger)
    same_fixed = set(smaller.fixed["term"]) == set(larger.fixed["term"])
    held = set(smaller.fixed["term"]) <= set(larger.fixed["term"]) and all(
        name in large and set(effects) <= set(large[name]) for name, effects in small.items()
    )
    if smaller.method != larger.method or not _same_rows(smaller, larger):
        raise ParameterError(
            en="a likelihood-ratio test needs two models of the same rows and the same method",
            zh="似然比检验要求两个模型使用相同的数据行和相同的估计方法",
        )
    if not held or smaller.n_parameters >= larger.n_parameters:
        raise ParameterError(
            en="the first model must be the second one without some of its coefficients, groups or slopes",
            zh="第一个模型必须是第二个模型去掉部分系数、分组或斜率后的结果",
        )
    if smaller.method == "REML" and not same_fixed:
        raise ParameterError(
            en="REML criteria of models with different coefficients can't be compared; fit both with method='ML'",
            zh="固定系数不同的模型不能比较 REML 准则；请都用 method='ML' 拟合",
        )


def _same_rows(smaller: MultilevelFit, larger: MultilevelFit) -> bool:
    """Whether the outcomes agree; rows may stand in another order."""
    if smaller.n_obs != larger.n_obs:
        return False
    first, second = (np.sort(each.mixed.system.outcome) for each in (smaller, larger))
    return bool(np.allclose(first, second, rtol=1e-8, atol=1e-8 * (1e-300 + np.std(first))))


def _effects(fit: MultilevelFit) -> Mapping[str, tuple[str, ...]]:
    terms: tuple[Term, ...] = fit.mixed.system.terms
    return {term.name: term.effects for term in terms}
