//! Scratch.
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::Dataset;
use burn::grad_clipping::GradientClippingConfig;
use burn::module::{Initializer, Module};
use burn::nn::LinearConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::Device;
use burn_spiking::neuron::Alif;
use burn_spiking::{Gate, InitialWeights, Neuron, SpikingNetwork, SpikingRnnConfig, Synapse, TrackingLossConfig};
use burn_spiking_examples::network::ReadoutNetwork;
use burn_spiking_tasks::{Answers, DelayedXor, Trial, TrialBatcher};
use clap::Parser;

/// Scratch.
#[derive(Parser, Debug)]
struct Args {
    /// n
    #[arg(long, default_value = "alif")]
    neuron: String,
    /// n
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// n
    #[arg(long, default_value_t = 600)]
    iterations: usize,
    /// n
    #[arg(long, default_value_t = 0.01)]
    lr: f64,
    /// n
    #[arg(long, default_value_t = 0.5)]
    width: f64,
    /// n
    #[arg(long, default_value_t = 200.0)]
    tau_w: f64,
    /// n
    #[arg(long, default_value_t = 0.3)]
    b: f64,
    /// n
    #[arg(long, default_value_t = 1.0)]
    recurrent: f64,
    /// n
    #[arg(long, default_value_t = 2.0)]
    input: f64,
    /// n
    #[arg(long, default_value_t = 20.0)]
    tau: f64,
    /// n
    #[arg(long, default_value_t = 0.1)]
    clip: f32,
    /// n
    #[arg(long)]
    bias: Option<f64>,
}

fn main() {
    let args = Args::parse();
    let device = Device::flex().autodiff();
    device.seed(args.seed);
    let neuron = match args.neuron.as_str() {
        "alif" => Neuron::Alif(Alif::new(20.0, args.tau_w, args.b)),
        "lif" => Neuron::Lif { tau_mem: 20.0 },
        "qif" => Neuron::Qif { tau_mem: 20.0 },
        _ => panic!(),
    };
    let n = 80;
    let mut initial = InitialWeights::of(&neuron, 20.0);
    initial.recurrent = args.recurrent;
    initial.input = args.input;
    if let Some(bias) = args.bias {
        initial.bias = bias
    }
    let layer = SpikingRnnConfig::new(2, n)
        .with_neuron(neuron)
        .with_gate(Gate::Quintic { width: args.width })
        .with_synapses(vec![Synapse::new(args.tau)])
        .with_initial(Some(initial))
        .init(&device)
        .unwrap();
    let readout = LinearConfig::new(n, 1)
        .with_bias(false)
        .with_initializer(Initializer::Normal { mean: 0.0, std: 0.02 })
        .init(&device);
    let network = SpikingNetwork::new(layer, readout).unwrap();
    let loss = TrackingLossConfig::new().with_lambda(1e-5).init().unwrap();
    let mut model = ReadoutNetwork { network, loss, floor: None, rest: None, mixture: None };
    let task = DelayedXor::graz(n);
    let mut optimizer =
        AdamConfig::new().with_grad_clipping(Some(GradientClippingConfig::Norm(args.clip))).with_beta_2(0.99).init();
    let batch_of = |seed: u64, count: usize, device: &Device| {
        let data = task.dataset(seed, count).unwrap();
        let trials: Vec<Trial> = (0..count).map(|k| data.get(k).unwrap()).collect();
        TrialBatcher.batch(trials, device)
    };
    let started = std::time::Instant::now();
    let mut answers = Answers::new();
    let mut cost_sum = 0.0;
    for iteration in 1..=args.iterations {
        let batch = batch_of(1000 * (args.seed + 1) * 1000 + iteration as u64, 48, &device);
        let outcome = model.forward(batch);
        answers.merge(&outcome.answers());
        let cost = outcome.cost;
        let gradients = GradientsParams::from_grads(cost.backward(), &model);
        cost_sum += cost.into_scalar::<f64>();
        let progress = iteration as f64 / args.iterations as f64;
        let lr = args.lr * (0.5 + 0.5 * (std::f64::consts::PI * progress).cos()).max(0.02);
        model = optimizer.step(lr, model, gradients);
        if iteration % 50 == 0 {
            let test = model.valid().forward_recording(batch_of(7 + args.seed, 200, &Device::flex()));
            let a = test.answers();
            println!(
                "{iteration:4} cost {:.4} train acc {:.3} test {:.3} {:?} rate {:.1} Hz {:.0} s",
                cost_sum / 50.0,
                answers.accuracy(),
                a.accuracy(),
                a.accuracy_by_answer(),
                test.firing.unwrap().rate_hz(),
                started.elapsed().as_secs_f64()
            );
            answers = Answers::new();
            cost_sum = 0.0;
        }
    }
}
