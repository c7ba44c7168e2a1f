"""From the text of a config file to a `Config`, or to every problem it has."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import SecretStr, ValidationError

from monitor.config.document import Node, RefusedDocumentError, line_of, read_document
from monitor.config.environment import UNRESOLVED, Resolver
from monitor.config.files import MAX_CONFIG_BYTES, NamedFiles, UnreadableError, read_text
from monitor.config.model import MAX_CLUSTERS, OVERRIDES, ClusterSection, ConfigFile, ProcessSettings, Section
from monitor.config.problems import Path, Report, nearest
from monitor.config.rules import violations
from monitor.config.settings import Cluster, Config, Tls
from monitor.config.values import UnresolvedError

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

_STAND_INS: Final = {"name": "-", "url": "http://invalid"}
"""For required settings that are missing or wrong, so that the rest of the cluster can still be checked."""

MAX_SUGGESTIONS: Final = 1000
"""Problems after which nearest keys are no longer looked for; only the first few problems are shown anyway."""

SectionT = TypeVar("SectionT", bound=Section)


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
    config = _Reader(root, NamedFiles(directory), report).config(environ) if root else None
    if config is None or report:
        raise report.error()
    return config


class _Reader:
    """Reads one document: problems go to the report, and the reading goes on."""

    def __init__(self, root: Node, files: NamedFiles, report: Report) -> None:
        self._root = root
        self._files = files
        self._report = report

    def config(self, environ: Mapping[str, str]) -> Config | None:
        """Return the config, which is only worth something when the report stayed empty."""
        document = Resolver(environ, self._report).resolve(self._root)
        if not isinstance(document, dict):
            if document is not UNRESOLVED:
                self._report.add(self._root.line, (), "the file must be a mapping of settings, with a list of clusters")
            return None
        process = {key: value for key, value in document.items() if key != "clusters"}
        settings, broken = self._section(ProcessSettings, process, (), ConfigFile)
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
        )

    def _state_url(self, url: str) -> str:
        """Return where the state is kept, a file's path counted from the config file's directory."""
        scheme, slashes, path = url.partition(":///")
        return f"{scheme}{slashes}{self._files.path(path).absolute()}" if scheme == "sqlite" else url

    def _clusters(self, raw: Any, defaults: Mapping[str, Any]) -> list[Cluster]:
        if raw is UNRESOLVED:
            return []
        if not raw:
            self._add(("clusters",), "is required; list at least one cluster, with its name and url")
            return []
        if not isinstance(raw, list):
            self._add(("clusters",), "must be a list of clusters (- name: …)")
            return []
        if len(raw) > MAX_CLUSTERS:
            self._add(("clusters",), f"lists {len(raw):,} clusters; {MAX_CLUSTERS:,} is the most")
            return []
        clusters = []
        first_with: dict[str, int] = {}
        for index, item in enumerate(raw):
            path: Path = ("clusters", index)
            if isinstance(item, dict):
                clusters.append(self._cluster(item, path, defaults, first_with))
            elif item is not UNRESOLVED:
                self._add(path, "must be a mapping with at least name and url")
        return clusters

    def _cluster(
        self, raw: dict[str, Any], path: Path, defaults: Mapping[str, Any], first_with: dict[str, int]
    ) -> Cluster:
        section, broken = self._section(ClusterSection, raw, path, ClusterSection)
        for setting, text in violations(section, broken):
            self._add((*path, *setting), text)
        if "name" not in broken:
            line = self._line((*path, "name"))
            if section.name in first_with:
                first = first_with[section.name]
                self._add((*path, "name"), f"must be unique, and is already given on line {first}")
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
                self._add((*path, "api_key_file"), str(error))
        return section.api_key or SecretStr("")

    def _tls(self, section: ClusterSection, path: Path) -> Tls:
        tls = section.tls
        found: dict[str, pathlib.Path] = {}
        for name in ("ca_file", "cert_file", "key_file"):
            written = getattr(tls, name)
            if written:
                if problem := self._files.problem(written):
                    self._add((*path, "tls", name), problem)
                found[name] = self._files.path(written)
        return Tls(**found, insecure_skip_verify=tls.insecure_skip_verify)

    def _section(
        self, model: type[SectionT], raw: dict[str, Any], path: Path, shape: type[Section]
    ) -> tuple[SectionT, frozenset[str]]:
        """Check a mapping setting by setting.

        Args:
            model: What is checked.
            raw: The mapping.
            path: Where it stands.
            shape: Where the known keys are, which may be more than those of `model`.

        Returns:
            The section, and the keys that are wrong, missing or probably meant by a mistyped one; those have defaults.
        """
        try:
            return model.model_validate(raw), frozenset()
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        broken = self._explain(details, path, shape)
        kept = {key: value for key, value in raw.items() if key in model.model_fields and key not in broken}
        stand_ins = _STAND_INS if model is ClusterSection else {}
        return model.model_validate({**stand_ins, **kept}), broken

    def _explain(self, details: list[ErrorDetails], path: Path, shape: type[Section]) -> frozenset[str]:
        broken: set[str] = set()
        for detail in details:
            if detail["type"] == "extra_forbidden":
                broken |= self._unknown_key(detail["loc"], path, shape)
        for detail in details:
            location = detail["loc"]
            if detail["type"] == "missing" and location[0] not in broken:
                self._add((*path, *location), "is required")
            elif detail["type"] == "value_error":
                reason = detail["ctx"]["error"]
                if not isinstance(reason, UnresolvedError):
                    self._add((*path, *location), str(reason))
            broken.add(str(location[0]))
        return frozenset(broken)

    def _unknown_key(self, location: Path, path: Path, shape: type[Section]) -> set[str]:
        """Report an unknown key, and return the top-level keys that are in doubt because of it."""
        known = _known_keys(shape, location[:-1])
        key = str(location[-1])
        meant = nearest(key, known) if len(self._report) < MAX_SUGGESTIONS else None
        advice = f'did you mean "{meant}"?' if meant else f"the keys known here are {', '.join(known)}"
        self._add((*path, *location), f"unknown key; {advice}")
        return {meant} if meant and len(location) == 1 else set()

    def _add(self, path: Path, text: str) -> None:
        self._report.add(self._line(path), path, text)

    def _line(self, path: Path) -> int:
        return line_of(self._root, path)


def _known_keys(shape: type[Section], location: Path) -> tuple[str, ...]:
    model: Any = shape
    for name in location:
        model = model.model_fields[name].annotation
    # A cluster's own keys first: they are the ones that somebody who writes a cluster looks for.
    return tuple(sorted(model.model_fields, key=OVERRIDES.__contains__))
