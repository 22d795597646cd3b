# shellcheck shell=sh disable=SC2034,SC2154  # variables of who sources it
# For tools that make a Debian of their own: sourced, with `tool` its name, as root in the working
# tree.  Sets mirror, and keyring: where packages come from, and who vouches for them.

say() {
    echo "$tool: $*" >&2
}

die() {
    say "$@"
    exit 1
}

# Install package $2 of the host where file or program $1 is missing.
need() {
    command -v "$1" >/dev/null || test -e "$1" && return
    say "installing $2"
    set -- env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$2"
    "$@" || { apt-get update -qq && "$@"; }
}

test "$(id -u)" = 0 || die "needs root, to make and enter a Debian: use sudo"
command -v apt-get >/dev/null || die "needs apt-get: works on Debian and Ubuntu only"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# shellcheck disable=SC2016  # apt-get's own words
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' | head -n 1)}
test -n "$mirror" || die "set MIRROR to the address of a Debian mirror"
