//! Times the scan at several shapes: the forward pass alone, and the forward pass with the adjoint.
//! Each is measured with an input that the scan projects, and with a whole drive. For comparison,
//! `stream` measures the time to read the tensors of the op and to write its results.
//!
//! Run it with `cargo bench --workspace --bench scan`.
//! A filter may follow: `-- B50_T1000_N80_w0.1`.

// Criterion's macros create public items without docs.
#![allow(missing_docs)]

use burn::backend::Dispatch;
use burn::tensor::{Device, Tensor, TensorData};
use burn_spiking::scan::{
    AdjointRequest, Arguments, Drive, GradientMask, OptionalTensor, OutputGradients, ScanInputs, ScanPlan,
    SpikingBackend,
};
use burn_spiking::{Gate, SpikingRnnConfig};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// One shape of the op.
struct Shape {
    batch: usize,
    steps: usize,
    neurons: usize,
    width: f64,
}

const SHAPES: [Shape; 6] = [
    Shape { batch: 50, steps: 1000, neurons: 80, width: 0.1 },
    Shape { batch: 50, steps: 1000, neurons: 80, width: 1.0 },
    Shape { batch: 50, steps: 500, neurons: 256, width: 0.1 },
    Shape { batch: 50, steps: 500, neurons: 256, width: 1.0 },
    Shape { batch: 16, steps: 200, neurons: 1024, width: 0.1 },
    Shape { batch: 1, steps: 1000, neurons: 80, width: 0.1 },
];

/// The inputs and the plan of the op: QIF neurons that fire at about 20 Hz.
struct Problem {
    projected: ScanInputs<Dispatch>,
    whole: ScanInputs<Dispatch>,
    plan: Arc<ScanPlan>,
    /// The gradient of the trace, `[1, B, T, N]`.
    direct: Tensor<4>,
}

impl Problem {
    fn new(shape: &Shape) -> Self {
        let Shape { batch, steps, neurons, width } = *shape;
        let device = Device::flex();
        device.seed(0);
        let layer =
            SpikingRnnConfig::new(3, neurons).with_gate(Gate::Quintic { width }).init(&device).expect("a network");
        let wave = (0..batch * steps * 3).map(|at| (0.711 * at as f32).sin()).collect::<Vec<_>>();
        let input = Tensor::<3>::from_data(TensorData::new(wave, [batch, steps, 3]), &device);
        let arguments = layer.arguments(input, Some(layer.random_state(batch, 0.0, 1.0, 0)));
        let Drive::Projected { input, projection, bias } = arguments.drive.clone() else {
            panic!("three channels are projected in the scan")
        };
        let drive = input.reshape([batch * steps, 3]).matmul(projection) + bias.expect("a bias current").unsqueeze();
        let whole = Arguments { drive: Drive::Whole(drive.reshape([batch, steps, neurons])), ..arguments.clone() };
        Self {
            projected: arguments.into(),
            whole: whole.into(),
            plan: layer.plan().clone(),
            direct: Tensor::full([1, batch, steps, neurons], 1e-5, &device),
        }
    }

    fn forward(&self, inputs: &ScanInputs<Dispatch>) {
        Dispatch::spiking_scan(inputs.clone(), self.plan.clone(), false);
    }

    fn both(&self, inputs: &ScanInputs<Dispatch>) {
        let output = Dispatch::spiking_scan(inputs.clone(), self.plan.clone(), true);
        let traces = OptionalTensor::Present(self.direct.clone().into_dispatch());
        let gradients = OutputGradients { traces, ..OutputGradients::empty() };
        let wanted = GradientMask::parameters(inputs);
        let request = AdjointRequest { inputs: inputs.clone(), tape: output.tape, gradients };
        Dispatch::spiking_scan_adjoint(request, self.plan.clone(), wanted);
    }
}

/// Reads two trajectories and writes two, on all threads. The op on a whole drive must do at least
/// this: it reads the drive and the gradient of the trace, and it writes the trace and the gradient
/// of the drive.
fn stream(from: &[Vec<f32>; 2], to: &mut [Vec<f32>; 2]) {
    let part = from[0].len().div_ceil(rayon::current_num_threads());
    for (from, to) in from.iter().zip(to) {
        to.par_chunks_mut(part).zip(from.par_chunks(part)).for_each(|(to, from)| to.copy_from_slice(from));
    }
}

fn scan(criterion: &mut Criterion) {
    for shape in &SHAPES {
        let Shape { batch, steps, neurons, width } = *shape;
        let mut group = criterion.benchmark_group(format!("B{batch}_T{steps}_N{neurons}_w{width}"));
        let neuron_steps = batch * steps * neurons;
        group.throughput(Throughput::Elements(neuron_steps as u64)).sample_size(20);
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
        let problem = Problem::new(shape);
        for (name, inputs) in [("projected", &problem.projected), ("whole drive", &problem.whole)] {
            group.bench_function(BenchmarkId::new("forward", name), |bench| bench.iter(|| problem.forward(inputs)));
            group.bench_function(BenchmarkId::new("forward and adjoint", name), |bench| {
                bench.iter(|| problem.both(inputs));
            });
        }
        let from = [(); 2].map(|()| vec![1.0; neuron_steps]);
        let mut to = [(); 2].map(|()| vec![0.0; neuron_steps]);
        group.bench_function("stream", |bench| bench.iter(|| stream(&from, &mut to)));
        group.finish();
    }
}

criterion_group!(benches, scan);
criterion_main!(benches);
