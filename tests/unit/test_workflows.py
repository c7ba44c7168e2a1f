"""The files that GitHub, renovate and a release read."""

import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]


@pytest.mark.parametrize(
    ("schema", "files"),
    [("vendor.github-workflows", WORKFLOWS), ("vendor.renovate", [ROOT / "renovate.json"])],
    ids=["workflows", "renovate"],
)
def test_the_files_are_of_their_schema(schema, files):
    check = Path(sysconfig.get_path("scripts")) / "check-jsonschema"
    done = subprocess.run(
        [check, "--builtin-schema", schema, *files], capture_output=True, text=True, timeout=100, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_pinned_limited_and_use_no_stored_secret(path):
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)

    assert all(re.fullmatch(r"v\d+\.\d+\.\d+|[0-9a-f]{40}", ref) for ref in re.findall(r"uses: \S+@(\S+)", text))
    assert set(re.findall(r"secrets\.\w+", text)) <= {"secrets.GITHUB_TOKEN"}
    assert workflow["permissions"] == {}
    assert all("timeout-minutes" in job and "permissions" in job for job in workflow["jobs"].values())


def test_the_workflow_tests_each_python_that_the_package_supports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    supported = [one.rsplit(" ", 1)[1] for one in project["classifiers"] if re.search(r":: 3\.\d+$", one)]
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())

    assert workflow["jobs"]["unit"]["strategy"]["matrix"]["python"] == supported
    assert f"python:{supported[-1]}-" in (ROOT / "Dockerfile").read_text()


def test_a_release_finds_one_version_everywhere():
    """As the first step of release.yml does, but for the changelog, which has no release before the tag."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((ROOT / "deploy/helm/milvus-import-monitor/Chart.yaml").read_text())

    assert f"\nARG VERSION={version}\n" in (ROOT / "Dockerfile").read_text()
    assert str(chart["version"]) == str(chart["appVersion"]) == version


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_for_issues_asks_each_question_once(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    questions = [field["id"] for field in form["body"] if field["type"] != "markdown"]

    assert {"name", "description", "body"} <= set(form)
    assert len(questions) == len(set(questions)) > 0
