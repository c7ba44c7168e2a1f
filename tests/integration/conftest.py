"""What several of these tests ask for."""

import pytest

import monitor.client.session


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send a failed request again at once: how long that takes is another test's subject."""
    monkeypatch.setattr(monitor.client.session, "BACKOFF_LIMIT", 0.0)
