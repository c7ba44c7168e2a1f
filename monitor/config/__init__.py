"""The config file: read, checked and resolved before anything runs.

`load` turns a YAML file into a frozen `Config` in which nothing is left to look up elsewhere, or raises a `ConfigError`
whose lines name each mistake's file, line and key, and what is expected instead. No message ever contains the value of
a setting that may be a secret.
"""

from monitor.config.addresses import Address, parse_listen, parse_path_prefix, parse_state_url
from monitor.config.cluster import Api, Cluster, Tls
from monitor.config.discovery import ClusterFilter, Discovery, Inventory, ZillizAccount
from monitor.config.errors import ConfigError
from monitor.config.expectations import Expectation
from monitor.config.labels import RESERVED_LABELS, TARGET_LABELS
from monitor.config.loader import json_schema, load, parse
from monitor.config.schema import Config, LogFormat, LogLevel
from monitor.config.setting_types import (
    ALL_DATABASES,
    DURATION_PATTERN,
    MAX_ITEMS,
    format_duration,
    parse_duration,
    read_api_key,
    read_state_url,
)
from monitor.config.web_config import WebConfig, load_web

__all__ = [
    "ALL_DATABASES",
    "DURATION_PATTERN",
    "MAX_ITEMS",
    "RESERVED_LABELS",
    "TARGET_LABELS",
    "Address",
    "Api",
    "Cluster",
    "ClusterFilter",
    "Config",
    "ConfigError",
    "Discovery",
    "Expectation",
    "Inventory",
    "LogFormat",
    "LogLevel",
    "Tls",
    "WebConfig",
    "ZillizAccount",
    "format_duration",
    "json_schema",
    "load",
    "load_web",
    "parse",
    "parse_duration",
    "parse_listen",
    "parse_path_prefix",
    "parse_state_url",
    "read_api_key",
    "read_state_url",
]
