"""What the store and the replicas rely on, in each version of PostgreSQL: tests of other modules run again."""

import pytest

from tests.integration.test_replicas import (  # noqa: F401
    test_a_user_that_changes_is_used_for_the_next_session,
    test_the_members_are_known_by_name_and_changes_are_logged_once,
    test_the_server_ends_the_session_of_one_that_sends_nothing,
)
from tests.integration.test_sharing import (  # noqa: F401
    monitors,
    shared,
    test_a_lost_connection_for_notifications_is_made_anew,
    test_jobs_that_finish_elsewhere_are_published_as_if_they_were_polled_here,
)
from tests.integration.test_store import (  # noqa: F401
    test_a_snapshot_outlives_a_restart_in_every_detail,
    test_two_monitors_record_each_transition_once_and_see_the_same,
)
from tests.integration.test_store_handover import (  # noqa: F401
    pair,
    test_a_poll_that_ends_after_another_monitor_has_taken_over_is_dropped,
)
from tests.integration.test_store_migrations import (  # noqa: F401
    test_a_migrated_database_has_the_indexes_of_a_new_one,
    test_version_1_is_brought_up_and_nothing_of_it_is_lost,
    write_postgres,
)
from tests.integration.test_store_unavailable import (  # noqa: F401
    test_a_primary_that_turns_read_only_is_left_for_the_one_that_has_taken_its_place,
    test_conflicts_are_no_unavailability,
    test_two_that_start_on_an_empty_database_do_not_collide,
)
from tests.postgres import RELEASES, running_postgres
from tests.stored import run


@pytest.fixture(scope="module", params=RELEASES)
def postgres(request):
    with running_postgres(request.param) as server:
        assert run(server.url, "SHOW server_version")[0][0].startswith(f"{request.param}.")
        yield server


@pytest.fixture
def url(server):
    return server.url


@pytest.fixture
def write(url):
    return lambda version: write_postgres(url, version)
