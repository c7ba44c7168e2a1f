#!/usr/bin/env bash
# Runs the unit tests with the newest version of every dependency, on the newest Python that is supported, and reports which
# dependencies differ from uv.lock. That Python comes from Debian forky, in a chroot; without root or debootstrap it is that of
# this machine.
# It fails only where the tests cannot run at all: a release of somebody else must not block a change of ours.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(realpath "$1")
venv=.venvs/newest
chroot=.venvs/forky

# The packages are only unpacked, which takes a third of the time that installing them takes.
unpack_forky() {
    rm -rf "$chroot" "$chroot.new"
    debootstrap --foreign --variant=minbase --include=python3,ca-certificates forky "$chroot.new" >"$chroot.log" 2>&1 || return 1
    for package in "$chroot.new"/var/cache/apt/archives/*.deb; do
        dpkg-deb -x "$package" "$chroot.new" || return 1
    done
    rm -rf "$chroot.new"/var/cache/apt/archives
    mv "$chroot.new" "$chroot"
}

# Runs a command in the chroot, which sees this folder, the uv in use, and the settings and the promtool of this machine under
# their own paths.
in_forky() {
    unshare --mount --fork sh -euc '
        root=$1; shift
        for path in "$PWD" "$HOME" "$(dirname "$(dirname "$1")")" /etc/ssl /etc/resolv.conf /etc/hosts /proc /dev /tmp $(command -v promtool); do
            if [ -d "$path" ]; then mkdir -p "$root$path"; else [ -e "$root$path" ] || touch "$root$path"; fi
            mount --rbind "$path" "$root$path"
        done
        exec chroot "$root" /bin/sh -euc "cd \"\$0\"; exec \"\$@\"" "$PWD" "$@"
    ' sh "$(realpath "$chroot")" "$@"
}

mkdir -p .venvs
inside=()
python=python3
if [ "$(id -u)" = 0 ] && command -v debootstrap unshare >/dev/null && { [ -d "$chroot" ] || unpack_forky; }; then
    inside=(in_forky)
    python=/usr/bin/python3
else
    echo "no chroot with the newest Python (see $chroot.log): using $(python3 --version)"
fi
"${inside[@]}" "$uv" venv --quiet --clear --no-python-downloads --python "$python" "$venv"
"${inside[@]}" "$uv" pip install --quiet --python "$venv" --upgrade --group test --editable .
locked=$("$uv" export --frozen --quiet --group test --no-hashes --no-emit-project | grep -oE '^[A-Za-z0-9._-]+==[^ ;]+' | sort)
newest=$("${inside[@]}" "$uv" pip freeze --quiet --python "$venv" --exclude-editable | grep -E '==' | sort)
changed=$(comm -13 <(echo "$locked") <(echo "$newest"))
"${inside[@]}" "$venv/bin/python" --version
if "${inside[@]}" "$venv/bin/python" -m pytest -q -n 2 --dist loadfile tests/unit; then
    echo "newest dependencies: the unit tests pass; newer than uv.lock:" ${changed:-none}
else
    echo "NEWEST DEPENDENCIES: THE UNIT TESTS FAIL. Newer than uv.lock:" ${changed:-none}
fi
