"""API keys, and the URL of the state, in files: read again, and put into a config where they have changed."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import structlog
from pydantic import SecretStr

from monitor.config import (
    Cluster,
    Config,
    Discovery,
    Inventory,
    ZillizAccount,
    read_api_key,
    read_state_url,
)

KEY_CHECK_INTERVAL: Final = 15.0
"""Seconds from one check of the files with keys and certificates to the next."""

KEY_CHECK_TIMEOUT: Final = 5.0
"""Seconds that a poll waits for the file of a rejected key to be read again, while a reload may be running."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.daemon")

Section = TypeVar("Section", Cluster, Discovery, ZillizAccount, Inventory)
"""A section of the config with `api_key` and `api_key_file`."""


class KeyFiles:
    """Reads the files with secrets of a config again; one that cannot be read is logged once until it can."""

    def __init__(self) -> None:
        self._unreadable: set[Path] = set()
        self._of_lists: dict[Path, SecretStr] = {}

    def key(self, file: Path) -> SecretStr:
        """Return the key in a file that a list of clusters names, as it was read last; raises `ValueError`."""
        if file not in self._of_lists:
            self._of_lists[file] = read_api_key(file)
        return self._of_lists[file]

    def keep_only(self, files: Iterable[Path | None]) -> None:
        """Forget the keys of lists in other files than these: their clusters are no longer watched."""
        used = set(files)
        self._of_lists = {file: key for file, key in self._of_lists.items() if file in used}

    def renew(self, config: Config, only: Path | None = None) -> tuple[Config, int]:
        """Return the config with the keys that its files, or only one of them, have now.

        Returns:
            The config and the number of clusters, discoveries and files of lists whose key has changed. A key that
            cannot be read stays in use.
        """
        accounts = [section for found in config.discovery for section in (found, found.zilliz, found.http) if section]
        files = {section.api_key_file for section in (*config.clusters, *accounts)} | self._of_lists.keys()
        keys: dict[Path | None, SecretStr | None] = {
            file: self._read(file, read_api_key) for file in files if file is not None and only in (None, file)
        }
        clusters = tuple(_renewed(cluster, keys) for cluster in config.clusters)
        discovery = tuple(_renewed_discovery(found, keys) for found in config.discovery)
        in_lists = {file: key for file in self._of_lists if (key := keys.get(file)) not in (None, self._of_lists[file])}
        before = (*config.clusters, *config.discovery)
        changed = sum(new is not old for new, old in zip((*clusters, *discovery), before, strict=True)) + len(in_lists)
        self._of_lists |= {file: key for file, key in in_lists.items() if key is not None}
        return config.model_copy(update={"clusters": clusters, "discovery": discovery}), changed

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


class KeyChecks:
    """Applies the config again, in the thread of reloads, where its files have other secrets now.

    Args:
        files: Reads the files.
        executor: The thread of reloads.
        config: Returns the config in effect.
        apply: Applies a config.
    """

    def __init__(
        self,
        files: KeyFiles,
        executor: ThreadPoolExecutor,
        config: Callable[[], Config],
        apply: Callable[[Config], None],
    ) -> None:
        self._files = files
        self._executor = executor
        self._config = config
        self._apply = apply
        self._running: dict[Path | None, Future[None]] = {}

    def check(self, timeout: float = 0.0, file: Path | None = None) -> None:
        """Read files with API keys again, one or all, in the thread of reloads; wait for it a bounded time."""
        check = self._running.get(file)
        with suppress(RuntimeError, CancelledError, TimeoutError):  # the monitor stops, or a reload takes long
            if check is None or check.done():
                check = self._running[file] = self._executor.submit(self._check, file)
            check.result(timeout)

    def _check(self, only: Path | None) -> None:
        """Use the keys that have changed in their files; a file that cannot be read leaves its key in use."""
        try:
            current = self._config()
            config, changed = self._files.renew(current, only)
            if only in (None, config.state.url_file):
                config = self._files.renew_state_url(config)
            if changed or config.state != current.state:
                self._apply(config)
            if changed:
                _log.info("keys_reloaded", clusters=changed)
        except Exception:  # noqa: BLE001 - a fault of ours must not end these checks: it is logged, the old keys stay
            _log.exception("keys_not_reloaded")


def _renewed_discovery(discovery: Discovery, keys: Mapping[Path | None, SecretStr | None]) -> Discovery:
    account, inventory = discovery.zilliz, discovery.http
    inner = {"zilliz": account and _renewed(account, keys), "http": inventory and _renewed(inventory, keys)}
    if inner != {"zilliz": account, "http": inventory}:
        discovery = discovery.model_copy(update=inner)
    return _renewed(discovery, keys)


def _renewed(section: Section, keys: Mapping[Path | None, SecretStr | None]) -> Section:
    """Return a section with its key as it is now; the same object where that has not changed."""
    key = keys.get(section.api_key_file)
    return section if key in (None, section.api_key) else section.model_copy(update={"api_key": key})
