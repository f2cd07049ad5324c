"""A school's page where counts of the school are hidden."""

import pandas as pd
import pytest
from district import ROOT

from cobench.release import release_table
from cobench.study import load_study
from cobench.workbench import implementation, norms, school
from cobench.workbench.desk import Desk

REACH = pd.DataFrame(
    {
        "school": ["S01", "S02", "S03"],
        "n_students": [60, 61, 62],
        "n_with_log": [4, 55, 58],
        "n_at_home": [2, 20, 25],
        "n_any": [3, 40, 43],
        "n_never": [1, 15, 15],
    }
)
LECTURES = pd.DataFrame({"school": ["S02", "S03"], "n_invited": [55, 58], "n_attended": [30, 28]})


@pytest.fixture(params=["zh", "en"])
def desk(request, monkeypatch):
    study = load_study(ROOT)
    shares = {"share_at_home": ("n_at_home", "n_with_log"), "share_any": ("n_any", "n_with_log")}
    frame = REACH.assign(**{name: REACH[part] / REACH[whole] for name, (part, whole) in shares.items()})
    reach = release_table(
        frame, counts=["n_students", "n_with_log", "n_never"], values=[], shares=shares, min_cell=10
    )
    assert reach.frame.loc[0, "n_with_log"] is pd.NA  # hidden among whole numbers
    lectures = release_table(
        LECTURES.assign(share=LECTURES["n_attended"] / LECTURES["n_invited"]),
        counts="n_invited", values=[], shares={"share": ("n_attended", "n_invited")}, min_cell=10,
    )  # fmt: skip
    monkeypatch.setattr(implementation, "reach_of_schools", lambda _: reach)
    monkeypatch.setattr(implementation, "lectures_by_school", lambda _: lectures)
    none = pd.DataFrame({"verdict": pd.Series(dtype="str"), "standard": pd.Series(dtype="str")})
    monkeypatch.setattr(norms, "released", lambda *_: type("Nothing", (), {"frame": none}))
    return Desk(study, study.term("2025-2026-2"), request.param, {})


def test_a_school_whose_counts_are_hidden_still_has_its_page(desk):
    hidden = desk.say("table.hidden_cell")
    assert "60" in school.lede(desk, "S01").text and hidden in school.lede(desk, "S01").text
    beside = school.against_district(desk, "S01").text
    assert "–" in beside or "<10" in beside or "n<" in beside
    assert school.next_steps(desk, "S01").text


def test_the_districts_middle_half_is_that_of_the_schools_whose_share_is_shown(desk):
    rows = school.against_district(desk, "S02").text
    assert f"{100 * 20 / 55:.0f}" in rows  # the own share
    assert f"{50 * (20 / 55 + 25 / 58):.0f}" in rows  # median of the two that are shown
