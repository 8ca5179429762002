//! Batches whose gradient is infinite or NaN, skipped and counted (feature `train`).
//!
//! The adjoint of a strongly coupled network may outgrow the range of single precision on some batch. By default that panics. A layer
//! with [`NonFiniteGradient::Nan`](crate::NonFiniteGradient::Nan) gives a gradient of NaN instead, and [`Skipping`] makes no step of it: parameters,
//! their running mean and the optimizer's state stay as they were.

use crate::train::stream::streams_as_its_model;
use crate::train::wrapper::{as_its_model, one_device_only};
use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use burn::train::{InferenceStep, TrainStep};

/// Whether all gradients of a module's parameters are finite, for a loop of one's own. Waits for the device.
pub fn finite_gradients<M: Module>(module: &M, gradients: &GradientsParams) -> bool {
    struct Search<'a>(&'a GradientsParams, bool);
    impl ModuleVisitor for Search<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let found = if self.1 { self.0.get::<D>(param.id) } else { None };
            self.1 &= found.is_none_or(|gradient| gradient.into_data().iter::<f64>().all(f64::is_finite));
        }
    }
    let mut search = Search(gradients, true);
    module.visit(&mut search);
    search.1
}

/// A model that makes no step of a gradient that is infinite or NaN. The number of such batches is part of its record.
#[derive(Module, Debug)]
pub struct Skipping<M: Module> {
    /// What is trained.
    pub model: M,
    /// Batches that were skipped, `[1]`.
    pub skipped: Param<Tensor<1>>,
}

impl<M: Module> Skipping<M> {
    /// A model of which no batch has been skipped.
    pub fn new(model: M) -> Self {
        let device = model.devices().first().cloned().unwrap_or_default();
        Self { model, skipped: Param::from_tensor(Tensor::zeros([1], &device)).set_require_grad(false) }
    }

    /// Batches that were skipped. Waits for the device.
    pub fn skipped(&self) -> usize {
        self.skipped.val().into_scalar::<f64>() as usize
    }
}

impl<M: Module + TrainStep> TrainStep for Skipping<M> {
    as_its_model!();

    fn optimize(self, optim: &mut ModuleOptimizer, lr: ModuleLearningRate, grads: GradientsParams) -> Self {
        if finite_gradients(&self.model, &grads) {
            return Self { model: self.model.optimize(optim, lr, grads), ..self };
        }
        let skipped = self.skipped.map(|skipped| skipped + 1.0);
        log::warn!("a batch was skipped, since its gradient is infinite or NaN");
        Self { skipped, ..self }
    }

    one_device_only!("Skipping");
}

streams_as_its_model!(Skipping);

impl<M: Module + InferenceStep> InferenceStep for Skipping<M> {
    type Input = M::Input;
    type Output = M::Output;

    fn step(&self, item: M::Input) -> M::Output {
        self.model.step(item)
    }
}
