# Shared by the scripts of this folder: paths, progress, locking. Sourced, not run.
# shellcheck shell=bash disable=SC2034
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${TAPVAULT_CACHE:-$ROOT/.cache/qemu-optee}
HERE=$ROOT/qemu-optee

# The suite that holds OP-TEE 4.5, a Rust for arm64 and QEMU 10 (facts: Debian 13).
SUITE=trixie

say() { printf '\033[1m[%4ds]\033[0m %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'error: %s\n' "$1" >&2; shift; for line in "$@"; do printf '  %s\n' "$line" >&2; done; exit 1; }

# key FILE...: a short hash of the files' contents, the cache key of what is made from them.
key() { cat "$@" | sha256sum | cut -c1-12; }

packages() { sed -n "/^\[$1\]/,/^\[/{/^\[/d;/^#/d;/^$/d;p}" "$HERE/packages.txt"; }

BUILD_ROOT=$CACHE/root-$(key "$HERE/packages.txt" "$HERE/build-root")
# Where things are inside the build root; with TAPVAULT_NATIVE_ROOT=/ (Dockerfile) the system itself.
if [ -n "${TAPVAULT_NATIVE_ROOT:-}" ]; then BUILD_ROOT=; fi
DATA=${BUILD_ROOT:-}/opt/tapvault
DEV_KIT=/opt/tapvault/optee/usr/lib/optee-os-dev/vexpress-qemu_armv8a
CLIENT_EXPORT=/opt/tapvault/client
EMPTY_LIBS=/opt/tapvault/empty-libs

need_root() {
    [ "$(id -u)" = 0 ] || die "this needs root: the build root is entered with chroot" \
        "run it with sudo, or use qemu-optee/Dockerfile on another system"
}

# progress LABEL CMD...: runs CMD with its output in a log; shows that it is alive; on failure the end of the log.
progress() {
    local label=$1 log; shift
    mkdir -p "$CACHE/log"; log=$CACHE/log/$(tr -c 'a-zA-Z0-9\n' - <<<"$label").log
    say "$label"
    "$@" >"$log" 2>&1 &
    local pid=$!
    if [ -t 2 ]; then
        while kill -0 $pid 2>/dev/null; do printf '\r  %s lines of log ' "$(wc -l <"$log")" >&2; read -rt 1 <> <(:) || :; done
        printf '\r\033[K' >&2
    fi
    wait $pid || { tail -n 25 "$log" >&2; die "$label failed" "the whole log: $log"; }
}

# exclusive NAME: one run at a time makes the thing NAME.
exclusive() { mkdir -p "$CACHE"; exec 9>"$CACHE/$1.lock"; flock 9; }

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# host_tools: what a Debian tree is made with.
host_tools() {
    local missing=()
    for pair in mmdebstrap:mmdebstrap cpio:cpio unshare:util-linux; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ -f $KEYRING ] || missing+=(debian-archive-keyring)
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || die "this host has no apt: ${missing[*]} cannot be installed" \
        "use qemu-optee/Dockerfile"
    progress "install ${missing[*]}" bash -c "apt-get update -q && apt-get install -qy --no-install-recommends ${missing[*]}"
}

# debian_archive: the address of Debian's archive, as this host's apt knows it.
debian_archive() {
    local site
    # shellcheck disable=SC2016
    site=$(apt-get indextargets --format '$(SITE) $(ORIGIN) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
        awk '$2 == "Debian" && $3 == "Debian" { print $1; exit }')
    [ -n "$site" ] || die "apt on this host names no Debian archive" \
        "run 'apt-get update' once; on another distribution use qemu-optee/Dockerfile"
    echo "$site"
}

# The machine, the same for the device tree dump and the run.
MACHINE=virt,secure=on,gic-version=3
CPU=cortex-a57
MEMORY=1024
IMAGE=$CACHE/image-$(key "$HERE/packages.txt" "$HERE/build-root" "$HERE/image" "$HERE/guest/init" "$HERE/powercut/powercut.c" "$HERE/lib.sh")

# Crates come through the host's cargo and its settings; cargo in the build root only reads what was
# fetched. Its own home holds no host programs, which it would take for subcommands.
fetch_crates() {
    command -v cargo >/dev/null || die "there is no cargo on this host" \
        "install Rust with rustup (https://rustup.rs), and open a new shell so that PATH has it"
    local registry=${CARGO_HOME:-$HOME/.cargo}/registry
    progress "fetch crates" cargo fetch --locked --manifest-path "$ROOT/Cargo.toml"
    mkdir -p "$CACHE/cargo"
    [ "$(readlink "$CACHE/cargo/registry" 2>/dev/null)" = "$registry" ] || { rm -rf "$CACHE/cargo/registry"; ln -s "$registry" "$CACHE/cargo/registry"; }
    export TAPVAULT_BIND=$registry
}
