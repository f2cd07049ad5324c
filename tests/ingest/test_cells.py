"""Claims about kept cells: they come back as they were read, and nobody else may look at them."""

from __future__ import annotations

import os
import stat

import pytest
from small_study import LOG, ROSTER, SURVEY, raw

from cobench.ingest import batches, cells
from cobench.ingest.codebook import load_codebook
from cobench.study import load_study


@pytest.fixture
def kept(root, tmp_path):
    """The cells of three kinds of file, and the folder they are kept in."""
    study = load_study(root)
    book = load_codebook(root / "codebooks" / "parents.toml")
    files = {each.path: each for each in batches.find_files(study, study.newest_term())}
    read = {name: batches.read_file(files[raw(root, name)], book) for name in (LOG, ROSTER, SURVEY)}
    for name, file in read.items():
        cells.keep(tmp_path, name.replace("/", "-"), file)
    return tmp_path, read


@pytest.mark.parametrize("name", [LOG, ROSTER, SURVEY])
def test_cells_come_back_as_they_were_read(kept, name):
    folder, read = kept
    wanted, found = read[name], cells.recall(folder, name.replace("/", "-"), read[name].raw)
    assert (found.rows_in, found.how, found.raw) == (wanted.rows_in, wanted.how, wanted.raw)
    assert found.non_data[["sheet", "row", "rule"]].values.tolist() == (
        wanted.non_data[["sheet", "row", "rule"]].values.tolist()
    )
    for one, other in zip(found.located, wanted.located, strict=True):
        assert (one.headers, one.how) == (other.headers, other.how)
        for frame in ("cells", "kinds"):
            a, b = getattr(one, frame).astype("object"), getattr(other, frame).astype("object")
            assert list(a.columns) == list(b.columns) and a.values.tolist() == b.values.tolist()


def test_what_was_never_kept_is_not_there(kept):
    folder, read = kept
    assert cells.recall(folder, "other", read[LOG].raw) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no owner bits")
def test_kept_cells_are_open_to_their_owner_only(kept):
    for path in kept[0].glob("*.csv"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
