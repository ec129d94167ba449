# Python programs of others, installed into a folder of their own. Sourced after qemu-optee/lib.sh.
# shellcheck shell=bash

# with_venv DIR: a Python environment in DIR; installs what this host lacks for one.
with_venv() {
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        command -v apt-get >/dev/null || die "there is no Python with venv" "install Python 3 with its module venv"
        progress "install python3-venv" bash -c "apt-get update -q && apt-get install -qy --no-install-recommends python3-venv"
    fi
    python3 -m venv "$1"
}
