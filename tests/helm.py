"""The Helm chart, rendered by Helm's own engine, which is Go and stays in a process of its own."""

import json
import subprocess
import sys
from typing import Any, NamedTuple

import yaml

from tests.venvs import ROOT

CHART = ROOT / "deploy/helm/milvus-import-monitor"
Manifest = dict[str, Any]
Values = dict[str, Any]

_RENDER = """
import json, sys
import helm_python as helm

chart, values = sys.argv[1], json.load(sys.stdin)
try:
    with helm.Chart.load(chart) as loaded:
        manifests = loaded.render(values, name="demo", namespace="monitoring")
except helm.HelmError as error:
    sys.exit(str(error))
print(json.dumps({"manifests": manifests, "findings": helm.lint(chart, values)["messages"]}))
"""


class Rendered(NamedTuple):
    """What a chart makes of some values."""

    manifests: list[Manifest]
    notes: str
    findings: list[dict[str, Any]]

    def of(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def named(self, kind: str, name: str) -> Manifest:
        (found,) = [manifest for manifest in self.of(kind) if manifest["metadata"]["name"] == name]
        return found

    def pod(self) -> Manifest:
        (deployment,) = self.of("Deployment")
        return dict(deployment["spec"]["template"]["spec"])

    def files(self) -> dict[str, dict[str, str]]:
        """What the chart's own ConfigMaps and Secrets hold."""
        config = {manifest["metadata"]["name"]: manifest["data"] for manifest in self.of("ConfigMap")}
        return config | {manifest["metadata"]["name"]: manifest["stringData"] for manifest in self.of("Secret")}


def helm(values: Values) -> "subprocess.CompletedProcess[str]":
    """Render the chart as a release `demo` in the namespace `monitoring`, whether it succeeds or not."""
    return subprocess.run(
        [sys.executable, "-c", _RENDER, str(CHART)],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def render(values: Values) -> Rendered:
    """Render the chart; fails with Helm's words."""
    done = helm(values)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    texts = answer["manifests"]
    (notes,) = [text for name, text in texts.items() if name.endswith("NOTES.txt")]
    manifests = [yaml.safe_load_all(text) for name, text in texts.items() if not name.endswith("NOTES.txt")]
    return Rendered([one for several in manifests for one in several if one], notes, answer["findings"])
