# The sidecar: agent and command line as one file, and the filter for an Envoy to load: filter-usage.wasm, or
# filter.wasm, which reads no responses (docs/responses.md).
#
#   docker build -t pointsman .
#   docker run --read-only pointsman agent --objects /objects --socket /run/pointsman/control.sock
#
# Envoy takes /opt/pointsman/filter-usage.wasm from here by an image volume, or from an init container:
#   ["/nodejs/bin/node", "-e", "fs.copyFileSync('/opt/pointsman/filter-usage.wasm', '/shared/filter-usage.wasm')"]

FROM node:24-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
COPY scripts/install scripts/install
RUN scripts/install
COPY . .
RUN scripts/image-steps /out

FROM gcr.io/distroless/nodejs24-debian12:nonroot
# As Envoy Gateway runs Envoy: the control socket is for its owner only.
USER 65532:65532
# Node would let garbage take twice the memory of what is in use: docs/kubernetes.md, "Memory and processor".
ENV NODE_ENV=production MALLOC_ARENA_MAX=1
COPY --from=build /out/ /opt/pointsman/
ENTRYPOINT ["/nodejs/bin/node", "--max-semi-space-size=2", "--heap-growing-percent=30", "/opt/pointsman/pointsman.mjs"]
CMD ["--help"]
