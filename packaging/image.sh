#!/bin/bash
# Build the image with whatever builder is there, then run it: not root, read-only root, a mail in and its ticket out.
#   BASE=...     another base image (Debian, Python 3.11 or newer)
#   STORAGE=...  where buildah keeps images, if not in its usual place
set -euo pipefail
cd "$(dirname "$0")/.."
NAME=ticketgate
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
UV_VERSION=$(sed -n 's/^UV_VERSION := //p' Makefile)
CA=/etc/ssl/certs/ca-certificates.crt
SUITE=${SUITE:-bookworm}
DEFAULT_BASE=$(sed -n 's/^ARG BASE=//p' Dockerfile)

builder() {
  if command -v podman >/dev/null; then echo podman
  elif command -v docker >/dev/null && docker info >/dev/null 2>&1 && docker info 2>/dev/null | grep -q '^ *Server Version'; then echo docker
  elif command -v buildah >/dev/null; then echo buildah
  fi
}

install_packages() {
  [ "$(id -u)" = 0 ] || { echo "needed: apt-get install $*"; exit 1; }
  (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@") >/dev/null 2>&1 \
    || { echo "needed: apt-get install $*"; exit 1; }
}

# The machine's own mirror, from apt's sources.
mirror() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^#' | grep -oE 'https?://[^ ]+/debian/?' | head -1
}

# A base made of Debian's packages, where no registry can be reached.
debian() {
  command -v debootstrap >/dev/null || install_packages debootstrap
  local root; root=$(mktemp -d /var/tmp/ticketgate-base.XXXXXX)
  echo "no registry answers: making a base of Debian $SUITE" >&2
  debootstrap --variant=minbase --include=python3,ca-certificates "$SUITE" "$root" "$(mirror || true)" >/dev/null 2>&1
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/log/*
  local made; made=$($RUN from scratch)
  $RUN copy -q "$made" "$root" / >/dev/null
  $RUN commit -q --rm "$made" localhost/ticketgate-base:"$SUITE" >/dev/null
  rm -rf "$root"
  echo localhost/ticketgate-base:"$SUITE"
}

reachable() { timeout 20 ${BUILDER/buildah/$RUN} pull -q "$1" >/dev/null 2>&1; }

BUILDER=$(builder)
[ -n "$BUILDER" ] || { install_packages buildah; BUILDER=buildah; }
RUN=$BUILDER
ARGUMENTS=(--build-arg "VERSION=$VERSION" --build-arg "UV_VERSION=$UV_VERSION" --build-arg "PIP_INDEX_URL=${UV_DEFAULT_INDEX:-}")
[ ! -e $CA ] || ARGUMENTS+=(--secret "id=ca,src=$CA")
if [ "$BUILDER" = buildah ]; then
  RUN="buildah --storage-driver vfs ${STORAGE:+--root $STORAGE/root --runroot $STORAGE/run}"
  ARGUMENTS+=(--isolation chroot --format docker)
fi
if [ -z "${BASE:-}" ]; then
  if reachable "$DEFAULT_BASE"; then BASE=$DEFAULT_BASE
  elif [ "$BUILDER" = buildah ]; then BASE=$(debian)
  else echo "no registry answers: name a base you have, make image BASE=..."; exit 1; fi
fi
echo "building $NAME:$VERSION on $BASE with $BUILDER"
if [ "$BUILDER" = buildah ]; then $RUN bud -q "${ARGUMENTS[@]}" --build-arg "BASE=$BASE" -t "$NAME:$VERSION" -t "$NAME" . >/dev/null
else DOCKER_BUILDKIT=1 $RUN build -q "${ARGUMENTS[@]}" --build-arg "BASE=$BASE" -t "$NAME:$VERSION" -t "$NAME" . >/dev/null; fi

if [ "$BUILDER" != buildah ]; then
  echo "trying it"
  exec $RUN run --rm -i --read-only --tmpfs /tmp --tmpfs /data:uid=10001,gid=10001,mode=700 --entrypoint python3 "$NAME" - < packaging/try_image.py
fi

# Without an engine: the image's files, read-only, in a mount namespace of their own; user and environment as it says.
made=$($RUN from "$NAME"); root=$($RUN mount "$made")
trap '$RUN rm "$made" >/dev/null' EXIT
echo "size: $(du -sm "$root" | cut -f1) MB, of which the base $(( $(du -sm "$root" | cut -f1) - $(du -sm "$root/opt/ticketgate" | cut -f1) )) MB"
environment=$($RUN inspect --type image --format '{{range .OCIv1.Config.Env}}{{println .}}{{end}}' "$NAME" | sed '/^$/d')
user=$($RUN inspect --type image --format '{{.OCIv1.Config.User}}' "$NAME")
echo "trying it as $user, read-only root"
unshare --mount --pid --fork bash -euc '
  mount --make-rprivate /; mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"
  mount -t tmpfs tmpfs "$1/tmp"; mount -t tmpfs -o uid=10001,gid=10001,mode=700 tmpfs "$1/data"; mount -t proc proc "$1/proc"
  mount --bind /dev "$1/dev"
  cd /; mapfile -t environment <<< "$3"
  exec chroot --userspec="$2" "$1" /usr/bin/env -i "${environment[@]}" HOME=/data python3 - ' try "$root" "$user" "$environment" < packaging/try_image.py
