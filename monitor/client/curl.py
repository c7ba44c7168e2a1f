"""Commands for people who have to act on a job: to inspect, commit or abort it, or to import again.

The monitor runs none of them. Each is a curl command for a POSIX shell, with environment variables in place of secrets.
Names come from servers: in a body every unusual character is a JSON escape, so that no text ends a quotation, expands
in a shell, or controls a terminal.

Sources: handler_v2.go of Milvus, pymilvus.bulk_writer (commit_import, abort_import), Milvus pull requests 48524 and
52544, and the import API of Zilliz Cloud.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from monitor.config import Cluster
from monitor.jobs import Job, JobState

KEY_VARIABLE: Final = "MILVUS_API_KEY"
"""The environment variable in which the commands expect the API key, or `user:password`."""

_KEY_LENGTH: Final = 200
"""Characters of a job's id in an idempotency key, of which Milvus accepts 256."""

_FILES: Final = 100
"""Files that a command names; those of a job with more have to be entered."""

_ONE_PATH: Final = re.compile(r"\[[^\s\[\]]+\]")
_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9 _.:/@%+,=~-]", re.ASCII)
_IMPORT_V2: Final = "/v2/vectordb/jobs/import"
_IMPORT_V1: Final = "/v1/vector/collections/import"
_TASK_ID: Final = re.compile(r"\d{1,19}", re.ASCII)

_NO_COMMIT: Final = "has no request to commit or abort a job."


class Command(msgspec.Struct, frozen=True):
    """A command, or why there is none."""

    title: str
    command: str  # empty if the API has no such request
    note: str  # what to know before it is run; may be empty


class _Variable(msgspec.Struct, frozen=True):
    """An environment variable in a body."""

    name: str


def commands(cluster: Cluster, job: Job, files: Sequence[str] = ()) -> tuple[Command, ...]:
    """Return the commands for a job that something has to be done about; none for any other.

    ``files`` are the names of its files as the server reports them, where they are known.
    """
    if job.state in {JobState.FAILED, JobState.VANISHED} or job.incomplete:
        return (_import_again(cluster, job, files),)
    if job.state is JobState.UNCOMMITTED:
        return _decide(cluster, job)
    if job.stalled:
        abort = () if job.state is JobState.COMMITTING else _abort_stalled(cluster, job)
        return (*_show(cluster, job), *abort)
    return ()


def _decide(cluster: Cluster, job: Job) -> tuple[Command, ...]:
    if cluster.api != "v2":
        return (Command("Commit or abort it", "", f"This API ({cluster.api}) {_NO_COMMIT}"),)
    return (
        Command("Commit it", _act(cluster, job, "commit"), "Its data becomes visible. A commit cannot be undone."),
        Command("Abort it", _act(cluster, job, "abort"), "Its data is discarded, and the job fails."),
    )


def _abort_stalled(cluster: Cluster, job: Job) -> tuple[Command, ...]:
    if cluster.api != "v2":
        return (Command("Abort it", "", f"This API ({cluster.api}) {_NO_COMMIT}"),)
    note = (
        "For Milvus 3.0 or newer. A server may refuse this for jobs that it commits itself, which is the default "
        "(Milvus issue 53159); only dropping the collection ends such a job."
    )
    return (Command("Abort it", _act(cluster, job, "abort"), note),)


def _act(cluster: Cluster, job: Job, action: str) -> str:
    body = _ids(cluster) | {"jobId": job.job_id}
    return _curl(cluster, "POST", f"{_IMPORT_V2}/{action}", body, _database_header(job))


def _show(cluster: Cluster, job: Job) -> tuple[Command, ...]:
    """Return the command that shows what the server knows about the job; none for an id that the API cannot look up."""
    if cluster.api == "v2":
        return (Command("Show its files", _act(cluster, job, "describe"), ""),)
    if cluster.api == "v1":
        query = urlencode({"clusterId": cluster.cluster_id, "jobId": job.job_id}, quote_via=quote)
        return (Command("Show its files", _curl(cluster, "GET", f"{_IMPORT_V1}/get?{query}"), ""),)
    if _TASK_ID.fullmatch(job.job_id) is None:
        return ()
    task = {"task": int(job.job_id)}
    return (Command("Show it", _curl(cluster, "GET", "/api/v1/import/state", task), ""),)


