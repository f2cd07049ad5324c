"""Claims about evidence: ceilings hold whatever the estimate."""

import pytest

from cobench.effects.checks import Check
from cobench.effects.design import Assignment
from cobench.effects.evidence import WHY, evidence_of

DRAWN = Assignment("randomised", "student", (), "rota")


def failed(name):
    return (Check(name, "failed"),)


@pytest.mark.parametrize("method", ["regress", "aipw", "ipw"])
def test_without_a_declared_draw_adjustment_is_at_most_an_association(method):
    assert evidence_of(method).evidence == "adjusted_association"


def test_a_plain_difference_without_a_draw_only_describes():
    assert evidence_of("difference").evidence == "descriptive"
    assert evidence_of("regress", adjusted=False).evidence == "descriptive"


@pytest.mark.parametrize("method", ["difference", "regress"])
def test_a_declared_draw_that_the_method_follows_is_randomised(method):
    assert evidence_of(method, assignment=DRAWN).evidence == "randomised"


@pytest.mark.parametrize("method", ["aipw", "ipw"])
def test_a_model_of_exposure_is_never_more_than_an_association(method):
    assert evidence_of(method, assignment=DRAWN).evidence == "adjusted_association"


@pytest.mark.parametrize("name", ["assignment", "attrition"])
def test_a_broken_draw_loses_the_badge(name):
    assert evidence_of("difference", assignment=DRAWN, checks=failed(name)).evidence == "descriptive"
    assert evidence_of("regress", assignment=DRAWN, checks=failed(name)).evidence == "adjusted_association"


def test_an_errored_check_is_not_a_pass():
    checks = (Check("attrition", "errored"),)
    assert evidence_of("difference", assignment=DRAWN, checks=checks).evidence == "descriptive"


def test_groups_still_apart_after_weighting_only_describe():
    assert evidence_of("aipw", checks=failed("balance")).evidence == "descriptive"


@pytest.mark.parametrize("method", ["difference", "regress", "aipw"])
def test_a_replication_carries_no_badge(method):
    found = evidence_of(method, assignment=DRAWN, replication_only=True)
    assert found.evidence == "descriptive"
    assert "withheld" in found.why["en"]


def test_nothing_estimated_is_nothing_claimed():
    assert evidence_of("aipw", status="not_estimable").evidence == "not_estimable"


def test_every_why_has_two_languages():
    assert all(zh and en and zh != en for zh, en in WHY.values())
