"""Claims about declared designs."""

from dataclasses import replace

import pytest

from cobench.effects.design import Assignment, Design
from cobench.errors import ParameterError

DESIGN = Design(
    treatment="visit", outcome="math", levels=("at_home",), covariates=("lagged",), cluster="class_id"
)


def test_the_specification_has_the_same_hash_in_every_term():
    assert DESIGN.spec_id == replace(DESIGN, study="demo", term="2025-2026-1").spec_id
    assert len(DESIGN.spec_id) == 12


@pytest.mark.parametrize(
    "change",
    [{"estimand": "ATE"}, {"covariates": ()}, {"cluster": "school"}, {"seed": 1}, {"primary": "regress"},
     {"assignment": Assignment("randomised")}, {"subgroups": ("sex",)}, {"smallest_of_interest": 0.1}],
)  # fmt: skip
def test_whatever_is_declared_otherwise_changes_the_hash(change):
    assert replace(DESIGN, **change).spec_id != DESIGN.spec_id


def test_the_primary_method_stands_first_and_once():
    design = replace(DESIGN, primary="aipw", methods=("difference", "regress", "aipw"))
    assert design.methods == ("aipw", "difference", "regress")


def test_lists_and_single_names_become_tuples():
    design = Design(
        "visit", "math", levels=["a", "b"], covariates="lagged", within=["school"], subgroups="sex"
    )
    assert (design.levels, design.covariates, design.within) == (("a", "b"), ("lagged",), ("school",))
    assert design.subgroup_columns == (("", "sex"),)


def test_subgroups_may_be_named_columns():
    design = Design("visit", "math", ("a",), subgroups={"never visited": "is_new"})
    assert design.subgroup_columns == (("never visited", "is_new"),)
    assert set(design.columns) == {"visit", "math", "is_new"}


def test_one_model_for_all_levels_only_after_a_declared_draw():
    assert not DESIGN.joint
    assert replace(DESIGN, assignment=Assignment("randomised"), joint=None).joint


@pytest.mark.parametrize(
    "change",
    [
        {"estimand": "ITT"},
        {"role": "primary"},
        {"primary": "ols"},
        {"methods": ("propensity",)},
        {"methods": ("iv",)},
        {"levels": ()},
        {"levels": ("none",)},
        {"covariates": ("math",)},
        {"within": ("visit",)},
        {"outcome": "visit"},
        {"se_type": "HC1"},
        {"se_type": "robust"},
        {"se_type": "CR2", "cluster": None},
        {"adjustment": "dummies"},
        {"assignment": Assignment("lottery of some kind")},
    ],
)
def test_an_impossible_design_is_refused(change):
    with pytest.raises(ParameterError) as refused:
        replace(DESIGN, **change)
    assert refused.value.zh != refused.value.en


@pytest.mark.parametrize("method", ["did", "student_fixed_effects"])
def test_a_method_over_terms_is_refused_with_the_way_to_it(method):
    with pytest.raises(ParameterError, match="over_terms"):
        replace(DESIGN, methods=(method,))
