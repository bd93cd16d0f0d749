# Recipes; `just` lists them. CONTRIBUTING.md describes a first change.
default:
    @just --list

# What a change must pass before a commit: format, lints, house rules, docs.
check:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings
    cargo test --locked --test tidy
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

# The tests with NAME in their name, with the databases they need.
t NAME *ARGS:
    ./scripts/with-databases ./scripts/one-test {{ NAME }} {{ ARGS }}

# The tests beside the code that need no service; under a minute after the build.
unit *ARGS:
    cargo nextest run --locked --profile unit --lib {{ ARGS }}

# Everything: lints, all tests, fifty real servers, Open WebUI, endurance. Takes about an hour.
all *ARGS:
    ./scripts/test {{ ARGS }}

# The same as `all`.
test *ARGS:
    ./scripts/test {{ ARGS }}

# Spelling, and the files in .github.
lint:
    ./scripts/peers --only lint
    ./scripts/lint

# Spelling alone; `just typos --write-changes` corrects it.
typos *ARGS:
    .peers/py/lint/bin/typos {{ ARGS }}

# Size and shape of the code, next to their targets.
measure:
    ./scripts/measure

# A PostgreSQL and a Redis for the tests; prints the variables to set. `just databases stop` ends them.
databases COMMAND="start":
    ./scripts/databases {{ COMMAND }} target/databases

# The shipped configuration.
run:
    cargo run --release -- --config bridges.toml

# The table of docs/performance.md; takes about ten minutes.
bench:
    ./benches/run
