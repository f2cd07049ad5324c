"""An open study in JupyterLab: completion, rich tables of released objects, nothing raw."""

import pandas as pd
import pytest
from district import ROOT

from cobench.effects.estimates import as_estimates
from cobench.errors import ParameterError
from cobench.release import Released
from cobench.study import load_study
from cobench.workbench import overview
from cobench.workbench.desk import Desk


@pytest.fixture(params=["zh", "en"])
def desk(request):
    study = load_study(ROOT)
    row = {
        "study": "demo", "term": "2025-2026-2", "population": "all", "subgroup": "", "treatment": "home_visit",
        "contrast": "targeted", "outcome": "math_z", "estimand": "ATT", "method": "aipw", "estimate": 0.1,
        "std_error": 0.05, "df": 30.0, "n_obs": 400, "n_treated": 150, "n_clusters": 20, "role": "confirmatory",
        "evidence": "adjusted_association", "spec_id": "abc",
    }  # fmt: skip
    effect = study.effects_in("2025-2026-2")[0].id
    check = {"effect": effect, "contrast": "targeted", "check": "overlap", "status": "passed"}
    frames = {
        "estimates": as_estimates([row]),
        "checks": pd.DataFrame([check | {"text_zh": "通过了", "text_en": "It passed."}]),
    }
    return Desk(study, study.term("2025-2026-2"), request.param, frames)


def test_tab_lists_the_declared_treatments_and_each_gives_its_released_estimates(desk):
    assert desk._ipython_key_completions_() == ["home_visit", "parent_lecture"]
    assert isinstance(desk["home_visit"], Released) and len(desk["home_visit"]) == 1
    with pytest.raises(ParameterError, match="parent_lecture"):
        desk["lectures"]


def test_the_study_shows_itself_with_what_to_call_next(desk):
    html = desk._repr_html_()
    assert "<code>home_visit</code>" in html and "desk[&quot;home_visit&quot;]" in html
    assert repr(desk) == f"Desk(demo, 2025-2026-2, {desk.language})"


def test_estimates_and_checks_show_as_tables_with_the_columns_a_reader_begins_with(desk):
    shown = overview.shown(desk, desk["home_visit"]).html
    assert "<table" in shown and "data-evidence" in shown and "spec_id" not in shown
    told = {"zh": "通过了", "en": "It passed."}[desk.language]
    assert told in overview.shown(desk, desk.checks("home_visit")).html
    assert len(desk.checks("parent_lecture")) == 0 and len(desk.checks()) == 1


def test_ipython_shows_a_released_table_and_leaves_frames_alone(desk):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    try:
        overview.show_released(desk)
        data, _ = shell.display_formatter.format(desk["home_visit"])
        assert "cobench-table" in data["text/html"]
        data, _ = shell.display_formatter.format(pd.DataFrame({"a": [1]}))
        assert "cobench-table" not in data["text/html"]
    finally:
        InteractiveShell.clear_instance()
