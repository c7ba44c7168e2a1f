"""The values in the README of the chart: each with its default and the comment above it in values.yaml.

``python -m tests.chart_readme`` generates that part.
"""

import re
from pathlib import Path

CHART = Path(__file__).parents[1] / "deploy/helm/milvus-import-monitor"
README = CHART / "README.md"
_HEAD = "## Values\n\n| Value | Default | Description |\n|---|---|---|\n"


def rows(values: str) -> list[str]:
    """Describe every value that has no others in it, as a row of a table.

    Raises:
        ValueError: A value has no comment, or a line is neither a comment nor a value.
    """
    made: list[str] = []
    sections: list[str] = []
    comment: list[str] = []
    for line in values.splitlines():
        text = line.strip()
        if text.startswith("# "):
            comment.append(text.removeprefix("# "))
        elif match := re.fullmatch(r"( *)(\w+):(?: (.+))?", line):
            indent, name, default = match.groups()
            sections[len(indent) // 2 :] = [name]
            if default:
                if not comment:
                    raise ValueError(f"{'.'.join(sections)} has no comment")
                made.append(f"| `{'.'.join(sections)}` | `{default}` | {' '.join(comment)} |")
            comment = []
        elif text:
            raise ValueError(f"neither a comment nor a value: {line}")
    return made


def current(readme: str) -> str:
    """Return the README with the values of today."""
    text, rest = readme.split("## Values\n", 1)
    following = rest[rest.index("\n## ") + 1 :] if "\n## " in rest else ""
    table = "\n".join(rows((CHART / "values.yaml").read_text(encoding="utf-8")))
    return text + _HEAD + table + "\n" + (f"\n{following}" if following else "")


if __name__ == "__main__":
    README.write_text(current(README.read_text(encoding="utf-8")), encoding="utf-8")
