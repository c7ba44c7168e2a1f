"""Labels of a cluster in its alerts: each case again, with a label of the cluster and labels of the targets."""

import re

import pytest

from tests.integration.test_rules import CASES, RULES, promtool

TARGET = ("namespace", "service", "container", "node", "host", "pod_template_hash")
"""Labels in which targets differ, besides those that the cases have already."""

ABOUT_CLUSTERS = [path for path in CASES if "milvus_cluster: " in path.read_text()]


def labelled(series: re.Match[str]) -> str:
    """A series as a monitor exports it of a cluster with a label, and as Prometheus stores it."""
    name, labels = series.groups()
    target = re.search(r'instance="(\w+)', labels)
    own = 'team="search", ' if "milvus_cluster=" in labels else ""
    return name + own + "".join(f'{label}="{target[1]}", ' for label in TARGET if target) + labels


def with_labels(cases: str) -> str:
    """A file of cases with a label on each series of a cluster and on each alert that is expected of one."""
    cases = re.sub(r"(series: '\w[\w:]*\{)(.*)", labelled, cases)
    return re.sub(r"(exp_labels: .*)\bmilvus_cluster:", r"\1team: search, milvus_cluster:", cases)


@pytest.mark.parametrize("path", ABOUT_CLUSTERS, ids=lambda path: path.stem)
def test_every_case_of_an_alert_comes_out_the_same_with_the_clusters_own_label(path, tmp_path):
    cases = with_labels(path.read_text())
    (tmp_path / path.name).write_text(cases.replace("../rules/milvus-import-monitor.yml", str(RULES)))

    fine, said = promtool("test", "rules", tmp_path / path.name)

    assert fine, said
    assert "team: search" in cases
