# syntax=docker/dockerfile:1
# custseg in a container: the program, C libraries, certificates, segment maps and schemas:
#
#   docker build --tag custseg .
#   docker run --rm --volume "$PWD:/work" --user "$(id -u):$(id -g)" custseg run pipelines/cdnow.yaml
#
# Polars takes about 35 minutes to compile. The caches below keep it between builds.
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked && cp target/release/custseg /custseg

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.source="https://github.com/custseg/custseg" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /custseg /usr/local/bin/custseg
COPY config /usr/local/share/custseg/config
WORKDIR /work
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/custseg"]
CMD ["--help"]
