"""The Helm chart, rendered by Helm's own engine; what it renders is checked, and run.

There is no Kubernetes here: the manifests are held to its schemas, and
the container is played by the monitor itself, with the chart's arguments, variables, files and probes.
"""

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import urllib.request
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import bcrypt
import kubernetes_validate
import pytest
import yaml

from monitor.replicas import replica_name
from monitor.simulator import Lifecycle, World
from tests.chart_readme import README
from tests.chart_readme import current as current_readme
from tests.daemon import Daemon
from tests.daemon import command as monitor
from tests.fakes.simulator import SimulatorServer
from tests.helm import CHART, Rendered, helm, render
from tests.values_schema import PATH as SCHEMA
from tests.values_schema import current
from tests.venvs import ROOT, environment, missing

RULES = ROOT / "deploy/prometheus/rules/milvus-import-monitor.yml"
KUBERNETES = ("1.25", "1.31", kubernetes_validate.latest_version())
PASSWORD = "open-sesame"

OPERATOR = ("cloudcoil==0.6.0", "cloudcoil-models-prometheus-operator==0.80.1.0")
AS_THE_OPERATOR_READS_THEM = """
import json, sys
from cloudcoil.models.prometheus_operator import v1

read = [getattr(v1, given["kind"]).model_validate(given) for given in json.load(sys.stdin)]
print(json.dumps([one.model_dump(mode="json", by_alias=True, exclude_unset=True) for one in read]))
"""

BOOKS = {"name": "books", "url": "http://milvus:19530"}
CLOUD = {
    "name": "prod",
    "url": "https://api.cloud.zilliz.com",
    "cluster_id": "in01-0123456789abcdef",
    "api_key_file": "/etc/milvus-import-monitor/keys/zilliz",
    "interval": "10s",
}
PEERS = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}]
USERS = {"prometheus": bcrypt.hashpw(PASSWORD.encode(), b"$2b$04$N9qo8uLOickgx2ZMRZoMye").decode()}
TLS = {
    name: f"/etc/milvus-import-monitor/tls/{file}" for name, file in (("cert_file", "tls.crt"), ("key_file", "tls.key"))
}

