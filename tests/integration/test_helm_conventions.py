"""What the charts of the Prometheus community offer, in this one: rendered by Helm, held to Kubernetes' schemas."""

import json
import subprocess
import sys
from functools import cache

import kubernetes_validate
import pytest
import yaml

from monitor.cli.healthcheck import healthcheck
from tests.grafana import FOLDER as DASHBOARDS
from tests.helm import CHART, Rendered, helm, render

CONFIG = {"clusters": [{"name": "books", "url": "http://milvus:19530"}]}
OUTSIDE = ("monitoring.coreos.com", "gateway.networking.k8s.io")
"""Groups of kinds that Kubernetes itself does not know."""

SETS = {
    "dashboards": {
        "dashboards": {"enabled": True, "namespace": "grafana", "folder": "Milvus", "annotations": {"a": "b"}},
        "global": {"imageRegistry": "mirror.example.com:5000", "imagePullSecrets": [{"name": "mirror"}]},
        "image": {"registry": "registry.example.com", "digest": "sha256:" + "0" * 64},
        "imagePullSecrets": [{"name": "own"}],
        "namespaceOverride": "imports",
    },
    "ingress": {
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "annotations": {"a": "b"},
            "hosts": [{"host": "ops.example.com", "paths": [{"path": "/imports"}]}, {"host": "imports.example.com"}],
            "tls": [{"secretName": "ops", "hosts": ["ops.example.com", "imports.example.com"]}],
        },
        "service": {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"], "labels": {"c": "d"}},
        "dashboards": {"enabled": True},
        "prometheusRule": {
            "enabled": True,
            "additionalRuleLabels": {"team": "search"},
            "disabled": {"MilvusImportWatchdog": True},
        },
    },
    "route": {
        "httpRoute": {
            "enabled": True,
            "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
            "hostnames": ["imports.example.com"],
        },
        "service": {"type": "NodePort", "nodePort": 30595},
        "networkPolicy": {"from": [{"podSelector": {}}]},
    },
    "further objects": {
        "extraContainers": [{"name": "proxy", "image": "proxy:1", "args": ["--name={{ .Release.Name }}"]}],
        "extraInitContainers": [{"name": "wait", "image": "busybox:1"}],
        "extraArgs": ["--log-level=debug"],
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}, "data": {}},
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-text\ndata: {}\n",
        ],
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["milvus"]}],
        "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
        "annotations": {"reloader.stakater.com/auto": "true"},
    },
    "OpenShift": {"openshift": True},
    "a user of the image": {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}},
    "a client certificate": {"web": {"tlsSecret": "tls", "probe": "tcp"}},
}


@cache
def rendered(name: str) -> Rendered:
    return render({"config": CONFIG} | SETS[name])


@pytest.mark.parametrize("name", SETS)
def test_kubernetes_would_take_every_manifest_and_helm_finds_nothing_wrong(name):
    chart = rendered(name)

    assert chart.findings == []
    for manifest in chart.manifests:
        if not manifest["apiVersion"].startswith(OUTSIDE):
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_the_schema_is_one_and_takes_the_values_of_every_set(tmp_path):
    schema = CHART / "values.schema.json"
    files = []
    for number, values in enumerate(SETS.values()):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(yaml.safe_dump({"config": CONFIG} | values))
    for arguments in (["--check-metaschema", schema], ["--schemafile", schema, *files]):
        check = [sys.executable, "-m", "check_jsonschema", *map(str, arguments)]
        done = subprocess.run(check, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_dashboard_is_there_for_the_sidecar_as_grafana_would_import_it():
    for path in DASHBOARDS.glob("*.json"):
        made = rendered("dashboards").named("ConfigMap", f"demo-milvus-import-monitor-{path.stem}")

        assert made["metadata"]["namespace"] == "grafana"
        assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert made["metadata"]["annotations"] == {"grafana_folder": "Milvus", "a": "b"}
        assert json.loads(made["data"][f"milvus-import-{path.stem}.json"]) == json.loads(path.read_text())


def test_images_come_from_the_registry_of_all_charts_by_digest():
    pod = rendered("dashboards").pod()

    assert pod["containers"][0]["image"] == "mirror.example.com:5000/milvus-import-monitor@sha256:" + "0" * 64
    assert [secret["name"] for secret in pod["imagePullSecrets"]] == ["mirror", "own"]
    (deployment,) = rendered("dashboards").of("Deployment")
    assert deployment["metadata"]["namespace"] == "imports"


@pytest.mark.parametrize(
    ("name", "url"),
    [("ingress", "https://ops.example.com/imports"), ("route", "https://imports.example.com"), ("OpenShift", "")],
)
def test_the_monitor_its_alerts_and_dashboards_know_the_address_of_the_ingress(name, url):
    chart = rendered(name)
    config = yaml.safe_load(chart.files()["demo-milvus-import-monitor"]["config.yml"])

    assert config.get("external_url", "") == (f"{url}/" if url else "")
    assert (f"The status page is at {url}/" in chart.notes) == bool(url)
    for rule in chart.of("PrometheusRule"):
        assert rule["spec"]["groups"][-1]["rules"][0]["labels"] == {"monitor_url": url}
    for made in chart.of("ConfigMap"):
        if "grafana_dashboard" in made["metadata"]["labels"]:
            (text,) = made["data"].values()
            (variable,) = [one for one in json.loads(text)["templating"]["list"] if one["name"] == "monitor"]
            assert variable["query"] == url


def test_ingress_and_route_lead_to_the_service():
    (ingress,), (route,) = rendered("ingress").of("Ingress"), rendered("route").of("HTTPRoute")
    (service,) = rendered("route").of("Service")
    paths = [(rule["host"], path["path"], path) for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]

    assert [one[:2] for one in paths] == [("ops.example.com", "/imports"), ("imports.example.com", "/")]
    to = {"service": {"name": service["metadata"]["name"], "port": {"name": "http"}}}
    assert all(path["backend"] == to for *_, path in paths)
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"] == {
        "parentRefs": SETS["route"]["httpRoute"]["parentRefs"],
        "hostnames": ["imports.example.com"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": service["metadata"]["name"], "port": 19595}],
            }
        ],
    }


