#!/bin/sh
# Set up what Mesostic needs on this machine, and say what is done.
#
#   tools/setup.sh run     what running the examples needs
#   tools/setup.sh test    that, and what the tests need
#
# A virtual environment goes to .venv; Debian packages are installed where this user may (root on a Debian).
# Doing it twice does nothing the second time.
set -eu
cd "$(dirname "$0")/.."

purpose=${1:-run}
case "$purpose" in
  run) extras=rendler,images; packages="chromium graphviz fonts-dejavu-core libatomic1" ;;
  test) extras=dev,fuzz; packages="chromium graphviz fonts-dejavu-core libatomic1 python3.11-doc zookeeper etcd-server curl" ;;
  *) echo "usage: tools/setup.sh run|test" >&2; exit 2 ;;
esac

say() { printf '== %s\n' "$*"; }

is_installed() { dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

apt_updated=no
install_debian() {
  if [ "$apt_updated" = no ]; then
    apt-get update -q >/dev/null || say "apt-get update failed; trying with the lists that are there"
    apt_updated=yes
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/dev/null
}

missing=
if command -v dpkg-query >/dev/null 2>&1; then
  for package in $packages; do
    is_installed "$package" || missing="$missing $package"
  done
fi
# A Chromium, Graphviz or JRE from elsewhere serves as well.
if command -v chromium >/dev/null 2>&1; then missing=$(echo "$missing" | sed 's/ chromium//'); fi
if command -v dot >/dev/null 2>&1; then missing=$(echo "$missing" | sed 's/ graphviz//'); fi
if [ -n "$missing" ]; then
  if may_install; then
    say "installing Debian packages:$missing"
    # shellcheck disable=SC2086
    if ! install_debian $missing; then
      say "could not install all of:$missing"
      if [ "${MESOSTIC_REQUIRE_ALL:-}" = 1 ]; then exit 1; fi
      say "going on without them (RENDLER then crawls without pictures)"
    fi
    case "$missing" in
      *etcd-server*)  # the package starts one at once and with the machine; the tests start their own
        { update-rc.d etcd disable; service etcd stop; } >/dev/null 2>&1 || true ;;
    esac
  else
    say "not installed, and not ours to install (no root, or no apt-get):$missing"
    say "  as root: apt-get install --no-install-recommends$missing"
  fi
fi

find_python() {
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
}

if [ ! -x .venv/bin/python ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  python=$(find_python)
  if [ -z "$python" ]; then
    echo "Mesostic needs Python 3.11 or newer, and none was found. Install one (Debian: apt-get install python3), or name it: make PYTHON=/path/to/python3.11 …" >&2
    exit 1
  fi
  say "making a virtual environment in .venv with $("$python" --version)"
  rm -rf .venv
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if may_install; then
      say "installing the Debian package python3-venv"
      install_debian python3-venv
    else
      echo "This Python has no venv module. As root: apt-get install python3-venv; then again." >&2
      exit 1
    fi
  fi
  "$python" -m venv .venv
fi

stamp=.venv/.mesostic-$purpose
want=$(cksum pyproject.toml)
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$want" ]; then
  say "installing Mesostic and its Python packages [$extras] into .venv"
  if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[$extras]"; then
    case "$extras" in
      *fuzz*)
        say "without the coverage-guided fuzzer, which has no package for this Python"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[dev]" ;;
      *) exit 1 ;;
    esac
  fi
  echo "$want" > "$stamp"
fi
# pykka's own tests, which are run over our actors (tests/runtime/test_pykkas_own_suite.py), are in its source archive only.
if [ "$purpose" = test ]; then
  version=$(.venv/bin/python -c 'from importlib.metadata import version; print(version("pykka"))')
  if [ ! -f ".venv/share/pykka-$version.tar.gz" ]; then
    say "fetching the source archive of pykka $version"
    .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary pykka \
      --dest .venv/share "pykka==$version" || say "without pykka's own tests: its source archive could not be fetched"
  fi
fi
say "ready: .venv ($(.venv/bin/python --version))"
