#!/usr/bin/env bash
# Runs the unit tests with the newest version of every dependency, and reports which ones differ from uv.lock.
# It fails only where the tests cannot run at all: a release of somebody else must not block a change of ours.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$1
venv=.venvs/newest

"$uv" venv --quiet --clear "$venv"
"$uv" pip install --quiet --python "$venv" --upgrade --group test --editable .
locked=$("$uv" export --frozen --quiet --group test --no-hashes --no-emit-project | grep -oE '^[A-Za-z0-9._-]+==[^ ;]+' | sort)
newest=$("$uv" pip freeze --quiet --python "$venv" --exclude-editable | grep -E '==' | sort)
changed=$(comm -13 <(echo "$locked") <(echo "$newest"))
if "$venv/bin/python" -m pytest -q tests/unit; then
    echo "newest dependencies: the unit tests pass; newer than uv.lock:" ${changed:-none}
else
    echo "NEWEST DEPENDENCIES: THE UNIT TESTS FAIL. Newer than uv.lock:" ${changed:-none}
fi
