#!/bin/sh
# Install the Debian packages that are missing.  Quiet and quick when none is.
set -eu

packages="build-essential pkg-config clang libfcgi-dev libcurl4-openssl-dev
libjansson-dev libpcre2-dev libsqlite3-dev libpq-dev libssl-dev
libmicrohttpd-dev libcmocka-dev sqlite3 lighttpd apache2-bin curl openssl python3
python3-pytest"

missing=""
for package in $packages "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
        grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif command -v sudo >/dev/null 2>&1; then
    as_root="sudo"
else
    echo "Missing packages:$missing" >&2
    echo "You are not root and sudo is not installed. As root, run:" >&2
    echo "    apt-get install$missing" >&2
    exit 1
fi

echo "Installing missing packages:$missing"
export DEBIAN_FRONTEND=noninteractive
# A package list may be old or absent: refresh it only when it does not do.
$as_root apt-get install -y -q --no-install-recommends $missing ||
    { $as_root apt-get update -q &&
      $as_root apt-get install -y -q --no-install-recommends $missing; } || {
    echo "Could not install:$missing" >&2
    echo "Check the network and the package sources, then try again." >&2
    exit 1
}
