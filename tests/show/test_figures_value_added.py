"""The figure of value added: released rows only, both intervals, names without numbers where they are hidden."""

import numpy as np
import pandas as pd
import pytest

from cobench.errors import ReleaseError
from cobench.release import release_table
from cobench.show.figures_value_added import caterpillar_plot


def rows(**changes):
    frame = pd.DataFrame(
        {
            "school": ["s1", "s2", "s3"], "n_students": [40, 40, 40], "estimate": [0.3, -0.2, 0.05],
            "conf_low": [0.1, -0.4, -0.15], "conf_high": [0.5, 0.0, 0.25], "difference_low": [0.05, -0.6, -0.3],
            "difference_high": [0.7, 0.1, 0.4], "verdict": ["above", "not_distinguishable", "not_distinguishable"],
        }
    )  # fmt: skip
    return frame.assign(**changes)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_schools_stand_in_order_with_their_verdicts(language):
    figure = caterpillar_plot(release_table(rows(), counts="n_students"), language=language)
    places = [figure.alt.index(each) for each in ("s2", "s3", "s1")]
    assert places == sorted(places)
    verdict = {"zh": "高于平均", "en": "above average"}[language]
    assert figure.alt.count(verdict) == 1 and "1" in figure.title and "3" in figure.title
    assert figure.png == caterpillar_plot(release_table(rows(), counts="n_students"), language=language).png


def test_nobody_told_apart_is_the_title():
    frame = rows(verdict="not_distinguishable", conf_low=np.nan, conf_high=np.nan)
    figure = caterpillar_plot(release_table(frame, counts="n_students"), language="en")
    assert figure.title == "None of 3 schools can be told from the average"


def test_a_small_school_keeps_its_name_and_shows_no_number():
    figure = caterpillar_plot(release_table(rows(n_students=[4, 40, 40]), counts="n_students"), language="en")
    assert "s1 –, not given" in figure.alt and "0.30" not in figure.alt


def test_raw_rows_are_refused():
    with pytest.raises(ReleaseError):
        caterpillar_plot(rows(), language="en")
