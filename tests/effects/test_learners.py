"""Claims about the default models."""

import numpy as np
import pytest
import statsmodels.api as sm

from cobench.effects.learners import Logistic, Ridge

DRAW = np.random.default_rng(8)
X = np.column_stack([DRAW.normal(50, 10, 400), DRAW.random(400) < 0.3, DRAW.normal(0, 1e-3, 400)])
LOGIT = 0.04 * (X[:, 0] - 50) - X[:, 1]
D = (DRAW.random(400) < 1 / (1 + np.exp(-LOGIT))).astype(float)
Y = 0.1 * X[:, 0] + X[:, 1] + DRAW.normal(size=400)


def test_without_penalty_ridge_is_least_squares():
    other = sm.OLS(Y, sm.add_constant(X)).fit().fittedvalues
    assert Ridge(0.0).fit(X, Y).predict(X) == pytest.approx(other, abs=1e-9)


def test_without_penalty_logistic_is_maximum_likelihood():
    other = sm.Logit(D, sm.add_constant(X)).fit(disp=0).predict()
    assert Logistic(0.0).fit(X, D).predict_proba(X)[:, 1] == pytest.approx(other, abs=1e-7)


def test_penalties_hardly_move_a_fit_on_four_hundred_rows():
    free, penalised = (Logistic(penalty).fit(X, D).predict_proba(X)[:, 1] for penalty in (0.0, 1.0))
    assert np.abs(free - penalised).max() < 0.02


def test_logistic_equals_scikit_learn_on_standardised_columns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x = (X[:, [0, 2]] - X[:, [0, 2]].mean(axis=0)) / X[:, [0, 2]].std(axis=0)
    other = linear_model.LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(x, D).predict_proba(x)[:, 1]
    assert Logistic(1.0).fit(X[:, [0, 2]], D).predict_proba(X[:, [0, 2]])[:, 1] == pytest.approx(
        other, abs=1e-6
    )


def test_a_rare_flag_gets_a_modest_coefficient_though_it_separates():
    flag = np.zeros(400)
    flag[np.flatnonzero(D == 1)[:3]] = 1  # three students of a rare kind, all exposed
    fitted = Logistic().fit(np.column_stack([X, flag]), D)
    odds = []
    for value in (0.0, 1.0):
        p = fitted.predict_proba(np.column_stack([X[:1], [value]]))[0]
        odds.append(np.log(p[1] / p[0]))
    assert 0.1 < odds[1] - odds[0] < 2.0  # a normal prior of SD 1 on the log-odds ratio


def test_separated_and_constant_columns_stay_finite():
    x = np.column_stack([D, np.ones(400)])
    fitted = Logistic().fit(x, D)
    assert np.isfinite(fitted.coefficients).all()
    assert np.isfinite(Ridge().fit(x, Y).predict(x)).all()
