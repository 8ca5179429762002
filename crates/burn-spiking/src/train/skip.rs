//! Skips and counts batches whose gradient is infinite or NaN (feature `train`).
//!
//! The adjoint of a strongly coupled network may exceed the range of single precision in some
//! batches. By default the layer then panics. A layer with
//! [`NonFiniteGradient::Nan`](crate::NonFiniteGradient::Nan) returns a gradient of NaN instead, and
//! [`Skipping`] skips the optimizer's step: the parameters, their running mean and the state of the
//! optimizer stay unchanged.

use crate::train::stream::streams_as_its_model;
use crate::train::wrapper::{as_its_model, infers_by, one_device_only};
use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;
use burn::train::TrainStep;

/// Whether all gradients of a module's parameters are finite, for a user-written training loop.
/// Waits for the device.
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

/// A model that skips the optimizer's step if the gradient is infinite or NaN. The number of
/// skipped batches is part of its record.
#[derive(Module, Debug)]
pub struct Skipping<M: Module> {
    /// The model that is trained.
    pub model: M,
    /// Number of skipped batches, `[1]`.
    pub skipped: Param<Tensor<1>>,
}

impl<M: Module> Skipping<M> {
    /// Wraps a model, with no batch skipped so far.
    pub fn new(model: M) -> Self {
        let device = model.devices().first().cloned().unwrap_or_default();
        Self { model, skipped: Param::from_tensor(Tensor::zeros([1], &device)).set_require_grad(false) }
    }

    /// The number of skipped batches. Waits for the device.
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

infers_by!(Skipping, model);
