"""What the tests of the store share: the databases, and the end of the stores that they open."""

import pytest

from tests.postgres import running_postgres
from tests.stored import close_all, run, store_url


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as server:
        yield server


@pytest.fixture
def server(postgres):
    """PostgreSQL, emptied."""
    run(postgres.url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    return store_url(request, tmp_path)


@pytest.fixture(autouse=True)
def _close():
    yield
    close_all()
