# Sourced by run, test and check: brings a Debian machine to where the project works, and touches nothing that is there already.
# Needs bash only; asks nothing. Elsewhere than on Debian it says what to install.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "$0: $*"
  exit 7
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 1
  fi
}

# How long apt is tried again where waiting may help, and between tries.
APT_SECONDS=${PCAPLINT_APT_SECONDS:-600}
APT_PAUSE_SECONDS=${PCAPLINT_APT_PAUSE_SECONDS:-10}
# What apt and dpkg say when another run has the lock, or the network is away for a while.
PASSING='could not get lock|unable to lock|unable to acquire|is another process using it|temporary failure|failed to fetch|could not resolve|connection (failed|timed out|reset)|could not connect|hash sum mismatch|no longer valid'

# update_and_install PACKAGE...: fetch the lists of packages, then install; prints what apt says.
update_and_install() {
  local apt=(env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -o Dpkg::Use-Pty=0)
  as_root "${apt[@]}" update 2>&1 || return
  [ $# -eq 0 ] || as_root "${apt[@]}" install -y --no-install-recommends "$@" 2>&1
}

# run_apt PACKAGE...: update_and_install. Where it fails, apt's own words are shown; where these say that waiting may help,
# it is tried again for APT_SECONDS.
run_apt() {
  local words status stop=$((SECONDS + APT_SECONDS))
  while true; do
    status=0
    words=$(update_and_install "$@") || status=$?
    [ $status != 0 ] || return 0
    [ -z "$words" ] || say "$words"
    grep -qiE "$PASSING" <<<"$words" || return $status
    if [ $SECONDS -ge $stop ]; then
      say "apt-get has failed for $APT_SECONDS s"
      return $status
    fi
    say "trying again in $APT_PAUSE_SECONDS s"
    sleep "$APT_PAUSE_SECONDS"
  done
}

# install_packages PACKAGE...: Debian packages, without questions.
install_packages() {
  command -v apt-get >/dev/null || fail "please install what Debian calls: $*"
  say "installing $*"
  run_apt "$@" || fail "could not install them; as root: apt-get update && apt-get install -y --no-install-recommends $*"
}

# need PROGRAM PACKAGE [PROGRAM PACKAGE]...: install the packages whose programs are not there.
need() {
  local missing=()
  while [ $# -gt 0 ]; do
    command -v "$1" >/dev/null || missing+=("$2")
    shift 2
  done
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# Print a Python of version 3.11 or later that runs; one that can make environments, if there is such.
find_python() {
  local candidate first=
  for candidate in python3 python3.11 python3.12 python3.13 python3.14 /usr/bin/python3; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    first=${first:-$candidate}
    if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "$first"
}

make_environment() {
  local python
  python=$(find_python)
  if [ -z "$python" ] || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    install_packages python3 python3-venv
    python=$(find_python)
  fi
  [ -n "$python" ] || fail "Python 3.11 or later is needed"
  say "making .venv with $("$python" --version)"
  "$python" -m venv --clear .venv
}

# install_project [dev]: into .venv, anew only when pyproject.toml or the interpreter changed.
install_project() {
  local stamp=.venv/installed${1:+-$1} state
  .venv/bin/python -c '' 2>/dev/null || make_environment
  state="$(cksum <pyproject.toml) $(.venv/bin/python --version) $PWD"
  [ "$(cat "$stamp" 2>/dev/null)" != "$state" ] || return 0
  say "installing pcaplint into .venv"
  export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
  if [ "${1:-}" = dev ]; then
    .venv/bin/python -m pip install -qq 'pip>=25.1' >&2 # the first to know dependency groups
    .venv/bin/python -m pip install -qq -e . --group dev >&2
  else
    .venv/bin/python -m pip install -qq -e . >&2
  fi
  printf '%s\n' "$state" >"$stamp"
}
