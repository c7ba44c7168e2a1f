"""From the text of a config file to a `Config`, or to every problem it has."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from monitor.config.document import Node, RefusedDocumentError, read_document
from monitor.config.environment import UNRESOLVED, Resolver
from monitor.config.files import MAX_CONFIG_BYTES, NamedFiles, Pem, UnreadableError, read_text
from monitor.config.model import MAX_CLUSTERS, OVERRIDES, ClusterSection, ConfigFile, ProcessSettings
from monitor.config.problems import ConfigError, Path, Report, printable
from monitor.config.rules import violations
from monitor.config.sections import SectionReader
from monitor.config.settings import Cluster, Config, Tls, WebConfig
from monitor.config.web import load_web

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

_STAND_INS: Final = {"name": "-", "url": "http://invalid"}
"""For required settings that are missing or wrong, so that the rest of the cluster can still be checked."""


def load(path: pathlib.Path, environ: Mapping[str, str]) -> Config:
    """Read a config file.

    Args:
        path: The file; relative paths in it count from its directory.
        environ: The variables for `${NAME}`.

    Returns:
        The config, with every file it names looked at and every default filled in.

    Raises:
        ConfigError: With everything that is wrong, up to a bound.
    """
    report = Report(str(path))
    text = ""
    try:
        text = read_text(path, MAX_CONFIG_BYTES)
    except UnreadableError as error:
        report.add(0, (), f"the config file {error}")
    # Raised here, because an error raised while another is handled would carry that one along.
    if report:
        raise report.error()
    config = parse(text, source=str(path), directory=path.parent, environ=environ)
    return dataclasses.replace(config, path=path)


def parse(text: str, *, source: str, directory: pathlib.Path, environ: Mapping[str, str]) -> Config:
    """Read a config from text.

    Args:
        text: The YAML.
        source: What messages call it.
        directory: What relative paths in it count from.
        environ: The variables for `${NAME}`.

    Returns:
        The config, whose `path` is None.

    Raises:
        ConfigError: With everything that is wrong, up to a bound.
    """
    report = Report(source)
    root = None
    try:
        root = read_document(text, report)
    except RefusedDocumentError as error:
        report.add(error.line, (), error.text)
    reader = _Reader(root, NamedFiles(directory), report) if root else None
    config = reader.config(environ) if reader else None
    web_error = reader.web_error if reader else None
    if config is None or report or web_error:
        found = report.error().problems if report else ()
        raise ConfigError(found + (web_error.problems if web_error else ()))
    return config


class _Reader(SectionReader):
    """Reads one document: problems go to the report, and the reading goes on."""

    def __init__(self, root: Node, files: NamedFiles, report: Report) -> None:
        super().__init__(root, report)
        self._files = files
        self.web_error: ConfigError | None = None

    def config(self, environ: Mapping[str, str]) -> Config | None:
        """Return the config, which is only worth something when the report stayed empty."""
        document = Resolver(environ, self.report).resolve(self.root)
        if not isinstance(document, dict):
            if document is not UNRESOLVED:
                self.report.add(self.root.line, (), "the file must be a mapping of settings, with a list of clusters")
            return None
        process = {key: value for key, value in document.items() if key != "clusters"}
        settings, broken = self.section(ProcessSettings, process, (), ConfigFile)
        defaults = dict(settings.poll) | dict(settings.jobs)
        clusters: list[Cluster] = []
        if "clusters" in document or "clusters" not in broken:
            clusters = self._clusters(document.get("clusters"), defaults)
        return Config(
            path=None,
            listen_host=settings.listen.host,
            listen_port=settings.listen.port,
            log_format=settings.log.format,
            log_level=settings.log.level,
            concurrency=settings.poll.concurrency,
            state_url=SecretStr(self._state_url(settings.state.url)),
            state_retention=settings.state.retention,
            clusters=tuple(clusters),
            web=self._web(settings.web_config, environ),
        )

    def _state_url(self, url: str) -> str:
        """Return where the state is kept, a file's path counted from the config file's directory."""
        scheme, slashes, path = url.partition(":///")
        return f"{scheme}{slashes}{self._files.path(path).absolute()}" if scheme == "sqlite" else url

    def _web(self, written: str | None, environ: Mapping[str, str]) -> WebConfig:
        """Return what the web config file says; what is wrong with it goes to `web_error`, for it is another file."""
        if written:
            path = self._files.path(written)
            try:
                return load_web(path, environ)
            except UnreadableError as error:
                self.add(("web_config",), f"{printable(str(path))} {error}")
            except ConfigError as error:
                self.web_error = error
        return WebConfig()

    def _clusters(self, raw: Any, defaults: Mapping[str, Any]) -> list[Cluster]:
        if raw is UNRESOLVED:
            return []
        if not raw:
            self.add(("clusters",), "is required; list at least one cluster, with its name and url")
            return []
        if not isinstance(raw, list):
            self.add(("clusters",), "must be a list of clusters (- name: …)")
            return []
        if len(raw) > MAX_CLUSTERS:
            self.add(("clusters",), f"lists {len(raw):,} clusters; {MAX_CLUSTERS:,} is the most")
            return []
        clusters = []
        first_with: dict[str, int] = {}
        for index, item in enumerate(raw):
            path: Path = ("clusters", index)
            if isinstance(item, dict):
                clusters.append(self._cluster(item, path, defaults, first_with))
            elif item is not UNRESOLVED:
                self.add(path, "must be a mapping with at least name and url")
        return clusters

    def _cluster(
        self, raw: dict[str, Any], path: Path, defaults: Mapping[str, Any], first_with: dict[str, int]
    ) -> Cluster:
        section, broken = self.section(ClusterSection, raw, path, ClusterSection, _STAND_INS)
        for setting, text in violations(section, broken):
            self.add((*path, *setting), text)
        if "name" not in broken:
            line = self.line((*path, "name"))
            if section.name in first_with:
                first = first_with[section.name]
                self.add((*path, "name"), f"must be unique, and is already given on line {first}")
            else:
                first_with[section.name] = line
        return Cluster(
            name=section.name,
            url=section.url,
            api=section.api,
            cluster_id=section.cluster_id or "",
            project_id=section.project_id or "",
            region_id=section.region_id or "",
            api_key=self._key(section, path),
            databases=section.databases,
            tls=self._tls(section, path),
            **{
                name: getattr(section, name) if name in section.model_fields_set else defaults[name]
                for name in OVERRIDES
            },
        )

    def _key(self, section: ClusterSection, path: Path) -> SecretStr:
        if section.api_key_file:
            try:
                return self._files.key(section.api_key_file)
            except UnreadableError as error:
                self.add((*path, "api_key_file"), str(error))
        return section.api_key or SecretStr("")

    def _tls(self, section: ClusterSection, path: Path) -> Tls:
        tls = section.tls
        found: dict[str, pathlib.Path] = {}
        holds: Mapping[str, Pem] = {"ca_file": "certificate", "cert_file": "certificate", "key_file": "private key"}
        for name, what in holds.items():
            written = getattr(tls, name)
            if written:
                if problem := self._files.problem(written, what):
                    self.add((*path, "tls", name), problem)
                found[name] = self._files.path(written)
        return Tls(**found, insecure_skip_verify=tls.insecure_skip_verify)