def test_alerts_can_be_labelled_and_left_out():
    (made,) = rendered("ingress").of("PrometheusRule")
    alerts = {rule["alert"]: rule for group in made["spec"]["groups"] for rule in group["rules"] if "alert" in rule}

    assert "MilvusImportWatchdog" not in alerts
    assert "MilvusImportMonitorAbsent" in alerts
    assert {rule["labels"]["team"] for rule in alerts.values()} == {"search"}
    assert {rule["labels"]["severity"] for rule in alerts.values()} == {"critical", "warning"}


@pytest.mark.parametrize("name", ["OpenShift", "a user of the image"])
def test_openshift_assigns_the_user_and_the_groups(name):
    chart = rendered(name)
    (test,) = chart.of("Pod")
    for pod in (chart.pod(), test["spec"]):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & pod["securityContext"].keys()
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("name", SETS)
def test_the_test_of_helm_asks_the_service_and_is_none_of_its_pods(name):
    chart = rendered(name)
    (pod,), (service,) = chart.of("Pod"), chart.of("Service")
    (container,) = pod["spec"]["containers"]

    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert not service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    if name == "a client certificate":
        assert '("demo-milvus-import-monitor", 19595)' in container["args"][0]
        compile(container["args"][0], "the test", "exec")
    else:
        assert container["command"] == ["milvus-import-monitor", healthcheck.__name__]
        assert container["args"] == ["--url", "http://demo-milvus-import-monitor:19595"]
    for policy in chart.of("NetworkPolicy"):
        peers = [peer["podSelector"] for peer in policy["spec"]["ingress"][0].get("from", [])]
        assert (
            any(peer.get("matchLabels", {}).items() <= pod["metadata"]["labels"].items() for peer in peers) or not peers
        )


def test_further_objects_and_containers_can_name_the_release():
    chart = rendered("further objects")

    assert {"demo-more", "demo-text"} <= {one["metadata"]["name"] for one in chart.of("ConfigMap")}
    monitor, proxy = chart.pod()["containers"]
    assert proxy["args"] == ["--name=demo"]
    assert [one["name"] for one in chart.pod()["initContainers"]] == ["wait"]
    assert monitor["args"][-1] == "--log-level=debug"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"ingress": {"enabled": True}}, "ingress.hosts: an Ingress requires at least one host"),
        ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs: an HTTPRoute requires the Gateway"),
        ({"serviceMonitor": {"labels": {"a": "b"}}}, "additional properties 'labels' not allowed"),
        ({"prometheusRule": {"disabled": {"Watchdog": True}}}, "does not match pattern"),
        ({"podSecurityContext": {"runAsNonRoot": False}}, "runAsNonRoot"),
    ],
)
def test_what_cannot_work_is_refused(values, sentence):
    done = helm({"config": CONFIG} | values)

    assert done.returncode == 1
    assert sentence in done.stderr
