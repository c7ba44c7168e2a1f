"""Write the dashboards."""

from deploy.grafana.source import FOLDER, dashboards

for name, text in dashboards().items():
    (FOLDER / name).write_text(text, encoding="utf-8")