def _import_again(cluster: Cluster, job: Job, names: Sequence[str]) -> Command:
    title, body = "Import again", dict[str, Any]()
    unknown = "partition and options" if job.database or cluster.api == "v1" else "database, partition and options"
    enter = f"Enter the files, and the {unknown} of the first import: the API does not report them."
    if cluster.api == "milvus-2.3":
        body = {"collection_name": job.collection, "partition_name": "", "files": ["PATH"]}
        note = f"{enter} This API does not know idempotency keys: each time the command is run, it creates a task."
        return Command(title, _curl(cluster, "POST", "/api/v1/import", body), note)
    keys = {"accessKey": _Variable("STORAGE_ACCESS_KEY"), "secretKey": _Variable("STORAGE_SECRET_KEY")}
    if cluster.api == "v1":
        body = {"clusterId": cluster.cluster_id, "collectionName": job.collection, "objectUrl": "URL", **keys}
        note = f"{enter} This API does not know idempotency keys: each time the command is run, it creates a job."
        return Command(title, _curl(cluster, "POST", _IMPORT_V1, body), note)
    ids, paths = _ids(cluster), _paths(names)
    files: dict[str, Any] = {"files": paths or [["PATH"]]}
    if ids:
        files = {"objectUrls": [["URL"]], **keys}
    elif paths:
        enter = f"Check the files, and enter the {unknown} of the first import: the API does not report them."
    database = {"dbName": job.database} if job.database else {}
    body = {**ids, **database, "collectionName": job.collection, **files}
    key = f"retry-1-of-{quote(job.job_id, safe='', errors='replace')[:_KEY_LENGTH]}"
    headers = [*_database_header(job), f"Idempotency-Key: {key}"]
    note = (
        f"{enter} With the Idempotency-Key, Milvus 2.6.24, 3.0.2 or newer creates one job for a day, however often the "
        "command is run; older servers ignore it. Use another key for another attempt."
    )
    return Command(title, _curl(cluster, "POST", f"{_IMPORT_V2}/create", body, headers), note)


def _paths(names: Sequence[str]) -> list[list[str]]:
    """Return the files of a self-hosted Milvus, which writes the paths of each as `[a b]`; empty if one is unclear."""
    paths = [name[1:-1] for name in names[:_FILES] if _ONE_PATH.fullmatch(name)]
    return [[path] for path in paths] if len(paths) == len(names) else []


def _ids(cluster: Cluster) -> dict[str, Any]:
    """Return what names a cluster of Zilliz Cloud; empty for a self-hosted Milvus."""
    ids = {"clusterId": cluster.cluster_id, "projectId": cluster.project_id, "regionId": cluster.region_id}
    return {field: value for field, value in ids.items() if value}


def _database_header(job: Job) -> list[str]:
    """Return the header with the job's database, which decides about rights; Milvus allows no unusual names."""
    return [f"DB-Name: {job.database}"] if job.database and not _UNUSUAL.search(job.database) else []


def _curl(
    cluster: Cluster, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Sequence[str] = ()
) -> str:
    """Return a curl command, one option a line."""
    lines = [f"curl --request {method}", f"--url {shlex.quote(cluster.url + path)}"]
    if cluster.api_key.get_secret_value():
        lines.append(f'--header "Authorization: Bearer ${KEY_VARIABLE}"')
    lines += [f"--header {shlex.quote(header)}" for header in headers]
    tls = cluster.tls
    lines += ['--cacert "$MILVUS_CA_FILE"'] if tls.ca_file else []
    lines += ['--cert "$MILVUS_CERT_FILE"'] if tls.cert_file else []
    lines += ['--key "$MILVUS_KEY_FILE"'] if tls.key_file else []
    lines += ["--insecure"] if tls.insecure_skip_verify else []
    if body is not None:
        lines += ["--header 'Content-Type: application/json'", f"--data '{_json(body)}'"]
    return " \\\n  ".join(lines)


def _json(value: Any) -> str:
    """Return JSON for a place between single quotes, with an escape for every unusual character of a text."""
    match value:
        case _Variable(name):
            return f'"\'"${name}"\'"'
        case str():
            return f'"{_UNUSUAL.sub(_escaped, value)}"'
        case list():
            return f"[{', '.join(map(_json, value))}]"
        case Mapping():
            return f"{{{', '.join(f'{_json(name)}: {_json(item)}' for name, item in value.items())}}}"
        case _:
            return str(value)


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
