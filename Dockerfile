# Both stages use the same base image, because the virtual environment refers to its Python. The base can be any Debian with
# python3 >= 3.11, venv and pip (for the build only), and ca-certificates. Add @sha256:… to pin its content, as renovate does.
ARG BASE_IMAGE=python:3.14-slim-trixie

FROM ${BASE_IMAGE} AS build
ARG UV_VERSION=0.13.9
# Dependencies of rich for source code and Markdown, which are not used; and time zones, which the base image has.
ARG EXCLUDED="--no-install-package pygments --no-install-package markdown-it-py --no-install-package mdurl --no-install-package tzdata"
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON=python3 \
    UV_PYTHON_DOWNLOADS=never
# The optional secrets configure access to a private package index and are not stored in any layer.
RUN --mount=type=secret,id=ca-certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet "uv==${UV_VERSION}"
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN --mount=type=secret,id=ca-certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    /opt/uv/bin/uv sync --frozen --no-dev --no-install-project ${EXCLUDED}
COPY README.md LICENSE ./
# Removes the ORM and unsupported dialects of SQLAlchemy, and the old API of pydantic. The one-second demo compiles the imported modules to bytecode,
# which is not possible on a read-only root file system.
COPY monitor ./monitor
RUN --mount=type=secret,id=ca-certificates,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    /opt/uv/bin/uv sync --frozen --no-dev --no-editable ${EXCLUDED} \
    && rm /opt/venv/.lock \
    && for part in sqlalchemy/testing sqlalchemy/orm sqlalchemy/ext sqlalchemy/dialects/mssql sqlalchemy/dialects/mysql \
        sqlalchemy/dialects/oracle pydantic/v1; do \
        rm -r /opt/venv/lib/python3*/site-packages/"$part" || exit 1; \
    done \
    && /opt/venv/bin/milvus-import-monitor demo --for 1s --listen 127.0.0.1:0 2>/dev/null \
    && /opt/venv/bin/python -c "import sqlalchemy.dialects.sqlite, sqlalchemy.dialects.postgresql.psycopg" \
    && install -d -o 65532 -g 65532 -m 0750 /opt/state

FROM ${BASE_IMAGE}
# Removes package managers. The database of dpkg stays, because vulnerability scanners read it.
RUN rm -rf /usr/bin/apt* /usr/bin/dpkg* /usr/sbin/dpkg* /usr/lib/apt /usr/lib/dpkg /var/lib/apt /var/cache/apt \
    /usr/bin/pip* /usr/lib/python3/dist-packages/pip* /usr/lib/python3*/ensurepip /usr/share/python-wheels \
    /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip
COPY --from=build /opt/venv /opt/venv
COPY --from=build --chown=65532:65532 /opt/state /var/lib/milvus-import-monitor
# No bytecode is written, so the root file system can be read-only.
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    MILVUS_IMPORT_MONITOR_LISTEN=0.0.0.0:19595 \
    MILVUS_IMPORT_MONITOR_STATE=sqlite:////var/lib/milvus-import-monitor/state.db
USER 65532:65532
WORKDIR /var/lib/milvus-import-monitor
VOLUME /var/lib/milvus-import-monitor
EXPOSE 19595
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["milvus-import-monitor", "healthcheck"]
ENTRYPOINT ["milvus-import-monitor"]
CMD ["run", "-c", "/etc/milvus-import-monitor/config.yml"]
ARG BASE_IMAGE
# URL of the source, commit, and build time (in the format of date --utc --iso-8601=seconds).
ARG SOURCE=""
ARG REVISION=""
ARG CREATED=""
ARG VERSION=1.0.0
LABEL org.opencontainers.image.title="milvus-import-monitor" \
      org.opencontainers.image.description="Monitors bulk-import jobs of Zilliz Cloud and Milvus for Prometheus." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.url="https://milvus-import-monitor.github.io/milvus-import-monitor/" \
      org.opencontainers.image.documentation="https://milvus-import-monitor.github.io/milvus-import-monitor/" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.version="${VERSION}"
