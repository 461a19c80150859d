# The gateway in an image: locked with hashes, not root, all it writes in /data. Any OCI builder will do.
#   make image                        builds it and tries the result; without a registry the base is made by debootstrap
#   make image BASE=registry/python   another base: Debian with Python 3.11 or newer
ARG BASE=docker.io/library/python:3.12-slim

FROM ${BASE} AS build
ARG UV_VERSION=0.13.9 PIP_INDEX_URL=""
WORKDIR /src
# durable_rules compiles C, and only on Python before 3.13; a base may lack headers, or venv.
RUN set -e; want=""; \
    python3 -c 'import ensurepip' 2>/dev/null || want="$want python3-venv"; \
    if python3 -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then \
      want="$want gcc libc6-dev"; \
      python3 -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || want="$want python3-dev"; \
    fi; \
    if [ -n "$want" ]; then apt-get update -qq && apt-get install -qq -y --no-install-recommends $want >/dev/null; fi
COPY pyproject.toml uv.lock README.md LICENSE ./
# A proxy's certificate may be lent to the build (secret `ca`); it does not stay.
RUN --mount=type=secret,id=ca set -e; [ ! -e /run/secrets/ca ] || export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca; \
    [ -z "$PIP_INDEX_URL" ] && unset PIP_INDEX_URL || export UV_DEFAULT_INDEX="$PIP_INDEX_URL"; \
    python3 -m venv /opt/uv; /opt/uv/bin/pip install --quiet --disable-pip-version-check uv==$UV_VERSION; \
    /opt/uv/bin/uv export --quiet --frozen --no-dev --extra durable --extra scale --no-emit-project --no-header -o /tmp/locked.txt; \
    /opt/uv/bin/uv venv --quiet --python python3 /opt/ticketgate; \
    /opt/uv/bin/uv pip install --quiet --compile-bytecode --python /opt/ticketgate/bin/python --require-hashes -r /tmp/locked.txt; \
    /opt/uv/bin/uv pip install --quiet --python /opt/uv/bin/python hatchling
COPY connectors connectors
COPY engine engine
COPY gateway gateway
COPY normalizer normalizer
COPY rules rules
COPY config config
RUN wheel=$(/opt/uv/bin/python -c 'from hatchling.build import build_wheel; print(build_wheel("/tmp"))') \
 && /opt/uv/bin/uv pip install --quiet --compile-bytecode --no-deps --offline --python /opt/ticketgate/bin/python "/tmp/$wheel" \
 && rm -f /opt/ticketgate/bin/activate* /opt/ticketgate/bin/deactivate* \
 && mkdir -p /image/etc/ticketgate \
 && sed -e 's/127\.0\.0\.1:/0.0.0.0:/' -e 's|^data: .*|data: /data|' -e '/^rules: /d' config/ticketgate.yaml > /image/etc/ticketgate/ticketgate.yaml

FROM ${BASE}
ARG VERSION=""
LABEL org.opencontainers.image.title="Ticketgate 工单网关" \
      org.opencontainers.image.description="Every channel in, one ticket out" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/ticketgate /opt/ticketgate
COPY --from=build /image/etc/ticketgate /etc/ticketgate
# What installs software is not needed where none may be installed.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip \
      /usr/lib/python3*/ensurepip /usr/share/python-wheels /usr/lib/python3/dist-packages/pip* \
 && echo 'ticketgate:x:10001:10001:Ticketgate:/data:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'ticketgate:x:10001:' >> /etc/group \
 && mkdir -p /data && chown 10001:10001 /data && chmod 700 /data
ENV PATH=/opt/ticketgate/bin:/usr/local/bin:/usr/bin:/bin TICKETGATE_DATA=/data TICKETGATE_HTTP__LISTEN=0.0.0.0:8025 \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8025 2525
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8025/readyz', timeout=3)"]
ENTRYPOINT ["ticketgate"]
CMD ["serve"]
