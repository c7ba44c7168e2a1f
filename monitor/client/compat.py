"""``list_import_jobs`` and ``get_import_progress`` of ``pymilvus.bulk_writer``, without its hundreds of megabytes.

Same parameters, same defaults, same requests on the wire (pymilvus 3.0.2). Two things differ: a response with code 200
is a success too, as the API documents, and what goes wrong is raised as an `ApiError`.
"""

from typing import Any, Final

import requests

from monitor.client.decoding import Body, envelope, refusal
from monitor.client.errors import ApiError
from monitor.client.transport import NETWORK_ERRORS, translate_error
from monitor.redaction import SecretMask

_TIMEOUT: Final = 20.0


def list_import_jobs(
    url: str,
    collection_name: str = "",
    db_name: str = "",
    cluster_id: str = "",
    project_id: str = "",
    region_id: str = "",
    api_key: str = "",
    page_size: int = 10,
    current_page: int = 1,
    verify: bool | str | None = True,
    cert: str | tuple[str, str] | None = None,
    **kwargs: Any,
) -> requests.Response:
    """List one page of the import jobs of a cluster.

    The parameters are those of pymilvus: ``api_key`` is an API key or ``user:password``, pages are counted from 1, and
    ``kwargs`` are what ``requests.post`` takes, ``timeout`` (20 s) among it.

    Returns:
        The response; its JSON has a ``code`` of success.

    Raises:
        ApiError: The server could not be reached, refused, or answered something else.
    """
    params = {
        "collectionName": collection_name,
        "dbName": db_name,
        "clusterId": cluster_id,
        "projectId": project_id,
        "regionId": region_id,
        "pageSize": page_size,
        "currentPage": current_page,
    }
    return _post(url, "/v2/vectordb/jobs/import/list", params, api_key, db_name, verify=verify, cert=cert, **kwargs)


def get_import_progress(
    url: str,
    job_id: str,
    cluster_id: str = "",
    project_id: str = "",
    region_id: str = "",
    api_key: str = "",
    db_name: str = "",
    verify: bool | str | None = True,
    cert: str | tuple[str, str] | None = None,
    **kwargs: Any,
) -> requests.Response:
    """Describe one import job; arguments and errors are those of `list_import_jobs`."""
    params = {"jobId": job_id, "clusterId": cluster_id, "projectId": project_id, "regionId": region_id}
    return _post(url, "/v2/vectordb/jobs/import/describe", params, api_key, db_name, verify=verify, cert=cert, **kwargs)


def _post(
    url: str, path: str, params: dict[str, Any], api_key: str, db_name: str, *, timeout: Any = _TIMEOUT, **kwargs: Any
) -> requests.Response:
    headers = {
        "Accept": "application/json",
        "Accept-Language": "en-US,en;q=0.5",
        "Authorization": f"Bearer {api_key}",
    }
    if db_name:
        headers["DB-Name"] = db_name
    seconds = timeout if isinstance(timeout, int | float) else _TIMEOUT
    masking = SecretMask([api_key.strip()])
    try:
        response = requests.post(url + path, headers=headers, json=params, timeout=timeout, **kwargs)
        body = Body(response.content, url, masking)
        if response.status_code != requests.codes.ok:
            raise refusal(response.status_code, response.headers, body, "v2")
        envelope(body.json())
    except (ApiError, *NETWORK_ERRORS) as error:
        refused = error if isinstance(error, ApiError) else translate_error(error, url, seconds, seconds, masking)
        refused.hide(masking)
        raise refused from None
    return response
