"""Claims about variances: CR2 and Satterthwaite df against dense formulas, other packages and published errors."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from reference_data import star, thinking_healthy

from cobench.effects import regress
from cobench.effects.inference import fit_ols, independent_columns, leverage, precision

INTERVIEWERS = [f"intervr_{i}" for i in range(1, 10)]
THP_MODEL = ["month_int", "month_int_sq", "doi0", "doi0Xtreat", *INTERVIEWERS]


def dense_cr2(y, x, cluster, column):
    """CR2 and Satterthwaite df straight from the definitions, with n x n matrices and their roots."""
    bread = np.linalg.pinv(x.T @ x)
    hat = x @ bread @ x.T
    residuals = y - hat @ y
    residual_maker = np.eye(len(y)) - hat
    contrast = bread[column]
    meat, pulls = 0.0, []
    for code in np.unique(cluster):
        rows = cluster == code
        values, vectors = np.linalg.eigh(residual_maker[np.ix_(rows, rows)])
        root = np.where(values > 1e-9, 1 / np.sqrt(np.maximum(values, 1e-9)), 0.0)
        adjust = (vectors * root) @ vectors.T
        meat += float(contrast @ x[rows].T @ adjust @ residuals[rows]) ** 2
        pull = np.zeros(len(y))
        pull[rows] = adjust @ x[rows] @ contrast
        pulls.append(residual_maker @ pull)
    products = np.array([[a @ b for b in pulls] for a in pulls])
    return np.sqrt(meat), np.trace(products) ** 2 / np.sum(products**2)


def two_way(seed=3, schools=6, classes=3, size=7, weights=False):
    """Students in classes (clusters) of schools (cells), exposure within classes."""
    draw = np.random.default_rng(seed)
    school = np.repeat(np.arange(schools), classes * size)
    group = np.repeat(np.arange(schools * classes), size)
    x = draw.normal(size=(len(school), 2))
    d = (draw.random(len(school)) < 0.4).astype(float)
    y = x @ [0.5, -0.2] + 0.3 * d + draw.normal(size=schools)[school] + draw.normal(size=len(school))
    w = draw.uniform(0.2, 3, len(school)) if weights else None
    return y, np.column_stack([x, d]), school, group, w


def full_design(z, cell):
    return np.column_stack([(cell[:, None] == np.unique(cell)).astype(float), z])


def test_two_clusters_by_hand():
    # y = 1, 3 | 2, 6: mean 3, residuals -2, 0 | -1, 3. Cluster sums -2 and 2; H_gg = 1/4 everywhere, so each
    # sum is scaled by (1 - 1/2)^(-1/2): variance (2 * 4 * 2) / 16 = 1. df = (tr P)^2 / tr P^2 = 1.
    y, x = np.array([1.0, 3.0, 2.0, 6.0]), np.ones((4, 1))
    assert dense_cr2(y, x, np.array([0, 0, 1, 1]), 0) == pytest.approx((1.0, 1.0))
    # The same numbers as a difference from a second cell that fits perfectly and adds nothing.
    fit = fit_ols(np.r_[y, 0.0, 0.0], np.r_[np.ones(4), 0.0, 0.0][:, None])
    found = precision(fit, 0, cluster=np.array([0, 0, 1, 1, 2, 3]))
    assert fit.coefficients[0] == pytest.approx(3.0)
    assert found.std_error == pytest.approx(1.0)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("cells", [False, True])
def test_cr2_and_its_df_equal_the_dense_definition(cells, weights):
    y, z, school, group, w = two_way(weights=weights)
    cell = school if cells else np.zeros_like(school)
    found = precision(fit_ols(y, z, cell, w), 2, cluster=group)
    root = np.ones(len(y)) if w is None else np.sqrt(w)
    x = full_design(z, cell)
    dense = dense_cr2(y * root, x * root[:, None], group, x.shape[1] - 1)
    assert (found.std_error, found.df) == pytest.approx(dense, rel=1e-9)


def test_cr2_with_clusters_coarser_than_cells_equals_the_dense_definition():
    y, z, school, group, _ = two_way()
    found = precision(fit_ols(y, z, group), 2, cluster=school)
    x = full_design(z, group)
    assert (found.std_error, found.df) == pytest.approx(dense_cr2(y, x, school, x.shape[1] - 1), rel=1e-9)


def test_cr2_with_clusters_that_cross_cells_equals_the_dense_definition():
    y, z, school, group, _ = two_way()
    crossing = np.random.default_rng(1).permutation(group)
    found = precision(fit_ols(y, z, school), 2, cluster=crossing)
    x = full_design(z, school)
    assert (found.std_error, found.df) == pytest.approx(dense_cr2(y, x, crossing, x.shape[1] - 1), rel=1e-9)


def test_a_cluster_that_its_own_dummy_fits_perfectly_gets_the_pseudo_inverse():
    y, z, school, group, _ = two_way()
    cell = np.where(school == 0, group, 100 + school)  # each class of school 0 is a cell of its own
    found = precision(fit_ols(y, z, cell), 2, cluster=group)
    x = full_design(z, cell)
    assert (found.std_error, found.df) == pytest.approx(dense_cr2(y, x, group, x.shape[1] - 1), rel=1e-8)


def test_sweeping_cells_out_first_is_exact_only_where_they_lie_within_clusters():
    y, z, school, group, _ = two_way()
    swept = np.column_stack([y, z]) - pd.DataFrame(np.column_stack([y, z])).groupby(school).transform("mean")
    swept = swept.to_numpy()
    nested = precision(fit_ols(y, z, school), 2, cluster=school).std_error
    crossed = precision(fit_ols(y, z, school), 2, cluster=group).std_error
    assert dense_cr2(swept[:, 0], swept[:, 1:], school, 2)[0] == pytest.approx(nested, rel=1e-9)
    assert dense_cr2(swept[:, 0], swept[:, 1:], group, 2)[0] != pytest.approx(crossed, rel=1e-3)


def test_hc2_and_its_df_equal_cr2_with_every_row_its_own_cluster():
    for cells in (None, two_way()[2]):
        y, z, _, _, w = two_way(weights=True)
        fit = fit_ols(y, z, cells, w)
        rows = precision(fit, 2, cluster=np.arange(len(y)))
        found = precision(fit, 2, se_type="HC2")
        assert (found.std_error, found.df) == pytest.approx((rows.std_error, rows.df), rel=1e-9)


def test_classic_hc1_hc2_and_leverage_equal_statsmodels():
    y, z, school, _, _ = two_way()
    fit = fit_ols(y, z, school)
    other = sm.OLS(y, full_design(z, school)).fit()
    assert precision(fit, 2, se_type="classic").std_error == pytest.approx(other.bse[-1], rel=1e-10)
    assert precision(fit, 2, se_type="HC1").std_error == pytest.approx(other.HC1_se[-1], rel=1e-10)
    assert precision(fit, 2, se_type="HC2").std_error == pytest.approx(other.HC2_se[-1], rel=1e-10)
    assert leverage(fit) == pytest.approx(other.get_influence().hat_matrix_diag, rel=1e-9)


def test_cr1s_equals_pyfixest_crv1_on_the_full_design():
    pyfixest = pytest.importorskip("pyfixest")
    y, z, school, group, _ = two_way()
    frame = pd.DataFrame(z, columns=["x1", "x2", "d"]).assign(y=y, school=school, group=group)
    other = pyfixest.feols(
        "y ~ x1 + x2 + d + C(school)", frame, vcov={"CRV1": "group"}, ssc=pyfixest.ssc(k_adj=True, G_adj=True)
    )
    found = precision(fit_ols(y, z, school), 2, cluster=group, se_type="CR1S")
    assert found.std_error == pytest.approx(other.se()["d"], rel=1e-8)


def test_columns_that_depend_on_earlier_ones_are_dropped_in_order():
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(2, 50))
    x = np.column_stack([a, 2 * a, b, a - 3 * b, np.zeros(50), np.full(50, 1e6)])
    assert independent_columns(x, np.sqrt((x**2).sum(axis=0))).tolist() == [0, 2, 5]
    fit = fit_ols(a + b, x)  # the constant column is the intercept again
    assert fit.kept.tolist() == [0, 2]


def test_columns_on_very_different_scales_are_not_mistaken_for_collinear():
    draw = np.random.default_rng(0)
    income, share = 1e6 + 1e4 * draw.normal(size=80), 1e-4 * draw.normal(size=80)
    assert fit_ols(draw.normal(size=80), np.column_stack([income, share])).kept.tolist() == [0, 1]


# ---- published errors: CR1, CR1S and CR2 differ in the third digit, so the tolerance is half a unit of it ----


@pytest.mark.parametrize(
    ("grade", "small", "se"), [("k", 13.90, 2.45), ("1", 29.78, None), ("2", 19.39, None), ("3", 15.59, None)]
)
def test_star_small_classes_with_hc1(grade, small, se):
    rows = regress(
        star(), f"score{grade}", f"star{grade}", reference="regular", se_type="HC1", joint=True
    ).set_index("contrast")
    assert rows.loc["small", "estimate"] == pytest.approx(small, abs=0.005)
    if se is not None:
        assert rows.loc["small", "std_error"] == pytest.approx(se, abs=0.005)
        assert rows.loc["regular+aide", ["estimate", "std_error"]].tolist() == pytest.approx(
            [0.31, 2.27], abs=0.005
        )


@pytest.mark.parametrize(("se_type", "se"), [("CR1", 4.089), ("CR1S", 4.117), ("CR2", 4.092)])
def test_star_with_school_effects_and_school_clusters(se_type, se):
    rows = regress(
        star(), "scorek", "stark", fixed_effects=["schoolidk"], cluster="schoolidk", reference="regular",
        se_type=se_type, joint=True,
    ).set_index("contrast")  # fmt: skip
    assert rows.loc["small", "estimate"] == pytest.approx(16.02, abs=0.005)
    assert rows.loc["small", "std_error"] == pytest.approx(se, abs=0.0005)


@pytest.mark.parametrize(
    ("outcome", "n", "estimate", "cr1", "cr2"),
    [
        ("depressed_6m", 584, -0.318, 0.047, 0.051),
        ("depressed_1y", 584, -0.323, 0.045, 0.048),
        ("depressed", 585, -0.063, 0.026, 0.028),
    ],
)
def test_thinking_healthy_depression(outcome, n, estimate, cr1, cr2):
    frame = thinking_healthy().query("attrit == 0")
    one, two = (
        regress(frame, outcome, "treat", THP_MODEL, cluster="uc", se_type=each).iloc[0]
        for each in ("CR1S", "CR2")
    )
    assert (one["n_obs"], one["n_clusters"]) == (n, 40)
    assert one["estimate"] == pytest.approx(estimate, abs=0.0005)
    assert one["std_error"] == pytest.approx(cr1, abs=0.0005)
    assert two["std_error"] == pytest.approx(cr2, abs=0.0005)
    assert two["df"] == pytest.approx(30.7, abs=0.1) and two["n_obs"] == n


@pytest.mark.parametrize(
    ("outcome", "estimate"), [("depindex_6m", -0.621), ("depindex_1y", -0.697), ("depindex_7y", -0.216)]
)
def test_thinking_healthy_severity(outcome, estimate):
    frame = thinking_healthy().query("attrit == 0")
    row = regress(frame, outcome, "treat", THP_MODEL, cluster="uc").iloc[0]
    assert row["estimate"] == pytest.approx(estimate, abs=0.0005)


def test_thinking_healthy_social_support():
    frame = thinking_healthy().query("attrit == 0")
    row = regress(frame, "socialsupport", "treat", THP_MODEL, cluster="uc", se_type="CR1S").iloc[0]
    assert (row["estimate"], row["std_error"]) == pytest.approx((0.581, 0.100), abs=0.0005)


# ---- the jackknife, HC3 and several sets of fixed effects ------------------------------------------------------


@pytest.mark.parametrize("cells", [False, True])
def test_cr3_is_the_jackknife_that_leaves_out_a_cluster_at_a_time(cells):
    y, z, school, group, w = two_way(weights=True)
    cell = school if cells else np.zeros_like(school)
    fit = fit_ols(y, z, cell, w)
    found = precision(fit, 2, cluster=group, se_type="CR3")
    left_out = []
    for code in np.unique(group):
        rest = group != code
        left_out.append(fit_ols(y[rest], z[rest], cell[rest], w[rest]).coefficients[2])
    groups = len(left_out)
    jackknife = (groups - 1) / groups * np.sum((np.array(left_out) - fit.coefficients[2]) ** 2)
    assert found.std_error == pytest.approx(np.sqrt(jackknife), rel=1e-9)
    assert found.df == groups - 1


def test_cr3_equals_pyfixest_crv3_but_for_the_factor_of_the_jackknife():
    pyfixest = pytest.importorskip("pyfixest")
    y, z, _, group, _ = two_way()
    frame = pd.DataFrame(z, columns=["x1", "x2", "d"]).assign(y=y, group=group)
    other = pyfixest.feols(
        "y ~ x1 + x2 + d", frame, vcov={"CRV3": "group"}, ssc=pyfixest.ssc(k_adj=False, G_adj=False)
    )
    found = precision(fit_ols(y, z), 2, cluster=group, se_type="CR3")
    assert found.std_error == pytest.approx(other.se()["d"] * np.sqrt(17 / 18), rel=1e-9)  # 18 clusters


def test_hc3_equals_statsmodels():
    y, z, school, _, _ = two_way()
    other = sm.OLS(y, full_design(z, school)).fit()
    assert precision(fit_ols(y, z, school), 2, se_type="HC3").std_error == pytest.approx(
        other.HC3_se[-1], rel=1e-9
    )


@pytest.mark.parametrize("se_type", ["CR1S", "CR2"])
def test_two_sets_of_fixed_effects_add_up_and_are_not_their_combinations(se_type):
    y, z, school, group, _ = two_way(schools=8)
    year = np.random.default_rng(4).integers(2020, 2024, len(y))
    y = y + 0.5 * (year - 2020)
    frame = pd.DataFrame(z, columns=["x1", "x2", "d"]).assign(y=y, school=school, group=group, year=year)
    row = regress(
        frame, "y", "d", ["x1", "x2"], fixed_effects=["school", "year"], cluster="group", se_type=se_type
    ).iloc[0]
    years = (year[:, None] == np.arange(2021, 2024)).astype(float)
    x = np.column_stack([full_design(z[:, :2], school), years, z[:, 2]])
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    assert row["estimate"] == pytest.approx(beta[-1], rel=1e-9)
    if se_type == "CR2":
        assert (row["std_error"], row["df"]) == pytest.approx(
            dense_cr2(y, x, group, x.shape[1] - 1), rel=1e-8
        )
    else:
        pyfixest = pytest.importorskip("pyfixest")
        other = pyfixest.feols(
            "y ~ x1 + x2 + d + C(school) + C(year)", frame, vcov={"CRV1": "group"},
            ssc=pyfixest.ssc(k_adj=True, G_adj=True),
        )  # fmt: skip
        assert row["std_error"] == pytest.approx(other.se()["d"], rel=1e-8)
    combined = regress(
        frame, "y", "d", ["x1", "x2"], fixed_effects=[("school", "year")], cluster="group"
    ).iloc[0]
    assert combined["estimate"] != pytest.approx(row["estimate"], rel=1e-3)
