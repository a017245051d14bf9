# Installs what is missing of the programs that a script calls, from Debian's packages, without letting
# the packages start their services. Sourced by tests/all and benches/compare/run, which bring: $tmp, a
# directory of theirs; give_up, which says why and exits; and on exit call restore_policy.
# shellcheck shell=bash disable=SC2154 # $tmp is theirs.

# The words before a command that must run as root, once become_root was called.
as_root=()
policy=/usr/sbin/policy-rc.d
policy_changed=no

restore_policy() {
    [ "$policy_changed" = yes ] || return 0
    if [ -e "$tmp/policy-rc.d" ]; then
        "${as_root[@]}" cp -a "$tmp/policy-rc.d" "$policy"
    else
        "${as_root[@]}" rm -f "$policy"
    fi
    policy_changed=no
}

# become_root [FOR]: none for root, else sudo without a password.
become_root() {
    [ "$(id -u)" -ne 0 ] || return 0
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo -n env "PATH=$PATH" "DEBIAN_FRONTEND=$DEBIAN_FRONTEND")
    else
        give_up "must be root, or be able to use sudo without a password${1:+, $1}"
    fi
}

# missing_packages PROGRAM=PACKAGE...: the packages of those that are not there.
missing_packages() {
    local pair
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || echo "${pair#*=}"
    done | sort -u
}

# install_packages PROGRAM=PACKAGE...: the packages' services must not start, since several of them
# would all want port 53.
install_packages() {
    local -a packages
    mapfile -t packages < <(missing_packages "$@")
    [ "${#packages[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || give_up "no apt-get; install by hand: ${packages[*]}"
    become_root "to install ${packages[*]}"
    echo "== Packages: ${packages[*]}"
    local started=$SECONDS
    [ ! -e "$policy" ] || cp -a "$policy" "$tmp/policy-rc.d"
    policy_changed=yes
    printf '#!/bin/sh\nexit 101\n' >"$tmp/policy"
    "${as_root[@]}" install -m 755 "$tmp/policy" "$policy"
    if ! {
        "${as_root[@]}" apt-get -q update || echo "apt-get update failed; trying with what is known"
        "${as_root[@]}" apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends \
            "${packages[@]}"
    } >"$tmp/apt.log" 2>&1; then
        cat "$tmp/apt.log"
        give_up "apt-get could not install: ${packages[*]}"
    fi
    restore_policy
    hash -r
    mapfile -t packages < <(missing_packages "$@")
    [ "${#packages[@]}" -eq 0 ] || give_up "still missing after installation: ${packages[*]}"
    echo "   ok in $((SECONDS - started)) s"
}
