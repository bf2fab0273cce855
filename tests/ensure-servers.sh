#!/usr/bin/env bash
# Are the real servers that the tests start installed? Installs them with apt when it may, names
# them when it may not. With CI=true a missing one is a failure; elsewhere its tests skip.
set -euo pipefail

has() {
  case "$1" in
    postgresql) compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres ;;
    prometheus) command -v prometheus && command -v promtool ;;
    chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
    mariadb-server) command -v mariadbd ;;
    rabbitmq-server) [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] ;;
    nginx-light) command -v nginx ;;
    nagios4-core) command -v nagios4 ;;
    zabbix-server-pgsql) command -v zabbix_server && [ -d /usr/share/zabbix-server-pgsql ] ;;
    zabbix-frontend-php) [ -d /usr/share/zabbix ] ;;
    php-cli) command -v php ;;
    php-pgsql) php -m | grep -x pgsql ;;  # with -q php may die of a closed pipe
    influxdb) command -v influxd ;;
    exim4-daemon-light) command -v exim4 || [ -x /usr/sbin/exim4 ] ;;
    systemd) command -v systemd-analyze ;;
    etcd-server) command -v etcd ;;
    openssh-server) [ -x /usr/sbin/sshd ] ;;
    bind9) [ -x /usr/sbin/named ] ;;
    bind9-dnsutils) command -v dig && command -v nsupdate ;;
    nftables) [ -x /usr/sbin/nft ] ;;
    pgbouncer) [ -x /usr/sbin/pgbouncer ] ;;
    *) command -v "$1" ;;
  esac >/dev/null
}

packages=(
  postgresql prometheus chromium age zstd openssl curl prometheus-blackbox-exporter
  mariadb-server mariadb-backup redis-server memcached rabbitmq-server haproxy nginx-light
  exim4-daemon-light nagios4-core zabbix-server-pgsql zabbix-frontend-php php-cli php-pgsql influxdb
  pgbackrest systemd
  patroni etcd-server pgbouncer openssh-server bind9 bind9-dnsutils nftables socat
)
if [ $# -gt 0 ]; then packages=("$@"); fi  # a benchmark names what it needs beside them

missing() {
  for package in "${packages[@]}"; do
    has "$package" || printf '%s ' "$package"
  done
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
  command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

# Tests start their own servers: a package must not start its service here. A policy that the
# machine already has stays in force and is not touched.
install_quietly() {
  local policy=/usr/sbin/policy-rc.d ours=no
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    ours=yes
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2 || true
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install --no-install-recommends -y "$@" >&2 || true
  if [ "$ours" = yes ]; then as_root rm -f "$policy"; fi
}

lacking=$(missing)
if [ -n "$lacking" ] && may_install; then
  echo "installing: $lacking" >&2
  # shellcheck disable=SC2086  one word for each package
  install_quietly $lacking
  lacking=$(missing)
fi
if [ -n "$lacking" ]; then
  echo "missing: $lacking(apt-get install $lacking)" >&2
  if [ -n "${CI:-}" ]; then exit 1; fi
  echo "the tests that need them will skip" >&2
fi
