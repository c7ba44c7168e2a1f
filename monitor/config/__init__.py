"""The config file: read, checked and resolved before anything runs.

`load` turns a YAML file into a frozen `Config` in which nothing is left to look up elsewhere, or raises a `ConfigError`
whose lines say where each mistake is and what is expected instead. No message ever holds the value of a setting that
may be a secret.
"""

from monitor.config.addresses import parse_listen, parse_state_url
from monitor.config.duration import format_duration, parse_duration
from monitor.config.loader import load, parse
from monitor.config.problems import ConfigError
from monitor.config.schema import json_schema
from monitor.config.settings import Api, Cluster, Config, LogFormat, LogLevel, Tls, WebConfig

__all__ = [
    "Api",
    "Cluster",
    "Config",
    "ConfigError",
    "LogFormat",
    "LogLevel",
    "Tls",
    "WebConfig",
    "format_duration",
    "json_schema",
    "load",
    "parse",
    "parse_duration",
    "parse_listen",
    "parse_state_url",
]
