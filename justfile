# Trains the auto-encoding network and draws its readout.
train *args:
    cargo run --release -p burn-spiking-examples --bin autoencoder -- {{args}}

# Trains the delayed exclusive or.
delayed-xor *args:
    cargo run --release -p burn-spiking-examples --bin delayed-xor -- {{args}}

# Times the op against Burn's automatic BPTT.
compare *args:
    cargo run --release -p burn-spiking-examples --bin compare -- {{args}}

# The tests of the README.
test:
    cargo test --workspace

# The gradient checks on many random networks.
test-long draws="3000":
    GRADIENT_DRAWS={{draws}} cargo test -p burn-spiking-tests --test gradients -- --nocapture

# Everything that must hold before a change lands.
ci:
    bash .ci/run

# The documentation.
doc:
    cargo doc --workspace --no-deps --open
