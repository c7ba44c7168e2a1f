"""The templates of the pages."""

from importlib.metadata import version

from jinja2 import Environment, PackageLoader, StrictUndefined

from monitor.jobs import JobState
from monitor.web import words


def environment() -> Environment:
    """Return what makes pages of the templates."""
    made = Environment(
        loader=PackageLoader("monitor.web"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.globals.update(version=version("milvus-import-monitor"), state_names=[state.value for state in JobState])
    made.filters.update(words.FILTERS)
    return made
