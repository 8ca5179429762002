//! Averaged weights: a model validated with the running mean of its parameters (feature `train`).
//!
//! ```text
//! average = c · average + (1 − c) · model        after each iteration
//! ```
//!
//! In a spiking network, a small step of the parameters sometimes changes the behaviour a lot. The
//! mean over the last 1/(1 − c) iterations does not jump in this way. It is usually the better
//! network.
//!
//! Source: Polyak & Juditsky 1992. The exponential mean is that of Tarvainen & Valpola 2017.

use crate::error::{ConfigError, within_below};
use crate::train::stream::streams_as_its_model;
use crate::train::wrapper::{as_its_model, infers_by, one_device_only};
use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use burn::train::TrainStep;
use std::collections::HashMap;

/// A model and the running mean of its parameters. Training steps run the model, and validation
/// runs the mean.
#[derive(Module, Debug)]
pub struct Averaged<M: Module> {
    /// The model that is trained.
    pub model: M,
    /// The model with the averaged parameters.
    pub average: M,
    /// c, in [0, 1). With 0, the mean equals the model.
    #[module(skip)]
    pub decay: f64,
}

impl<M: Module> Averaged<M> {
    /// Wraps a model. The mean starts at the model's parameters.
    ///
    /// # Errors
    /// If `decay` is outside [0, 1).
    pub fn new(model: M, decay: f64) -> Result<Self, ConfigError> {
        within_below("average's decay", decay, 1.0, "use 0 for no mean, 0.99 for one over about 100 iterations")?;
        // Burn draws some parameters at their first use. They must be drawn before the clone;
        // otherwise the model and its mean would start from different numbers.
        model.visit(&mut Parameters::default());
        Ok(Self { average: model.clone().no_grad(), model, decay })
    }

    /// Updates the mean with the model's current parameters.
    pub fn follow(self) -> Self {
        let mut parameters = Parameters::default();
        self.model.visit(&mut parameters);
        let average = self.average.map(&mut TowardsModel { parameters, decay: self.decay });
        Self { average, ..self }
    }
}

/// The parameters of a module, each flattened to one axis.
#[derive(Default)]
struct Parameters(HashMap<ParamId, Tensor<1>>);

impl ModuleVisitor for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // A detached parameter still requires its gradient.
        self.0.insert(param.id, param.val().detach().set_require_grad(false).reshape([-1]));
    }
}

struct TowardsModel {
    parameters: Parameters,
    decay: f64,
}

impl ModuleMapper for TowardsModel {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, mean, mapper) = param.consume();
        let model = self.parameters.0.get(&id).expect("a mean has the parameters of its model").clone();
        let model = model.reshape(mean.dims());
        Param::from_mapped_value(id, mean.detach() * self.decay + model * (1.0 - self.decay), mapper)
    }
}

impl<M: Module + TrainStep> TrainStep for Averaged<M> {
    as_its_model!();

    fn optimize(self, optim: &mut ModuleOptimizer, lr: ModuleLearningRate, grads: GradientsParams) -> Self {
        let model = self.model.optimize(optim, lr, grads);
        Self { model, ..self }.follow()
    }

    one_device_only!("Averaged");
}

streams_as_its_model!(Averaged);

infers_by!(Averaged, average);

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::SgdConfig;
    use burn::tensor::Device;

    fn weights(layer: &Linear) -> Vec<f32> {
        layer.weight.val().into_data().iter::<f32>().collect()
    }

    #[test]
    fn mean_is_its_equation() {
        let device = Device::flex().autodiff();
        let mut averaged = Averaged::new(LinearConfig::new(3, 2).init(&device), 0.75).unwrap();
        let mut expected = weights(&averaged.model);
        assert_eq!(expected, weights(&averaged.average));
        let mut optimizer = SgdConfig::new().init();
        for _ in 0..4 {
            let cost = averaged.model.forward(Tensor::<2>::ones([1, 3], &device)).square().sum();
            let gradients = GradientsParams::from_grads(cost.backward(), &averaged.model);
            averaged.model = optimizer.step(0.05, averaged.model, gradients);
            averaged = averaged.follow();
            let model = weights(&averaged.model);
            expected.iter_mut().zip(&model).for_each(|(mean, x)| *mean = 0.75 * *mean + 0.25 * x);
            let found = weights(&averaged.average);
            assert!(expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-6), "{expected:?} {found:?}");
            assert_ne!(model, found);
        }
    }

    #[test]
    fn decay_of_one_is_refused() {
        let model: Linear = LinearConfig::new(1, 1).init(&Device::flex());
        assert!(Averaged::new(model, 1.0).unwrap_err().to_string().contains("average's decay is 1"));
    }
}
