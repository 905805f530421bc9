# InfraWatch in a container:
#   docker build -t infrawatch .
#   docker run -d --name infrawatch -p 127.0.0.1:8080:8080 -p 127.0.0.1:8125:8125/udp -v infrawatch-data:/var/lib/infrawatch infrawatch
# Needs BuildKit (Docker 23 or later has it by default) or buildah. tests/deployment.rs checks what this file names.

FROM docker.io/library/rust:1.95-slim-bookworm AS build
# make: jemalloc, the allocator, is built from source.
RUN apt-get update \
    && apt-get install -y --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches outlive the build; the binary leaves them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin infrawatch \
    && install -D -m 755 --strip target/release/infrawatch /out/infrawatch

FROM docker.io/library/debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 infrawatch \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/infrawatch \
       --shell /usr/sbin/nologin infrawatch \
    && install -d -o infrawatch -g infrawatch -m 750 /var/lib/infrawatch
COPY --from=build /out/infrawatch /usr/local/bin/infrawatch

# Inside, every address; the ports published outside decide who can reach it. Without INFRAWATCH_ACCESS_USERS_FILE it does
# not start unless INFRAWATCH_HTTP_ALLOW_PUBLIC=true says that everybody who can reach it may ask (docs/access.md).
ENV INFRAWATCH_HTTP_LISTEN=0.0.0.0:8080 \
    INFRAWATCH_STATSD_LISTEN=0.0.0.0:8125 \
    INFRAWATCH_STORAGE_DATA_DIR=/var/lib/infrawatch
EXPOSE 8080/tcp 8125/udp
VOLUME ["/var/lib/infrawatch"]
WORKDIR /var/lib/infrawatch
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["infrawatch", "--quiet", "health"]
ENTRYPOINT ["infrawatch"]
CMD ["serve"]
