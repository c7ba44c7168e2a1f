"""API keys in files: read again, and put into a config where they have changed."""

from pathlib import Path
from typing import Final

import structlog
from pydantic import SecretStr

from monitor.config import Config, read_api_key

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.daemon")


class KeyFiles:
    """Reads the files with API keys of a config again; one that cannot be read is logged once until it can."""

    def __init__(self) -> None:
        self._unreadable: set[Path] = set()

    def renew(self, config: Config, only: Path | None = None) -> tuple[Config, int]:
        """Return the config with the keys that its files, or only one of them, have now.

        Returns:
            The config and the number of clusters whose key has changed. A key that cannot be read stays in use.
        """
        files = {cluster.api_key_file for cluster in config.clusters} - {None}
        keys: dict[Path | None, SecretStr | None] = {
            file: self._read(file) for file in files if file is not None and only in (None, file)
        }
        clusters = tuple(
            cluster
            if (key := keys.get(cluster.api_key_file)) in (None, cluster.api_key)
            else cluster.model_copy(update={"api_key": key})
            for cluster in config.clusters
        )
        changed = sum(new is not old for new, old in zip(clusters, config.clusters, strict=True))
        return config.model_copy(update={"clusters": clusters}), changed

    def _read(self, file: Path) -> SecretStr | None:
        try:
            key = read_api_key(file)
        except ValueError as error:
            if file not in self._unreadable:
                self._unreadable.add(file)
                _log.warning("key_file_unreadable", file=str(file), message=str(error))
            return None
        self._unreadable.discard(file)
        return key
