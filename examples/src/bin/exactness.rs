//! What exactness buys, and what it costs: networks of one size learn one task by exact gradients
//! through smooth gates, by the same adjoint with a memory of one membrane time constant, and by
//! surrogate gradients through a threshold. Draws the accuracy against the sharpness of gate and
//! surrogate, the depth and the length of a sample, and the cosines between the gradients.

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::Dataset;
use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::{Initializer, Module};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor};
use burn_spiking::{
    Adjoint, ConfigError, Gate, GradientScale, InitialWeights, Neuron, NonFiniteGradient, SpikingRnnConfig,
    SpikingStack, SpikingStackConfig, Surrogate, Synapse, finite_gradients,
};
use burn_spiking_examples::angle;
use burn_spiking_examples::output::{Folder, Stop, exit_code};
use burn_spiking_plot::{Curve, Curves, Role, Scale, curves};
use burn_spiking_tasks::{Binning, Events, InputFilter, Randman, Sample, SampleBatch, SampleBatcher, TaskError};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::f64::consts::PI;
use std::path::PathBuf;
use std::process::ExitCode;

/// Trains feed-forward networks of LIF neurons on Randman, by exact gradients, by an adjoint that
/// forgets and by surrogate gradients, and draws what each learns and how far they point the same
/// way.
#[derive(Parser, Debug)]
#[command(version)]
struct Args {
    /// Folder for the figure and the numbers
    #[arg(long, default_value = "runs/exactness")]
    out: PathBuf,
    /// Number of seeds for each point
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Number of iterations of each training
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: u32,
    /// Number of samples in a batch
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Learning rate at the start
    #[arg(long, default_value_t = 0.1)]
    rate: f64,
    /// Number of neurons in a layer
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    neurons: u32,
}

/// How a network gets its gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    /// Exactly, through gates of this width.
    Exact { width: f64 },
    /// Through gates of this width, with an adjoint that forgets: e^(−dt/τ_mem) of it is kept in
    /// each step, so that it reaches back by about τ_mem.
    Forgetting { width: f64 },
    /// Through a threshold, with the surrogate of a fast sigmoid of this slope. Its adjoint forgets
    /// at the same rate, because it takes the reset for a constant.
    Surrogate { slope: f64 },
}

impl Way {
    /// How narrow the function is that stands for the derivative of a spike.
    fn sharpness(self) -> f64 {
        match self {
            Way::Exact { width } | Way::Forgetting { width } => 1.0 / width,
            Way::Surrogate { slope } => slope,
        }
    }

    fn gate_and_adjoint(self) -> (Gate, Adjoint) {
        match self {
            Way::Exact { width } => (Gate::Quintic { width }, Adjoint::Exact),
            Way::Forgetting { width } => {
                (Gate::Quintic { width }, Adjoint::Limited { limit: None, keep: (-DT / TAU_MEM).exp() })
            }
            Way::Surrogate { slope } => {
                (Gate::Threshold { at: 1.0 }, Adjoint::Surrogate(Surrogate::FastSigmoid { slope }))
            }
        }
    }

    fn name(self) -> String {
        match self {
            Way::Exact { width } => format!("exact, width {width}"),
            Way::Forgetting { width } => format!("forgetting, width {width}"),
            Way::Surrogate { slope } => format!("surrogate, slope {slope}"),
        }
    }
}

/// A network and its task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Setting {
    way: Way,
    /// Number of spiking layers.
    depth: usize,
    /// Length of a sample, ms. The input spikes fall into its first half.
    length_ms: f64,
}

/// Length of a time step, ms.
const DT: f64 = 2.0;
/// Time constants of the neurons, of the synapses and of the input filter, ms.
const TAU_MEM: f64 = 20.0;
const TAU: f64 = 20.0;
const INPUT_TAU: f64 = 10.0;
const CLASSES: usize = 10;
const TRAINING: usize = 4000;
const TEST: usize = 1000;
/// The values that stay fixed while another varies.
const USUAL_LENGTH: f64 = 200.0;
const WIDTHS: [f64; 4] = [1.0, 0.3, 0.1, 0.03];
const SLOPES: [f64; 4] = [1.0, 5.0, 25.0, 100.0];
const DEPTHS: [usize; 3] = [1, 2, 3];
const LENGTHS: [f64; 4] = [50.0, 100.0, 200.0, 400.0];
/// The ways that are compared over depths and lengths.
const COMPARED: [Way; 4] = [
    Way::Exact { width: 0.3 },
    Way::Forgetting { width: 0.3 },
    Way::Surrogate { slope: 25.0 },
    Way::Surrogate { slope: 100.0 },
];

