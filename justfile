# Trains the auto-encoding network and draws its readout.
train *args:
    cargo run --release -p burn-spiking-examples --bin autoencoder -- {{args}}

# Shows what the gate transmits.
gate-demo *args:
    cargo run --release -p burn-spiking-examples --bin gate-demo -- {{args}}

# Both results of the paper on five seeds, with their tables and figures.
results:
    cargo run --release -p burn-spiking-examples --bin gate-demo
    cargo run --release -p burn-spiking-examples --bin autoencoder -- --seeds 5 --plain
    cargo run --release -p burn-spiking-examples --bin autoencoder -- --system oscillator --seeds 5 --plain --out runs/oscillator
    cargo run --release -p burn-spiking-examples --bin delayed-xor -- --seeds 10 --plain
    cargo run --release -p burn-spiking-examples --bin delayed-xor -- --rounds 1 --max-gap 300 --seeds 5 --plain --out runs/one-round

# The field's tasks on five seeds.
field:
    for task in yin-yang randman digits evidence graz-xor; do \
        cargo run --release -p burn-spiking-examples --bin classify -- --task $task --seeds 5 --plain --out runs/$task; done
    cargo run --release -p burn-spiking-examples --bin generate -- --seeds 5 --plain

# The Python environment of the field's peers (snnTorch and Norse).
field-peers folder="field-peers-env":
    python3 -m venv {{folder}}
    {{folder}}/bin/pip install -r examples/peers/field/requirements.txt

# What exact, forgetting and surrogate gradients learn (a quarter of an hour on one core).
exactness *args:
    cargo run --release -p burn-spiking-examples --bin exactness -- {{args}}

# Trains the delayed exclusive or.
delayed-xor *args:
    cargo run --release -p burn-spiking-examples --bin delayed-xor -- {{args}}

# Which parts of the delayed exclusive or's recipe are needed, on five seeds each (hours).
ablation *args:
    cargo run --release -p burn-spiking-examples --bin ablation -- {{args}}

# Times the op against Burn's automatic BPTT.
compare *args:
    cargo run --release -p burn-spiking-examples --bin compare -- {{args}}

# Makes the Python environment of the peers (JAX and PyTorch, some 6 GB on disk).
peers folder="peers-env":
    python3 -m venv {{folder}}
    {{folder}}/bin/pip install -r examples/peers/requirements.txt

# Times the op against Burn's automatic BPTT, JAX and PyTorch.
compare-peers python="peers-env/bin/python" *args="":
    cargo run --release -p burn-spiking-examples --bin compare -- --peers {{python}} {{args}}

# The same on a GPU (device: cuda or wgpu), at a size that fills one. The peers need JAX and PyTorch for CUDA:
# `just peers-gpu`. The program it builds has all it needs in one file, so it can be carried to a machine without a network.
bench-gpu device="cuda" *args="":
    cargo run --release -p burn-spiking-examples --features {{device}} --bin compare -- --device {{device}} \
        --batch 256 --steps 1000 --neurons 512 --width 0.1 --repeat 8 --out runs/compare-{{device}} {{args}}

# The peers' Python environment for `just bench-gpu cuda --peers peers-env-gpu/bin/python`.
peers-gpu folder="peers-env-gpu":
    python3 -m venv {{folder}}
    {{folder}}/bin/pip install -r examples/peers/requirements-gpu.txt

# Times the op by shape, with Criterion.
bench *args:
    cargo bench --workspace --bench scan -- {{args}}

# Measures how the op's time grows with each size, and draws it.
scaling *args:
    cargo run --release -p burn-spiking-examples --bin scaling -- {{args}}

# The tests of the README.
test:
    cargo test --workspace

# The gradient check of layers on many random ones.
test-long draws="10000":
    GRADIENT_DRAWS={{draws}} cargo test --release --workspace --test networks -- --nocapture

# The op's gradient on many random networks.
test-op draws="3000":
    GRADIENT_DRAWS={{draws}} cargo test -p burn-spiking-tests --test gradients -- --nocapture

# Everything that must hold before a change lands.
ci:
    bash .ci/run

# The documentation.
doc:
    cargo doc --workspace --no-deps --open

# What to run before a release, besides `.ci/run`: the packages build from what they contain, and no change breaks users that the version
# does not announce (against the tag of the last release; the first release has none).
release-check baseline="":
    cargo package --workspace --exclude burn-spiking-examples --exclude burn-spiking-tests --exclude own-neuron
    {{ if baseline == "" { "echo 'no baseline: cargo semver-checks compares nothing'" } else { "cargo semver-checks --workspace --baseline-rev " + baseline } }}
