"""A specification curve holds what was declared: nothing more, nothing less, the primary one marked."""

import numpy as np
import pandas as pd
import pytest

from cobench.release import release_estimates
from cobench.show import Spec, spec_curve

SPECS = [
    Spec("main", "difference", {"Method": "plain", "Trimming": "none"}),
    Spec("main", "aipw", {"Method": "AIPW", "Trimming": "none"}, primary=True),
    Spec("other", "aipw", {"Method": "AIPW", "Trimming": "none"}),
    Spec("late", "ipw", {"Method": "IPW", "Trimming": "0.1"}),
]


@pytest.fixture
def rows(estimate):
    made = [
        estimate(spec_id="main", method="difference", estimate=-0.5, evidence="descriptive", role="robustness"),
        estimate(spec_id="main", method="aipw"),
        estimate(spec_id="other", method="aipw", estimate=0.13, role="robustness"),
        estimate(
            spec_id="late", method="ipw", estimate=np.nan, std_error=np.nan, status="not_estimable",
            evidence="not_estimable", reason="few_clusters", n_obs=None, n_treated=None, role="robustness",
        ),
        estimate(spec_id="searched", method="aipw", estimate=0.9, role="robustness"),
    ]  # fmt: skip
    return release_estimates(pd.DataFrame(made))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_curve_holds_exactly_the_declared_specifications(rows, labels, language):
    drawn = spec_curve(rows, SPECS, language=language, labels=labels)
    shown = list(zip(drawn.data.frame["specification"], drawn.data.frame["method"], strict=True))
    assert shown == [("main", "difference"), ("main", "aipw"), ("other", "aipw"), ("late", "ipw")]
    assert "4" in drawn.alt and "0.90" not in drawn.alt


def test_the_title_counts_what_lies_within_the_primary_interval(rows, labels):
    assert spec_curve(rows, SPECS, language="en", labels=labels).title.startswith("1 of 2 estimates")


def test_the_alternative_text_tells_the_primary_the_extremes_and_what_is_missing(rows, labels):
    alt = spec_curve(rows, SPECS, language="en", labels=labels).alt
    for part in (
        "primary 0.12 SD (95% CI 0.05 to 0.19)",
        "−0.50 SD (plain difference)",
        "0.13 SD",
        "1 could not be",
    ):
        assert part in alt, alt


def test_another_primary_gives_another_picture(rows, labels):
    other = [Spec(s.spec_id, s.method, s.choices, primary=s.spec_id == "other") for s in SPECS]
    pictures = [spec_curve(rows, each, language="en", labels=labels).png for each in (SPECS, other)]
    assert pictures[0] != pictures[1]
