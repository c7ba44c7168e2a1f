"""Source of the Grafana dashboards: `python -m deploy.grafana.source` writes them to deploy/grafana/dashboards."""

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.source.cluster import cluster
from deploy.grafana.source.collection import collection
from deploy.grafana.source.fleet import fleet
from deploy.grafana.source.import_dialog import portable

FOLDER: Final = Path(__file__).parents[1] / "dashboards"


def dashboards() -> dict[str, str]:
    """Build each dashboard.

    Returns:
        The contents of the files by name.
    """
    made = {"fleet": fleet(), "cluster": cluster(), "collection": collection()}
    plain = {name: json.loads(json.dumps(dashboard, cls=JSONEncoder)) for name, dashboard in made.items()}
    return {
        f"{name}.json": json.dumps(portable(dashboard), indent=2, sort_keys=True) + "\n"
        for name, dashboard in plain.items()
    }
