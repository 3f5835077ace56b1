# List the commands.
default:
    @just --list

# Check formatting, lint, types and import boundaries.
check:
    uv run --group lint ruff format --check
    uv run --group lint ruff check
    uv run --group lint mypy
    uv run --group lint lint-imports

# Format the code, and fix what can be fixed.
format:
    uv run --group lint ruff check --fix
    uv run --group lint ruff format

# Run the tests without databases and servers, in seconds.
test-fast *options:
    uv run --group test pytest -q -m fast {{ options }}

# Run the everyday suite.
test *options:
    uv run pytest {{ options }}

# Run the tests with the real Better Auth, linters, Helm and the packages. Needs Node 20 and npm.
live:
    uv run pytest -m live

# Build the image, and run compose.yaml. Needs Linux, root and mmdebstrap.
deploy *options:
    uv run --group deploy pytest -m deploy {{ options }}

# Use the page in a browser. Needs Debian's Chromium, caddy and Node 20.
browser *options:
    uv run --group browser pytest -m browser {{ options }}

# Run the proofs: 50 minutes. Needs nginx, caddy, pgbouncer and prometheus.
proof *options:
    uv run pytest -m proof {{ options }}

# Compare the speed with PocketBase and hand-written endpoints: half an hour. Needs wrk and two cores.
bench *options:
    uv run --group bench python -m tests.benchmarks {{ options }}

# Serve the API on port 8000, and restart when the code changes.
serve *options:
    uv run todo serve --reload {{ options }}

# Build what a release has for Python, in dist/: wheel and sdist, and in release/: the SBOM.
build:
    uv build --clear
    mkdir -p release
    uv export --quiet --no-default-groups --format cyclonedx1.5 \
        --output-file "release/todo-$(uv version --short).cdx.json" > /dev/null

# Generate docs/settings.md, and the table in docs/metrics.md.
docs:
    uv run python -m tests.docs.settings_page
    uv run python -m tests.docs.metrics_page