SETS: dict[str, dict[str, Any]] = {
    "the least": {"config": {"clusters": [BOOKS]}},
    "clusters that are found": {"config": {"discovery": [{"zilliz": {"api_key": "${ZILLIZ_API_KEY}"}}]}},
    "everything": {
        "image": {"repository": "registry.example.com/monitor", "digest": "sha256:" + "0" * 64, "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "labels": {"team": "search"},
        "config": {
            "log": {"format": "json", "level": "debug"},
            "poll": {"interval": "1m", "active_interval": "5s"},
            "jobs": {"stall_after": "1h30m"},
            "state": {"retention": "90d"},
            "clusters": [CLOUD, BOOKS | {"api_key": "root:${MILVUS_PASSWORD}"}],
        },
        "keys": {"files": {"zilliz": "a-key"}},
        "env": [{"name": "MILVUS_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "milvus", "key": "password"}}}],
        "envFrom": [{"secretRef": {"name": "more"}}],
        "state": {
            "volume": {"storageClass": "fast", "size": "5Gi", "annotations": {"helm.sh/resource-policy": "keep"}}
        },
        "web": {
            "config": {"tls_server_config": TLS, "basic_auth_users": USERS},
            "tlsSecret": "monitor-tls",
            "probe": "healthcheck",
            "probeUser": {"name": "prometheus", "existingSecret": "monitor-password"},
        },
        "listenAddress": "[::]",
        "service": {"annotations": {"a": "b"}},
        "serviceAccount": {"annotations": {"c": "d"}},
        "networkPolicy": {"from": PEERS, "egress": [{"ports": [{"port": 443, "protocol": "TCP"}]}]},
        "serviceMonitor": {
            "enabled": True,
            "namespace": "observability",
            "additionalLabels": {"release": "prometheus"},
            "sampleLimit": 100000,
            "targetLabels": ["team"],
            "podTargetLabels": ["g"],
            "tlsConfig": {"ca": {"secret": {"name": "monitor-tls", "key": "ca.crt"}}, "serverName": "monitor"},
            "basicAuth": {
                "username": {"name": "monitor-password", "key": "username"},
                "password": {"name": "monitor-password", "key": "password"},
            },
            "relabelings": [{"targetLabel": "region", "replacement": "eu"}],
            "metricRelabelings": [{"action": "labeldrop", "regex": "database"}],
        },
        "prometheusRule": {
            "enabled": True,
            "namespace": "observability",
            "additionalLabels": {"release": "prometheus"},
            "runbooksUrl": "https://git.example.com/docs/runbooks",
            "runbooksSuffix": ".md",
            "groups": [
                {"name": "mine", "rules": [{"record": "milvus_import:max_import_age:seconds", "expr": "vector(1)"}]}
            ],
        },
        "podAnnotations": {"e": "f"},
        "podLabels": {"g": "h"},
        "priorityClassName": "important",
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "volumes": [{"name": "ca", "configMap": {"name": "corporate-ca"}}],
        "volumeMounts": [{"name": "ca", "mountPath": "/etc/milvus-import-monitor/ca", "readOnly": True}],
    },
    "existing secrets": {
        "config": {"clusters": [CLOUD]},
        "keys": {"existingSecret": "zilliz"},
        "web": {"existingSecret": "monitor-web", "probe": "tcp"},
        "state": {"volume": {"existingClaim": "state"}},
        "serviceAccount": {"create": False},
    },
    "PostgreSQL and replicas": {
        "replicas": 3,
        "config": {"clusters": [BOOKS]},
        "state": {"postgresql": {"existingSecret": "database"}},
    },
    "a password, nothing kept": {
        "config": {"clusters": [BOOKS]},
        "state": {"volume": {"enabled": False}},
        "web": {
            "config": {"basic_auth_users": USERS},
            "probe": "healthcheck",
            "probeUser": {"name": "prometheus", "existingSecret": "monitor-password"},
        },
        "networkPolicy": {"enabled": False},
    },
    "only TLS": {
        "config": {"clusters": [BOOKS]},
        "web": {"config": {"tls_server_config": TLS}, "tlsSecret": "monitor-tls"},
    },
}


@cache
def rendered(name: str) -> Rendered:
    return render(SETS[name])


@pytest.fixture(params=SETS)
def chart(request: pytest.FixtureRequest) -> Rendered:
    return rendered(request.param)


def test_helm_finds_nothing_wrong(chart):
    assert [finding["error"] for finding in chart.findings] == []


def test_kubernetes_would_take_every_manifest(chart):
    own = [manifest for manifest in chart.manifests if not manifest["apiVersion"].startswith("monitoring.coreos.com")]

    assert own
    for manifest in own:
        for version in KUBERNETES:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_the_least_makes_what_it_must_and_no_more():
    kinds = sorted(manifest["kind"] for manifest in rendered("the least").manifests)

    assert kinds == [
        "ConfigMap",
        "Deployment",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "Pod",
        "Service",
        "ServiceAccount",
    ]


def test_the_operator_would_take_its_kinds():
    given = rendered("everything").of("ServiceMonitor") + rendered("everything").of("PrometheusRule")
    done = subprocess.run(
        [environment("prometheus-operator", *OPERATOR), "-c", AS_THE_OPERATOR_READS_THEM],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    assert [one["kind"] for one in given] == ["ServiceMonitor", "PrometheusRule"]
    assert json.loads(done.stdout) == given  # nothing is left out: a field that the operator does not know would be


def test_the_service_monitor_finds_the_service_and_gives_the_job_its_name():
    (scrape,), (service,) = rendered("everything").of("ServiceMonitor"), rendered("everything").of("Service")
    (endpoint,) = scrape["spec"]["endpoints"]

    assert scrape["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] == service["spec"]["ports"][0]["name"]
    assert (endpoint["scheme"], endpoint["path"]) == ("https", "/metrics")
    assert {"targetLabel": "job", "replacement": "milvus-import-monitor"} in endpoint["relabelings"]


def test_the_rules_are_those_of_prometheus():
    assert (CHART / "files/rules.yml").read_text() == RULES.read_text()

    (rule,) = rendered("everything").of("PrometheusRule")
    own = yaml.safe_load(RULES.read_text())["groups"]
    *groups, runbooks = rule["spec"]["groups"]
    assert groups == own + SETS["everything"]["prometheusRule"]["groups"]
    (record,) = runbooks["rules"]
    assert record["record"] == "milvus_import:settings:info"
    assert record["labels"] == {"runbooks_url": "https://git.example.com/docs/runbooks", "runbooks_suffix": ".md"}


def test_the_service_finds_the_pods(chart):
    (service,), (deployment,) = chart.of("Service"), chart.of("Deployment")
    (container,) = chart.pod()["containers"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]

    assert service["spec"]["selector"].items() <= labels.items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    for policy in chart.of("NetworkPolicy"):
        assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
        assert policy["spec"]["ingress"][0]["ports"] == [{"port": container["ports"][0]["name"], "protocol": "TCP"}]


def test_the_pod_meets_the_restricted_profile(chart):
    pod = chart.pod()
    security = pod["securityContext"]
    (container,) = pod["containers"]
    own = container["securityContext"]

    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"} & pod.keys()
    kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == 65532
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not any("hostPort" in port for port in container["ports"])
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


def test_every_mount_has_its_volume_and_none_lies_in_another(chart):
    pod = chart.pod()
    mounts = pod["containers"][0]["volumeMounts"]
    paths = [Path(mount["mountPath"]) for mount in mounts]

    assert sorted(mount["name"] for mount in mounts) == sorted(volume["name"] for volume in pod["volumes"])
    assert not [(one, other) for one in paths for other in paths if one in other.parents]
    assert [mount["mountPath"] for mount in mounts if not mount.get("readOnly")] == ["/var/lib/milvus-import-monitor"]


def test_one_monitor_leaves_before_the_next_comes_unless_they_share_a_database():
    alone, shared = rendered("the least"), rendered("PostgreSQL and replicas")

    assert alone.of("Deployment")[0]["spec"]["strategy"] == {"type": "Recreate"}
    assert shared.of("Deployment")[0]["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }
    assert not alone.of("PodDisruptionBudget")
    assert shared.of("PodDisruptionBudget")[0]["spec"]["maxUnavailable"] == 1
    assert not shared.of("PersistentVolumeClaim")
    state = next(one for one in shared.pod()["containers"][0]["env"] if one["name"] == "MILVUS_IMPORT_MONITOR_STATE")
    assert state["valueFrom"] == {"secretKeyRef": {"name": "database", "key": "url"}}


def test_replicas_have_names_and_stand_on_several_nodes():
    alone, shared, own = (rendered(name).pod() for name in ("the least", "PostgreSQL and replicas", "everything"))
    labels = rendered("PostgreSQL and replicas").of("Deployment")[0]["spec"]["selector"]["matchLabels"]
    name = next(one for one in shared["containers"][0]["env"] if one["name"] == "POD_NAME")

    assert name["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert [one["topologyKey"] for one in shared["topologySpreadConstraints"]] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    assert all(one["labelSelector"]["matchLabels"] == labels for one in shared["topologySpreadConstraints"])
    assert "topologySpreadConstraints" not in alone
    assert own["topologySpreadConstraints"] == SETS["everything"]["topologySpreadConstraints"]


def test_the_monitors_know_a_replica_by_the_name_of_its_pod():
    assert replica_name({"POD_NAME": "monitor-7d9f-abcde"}) == "monitor-7d9f-abcde"


def test_what_is_there_already_is_taken_and_not_made():
    chart = rendered("existing secrets")
    volumes = {volume["name"]: volume for volume in chart.pod()["volumes"]}

    assert not chart.of("Secret") + chart.of("PersistentVolumeClaim") + chart.of("ServiceAccount")
    assert volumes["keys"]["secret"]["secretName"] == "zilliz"
    assert volumes["web"]["secret"]["secretName"] == "monitor-web"
    assert volumes["state"]["persistentVolumeClaim"] == {"claimName": "state"}


def test_no_key_stands_outside_a_secret():
    chart = rendered("everything")
    others = [manifest for manifest in chart.manifests if manifest["kind"] != "Secret"]

    assert chart.files()["demo-milvus-import-monitor-keys"] == {"zilliz": "a-key"}
    assert "a-key" not in json.dumps(others)
    assert USERS["prometheus"] not in json.dumps(others)


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({}, set()),
        ({"podLabels": {"g": "i"}}, set()),
        ({"config": {"clusters": [BOOKS]}}, {"checksum/config"}),
        ({"keys": {"files": {"zilliz": "another-key"}}}, {"checksum/secrets"}),
    ],
)
def test_a_new_config_or_key_makes_new_pods(change, changed):
    def annotations(values: Rendered) -> dict[str, str]:
        (deployment,) = values.of("Deployment")
        return deployment["spec"]["template"]["metadata"]["annotations"]

    before, after = annotations(rendered("everything")), annotations(render(SETS["everything"] | change))

    assert {name for name in before if before[name] != after[name]} == changed


REFUSED = {
    "no clusters": ({"config": {}}, "at '/config': missing property 'clusters'"),
    "an empty list of clusters": ({"config": {"clusters": []}}, "at '/config/clusters': minItems: got 0, want 1"),
    "a typo": ({"replica": 2}, "additional properties 'replica' not allowed"),
    "a typo within": ({"service": {"prot": 1}}, "at '/service': additional properties 'prot' not allowed"),
    "a typo in the config": ({"config": {"clusters": [BOOKS | {"ulr": "x"}]}}, "properties 'ulr' not allowed"),
    "no duration": ({"config": {"clusters": [BOOKS | {"interval": ""}]}}, "minLength: got 0, want 1"),
    "a key in plain text": ({"config": {"clusters": [BOOKS | {"api_key": "k"}]}}, "'/config/clusters/0/api_key'"),
    "a key of an account in plain text": (
        {"config": {"discovery": [{"zilliz": {"api_key": "k"}}]}},
        "'/config/discovery/0/zilliz",
    ),
    "what the chart decides": ({"config": {"clusters": [BOOKS], "listen": ":1"}}, "properties 'listen' not allowed"),
    "a number as text": ({"replicas": "2"}, "at '/replicas': got string, want integer"),
    "replicas on SQLite": ({"replicas": 2}, "replicas: more than one replica requires a shared state"),
    "two sources of keys": ({"keys": {"existingSecret": "a", "files": {"b": "c"}}}, "mutually exclusive"),
    "two web configs": ({"web": {"existingSecret": "a", "config": {"basic_auth_users": USERS}}}, "mutually exclusive"),
    "a password in plain text": (
        {"web": {"config": {"basic_auth_users": {"a": "b"}}}},
        "'/web/config/basic_auth_users/a'",
    ),
    "probes without a password": ({"web": {"config": {"basic_auth_users": USERS}}}, "set web.probe to healthcheck"),
    "probes without a certificate": (
        {"web": {"config": {"tls_server_config": TLS | {"client_auth_type": "RequireAndVerifyClientCert"}}}},
        "set web.probe to tcp",
    ),
    "a user without a password": ({"web": {"probeUser": {"name": "a"}}}, "web.probeUser: existingSecret is missing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_values_are_refused_with_a_sentence(case):
    values, sentence = REFUSED[case]
    done = helm({"config": {"clusters": [BOOKS]}} | values)

    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_the_notes_say_what_to_do_next():
    assert "port-forward service/demo-milvus-import-monitor 19595:19595" in rendered("the least").notes
    assert "No ServiceMonitor was created" in rendered("the least").notes
    assert "https://127.0.0.1:19595/metrics" in rendered("everything").notes
    assert "watches 2 clusters of Zilliz Cloud or Milvus." in rendered("everything").notes
    assert "watches the clusters that it finds." in rendered("clusters that are found").notes
    assert "milvus-import-monitor discover" in rendered("clusters that are found").notes
    assert "The state is not persistent" in rendered("a password, nothing kept").notes
    assert "rollout restart" in rendered("existing secrets").notes


def test_the_schema_knows_the_config_as_the_project_does():
    schema = json.loads(SCHEMA.read_text())

    assert schema == current(schema), "write it anew: python -m tests.values_schema"


def test_the_schema_knows_every_value_and_no_other():
    def compare(values: dict[str, Any], schema: dict[str, Any], path: str) -> None:
        assert values.keys() == schema["properties"].keys(), path
        # Parts of global belong to other charts, and a security context is an object of Kubernetes.
        open_for_more = path in {"global.", "podSecurityContext."}
        assert schema.get("additionalProperties", True) is open_for_more, path
        for name, value in values.items():
            inner = schema["properties"][name]
            if value and isinstance(value, dict) and "properties" in inner:
                compare(value, inner, f"{path}{name}.")

    compare(yaml.safe_load((CHART / "values.yaml").read_text()), json.loads(SCHEMA.read_text()), "")


def test_the_readme_describes_every_value():
    text = README.read_text()

    assert text == current_readme(text), "write it anew: python -m tests.chart_readme"


def test_the_chart_is_of_this_version():
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    init = subprocess.run(monitor("--version"), capture_output=True, text=True, check=True).stdout

    assert init.split()[-1] == about["version"] == about["appVersion"]


def unpacked(chart: Rendered, root: Path, secrets: dict[str, dict[str, str]]) -> tuple[list[str], dict[str, str]]:
    """Write the container's files below a folder, as the kubelet would; return its arguments and its variables.

    Every path in them lies below that folder too.
    """
    files = chart.files() | secrets

    def below(text: str) -> str:
        return re.sub(r"/(etc|var/lib)/milvus-import-monitor", rf"{root}\g<0>", text)

    (container,) = chart.pod()["containers"]
    volumes = {volume["name"]: volume for volume in chart.pod()["volumes"]}
    for mount in container["volumeMounts"]:
        folder = Path(below(mount["mountPath"]))
        folder.mkdir(parents=True)
        source = volumes[mount["name"]]
        name = source.get("configMap", {}).get("name") or source.get("secret", {}).get("secretName")
        for file, text in files[name].items() if name else ():
            (folder / file).write_text(below(text))
    return [below(one) for one in container["args"]], {one["name"]: below(one["value"]) for one in container["env"]}


@pytest.mark.parametrize("name", ["the least", "existing secrets", "everything"])
def test_the_monitor_takes_the_config_that_the_chart_writes(name, tmp_path):
    values = deepcopy(SETS[name])
    for variable in values.get("env", []):
        variable.pop("valueFrom")
        variable["value"] = "secret"
    secrets = {"zilliz": {"zilliz": "key"}, "monitor-web": {"web.yml": yaml.safe_dump({"basic_auth_users": USERS})}}
    secrets |= {"monitor-tls": certificate(tmp_path), "monitor-password": {"password": PASSWORD}, "corporate-ca": {}}
    arguments, variables = unpacked(render(values), tmp_path, secrets)
    config = arguments[arguments.index("-c") + 1]
    done = subprocess.run(
        monitor("check-config", "-c", config), capture_output=True, text=True, env=os.environ | variables, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    clusters = len(values["config"]["clusters"])
    assert done.stdout == f"{config}: valid, {clusters} cluster{'s' * (clusters > 1)}\n"


@pytest.mark.parametrize("name", ["the least", "a password, nothing kept", "only TLS"])
def test_the_probes_come_in_where_the_container_runs(name, tmp_path):
    world = World()
    world.add_cluster("books", generation="milvus").add_job(
        collection="novels", lifecycle=Lifecycle.frozen("Importing", 40)
    )
    secrets = {"monitor-tls": certificate(tmp_path), "monitor-password": {"password": PASSWORD}}
    with SimulatorServer(world) as server:
        cluster = {"name": "books", "url": f"{server.url}/clusters/books"}
        chart = render(SETS[name] | {"config": {"log": {"format": "json"}, "clusters": [cluster]}})
        arguments, variables = unpacked(chart, tmp_path, secrets)
        variables |= {"MILVUS_IMPORT_MONITOR_LISTEN": "127.0.0.1:0"}
        with subprocess.Popen(
            monitor(*arguments), stderr=subprocess.PIPE, text=True, env=os.environ | variables
        ) as process:
            daemon = Daemon(process)
            try:
                daemon.url = daemon.wait_for("monitor_started")["listen"]
                daemon.wait_for("cluster_baseline")
                (container,) = chart.pod()["containers"]
                answers = {
                    probe: probed(container[probe], daemon.url, variables)
                    for probe in ("startupProbe", "readinessProbe", "livenessProbe")
                }
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=60)

    assert answers == {"startupProbe": "healthy\n", "readinessProbe": "ready\n", "livenessProbe": "healthy\n"}


def probed(probe: dict[str, Any], url: str, variables: dict[str, str]) -> str:
    """Ask as the kubelet would."""
    if "httpGet" in probe:
        get = probe["httpGet"]
        assert url.startswith(get["scheme"].lower() + "://")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # a kubelet does not look at certificates
        with urllib.request.urlopen(url + get["path"], context=context, timeout=30) as answer:
            return answer.read().decode()
    program, *arguments = probe["exec"]["command"]
    assert program == "milvus-import-monitor"
    arguments = [url if one.endswith("://127.0.0.1:19595") else one for one in arguments]
    done = subprocess.run(
        monitor(*arguments), capture_output=True, text=True, env=os.environ | variables, timeout=60, check=False
    )
    return done.stdout + done.stderr


def certificate(folder: Path) -> dict[str, str]:
    """A Secret of the type kubernetes.io/tls."""
    if shutil.which("openssl") is None:
        missing("certificates are made with openssl")
    key, issued = folder / "made.key", folder / "made.crt"
    made = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=monitor",
    ]
    subprocess.run(
        ["openssl", *made, "-subj", "/CN=monitor", "-keyout", key, "-out", issued], check=True, capture_output=True
    )
    return {"tls.crt": issued.read_text(), "tls.key": key.read_text()}
