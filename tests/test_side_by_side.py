"""Claims about tasks side by side: the same results and errors as one after the other, and nothing begun after an error."""

from __future__ import annotations

import operator
import os

import pytest

from cobench.side_by_side import side_by_side

# Other processes can't import this file; these they can.
_WAIT = "import time, pathlib; time.sleep(0.2); pathlib.Path({path!r}).touch()"


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_back_from_this_process_or_from_others(jobs):
    with side_by_side(jobs) as pool:
        done = [pool.submit(pow, number, 2) for number in range(5)]
        places = {each.result() for each in [pool.submit(os.getpid) for _ in range(5)]}
        assert [each.result() for each in done] == [0, 1, 4, 9, 16]
    assert (places == {os.getpid()}) if jobs == 1 else (os.getpid() not in places and len(places) <= jobs)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_is_raised_where_the_result_is_asked_for(jobs):
    with side_by_side(jobs) as pool:
        failed, fine = pool.submit(operator.getitem, {}, "wrong"), pool.submit(pow, 3, 2)
        with pytest.raises(KeyError, match="wrong"):
            failed.result()
        assert fine.result() == 9


def test_after_an_error_outside_what_has_not_begun_stays_undone(tmp_path):
    paths = [tmp_path / str(number) for number in range(200)]
    with pytest.raises(RuntimeError, match="elsewhere"), side_by_side(2) as pool:
        for path in paths:
            pool.submit(exec, _WAIT.format(path=str(path)))
        raise RuntimeError("elsewhere")
    assert sum(path.exists() for path in paths) < 50
