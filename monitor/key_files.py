"""API keys, and the URL of the state, in files: read again, and put into a config where they have changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from pydantic import SecretStr

from monitor.config import Config, read_api_key, read_state_url

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.daemon")


class KeyFiles:
    """Reads the files with secrets of a config again; one that cannot be read is logged once until it can."""

    def __init__(self) -> None:
        self._unreadable: set[Path] = set()

    def renew(self, config: Config, only: Path | None = None) -> tuple[Config, int]:
        """Return the config with the keys that its files, or only one of them, have now.

        Returns:
            The config and the number of clusters whose key has changed. A key that cannot be read stays in use.
        """
        files = {cluster.api_key_file for cluster in config.clusters} - {None}
        keys: dict[Path | None, SecretStr | None] = {
            file: self._read(file, read_api_key) for file in files if file is not None and only in (None, file)
        }
        clusters = tuple(
            cluster
            if (key := keys.get(cluster.api_key_file)) in (None, cluster.api_key)
            else cluster.model_copy(update={"api_key": key})
            for cluster in config.clusters
        )
        changed = sum(new is not old for new, old in zip(clusters, config.clusters, strict=True))
        return config.model_copy(update={"clusters": clusters}), changed

    def renew_state_url(self, config: Config) -> Config:
        """Return the config with the URL of PostgreSQL that its file has now; one that cannot be read stays in use."""
        file, url = config.state.url_file, config.state.url
        if file is None or not url.get_secret_value().startswith("postgresql:"):
            return config
        new_url = self._read(file, read_state_url)
        if new_url in (None, url):
            return config
        return config.model_copy(update={"state": config.state.model_copy(update={"url": new_url})})

    def _read(self, file: Path, read: Callable[[Path], SecretStr]) -> SecretStr | None:
        try:
            key = read(file)
        except ValueError as error:
            if file not in self._unreadable:
                self._unreadable.add(file)
                _log.warning("key_file_unreadable", file=str(file), message=str(error))
            return None
        self._unreadable.discard(file)
        return key
