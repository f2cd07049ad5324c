"""Claims about the wild cluster bootstrap and the effective number of clusters."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from reference_data import star, thinking_healthy
from simulated import district
from test_inference import full_design, two_way

from cobench.effects import regress
from cobench.effects.bootstrap import effective_clusters, wild_bootstrap
from cobench.effects.inference import fit_ols


def by_brute_force(y, x, codes, column, null, multipliers):
    """P-value from refitting the full model on every bootstrap sample, null imposed."""
    groups = codes.max() + 1
    bread = np.linalg.inv(x.T @ x)

    def t(outcome):
        beta = bread @ x.T @ outcome
        residual = outcome - x @ beta
        sums = [bread[column] @ x[codes == g].T @ residual[codes == g] for g in range(groups)]
        return abs(beta[column] - null) / np.sqrt(groups / (groups - 1) * np.sum(np.square(sums)))

    others = np.delete(x, column, axis=1)
    restricted = y - null * x[:, column]
    fitted = others @ np.linalg.lstsq(others, restricted, rcond=None)[0]
    residual, mean = restricted - fitted, fitted + null * x[:, column]
    observed = t(y)
    return np.mean([t(mean + np.array(v)[codes] * residual) >= observed * (1 - 1e-9) for v in multipliers])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cells", ["school", "none", "class"])
def test_every_sign_vector_gives_the_p_value_of_refitting_everything(cells, weighted):
    y, z, school, group, w = two_way(weights=weighted)
    cell = {"school": school, "none": np.zeros_like(school), "class": group}[cells]
    fit = fit_ols(y, z, cell, w)
    found = wild_bootstrap(fit, 2, school, weights="rademacher")
    assert (found.enumerated, found.n_draws) == (True, 64)
    root = np.ones(len(y)) if w is None else np.sqrt(w)
    x = full_design(z, cell) * root[:, None]
    signs = list(product([-1.0, 1.0], repeat=6))
    assert found.p_value == pytest.approx(by_brute_force(y * root, x, school, x.shape[1] - 1, 0.0, signs))
    assert found.p_value >= 2 / 64  # the sample itself and its mirror image count


def test_the_interval_holds_what_is_not_rejected():
    y, z, school, group, _ = two_way()
    fit = fit_ols(y, z, school)
    found = wild_bootstrap(fit, 2, group, n_draws=499, seed=7)
    draws = np.random.default_rng(7).choice([-1.0, 1.0], size=(18, 499))
    x = full_design(z, school)
    for end, outwards in ((found.conf_low, -1), (found.conf_high, 1)):
        inside, outside = (
            by_brute_force(y, x, group, x.shape[1] - 1, end + step, draws.T)
            for step in (-outwards * 1e-6, outwards * 1e-6)
        )
        assert outside < 0.05 <= inside


def test_it_agrees_with_wildboottest_up_to_chance():
    package = pytest.importorskip("wildboottest.wildboottest")
    y, z, _, group, _ = two_way()
    y = y - 0.2 * z[:, 2]  # a p-value in the middle tells more
    other = package.WildboottestCL(
        X=np.column_stack([np.ones(len(y)), z]),
        Y=y,
        cluster=group,
        R=np.array([0.0, 0, 0, 1]),
        B=9999,
        seed=1,
    )
    other.get_scores(bootstrap_type="11", impose_null=True, adj=True, cluster_adj=True)
    other.get_weights(weights_type="rademacher")
    for step in ("numer", "denom", "tboot", "vcov", "tstat"):
        getattr(other, f"get_{step}")()
    other.get_pvalue(pval_type="two-tailed")
    found = wild_bootstrap(fit_ols(y, z), 2, group, n_draws=9999)
    assert 0.02 < found.p_value < 0.5
    assert found.p_value == pytest.approx(
        float(np.squeeze(other.pvalue)), abs=0.012
    )  # chance: 2 sqrt(2 p (1 - p) / 9999)


def test_few_clusters_get_webb_and_many_get_signs_and_the_seed_is_recorded():
    frame, _ = district(3, schools=6)
    model = {"covariates": ["lagged"], "se_type": "wild", "n_draws": 299}
    few = regress(frame, "score", "visit", cluster="school", **model).iloc[0]
    many = regress(frame, "score", "visit", cluster="class_id", seed=5, **model).iloc[0]
    assert few["se_type"] == "wild (webb, 299 draws, seed 20240901)"
    assert many["se_type"] == "wild (rademacher, 299 draws, seed 5)"
    again = regress(
        frame.sample(frac=1, random_state=1), "score", "visit", cluster="class_id", seed=5, **model
    ).iloc[0]
    assert (again["p_value"], again["conf_low"]) == pytest.approx(
        (many["p_value"], many["conf_low"]), rel=1e-9
    )
    assert many["conf_low"] < many["estimate"] < many["conf_high"]


def test_thinking_healthy_bootstrap_stands_by_the_published_rejection():
    frame = thinking_healthy().query("attrit == 0")
    row = regress(frame, "depressed_6m", "treat", cluster="uc", se_type="wild", n_draws=999).iloc[0]
    cr2 = regress(frame, "depressed_6m", "treat", cluster="uc").iloc[0]
    assert row["p_value"] <= 0.001 + 1e-9
    width = (row["conf_high"] - row["conf_low"]) / (cr2["conf_high"] - cr2["conf_low"])
    assert width == pytest.approx(1, abs=0.12)


def test_an_interval_that_never_ends_is_infinite():
    # Four clusters: 16 sign vectors leave p >= 1/8, so nothing is ever rejected.
    y, z, school, _, _ = two_way(schools=4)
    found = wild_bootstrap(fit_ols(y, z), 2, school, weights="rademacher")
    assert (found.conf_low, found.conf_high) == (-np.inf, np.inf)


def test_size_with_six_clusters_where_the_usual_error_over_rejects():
    draw = np.random.default_rng(0)
    school = np.repeat(np.arange(6), 12)
    rejected = []
    for _ in range(250):
        d = np.isin(school, draw.choice(6, 2, replace=False)).astype(float)
        y = draw.normal(size=6)[school] + draw.normal(size=72)
        found = wild_bootstrap(fit_ols(y, d[:, None]), 0, school, n_draws=299)
        rejected.append((found.p_value < 0.05, abs(found.statistic) > 1.96))
    wild, normal = np.mean(rejected, axis=0)
    assert wild < 0.08 < 0.18 < normal


def test_effective_clusters_by_hand():
    # A balanced flag of eight rows coded -1 and 1: every row pulls by 1/8. Clusters of 1, 1, 2 and 4 rows have
    # gamma 1, 1, 2, 4 (times 1/64) with independent rows; mean 2, so CV^2 = (1 + 1 + 0 + 4) / 4 / 4 = 3/8.
    cluster = np.repeat(np.arange(4), [1, 1, 2, 4])
    d = np.r_[1.0, -1, 1, -1, 1, -1, 1, -1]
    fit = fit_ols(np.arange(8.0) ** 2, d[:, None])
    assert effective_clusters(fit, 0, cluster) == pytest.approx(4 / (1 + 3 / 8))
    # With a common shock pulls add up first: 1, 1, 0, 0 squared; mean 1/2, CV^2 = 1.
    assert effective_clusters(fit, 0, cluster, rho=1.0) == pytest.approx(2.0)


def test_equal_clusters_count_in_full_and_one_giant_hardly():
    balanced = np.repeat(np.arange(20), 10)
    d = np.tile([0.0, 1.0], 100)
    assert effective_clusters(fit_ols(d, d[:, None]), 0, balanced) == pytest.approx(20, rel=1e-9)
    giant = np.r_[np.zeros(181, int), np.arange(1, 20)]
    assert effective_clusters(fit_ols(d, d[:, None]), 0, giant) < 2
    # With effects of the clusters the pulls cancel within each: no common shock can move the estimate.
    assert np.isnan(effective_clusters(fit_ols(d, d[:, None], balanced), 0, balanced, rho=1.0))


def test_star_schools_are_many_in_effect():
    frame = star()[["scorek", "stark", "schoolidk"]].dropna()
    frame = frame[frame["stark"] != "regular+aide"]
    d = (frame["stark"] == "small").to_numpy(float)
    school = pd.factorize(frame["schoolidk"])[0]
    fit = fit_ols(frame["scorek"].to_numpy(float), d[:, None], school)
    assert 40 < effective_clusters(fit, 0, school) < 79
