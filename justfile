# Recipes; `just` lists them.
default:
    @just --list

# Format, lints and docs.
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

# Everything that has to pass, real servers included.
test:
    ./scripts/test

# The shipped configuration.
run:
    cargo run --release -- --config bridges.toml

# The table of docs/performance.md; takes about ten minutes.
bench:
    ./benches/run
