//! The common code of modules that wrap a model (feature `train`). The training step of a wrapper
//! is that of its model. Wrappers differ only in the optimizer's step.

/// Implements the input, the output and the step of a wrapper's `TrainStep` by those of its model.
macro_rules! as_its_model {
    () => {
        type Input = M::Input;
        type Output = M::Output;

        fn step(&self, item: M::Input) -> burn::train::TrainOutput<M::Output> {
            self.model.step(item)
        }
    };
}

/// Refuses an optimizer's step with the gradients of several devices. Burn would pass them to the
/// optimizer without calling the wrapper.
macro_rules! one_device_only {
    ($wrapper:literal) => {
        /// Refuses the gradients of several devices.
        ///
        /// # Panics
        /// Always, because the gradients of several devices would bypass this wrapper. Train on one
        /// device, or with a strategy that adds up the gradients on one device.
        fn optimize_multi(
            self,
            _: &mut ModuleOptimizer,
            _: ModuleLearningRate,
            _: burn::optim::MultiGradientsParams,
        ) -> Self {
            panic!(concat!(
                $wrapper,
                " would be bypassed by gradients from several devices; train on one, or by MultiDeviceOptim::OptimMainDevice"
            ))
        }
    };
}

pub(crate) use {as_its_model, one_device_only};

/// Makes a wrapper infer by one of its models.
macro_rules! infers_by {
    ($wrapper:ident, $model:ident) => {
        impl<M: Module + burn::train::InferenceStep> burn::train::InferenceStep for $wrapper<M> {
            type Input = M::Input;
            type Output = M::Output;

            fn step(&self, item: M::Input) -> M::Output {
                self.$model.step(item)
            }
        }
    };
}
pub(crate) use infers_by;
