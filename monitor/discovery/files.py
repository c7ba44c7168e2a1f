"""Clusters in files: a ConfigMap, what a template has written, an inventory that is checked out."""

import glob
import hashlib
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from monitor.config import Cluster, ConfigError
from monitor.config.cluster_list import parse_clusters
from monitor.config.files import MAX_CONFIG_BYTES, LoadContext, decode, read_bytes
from monitor.discovery.listed import from_entries
from monitor.discovery.model import DiscoveredCluster, DiscoveryError

MAX_FILES: Final = 1000
"""Files of one discovery."""

MAX_BYTES: Final = MAX_CONFIG_BYTES
"""Bytes of all files of one discovery together."""


class FilesSource:
    """Lists the clusters in files.

    Args:
        patterns: Paths and globs of the files. One without a wildcard has to exist.
        directory: Where relative paths in the files begin: that of the config file.
        environ: The variables for `${NAME}`.
        has_key: Whether clusters without a key have one from elsewhere.
    """

    def __init__(
        self, patterns: tuple[str, ...], directory: Path, environ: Mapping[str, str], *, has_key: bool = False
    ) -> None:
        self._patterns = patterns
        self._directory = directory
        self._environ = environ
        self._given = {"api_key"} if has_key else frozenset[str]()

    def list_clusters(self) -> tuple[DiscoveredCluster, ...]:
        """Return the clusters of all files.

        Raises:
            DiscoveryError: A file cannot be read, or an entry of it is wrong; it says file, line and key.
        """
        clusters: list[Cluster] = []
        context = LoadContext(self._directory, self._environ)
        for path, content in self._read():
            try:
                clusters += parse_clusters(decode(content), str(path), context, self._given)
            except ConfigError as error:
                raise DiscoveryError(error.problems[0] + _more_problems(error)) from None
            except ValueError as error:
                raise DiscoveryError(f"{path} {error}") from None
        return from_entries(clusters)

    def version(self) -> str:
        """Return what changes whenever the content of a file does, whatever has been done to links and times.

        What cannot be read counts as a content of its own.
        """
        digest = hashlib.sha256()
        try:
            for path, content in self._read():
                digest.update(b"%b\0%d\0%b" % (bytes(path), len(content), content))
        except DiscoveryError as error:
            return str(error)
        return digest.hexdigest()

    def _read(self) -> list[tuple[Path, bytes]]:
        contents = []
        size = 0
        for path in self._paths():
            try:
                content = read_bytes(path, MAX_BYTES)
            except ValueError as error:
                raise DiscoveryError(f"{path} {error}") from None
            size += len(content)
            if size > MAX_BYTES:
                raise DiscoveryError(f"{path} and the files before it are larger than {MAX_BYTES:,} bytes together")
            contents.append((path, content))
        return contents

    def _paths(self) -> list[Path]:
        """Return the files, each once, in the order of the patterns; of a glob those that are not hidden, sorted."""
        paths: dict[Path, None] = {}
        for pattern in self._patterns:
            matches = [pattern]
            if glob.has_magic(pattern):
                matches = sorted(islice(glob.iglob(pattern), MAX_FILES + 1))  # noqa: PTH207 - it can be absolute
            paths.update(dict.fromkeys(map(Path, matches)))
        if len(paths) > MAX_FILES:
            raise DiscoveryError(f"there are more than {MAX_FILES:,} files")
        return list(paths)


def _more_problems(error: ConfigError) -> str:
    more = len(error.problems) - 1
    return f" (and {more} more problem{'s' if more > 1 else ''})" if more else ""
