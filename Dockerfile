# Two stages: a static binary is built, and nothing but that binary is shipped. The trust roots are inside it, and a
# static glibc resolves names as a dynamic one does, from the /etc/resolv.conf and /etc/hosts of the container.
#
#     docker build --build-arg REVISION="$(git rev-parse HEAD)" -t saas-exporter .
#
# scripts/image-test builds it and proves what is said here.

FROM rust:1-bookworm AS build
WORKDIR /build

# The dependencies alone, so that this layer is kept until Cargo.toml or Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
COPY .cargo/static.toml .cargo/
RUN mkdir src \
    && touch src/lib.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --release --locked --config .cargo/static.toml --target "$(rustc --print host-tuple)"

# The program. Its files may be older than what was built above, so cargo is told that they are new.
COPY services.json.example build.rs ./
COPY src src
ARG REVISION=unknown
RUN touch src/lib.rs src/main.rs \
    && SAAS_EXPORTER_REVISION="$REVISION" \
       cargo build --release --locked --config .cargo/static.toml --target "$(rustc --print host-tuple)" \
    && mkdir -p out/cache \
    && cp "target/$(rustc --print host-tuple)/release/saas-exporter" out/

FROM scratch
ARG REVISION=unknown
LABEL org.opencontainers.image.title="saas-exporter" \
      org.opencontainers.image.description="Tells Prometheus how the hosted services a team depends on are doing" \
      org.opencontainers.image.url="https://github.com/saas-exporter/saas-exporter" \
      org.opencontainers.image.source="https://github.com/saas-exporter/saas-exporter" \
      org.opencontainers.image.documentation="https://github.com/saas-exporter/saas-exporter/blob/main/README.md" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /build/out/saas-exporter /saas-exporter
# Empty, and owned by the user below: a fresh volume takes over both, also when everything else is read-only. The first
# is the default of CACHE_DIR, ./cache; the second is where the Python exporter had it, and the default while something
# is mounted there. So CACHE_DIR is not set here, and the second is no VOLUME: then something always would be.
COPY --from=build --chown=65532:65532 /build/out/cache /cache
COPY --from=build --chown=65532:65532 /build/out/cache /app/statuspage-exporter/cache
WORKDIR /
VOLUME ["/cache"]
USER 65532:65532
EXPOSE 9001
# The check gives up by itself after 3 s. A process that has just started answers at once.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 CMD ["/saas-exporter", "--healthcheck"]
ENTRYPOINT ["/saas-exporter"]
