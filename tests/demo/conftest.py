import pytest

from cobench.demo import build_world


@pytest.fixture(scope="session")
def district():
    """The default world, as `cobench demo` builds it."""
    return build_world()


@pytest.fixture(scope="session")
def small_world():
    """Six schools: three primary, two junior, one kindergarten."""
    return build_world(7, n_schools=6, n_students=900)
