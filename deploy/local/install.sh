#!/usr/bin/env bash
# Installs the Debian packages of a list that are missing, and says which.
#
#   install.sh [--check] [LIST]      LIST: a file like packages.txt, which is the default
#                                    --check: only says what is missing; exit code 1 when something is
set -euo pipefail
check=; [ "${1:-}" != --check ] || { check=1; shift; }

here=$(dirname "$(readlink -f "$0")")
cluster_defaults=/etc/postgresql-common/createcluster.conf

mapfile -t wanted < <(sed -E 's/#.*//; s/[[:space:]]+//g; /^$/d' "${1:-$here/packages.txt}")
if ! command -v dpkg-query >/dev/null; then
    echo "moru: this is no Debian, so install the like of these yourself: ${wanted[*]}" >&2
    exit 0
fi

installed() { dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }

missing=()
for package in "${wanted[@]}"; do
    installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ -n "$check" ]; then
    echo "moru: missing Debian packages: ${missing[*]}"
    exit 1
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "moru: these Debian packages are missing, and there is no sudo; as root run:" >&2
        echo "  apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

output=$(mktemp)
saved=
restore_cluster_defaults() {
    [ -z "$saved" ] || "${as_root[@]}" cp -p "$saved" "$cluster_defaults"
    [ -z "$saved" ] || "${as_root[@]}" rm -f "$saved"
    saved=
}
trap 'restore_cluster_defaults; rm -f "$output"' EXIT
trap 'exit 130' INT TERM HUP

apt() {
    if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Use-Pty=0 "$@" >"$output" 2>&1 </dev/null; then
        tail -n 30 "$output" >&2
        return 1
    fi
}
apt_install() { apt install --yes --no-install-recommends "$@"; }

echo "moru: installing Debian packages: ${missing[*]}"
apt update || echo "moru: apt-get update failed; trying with the package lists as they are" >&2

# postgresql-15 would create a cluster "main" and start it with the machine. Its defaults are changed for the time of the
# installation, and put back as they were.
others=()
for package in "${missing[@]}"; do
    [ "$package" = postgresql-15 ] || others+=("$package")
done
if [ ${#others[@]} = ${#missing[@]} ]; then
    apt_install "${missing[@]}"
else
    apt_install "${others[@]}" postgresql-common
    saved=$("${as_root[@]}" mktemp /etc/postgresql-common/createcluster.conf.moru-XXXXXX)
    "${as_root[@]}" cp -p "$cluster_defaults" "$saved"
    "${as_root[@]}" sed -i '/^[[:space:]]*create_main_cluster/d' "$cluster_defaults"
    echo 'create_main_cluster = false' | "${as_root[@]}" tee -a "$cluster_defaults" >/dev/null
    apt_install postgresql-15
    restore_cluster_defaults
fi
