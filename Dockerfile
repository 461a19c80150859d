# The gateway in an image: locked, not root, data in a volume. Any OCI builder will do; BASE needs Python 3.11 or newer with venv.
#   make image                        podman, buildah or docker, whichever is there
#   make image BASE=registry/python   another base
ARG BASE=docker.io/library/python:3.12-slim

FROM ${BASE} AS build
WORKDIR /src
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN python3 -m venv /opt/ticketgate \
 && /opt/uv/bin/uv export --quiet --frozen --no-dev --no-emit-project --no-header -o /tmp/locked.txt \
 && /opt/uv/bin/uv pip install --quiet --python /opt/ticketgate/bin/python --require-hashes -r /tmp/locked.txt
COPY connectors connectors
COPY engine engine
COPY gateway gateway
COPY normalizer normalizer
COPY rules rules
COPY config config
RUN /opt/uv/bin/uv pip install --quiet --python /opt/ticketgate/bin/python --no-deps .

FROM ${BASE}
COPY --from=build /opt/ticketgate /opt/ticketgate
RUN useradd --system --uid 10001 --home-dir /data ticketgate && mkdir -p /data /etc/ticketgate && chown ticketgate /data
ENV PATH=/opt/ticketgate/bin:$PATH TICKETGATE_DATA=/data TICKETGATE_HTTP__LISTEN=0.0.0.0:8025 PYTHONUNBUFFERED=1
USER ticketgate
VOLUME /data
EXPOSE 8025 2525
HEALTHCHECK CMD python3 -c "import urllib.request as r; r.urlopen('http://127.0.0.1:8025/readyz', timeout=3)"
ENTRYPOINT ["ticketgate"]
CMD ["serve"]
