"""From the text of a config file to a `Config`, or to every problem it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.config.errors import Report
from monitor.config.files import MAX_CONFIG_BYTES, LoadContext, decode, read_bytes
from monitor.config.schema import Config
from monitor.config.validation import read_settings

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

    from monitor.config.document import Document


def load(path: pathlib.Path, environ: Mapping[str, str]) -> Config:
    """Read a config file.

    Args:
        path: The file; relative paths in it count from its directory.
        environ: The variables for `${NAME}`.

    Raises:
        ConfigError: With everything that is wrong, up to a bound.
    """
    report = Report(str(path))
    text = ""
    try:
        text = decode(read_bytes(path, MAX_CONFIG_BYTES, regular=False))
    except ValueError as error:
        report.add(0, (), f"the config file {error}")
    # Raised here, because an error raised while another is handled would carry that one along.
    if report:
        raise report.error()
    return _config(text, report, LoadContext(path.parent, environ, path))


def parse(text: str, *, source: str, directory: pathlib.Path, environ: Mapping[str, str]) -> Config:
    """Read a config from text.

    Args:
        text: The YAML.
        source: Name of the text in messages.
        directory: Relative paths in it count from this.
        environ: The variables for `${NAME}`.

    Raises:
        ConfigError: With everything that is wrong, up to a bound.
    """
    return _config(text, Report(source), LoadContext(directory, environ))


def _config(text: str, report: Report, context: LoadContext) -> Config:
    config, document = read_settings(Config, text, context, report, "a list of clusters")
    if document:
        _check_names(document, report)
    if config is None or report:
        raise report.error()
    return config


def _check_names(document: Document, report: Report) -> None:
    """Report clusters with the name of another, also when something else is wrong with them."""
    clusters = document.data.get("clusters")
    lines: dict[str, int] = {}
    for index, cluster in enumerate(clusters if isinstance(clusters, list) else ()):
        name = cluster.get("name") if isinstance(cluster, dict) else None
        if not isinstance(name, str) or not name:
            continue
        path = ("clusters", index, "name")
        if name in lines:
            report.add(document.line(path), path, f"must be unique, and is already given on line {lines[name]}")
        lines.setdefault(name, document.line(path))
