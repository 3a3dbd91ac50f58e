# The demo of examples/demo as an image: the exporter and the simulated upstreams of all sources in one process, and the
# exporter's own binary for the health check. Built by compose.yaml from the top of the repository:
#
#     docker build --file deploy/compose/demo.Dockerfile --tag saas-exporter-demo .

FROM rust:1-bookworm AS build
WORKDIR /build
# Built quickly rather than small: nobody ships this.
ENV RUSTFLAGS="-C target-feature=+crt-static" \
    CARGO_PROFILE_RELEASE_LTO=off \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
COPY . .
RUN cargo build --release --locked --bin saas-exporter --example demo --target "$(rustc --print host-tuple)" \
    && mkdir -p out/data \
    && cp "target/$(rustc --print host-tuple)/release/saas-exporter" out/ \
    && cp "target/$(rustc --print host-tuple)/release/examples/demo" out/

FROM scratch
COPY --from=build /build/out/saas-exporter /build/out/demo /
# Where the demo keeps its services.json and its cache while it runs; a volume, so that everything else may be read-only.
COPY --from=build --chown=65532:65532 /build/out/data /data
ENV TMPDIR=/data
VOLUME ["/data"]
USER 65532:65532
EXPOSE 9001
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 CMD ["/saas-exporter", "--healthcheck"]
ENTRYPOINT ["/demo", "--listen", "0.0.0.0:9001"]