#[derive(Debug, Clone, Serialize)]
struct Trained {
    setting: Setting,
    /// The accuracy of each seed on test samples.
    accuracies: Vec<f64>,
    /// Iterations whose gradient was not finite, in all seeds.
    skipped: usize,
}

impl Trained {
    fn mean(&self) -> f64 {
        self.accuracies.iter().sum::<f64>() / self.accuracies.len() as f64
    }
}

#[derive(Debug, Clone, Serialize)]
struct Angle {
    depth: usize,
    way: Way,
    /// The cosine of the angle to the exact gradient of the first layer's input weights, for each
    /// seed.
    cosines: Vec<f64>,
}

#[derive(Module, Debug)]
struct Deep {
    stack: SpikingStack,
    readout: Linear,
}

impl Deep {
    fn init(setting: Setting, neurons: usize, units: usize, device: &Device) -> Result<Self, ConfigError> {
        let (gate, adjoint) = setting.way.gate_and_adjoint();
        let layer = |at: usize| {
            let (from, input) = if at == 0 { (units, 40.0) } else { (neurons, 10.0) };
            SpikingRnnConfig::new(from, neurons)
                .with_neuron(Neuron::Lif { tau_mem: TAU_MEM })
                .with_gate(gate)
                .with_adjoint(adjoint)
                .with_synapses(vec![Synapse::readout_only(TAU)])
                .with_dt(DT)
                .with_non_finite_gradient(NonFiniteGradient::Nan)
                .with_initial(Some(InitialWeights { input, recurrent: 0.0, bias: 0.0 }))
        };
        let stack = SpikingStackConfig::new((0..setting.depth).map(layer).collect()).init(device)?;
        let readout = LinearConfig::new(neurons, CLASSES)
            .with_initializer(Initializer::Normal { mean: 0.0, std: 0.05 })
            .init(device);
        Ok(Self { stack, readout })
    }

    /// The logits, `[B, classes]`: a readout of the mean trace of the last layer.
    fn forward(&self, input: Tensor<3>) -> Tensor<2> {
        let (trajectories, _) = self.stack.forward(input, None);
        let trace = trajectories.last().expect("a stack has layers").trace();
        self.readout.forward(trace.mean_dim(1).squeeze_dim(1))
    }

    fn cost(&self, batch: SampleBatch) -> Tensor<1> {
        let logits = self.forward(batch.input);
        CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, batch.class)
    }
}

/// The samples of a seed, of a given length.
struct Task {
    training: Vec<Sample>,
    test: Vec<Sample>,
    batcher: SampleBatcher,
    units: usize,
}

impl Task {
    /// A batch of training samples, in their order, again and again.
    fn batch(&self, iteration: usize, size: usize, device: &Device) -> SampleBatch {
        let samples = (iteration * size..(iteration + 1) * size).map(|at| self.training[at % TRAINING].clone());
        self.batcher.batch(samples.collect(), device)
    }
}

/// The samples of each seed, of the usual length. They take seconds to draw.
#[derive(Default)]
struct Drawn(Vec<(u64, Vec<Sample>)>);

