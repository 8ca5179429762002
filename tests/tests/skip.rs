//! Tests of infinite and NaN gradients: they are refused, or skipped and counted.

use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::store::ModuleRecord;
use burn::tensor::{Device, Tensor};
use burn::train::{TrainOutput, TrainStep};
use burn_spiking::train::metric::{Accumulate, BadGradients};
use burn_spiking::{
    Adjoint, Averaged, GradientScale, Implementation, NonFiniteGradient, Scaling, Skipping, SpikingNetwork,
    SpikingNetworkConfig, SpikingRnnConfig, finite_gradients,
};
use burn_spiking_tests::{Nothing, devices, numbers};

#[derive(Module, Debug)]
struct Model {
    network: SpikingNetwork,
}

impl Model {
    fn gradients(&self, factor: f32) -> GradientsParams {
        let input = Tensor::<3>::ones([2, 12, 1], &self.network.layer.device());
        let (run, _) = self.network.forward(input, None);
        GradientsParams::from_grads((run.output.sum() * factor).backward(), self)
    }
}

impl TrainStep for Model {
    type Input = f32;
    type Output = Nothing;

    fn step(&self, factor: f32) -> TrainOutput<Nothing> {
        TrainOutput { grads: self.gradients(factor), item: Nothing }
    }
}

fn device() -> Device {
    devices()[0].clone().autodiff()
}

fn config(non_finite: NonFiniteGradient) -> SpikingRnnConfig {
    SpikingRnnConfig::new(1, 5).with_non_finite_gradient(non_finite)
}

fn model(config: SpikingRnnConfig, implementation: Implementation) -> Model {
    let network = SpikingNetworkConfig::new(config, 1).init(&device()).unwrap();
    Model { network: network.with_implementation(implementation) }
}

fn parameters(model: &Model) -> Vec<Vec<f64>> {
    let layer = &model.network.layer;
    vec![
        numbers(layer.input_weight.val()),
        numbers(layer.recurrent_weights[0].val()),
        numbers(layer.bias.as_ref().unwrap().val()),
        numbers(model.network.readout.weight.val()),
    ]
}

type Trained = Skipping<Scaling<Averaged<Model>>>;

fn trained(model: Model) -> Trained {
    let averaged = Averaged::new(model, 0.9).unwrap();
    Skipping::new(Scaling::new(averaged, GradientScale::MedianClip { multiple: 1.5, window: 5 }).unwrap())
}

fn step(trained: Trained, optimizer: &mut ModuleOptimizer, factor: f32) -> Trained {
    let output = TrainStep::step(&trained, factor);
    trained.optimize(optimizer, ModuleLearningRate::from(0.01), output.grads)
}

#[test]
#[should_panic(expected = "gradient with respect to the initial potential of neuron")]
fn a_gradient_that_is_not_finite_is_refused() {
    model(config(NonFiniteGradient::Panic), Implementation::Fused).gradients(f32::INFINITY);
}

#[test]
#[should_panic(expected = "gradient with respect to the initial potential of neuron")]
fn tensor_operations_refuse_it_where_they_are_asked_to_look() {
    let config = config(NonFiniteGradient::Panic).with_check_finite(true);
    model(config, Implementation::TensorOps).gradients(f32::INFINITY);
}

#[test]
fn one_that_is_asked_for_is_nan_throughout() {
    let by_rates = Adjoint::MeanField { step_ms: 2.0, softness: 0.01 };
    let look = config(NonFiniteGradient::Nan).with_check_finite(true);
    for (config, body) in [
        (config(NonFiniteGradient::Nan), Implementation::Fused),
        (config(NonFiniteGradient::Nan).with_adjoint(by_rates), Implementation::Fused),
        (look.clone(), Implementation::TensorOps),
        (look.with_adjoint(by_rates), Implementation::TensorOps),
    ] {
        let model = model(config, body);
        let gradients = model.gradients(f32::INFINITY);
        assert!(!finite_gradients(&model, &gradients));
        let layer = &model.network.layer;
        let all = [
            numbers(gradients.get::<2>(layer.input_weight.id).unwrap()),
            numbers(gradients.get::<2>(layer.recurrent_weights[0].id).unwrap()),
            numbers(gradients.get::<1>(layer.bias.as_ref().unwrap().id).unwrap()),
            numbers(gradients.get::<2>(model.network.readout.weight.id).unwrap()),
        ];
        assert!(all.iter().flatten().all(|x| x.is_nan()), "{all:?}");
        assert!(finite_gradients(&model, &model.gradients(1.0)));
    }
}

#[test]
fn a_skipped_batch_changes_nothing_but_the_count() {
    let mut optimizers = [AdamConfig::new().init(), AdamConfig::new().init()];
    let start = trained(model(config(NonFiniteGradient::Nan), Implementation::Fused));
    let mut all = [start.clone(), start];
    for factor in [1.0, f32::INFINITY, 0.5, f32::NAN, 2.0] {
        let [with, without] = all;
        all = [
            step(with, &mut optimizers[0], factor),
            if factor.is_finite() { step(without, &mut optimizers[1], factor) } else { without },
        ];
    }
    let [with, without] = &all;
    assert_eq!((with.skipped(), without.skipped()), (2, 0));
    assert_eq!(parameters(&with.model.model.model), parameters(&without.model.model.model));
    assert_eq!(parameters(&with.model.model.average), parameters(&without.model.model.average));
    assert_eq!(numbers(with.model.norms.val()), numbers(without.model.norms.val()));

    // The count is in the record.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bpk");
    with.clone().into_record().save(&path).unwrap();
    let fresh = trained(model(config(NonFiniteGradient::Nan), Implementation::Fused));
    assert_eq!(fresh.try_load_record(ModuleRecord::load(&path).unwrap()).unwrap().skipped(), 2);
}

#[test]
fn bad_gradients_are_counted_for_the_metric() {
    let model = model(config(NonFiniteGradient::Nan), Implementation::Fused);
    let mut epoch = BadGradients::default();
    for factor in [1.0, f32::INFINITY, f32::NAN, 0.0] {
        epoch.merge(&BadGradients::of(&model, &model.gradients(factor)));
    }
    assert_eq!(epoch.count(), 2.0);
}

/// Resident memory of this process, MiB.
#[cfg(target_os = "linux")]
fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0 / 1024.0 / 1024.0
}

#[test]
#[cfg(target_os = "linux")]
fn memory_is_flat_over_ten_thousand_skipped_batches() {
    let mut optimizer = AdamConfig::new().init();
    let mut trained = trained(model(config(NonFiniteGradient::Nan), Implementation::Fused));
    let mut memory = Vec::new();
    for batch in 0..=11_000 {
        if [1000, 6000, 11_000].contains(&batch) {
            memory.push(resident());
        }
        trained = step(trained, &mut optimizer, f32::INFINITY);
    }
    assert_eq!(trained.skipped(), 11_001);
    // Other tests of this file run at the same time and may take memory in one of the halves. What
    // grows with each batch grows in both.
    let grown = [memory[1] - memory[0], memory[2] - memory[1]];
    assert!(grown.iter().any(|&grown| grown < 10.0), "{grown:?} MiB");
}
