# The image of the service, for amd64 and arm64: `docker build --tag todo .`
#
# The base images of both stages are the same, so that the virtual environment fits. Debian's Python is
# compiled with profile-guided and link-time optimisation, which docs/operations.md asks for.

FROM docker.io/library/debian:trixie-slim AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*


FROM python AS build
ARG UV_VERSION=0.13.9
# The certificates of a network with its own certificate authority; by default those of Debian.
ARG SSL_CERT_FILE
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir "uv==${UV_VERSION}"
ENV PATH=/opt/uv/bin:$PATH UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/todo
WORKDIR /source
# These layers change only with the locked dependencies: exact versions, with hashes of their files.
COPY pyproject.toml deploy/requirements.txt ./
RUN uv venv --python /usr/bin/python3 /opt/todo \
    && uv pip install --no-deps --require-hashes --only-binary :all: --requirement requirements.txt
COPY . .
RUN uv build --wheel --out-dir /dist \
    && uv pip install --no-deps /dist/*.whl \
    && rm /opt/todo/.lock


FROM python
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="Todo" \
      org.opencontainers.image.description="A Todo backend with an HTTP API" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The embedded database and its signing key, unless DATABASE_URL is set.
RUN install --directory --owner 10001 --group 10001 --mode 700 /data
COPY --from=build /opt/todo /opt/todo
ENV PATH=/opt/todo/bin:$PATH PYTHONDONTWRITEBYTECODE=1 TODO_DATA_DIR=/data
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python3", "-I", "-S", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8000, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["todo"]
CMD ["serve", "--host", "0.0.0.0"]
