# Debian's Valkey 8.1, in the place of docker.io/valkey/valkey:8.1-trixie.
FROM docker.io/library/debian:trixie-slim
RUN groupadd --system --gid 999 valkey \
    && useradd --system --uid 999 --gid 999 valkey \
    && apt-get update \
    && apt-get install --yes --no-install-recommends valkey-server valkey-tools
WORKDIR /data
# The entry point of the official image refuses to start in a folder that it cannot write to.
ENTRYPOINT ["sh", "-ec", "test -w . && exec \"$@\"", "sh"]
CMD ["valkey-server"]
