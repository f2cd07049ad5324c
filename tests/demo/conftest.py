import pytest

from cobench.demo import build_world


@pytest.fixture(scope="session")
def district():
    """The default world, as `cobench demo` builds it."""
    return build_world()


@pytest.fixture(scope="session")
def small_world():
    """Five schools: two primary, two junior, one kindergarten."""
    return build_world(7, n_schools=5, n_students=700)
