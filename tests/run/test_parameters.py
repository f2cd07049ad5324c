import pytest
from throwaway import PARAMETERS, make_study, notebook, planned, run

from cobench.errors import ParameterError, UnreadableFileError
from cobench.run.parameters import MISSING, check_parameters, notebook_parameters
from cobench.run.plan import check_plan

CELL = """
study: str = ".."   # the study
term: str = "2025-2026-2"
language: "str" = "zh"
treatment = "home_visit"
level: Literal["low", "high"] = "low"
school: str | None = None
threshold: float = 0.5
weeks: int
terms: list[str] = ["a"]
folder = Path("x")
print("not a parameter")
"""


@pytest.fixture
def path(tmp_path):
    return notebook(tmp_path / "04_effect.ipynb", parameters=CELL)


def test_names_defaults_and_types_are_read_from_the_cell(path):
    found = notebook_parameters(path)
    assert list(found) == [
        "study", "term", "language", "treatment", "level", "school", "threshold", "weeks", "terms", "folder",
    ]  # fmt: skip
    assert (found["study"].default, found["study"].type) == ("..", "str")
    assert (found["treatment"].default, found["treatment"].type) == ("home_visit", "str")
    assert found["school"].type == "str | None" and not found["school"].required
    assert found["weeks"].default == MISSING and found["weeks"].required
    assert not found["folder"].literal


def test_reading_parameters_does_not_import_papermill(path):
    import subprocess
    import sys

    code = (
        "import sys\nfrom cobench.run.plan import check_plan\n"
        "from cobench.run.parameters import notebook_parameters\n"
        "notebook_parameters(sys.argv[1])\nassert not {'papermill', 'nbformat', 'nbconvert'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == 0


def test_what_fits_is_accepted(path):
    check_parameters(
        path, {"weeks": 20, "level": "high", "threshold": 1, "school": None, "terms": ["a", "b"]}
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"weeks": 20, "tretment": "x"}, "no parameter 'tretment'; did you mean 'treatment'?"),
        ({"weeks": 20, "zzz": 1}, "it declares: study, term"),
        ({}, "parameter 'weeks' has no value"),
        ({"weeks": "20"}, "'weeks' must be int, not '20'"),
        ({"weeks": True}, "'weeks' must be int, not True"),
        ({"weeks": 20, "treatment": 3}, "'treatment' must be str, not 3"),
        ({"weeks": 20, "level": "middle"}, "must be Literal['low', 'high'], not 'middle'"),
        ({"weeks": 20, "school": 5}, "must be str | None, not 5"),
        ({"weeks": 20, "terms": ["a", 2]}, "must be list[str]"),
        ({"weeks": 20, "study": None}, "'study' must be str, not None"),
    ],
)
def test_unknown_missing_and_mistyped_parameters_are_refused(path, given, said):
    with pytest.raises(ParameterError) as caught:
        check_parameters(path, given)
    assert said in caught.value.en
    assert "04_effect.ipynb" in caught.value.zh and "参数" in caught.value.zh


@pytest.mark.parametrize(
    ("annotation", "required"),
    [
        ("x: str = None", True),
        ("x = None", True),
        ("x: Optional[str] = None", False),
        ("x: str | None = None", False),
    ],
)
def test_a_default_of_none_must_be_given_unless_none_is_allowed(tmp_path, annotation, required):
    path = notebook(tmp_path / "a.ipynb", parameters=annotation)
    assert notebook_parameters(path)["x"].required is required


def test_every_problem_of_every_report_is_told_at_once_before_anything_runs(tmp_path):
    study = make_study(tmp_path)
    trace = "from pathlib import Path\nPath('started').touch()"
    notebook(study.root / "notebooks" / "00_fine.ipynb", trace)
    notebook(
        study.root / "notebooks" / "01_misspelt.ipynb", trace, parameters=PARAMETERS.replace("term", "trem")
    )
    notebook(
        study.root / "notebooks" / "02_mistyped.ipynb", trace, parameters=PARAMETERS.replace("str", "int")
    )
    notebook(study.root / "notebooks" / "03_missing.ipynb", trace, parameters=PARAMETERS + "cutoff: float\n")
    reports = planned(study)
    with pytest.raises(ParameterError) as caught:
        run(study, reports)
    told = caught.value.en
    assert "01_misspelt.ipynb declares no parameter 'term'; did you mean 'trem'?" in told
    assert "02_mistyped.ipynb: parameter 'study' must be int" in told
    assert "03_missing.ipynb: parameter 'cutoff' has no value" in told
    assert len(told.splitlines()) == len(set(told.splitlines()))
    assert not (study.root / "started").exists()
    assert not (study.root / "private").exists() and not (study.root / "reports").exists()
    check_plan([report for report in reports if report.kind == "00_fine"])


def test_a_notebook_without_a_parameters_cell_is_refused(tmp_path):
    path = notebook(tmp_path / "a.ipynb")
    path.write_text(path.read_text(encoding="utf-8").replace('"parameters"', '"other"'), encoding="utf-8")
    with pytest.raises(ParameterError, match="no cell tagged 'parameters'"):
        notebook_parameters(path)


def test_a_parameters_cell_that_is_not_python_is_refused_with_its_line(tmp_path):
    with pytest.raises(ParameterError, match=r"not valid Python \(line 2\)"):
        notebook_parameters(notebook(tmp_path / "a.ipynb", parameters="x = 1\ny = ="))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_file_that_is_no_notebook_is_named(tmp_path, content):
    path = tmp_path / "broken.ipynb"
    path.write_text(content)
    with pytest.raises(UnreadableFileError, match="broken.ipynb"):
        notebook_parameters(path)