impl Drawn {
    /// The task of a seed: the same samples for all lengths, faster or slower.
    fn task(&mut self, length_ms: f64, seed: u64) -> Result<Task, String> {
        let found = match self.0.iter().position(|(drawn, _)| *drawn == seed) {
            Some(at) => at,
            None => {
                let task = Randman { steps: 1000, dt: 0.5e-3 * USUAL_LENGTH, classes: CLASSES, ..Randman::usual(seed) };
                let data = task.dataset(seed, TRAINING + TEST).map_err(|error| error.to_string())?;
                let samples: Result<Vec<Sample>, _> = (0..data.len()).map(|at| data.get(at)).collect();
                self.0.push((seed, samples.map_err(|error| error.to_string())?));
                self.0.len() - 1
            }
        };
        let factor = length_ms / USUAL_LENGTH;
        let scaled = |sample: &Sample| -> Result<Sample, TaskError> {
            let (times, units) = sample.events.iter().map(|(time, unit)| ((time * factor) as f32, unit as u32)).unzip();
            Ok(Sample { events: Events::new(times, units)?, class: sample.class })
        };
        let told = |error: TaskError| error.to_string();
        let samples: Result<Vec<Sample>, _> = self.0[found].1.iter().map(scaled).collect();
        let mut training = samples.map_err(told)?;
        let test = training.split_off(TRAINING);
        let units = Randman::usual(seed).units;
        let steps = (length_ms / DT).round() as usize;
        let binning = Binning { dt: DT, steps, units, filter: InputFilter::Filtered { tau: INPUT_TAU } };
        Ok(Task { training, test, batcher: SampleBatcher::new(binning).map_err(told)?, units })
    }
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<(), Stop> {
    let folder = Folder::make(&args.out)?;
    let settings = settings();
    let bar = ProgressBar::new(settings.len() as u64 * args.seeds);
    let style = ProgressStyle::with_template("{wide_bar} {pos} of {len} trainings, {elapsed} spent, {eta} left");
    bar.set_style(style.map_err(|error| error.to_string())?);
    let (mut all, mut tasks) = (Vec::new(), Drawn::default());
    for setting in settings {
        let mut trained = Trained { setting, accuracies: Vec::new(), skipped: 0 };
        for seed in 0..args.seeds {
            let task = tasks.task(setting.length_ms, seed)?;
            let (accuracy, skipped) = train(args, setting, &task, seed)?;
            trained.accuracies.push(accuracy);
            trained.skipped += skipped;
            bar.inc(1);
        }
        bar.suspend(|| {
            let Setting { way, depth, length_ms } = setting;
            let (name, mean) = (way.name(), trained.mean());
            println!("{name}, {depth} layers, {length_ms} ms: accuracy {mean:.3} {:.3?}", trained.accuracies);
        });
        all.push(trained);
    }
    bar.finish_and_clear();
    let angles = angles(args, &mut tasks)?;
    draw(&folder, &all, &angles)?;
    folder.write_json("exactness.json", &(&all, &angles))?;
    println!("figure {}", folder.file("exactness.png").display());
    Ok(())
}

/// All settings that are trained, each once.
fn settings() -> Vec<Setting> {
    let usual = |way: Way| Setting { way, depth: 1, length_ms: USUAL_LENGTH };
    let exact = WIDTHS.map(|width| usual(Way::Exact { width }));
    let forgetting = WIDTHS.map(|width| usual(Way::Forgetting { width }));
    let mut settings = [exact, forgetting, SLOPES.map(|slope| usual(Way::Surrogate { slope }))].concat();
    for way in COMPARED {
        settings.extend(DEPTHS.map(|depth| Setting { depth, ..usual(way) }));
        settings.extend(LENGTHS.map(|length_ms| Setting { length_ms, ..usual(way) }));
    }
    let mut once: Vec<Setting> = Vec::new();
    settings.into_iter().for_each(|setting| {
        if !once.contains(&setting) {
            once.push(setting)
        }
    });
    once
}

/// Trains a network. Returns its accuracy, and the number of iterations that were skipped because
/// their gradient was not finite.
fn train(args: &Args, setting: Setting, task: &Task, seed: u64) -> Result<(f64, usize), String> {
    let device = Device::flex().autodiff();
    device.seed(seed);
    let (batch, iterations) = (args.batch as usize, args.iterations as usize);
    let told = |error: ConfigError| error.to_string();
    let mut model = Deep::init(setting, args.neurons as usize, task.units, &device).map_err(told)?;
    let mut optimizer = AdamWConfig::new().with_beta_2(0.99).with_epsilon(1e-8).with_weight_decay(0.0).init();
    let scale = GradientScale::MedianClip { multiple: 1.5, window: 50 };
    let (mut norms, mut skipped) = (Vec::new(), 0);
    for iteration in 0..iterations {
        let share = iteration as f64 / iterations as f64;
        let rates = ModuleLearningRate::from(args.rate * (0.02 + 0.49 * (1.0 + (PI * share).cos())));
        let cost = model.cost(task.batch(iteration, batch, &device));
        let gradients = GradientsParams::from_grads(cost.backward(), &model);
        if !finite_gradients(&model, &gradients) {
            skipped += 1;
            continue;
        }
        let gradients = scale.apply(&model, &rates, gradients, &mut norms);
        model = optimizer.step(rates, model, gradients);
    }
    let (model, device) = (model.valid(), Device::flex());
    let mut right = 0;
    for samples in task.test.chunks(100) {
        let SampleBatch { input, class, .. } = task.batcher.batch(samples.to_vec(), &device);
        let given = model.forward(input).argmax(1).squeeze_dim::<1>(1);
        right += given.equal(class).int().sum().into_scalar::<i64>();
    }
    Ok((right as f64 / TEST as f64, skipped))
}

/// Compares the gradients of new networks with the exact one through the same gates, or for the
/// surrogates, through the gates of the first of [`COMPARED`].
fn angles(args: &Args, tasks: &mut Drawn) -> Result<Vec<Angle>, String> {
    let [exact, others @ ..] = COMPARED;
    let mut found: Vec<Angle> = Vec::new();
    for depth in DEPTHS {
        let mut angles = others.map(|way| Angle { depth, way, cosines: Vec::new() });
        for seed in 0..args.seeds {
            let task = tasks.task(USUAL_LENGTH, seed)?;
            let of = |way: Way| -> Result<Vec<f64>, String> {
                let device = Device::flex().autodiff();
                // The same seed gives the same weights to each network.
                device.seed(seed);
                let setting = Setting { way, depth, length_ms: USUAL_LENGTH };
                let model = Deep::init(setting, args.neurons as usize, task.units, &device);
                let model = model.map_err(|error| error.to_string())?;
                let gradients = model.cost(task.batch(0, args.batch as usize, &device)).backward();
                let first = model.stack.layers[0].input_weight.grad(&gradients);
                Ok(first.expect("a parameter has a gradient").into_data().iter::<f64>().collect())
            };
            let exact = of(exact)?;
            for angle in &mut angles {
                angle.cosines.push(angle::cosine(&exact, &of(angle.way)?));
            }
        }
        for Angle { way, cosines, .. } in &angles {
            println!("{depth} layers, {}: cosine {cosines:.3?}", way.name());
        }
        found.extend(angles);
    }
    Ok(found)
}

fn draw(folder: &Folder, all: &[Trained], angles: &[Angle]) -> Result<(), String> {
    let line = |name: String, points: Vec<(f64, f64)>| Curve { name, points, role: Role::Own };
    let accuracy = |x: &str, x_scale: Scale, lines: Vec<Curve>| Curves {
        x: x.into(),
        y: "accuracy".into(),
        x_scale,
        y_scale: Scale::Linear,
        lines,
    };
    let points = |holds: &dyn Fn(&Setting) -> bool, x: &dyn Fn(&Setting) -> f64| -> Vec<(f64, f64)> {
        let mut points: Vec<(f64, f64)> = all
            .iter()
            .filter(|trained| holds(&trained.setting))
            .map(|trained| (x(&trained.setting), trained.mean()))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let usual = |setting: &Setting| setting.depth == 1 && setting.length_ms == USUAL_LENGTH;
    let kind = |name: &str, of: fn(&Way) -> bool| {
        line(name.into(), points(&|setting| usual(setting) && of(&setting.way), &|setting| setting.way.sharpness()))
    };
    let sharpness = vec![
        kind("exact", |way| matches!(way, Way::Exact { .. })),
        kind("forgetting", |way| matches!(way, Way::Forgetting { .. })),
        kind("surrogate", |way| matches!(way, Way::Surrogate { .. })),
    ];
    let depths = COMPARED.map(|way| {
        let holds = |setting: &Setting| setting.way == way && setting.length_ms == USUAL_LENGTH;
        line(way.name(), points(&holds, &|setting| setting.depth as f64))
    });
    let lengths = COMPARED.map(|way| {
        let holds = |setting: &Setting| setting.way == way && setting.depth == 1;
        line(way.name(), points(&holds, &|setting| setting.length_ms))
    });
    let [exact, others @ ..] = COMPARED;
    let cosines = others.map(|way| {
        let mean = |angle: &Angle| angle.cosines.iter().sum::<f64>() / angle.cosines.len() as f64;
        let of = angles.iter().filter(|angle| angle.way == way).map(|angle| (angle.depth as f64, mean(angle)));
        line(way.name(), of.collect())
    });
    let panels = [
        accuracy("1/width of the gate, or slope of the surrogate", Scale::Log, sharpness),
        accuracy("number of layers", Scale::Linear, depths.into()),
        accuracy("length of a sample (ms)", Scale::Log, lengths.into()),
        Curves {
            x: "number of layers".into(),
            y: format!("cosine to \"{}\"", exact.name()),
            x_scale: Scale::Linear,
            y_scale: Scale::Linear,
            lines: cosines.into(),
        },
    ];
    let title = "Randman by exact gradients, by an adjoint that forgets, and by surrogate gradients";
    curves(folder.file("exactness.png"), title, &panels).map_err(|error| error.to_string())
}
