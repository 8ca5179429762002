//! Times the op by shape with Criterion, on the problem that `compare` and `scaling` measure, too:
//! the forward pass with the adjoint, alone and in a network with a cost. `stream` is the time that
//! this machine's memory needs for the trace and for its gradient, which the op must at least write
//! and read.
//!
//! Run it with `cargo bench --workspace --bench scan`.
//! A filter may follow: `-- B50_T1000_N80_w0.1`.

// Criterion's macros create public items without docs.
#![allow(missing_docs)]

use burn::tensor::{DType, Device};
use burn_spiking_examples::benchmark::{Problem, System, Way};
use burn_spiking_examples::measured::Stream;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;

const SHAPES: [(usize, usize, usize, f64); 6] = [
    (50, 1000, 80, 0.1),
    (50, 1000, 80, 1.0),
    (50, 500, 256, 0.1),
    (50, 500, 256, 1.0),
    (16, 200, 1024, 0.1),
    (1, 1000, 80, 0.1),
];

fn scan(criterion: &mut Criterion) {
    let stream = Stream::measure();
    for (batch, steps, neurons, width) in SHAPES {
        let system = System { batch, steps, neurons, width, ..System::default() };
        let problem = Problem::new(&system, steps, &Device::flex(), DType::F32).expect("a network");
        let direct = problem.direct();
        let neuron_steps = (batch * steps * neurons) as u64;
        let name = format!("B{batch}_T{steps}_N{neurons}_w{width}");
        println!("{name}: stream {:.2} ms", 1e-6 * stream.ns_for_trace() * neuron_steps as f64);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(neuron_steps)).sample_size(20);
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
        group.bench_function("op", |bench| bench.iter(|| problem.op_alone(&direct)));
        group.bench_function("network", |bench| bench.iter(|| problem.gradients(Way::Network)));
        group.finish();
    }
}

criterion_group!(benches, scan);
criterion_main!(benches);
