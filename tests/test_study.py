"""Claims about ``study.toml``: a slip stops before anything runs and is named by its key path, zh and en."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobench.errors import StudyFileError, UnknownTermError
from cobench.measures.scales import score_scale
from cobench.study import Study, Term, find_study, load_study, study_from
from cobench.study_rules import column_names, covariate_names
from cobench.tables import TABLES, empty

ROOT = Path(__file__).resolve().parent.parent
DEMO = tomllib.loads((ROOT / "study.toml").read_text(encoding="utf-8"))
TRIAL = """
[study]
id = "trial"
label = "A trial"
[[terms]]
id = "t1"
start = 2024-09-01
landmark = 2024-09-02
exposure_end = 2024-12-01
exam = 2025-01-10
end = 2025-01-17
[[sources]]
table = "panel"
files = "data/raw/{term}/all.csv"
key = ["id"]
measured = {2024-09-01 = ["age"], 2025-01-10 = ["y"]}
[treatments.visit]
label = "visit"
from = "panel"
levels = [{id = "visited", where = "d = 1"}]
reference_where = "d = 0"
[outcomes.y]
label = "y"
column = "y"
[[effects]]
treatment = "visit"
outcome = "y"
role = "exploratory"
primary = "difference"
"""

Edit = Callable[[dict], object]


def _refused(edit: Edit, text: str | None = None) -> StudyFileError:
    data = copy.deepcopy(DEMO) if text is None else tomllib.loads(text)
    edit(data)
    with pytest.raises(StudyFileError) as caught:
        study_from(data, ROOT)
    return caught.value


def _source(data: dict, table: str) -> dict:
    return next(source for source in data["sources"] if source["table"] == table)


def _demo() -> Study:
    return study_from(copy.deepcopy(DEMO), ROOT)


# ---- what is accepted ---------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", [".", "examples/ihdp", "examples/star"])
def test_the_shipped_studies_load(folder):
    study = load_study(ROOT / folder)
    assert study.effects
    assert study.root == (ROOT / folder).resolve()


def test_the_demo_study_says_what_its_file_says():
    study = load_study(ROOT)
    term = study.term("2025-2026-2")
    assert (term.landmark, term.exposure_end, term.exam) == (
        date(2026, 3, 16),
        date(2026, 6, 5),
        date(2026, 7, 1),
    )
    assert term.baseline == "2025-2026-1"
    assert [level.id for level in study.treatments["home_visit"].levels] == [
        "urgent",
        "targeted",
        "at_home",
        "remote",
    ]
    assert study.treatments["home_visit"].level_label("none", "en") == "no contact"
    assert study.treatments["home_visit"].level_label("urgent", "zh") == "紧急家访"
    assert study.effects[0].id == "home_visit-math"
    assert study.effects[0].all_methods[:3] == ("aipw", "difference", "regress")
    assert study.effects[0].robustness[-1].trim == 0.1
    assert study.scales["trust"].id == "trust"


def test_the_effects_of_a_term_are_those_declared_for_it():
    study = _demo()
    assert study.effects_in("2024-2025-1") == ()
    assert len(study.effects_in("2025-2026-2")) == len(DEMO["effects"])


def test_terms_are_ordered_by_date_not_by_where_they_stand_in_the_file():
    data = copy.deepcopy(DEMO)
    data["terms"].reverse()
    study = study_from(data, ROOT)
    assert study.newest_term().id == "2025-2026-2"
    assert [term.id for term in study.terms_until("2025-2026-1")] == [
        "2024-2025-1",
        "2024-2025-2",
        "2025-2026-1",
    ]
    assert [term.id for term in study.school_year_terms("2025-2026-2")] == ["2025-2026-1", "2025-2026-2"]
    assert [term.id for term in study.school_year_terms("2025-2026-1")] == ["2025-2026-1"]


def test_a_school_year_begins_in_september():
    assert [term.school_year for term in _demo().terms] == [2024, 2024, 2025, 2025]


def test_dates_left_out_of_a_term_keep_exposure_after_the_landmark_and_before_the_exam():
    term = Term(id="t", start=date(2025, 2, 17), end=date(2025, 7, 4))
    assert (term.landmark, term.exposure_end, term.exam) == (
        date(2025, 2, 17),
        date(2025, 7, 3),
        date(2025, 7, 4),
    )
    given_exam = Term(id="t", start=date(2025, 2, 17), end=date(2025, 7, 4), exam=date(2025, 6, 25))
    assert given_exam.exposure_end == date(2025, 6, 24)


def test_an_unknown_term_lists_the_known_ones_in_both_languages():
    with pytest.raises(UnknownTermError) as caught:
        _demo().term("2026-2027-1")
    for text in (caught.value.en, caught.value.zh):
        assert "2026-2027-1" in text
        assert "2024-2025-1, 2024-2025-2, 2025-2026-1, 2025-2026-2" in text
    with pytest.raises(UnknownTermError):
        _demo().effects_in("2026-2027-1")


def test_covariates_are_the_built_in_ones_baselines_categories_and_history():
    names = covariate_names(_demo())
    for name in ("sex", "math@baseline", "trust@baseline", "category:*", "category:poverty"):
        assert name in names
    assert "home_visit:history" in names
    assert "math" not in names


def test_every_column_of_the_demo_sources_is_canonical_or_links_a_row():
    assert {"student_name", "class", "grade", "boarding"} <= set(column_names("students"))
    assert set(TABLES["contacts"].columns) <= set(column_names("contacts"))


# ---- what is refused ----------------------------------------------------------------------------------

SLIPS: dict[str, tuple[Edit, str, tuple[str, ...]]] = {
    "unknown key at the top": (
        lambda d: d.__setitem__("efects", []),
        "efects",
        ("effects", "allowed here", "outcomes"),
    ),
    "unknown key in a block": (
        lambda d: d["study"].__setitem__("sead", 1),
        "study.sead",
        ("did you mean seed", "languages"),
    ),
    "unknown key in a list": (
        lambda d: d["terms"][1].__setitem__("landmrk", date(2025, 3, 3)),
        "terms[1].landmrk",
        ("did you mean landmark", "exposure_end"),
    ),
    "unknown key four levels down": (
        lambda d: d["treatments"]["home_visit"]["levels"][2].__setitem__("wher", "true"),
        "treatments.home_visit.levels[2].wher",
        ("did you mean where", "use"),
    ),
    "unknown key in a label": (
        lambda d: d["outcomes"]["math"]["label"].__setitem__("fr", "x"),
        "outcomes.math.label.fr",
        ("zh, en",),
    ),
    "unknown canonical column": (
        lambda d: _source(d, "contacts")["columns"].__setitem__("tigger", ["类型"]),
        "sources[3].columns",
        ("tigger", "did you mean trigger"),
    ),
    "labels of a column that is not read": (
        lambda d: _source(d, "contacts")["levels"].__setitem__("topic", {"甲": "a"}),
        "sources[3].levels",
        ("topic",),
    ),
    "optional column that is not read": (
        lambda d: _source(d, "contacts")["optional"].append("minuts"),
        "sources[3].optional",
        ("minuts", "did you mean minutes"),
    ),
    "missing key": (lambda d: d["terms"][0].pop("start"), "terms[0].start", ("missing", "a date like")),
    "true for a number": (
        lambda d: d["study"].__setitem__("seed", True),
        "study.seed",
        ("a whole number", "True"),
    ),
    "text for a number": (
        lambda d: d["release"].__setitem__("min_cell", "10"),
        "release.min_cell",
        ("a whole number",),
    ),
    "disclosure control switched off": (
        lambda d: d["release"].__setitem__("min_cell", 0),
        "release.min_cell",
        ("1 or more",),
    ),
    "text for a date": (
        lambda d: d["terms"][2].__setitem__("landmark", "2025-09-15"),
        "terms[2].landmark",
        ("a date like 2026-03-02",),
    ),
    "time for a date": (
        lambda d: d["terms"][2].__setitem__("exam", datetime(2026, 1, 16, 8)),
        "terms[2].exam",
        ("a date like 2026-03-02",),
    ),
    "holiday of one day only": (
        lambda d: d["terms"][0]["holidays"].append([date(2024, 10, 1)]),
        "terms[0].holidays[2]",
        ("2 items",),
    ),
    "number for a list of names": (
        lambda d: d["effects"][0].__setitem__("adjust", 3),
        "effects[0].adjust",
        ("a list of text",),
    ),
    "unknown language": (lambda d: d["study"]["languages"].append("fr"), "study.languages[2]", ("zh, en",)),
    "unknown table": (
        lambda d: d["sources"][0].__setitem__("table", "school"),
        "sources[0].table",
        ("did you mean schools",),
    ),
    "unknown method": (
        lambda d: d["effects"][0].__setitem__("primary", "aiwp"),
        "effects[0].primary",
        ("did you mean aipw",),
    ),
    "no term": (lambda d: d.__setitem__("terms", []), "terms", ("missing",)),
    "two terms of one name": (
        lambda d: d["terms"][1].__setitem__("id", "2024-2025-1"),
        "terms[].id",
        ("2024-2025-1",),
    ),
    "unknown baseline": (
        lambda d: d["terms"][1].__setitem__("baseline", "2024-2025-0"),
        "terms[1].baseline",
        ("2024-2025-0", "did you mean 2024-2025-1"),
    ),
    "baseline that is the term itself": (
        lambda d: d["terms"][1].__setitem__("baseline", "2024-2025-2"),
        "terms[1].baseline",
        ("2024-2025-2",),
    ),
    "baseline that comes later": (
        lambda d: d["terms"][1].__setitem__("baseline", "2025-2026-1"),
        "terms[1].baseline",
        ("2025-2026-1", "use one of: 2024-2025-1"),
    ),
    "landmark before the term": (
        lambda d: d["terms"][0].__setitem__("landmark", date(2024, 9, 1)),
        "terms[0].start",
        ("2024-09-02", "terms[0].landmark", "2024-09-01"),
    ),
    "exposure that ends before the landmark": (
        lambda d: d["terms"][0].__setitem__("exposure_end", date(2024, 9, 10)),
        "terms[0].landmark",
        ("2024-09-16", "terms[0].exposure_end", "2024-09-10"),
    ),
    "exam within the exposure": (
        lambda d: d["terms"][0].__setitem__("exam", date(2024, 12, 1)),
        "terms[0].exposure_end",
        ("2024-12-20", "terms[0].exam", "2024-12-01"),
    ),
    "end before start": (
        lambda d: d["terms"][0].__setitem__("end", date(2024, 1, 17)),
        "terms[0].end",
        ("2024-01-17", "2024-09-02"),
    ),
    "unknown treatment": (
        lambda d: d["effects"][0].__setitem__("treatment", "home_vist"),
        "effects[0].treatment",
        ("did you mean home_visit",),
    ),
    "unknown outcome": (
        lambda d: d["effects"][3].__setitem__("outcome", "maths"),
        "effects[3].outcome",
        ("did you mean math",),
    ),
    "unknown contrast": (
        lambda d: d["effects"][0]["contrasts"].append("athome"),
        "effects[0].contrasts",
        ("did you mean at_home",),
    ),
    "contrast of a level that is excluded": (
        lambda d: d["effects"][0]["contrasts"].append("urgent"),
        "effects[0].contrasts",
        ("urgent", "targeted, at_home, remote"),
    ),
    "unknown category": (
        lambda d: d["effects"][0]["adjust"].append("category:left_behnd"),
        "effects[0].adjust",
        ("did you mean category:left_behind",),
    ),
    "unknown subgroup": (
        lambda d: d["effects"][0]["subgroups"].append("gender"),
        "effects[0].subgroups",
        ("gender", "sex"),
    ),
    "an outcome of this term as covariate": (
        lambda d: d["effects"][0]["adjust"].append("belonging"),
        "effects[0].adjust",
        ("did you mean belonging@baseline",),
    ),
    "unknown cluster": (
        lambda d: d["effects"][0].__setitem__("cluster", "clas"),
        "effects[0].cluster",
        ("did you mean class",),
    ),
    "unknown within": (
        lambda d: d["effects"][0]["within"].append("town"),
        "effects[0].within",
        ("school, grade, class",),
    ),
    "unknown term of an effect": (
        lambda d: d["effects"][0]["terms"].append("2026"),
        "effects[0].terms",
        ("2025-2026-2",),
    ),
    "unknown instrument of a scale": (
        lambda d: d["scales"]["trust"].__setitem__("instrument", "parents_v2"),
        "scales.trust.instrument",
        ("did you mean parents_v1",),
    ),
    "unknown instrument of a source": (
        lambda d: _source(d, "responses").__setitem__("instrument", "parent_v1"),
        "sources[9].instrument",
        ("did you mean parents_v1",),
    ),
    "questionnaire without instrument": (
        lambda d: _source(d, "responses").pop("instrument"),
        "sources[9].instrument",
        ("missing",),
    ),
    "reversed item outside its scale": (
        lambda d: d["scales"]["trust"].__setitem__("reverse", ["p06"]),
        "scales.trust.reverse",
        ("p06", "p01, p02, p03, p04, p05"),
    ),
    "item listed twice": (
        lambda d: d["scales"]["trust"]["items"].append("p01"),
        "scales.trust.items",
        ("p01",),
    ),
    "share of items above one": (
        lambda d: d["scales"]["trust"].__setitem__("min_answered", 3),
        "scales.trust.min_answered",
        ("at most 1",),
    ),
    "category listed twice": (
        lambda d: d["categories"][1].__setitem__("id", "left_behind"),
        "categories[].id",
        ("left_behind",),
    ),
    "exposure level named like the reference": (
        lambda d: d["treatments"]["home_visit"]["levels"][3].__setitem__("id", "none"),
        "treatments.home_visit.levels[].id",
        ("none",),
    ),
    "outcome from nowhere": (
        lambda d: d["outcomes"]["absences"].pop("measure"),
        "outcomes.absences",
        ("exactly one of measure, scale, column",),
    ),
    "outcome from two places": (
        lambda d: d["outcomes"]["absences"].__setitem__("scale", "trust"),
        "outcomes.absences",
        ("exactly one of measure, scale, column",),
    ),
    "outcome of an unknown scale": (
        lambda d: d["outcomes"]["relation"].__setitem__("scale", "relatoin"),
        "outcomes.relation.scale",
        ("did you mean relation",),
    ),
    "outcome of an unknown measure": (
        lambda d: d["outcomes"]["math"].__setitem__("measure", "mathh"),
        "outcomes.math.measure",
        ("did you mean math",),
    ),
    "column of a panel that is not there": (
        lambda d: d["outcomes"].__setitem__("y", {"label": "y", "column": "y"}),
        "outcomes.y.column",
        ('table = "panel"',),
    ),
    "treatment from a panel that is not there": (
        lambda d: d["treatments"]["home_visit"].__setitem__("from", "panel"),
        "treatments.home_visit.from",
        ('table = "panel"',),
    ),
    "school paper not standardised within school": (
        lambda d: d["outcomes"]["math"].__setitem__("standardise", ["grade", "term"]),
        "outcomes.math",
        ("school", "grade", "term", "standardise"),
    ),
    "school paper not standardised at all": (
        lambda d: d["outcomes"]["math"].pop("standardise"),
        "outcomes.math",
        ("standardise",),
    ),
    "standardised within something unknown": (
        lambda d: d["outcomes"]["math_common"].__setitem__("standardise", ["trem"]),
        "outcomes.math_common.standardise",
        ("did you mean term",),
    ),
    "compared more coarsely than standardised": (
        lambda d: d["effects"][0].__setitem__("within", ["school"]),
        "effects[0].within",
        ("grade", "math"),
    ),
    "history required and not adjusted for": (
        lambda d: d["effects"][0]["adjust"].remove("home_visit:history"),
        "effects[0].adjust",
        ("home_visit:history",),
    ),
    "the history of another treatment": (
        lambda d: d["effects"][3]["adjust"].__setitem__(-1, "home_visit:history"),
        "effects[3].adjust",
        ("parent_lecture:history",),
    ),
    "confirmatory but rated by the visitor": (
        lambda d: d["outcomes"]["absences"].__setitem__("rated_by_visitor", True),
        "effects[1].role",
        ("exploratory",),
    ),
    "one effect declared twice": (
        lambda d: d["effects"].append(dict(d["effects"][0])),
        "effects[].id",
        ("home_visit-math",),
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_the_study_file_is_named_by_its_key_path_in_both_languages(slip):
    edit, path, fragments = SLIPS[slip]
    error = _refused(edit)
    assert path in error.en
    assert path in error.zh
    assert error.en != error.zh
    for fragment in fragments:
        assert fragment in error.en


PANEL_SLIPS: dict[str, tuple[Edit, str]] = {
    "panel without a key": (lambda d: d["sources"][0].pop("key"), "sources[0].key"),
    "day that is no date": (
        lambda d: d["sources"][0].__setitem__("measured", {"2024-13-01": ["age"]}),
        "sources[0].measured",
    ),
    "column measured on two days": (
        lambda d: d["sources"][0]["measured"].__setitem__("2024-08-01", ["age"]),
        "sources[0].measured",
    ),
}


@pytest.mark.parametrize("slip", PANEL_SLIPS)
def test_a_slip_in_a_study_of_one_table_is_named_by_its_key_path_in_both_languages(slip):
    edit, path = PANEL_SLIPS[slip]
    error = _refused(edit, TRIAL)
    assert path in error.en
    assert path in error.zh


def test_a_visitor_rated_outcome_may_be_exploratory():
    data = copy.deepcopy(DEMO)
    data["outcomes"]["belonging"]["rated_by_visitor"] = True
    assert study_from(data, ROOT).outcomes["belonging"].rated_by_visitor


@pytest.mark.parametrize(
    ("variant", "key"),
    [
        ({"method": "regress"}, "says nothing new"),
        ({"method": "aipw", "se_type": "CR3"}, "robustness[0].se_type"),
        ({"method": "aipw", "trim": 0.1}, "robustness[0].trim"),
        ({"method": "ipw", "trim": 0.5}, "robustness[0].trim"),
        ({"adjust": ["math@baseline"]}, "robustness[0].adjust must hold 'home_visit:history'"),
        ({"adjust": ["shoe_size"]}, "robustness[0].adjust"),
        ({"within": ["grade"]}, "robustness[0].within must hold"),
        ({"methods": ["ipw"]}, "methods"),
        ({"method": "iv"}, "robustness[0].instrument"),
        ({"method": "difference", "se_type": "permutation"}, "robustness[0].se_type: permutation repeats"),
    ],
)
def test_a_robustness_specification_is_held_to_the_rules_of_its_effect(variant, key):
    error = _refused(lambda data: data["effects"][0].update(robustness=[variant]))
    assert key in str(error)


def test_only_lists_of_events_say_who_was_invited():
    change = {"methods": ["iv"], "instrument": "home_visit:invited"}
    assert "only lists of events" in str(_refused(lambda data: data["effects"][0].update(change)))
    lectures = next(i for i, each in enumerate(DEMO["effects"]) if each["treatment"] == "parent_lecture")
    change = {"methods": ["iv"], "instrument": "parent_lecture:asked"}
    assert "parent_lecture:invited" in str(_refused(lambda data: data["effects"][lectures].update(change)))


def test_history_is_not_asked_of_an_unadjusted_primary_method():
    data = copy.deepcopy(DEMO)
    data["effects"][0] |= {"primary": "difference", "adjust": [], "robustness": []}
    assert study_from(data, ROOT).effects[0].primary == "difference"


def test_an_item_of_a_scale_that_the_code_book_lacks_is_named():
    study = _demo()
    ranges = dict.fromkeys(["p01", "p02", "p03", "p04"], (1.0, 5.0))
    with pytest.raises(StudyFileError) as caught:
        score_scale(empty("responses"), study.scales["trust"], ranges)
    for text in (caught.value.en, caught.value.zh):
        assert "scales.trust.items" in text
        assert "p05" in text
        assert "p04" not in text


# ---- property: one misspelt key -----------------------------------------------------------------------


def _is_free_name(path: tuple) -> bool:
    """Whether ``path`` is a name that the author chooses and that nothing else in the demo file mentions."""
    if path[0] == "sources" and len(path) == 5 and path[2] == "levels":
        return True
    if path[0] == "sources" and len(path) == 4 and path[2] == "level_values":
        return True
    mentioned = {
        "measures": {each["measure"] for each in DEMO["outcomes"].values() if "measure" in each},
        "scales": {each["scale"] for each in DEMO["outcomes"].values() if "scale" in each}
        | {name.partition("@")[0] for effect in DEMO["effects"] for name in effect["adjust"]},
        "outcomes": {effect["outcome"] for effect in DEMO["effects"]},
    }
    if path[0] == "sources" and len(path) == 4 and path[2] == "measures":
        return path[3] not in mentioned["measures"]
    return len(path) == 2 and path[0] in mentioned and path[1] not in mentioned[path[0]]


def _key_paths(node: object, path: tuple = ()) -> Iterator[tuple]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield (*path, key)
            yield from _key_paths(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _key_paths(value, (*path, index))


KEY_PATHS = [path for path in _key_paths(DEMO) if not _is_free_name(path)]


@st.composite
def _misspelt(draw, key: str) -> str:
    letter = draw(st.sampled_from("aeirstx_2学"))
    at = draw(st.integers(0, len(key) - 1))
    kind = draw(st.sampled_from(["drop", "double", "insert", "replace", "append", "swap"]))
    if kind == "swap":
        other = min(at + 1, len(key) - 1)
        letters = list(key)
        letters[at], letters[other] = letters[other], letters[at]
        return "".join(letters)
    return {
        "drop": key[:at] + key[at + 1 :],
        "double": key[:at] + key[at] + key[at:],
        "insert": key[:at] + letter + key[at:],
        "replace": key[:at] + letter + key[at + 1 :],
        "append": key + letter,
    }[kind]


def _with_renamed_key(path: tuple, name: str) -> dict:
    data = copy.deepcopy(DEMO)
    node = data
    for step in path[:-1]:
        node = node[step]
    items = [(name if key == path[-1] else key, value) for key, value in node.items()]
    node.clear()
    node.update(items)
    return data


@given(data=st.data())
@settings(max_examples=250, deadline=None)
def test_any_one_misspelt_key_of_the_demo_study_is_refused(data):
    path = data.draw(st.sampled_from(KEY_PATHS))
    name = data.draw(_misspelt(path[-1]).filter(lambda name: name not in ("", path[-1])))
    with pytest.raises(StudyFileError) as caught:
        study_from(_with_renamed_key(path, name), ROOT)
    assert name in caught.value.en or str(path[-1]) in caught.value.en


def test_every_single_key_of_the_demo_study_is_checked():
    accepted = []
    for path in KEY_PATHS:
        try:
            study_from(_with_renamed_key(path, f"{path[-1]}_x"), ROOT)
        except StudyFileError:
            continue
        accepted.append(path)
    assert accepted == []
    assert len(KEY_PATHS) > 400


# ---- the file itself ----------------------------------------------------------------------------------


def test_a_study_is_found_from_below_and_its_absence_is_said(tmp_path):
    (tmp_path / "study.toml").write_text(TRIAL, encoding="utf-8")
    below = tmp_path / "data" / "raw"
    below.mkdir(parents=True)
    assert find_study(below) == tmp_path.resolve()
    assert load_study(find_study(below)).id == "trial"
    (tmp_path / "study.toml").unlink()
    with pytest.raises(StudyFileError, match="cobench new"):
        find_study(below)
    with pytest.raises(StudyFileError, match="cobench new") as caught:
        load_study(tmp_path)
    assert str(tmp_path) not in str(caught.value)


def test_a_file_that_is_not_toml_names_the_line(tmp_path):
    (tmp_path / "study.toml").write_text('[study]\nid = "a"\nid = = 3\n', encoding="utf-8")
    with pytest.raises(StudyFileError, match="line 3"):
        load_study(tmp_path)


def test_a_file_in_another_encoding_is_said_to_need_utf_8(tmp_path):
    (tmp_path / "study.toml").write_bytes('[study]\nid = "示例"\n'.encode("gb18030"))
    with pytest.raises(StudyFileError) as caught:
        load_study(tmp_path)
    assert "UTF-8" in caught.value.en
    assert "UTF-8" in caught.value.zh
