# Thin names for `cargo xtask`; CI runs the same.

default:
    @just --list

# Install what checks, guests and tests need.
setup:
    cargo xtask setup

# Build the guests of the tests: all, or those named.
guests *names:
    cargo xtask guests {{names}}

# Formatting, lints, licences, spelling.
check:
    cargo xtask check

# Every test; further words go to nextest.
test *words:
    cargo xtask test {{words}}

# The tests that start the built program.
e2e:
    cargo xtask e2e

# Benchmarks; further words go to them.
bench *words:
    cargo xtask bench {{words}}

# What CI runs.
ci:
    cargo xtask ci

# The documentation of the crates.
docs:
    cargo doc --workspace --no-deps
