//! What models that wrap a model have in common (feature `train`): they step as the model does, and only differ in what they do when the
//! optimizer's turn comes.

/// Input, output and step of a `TrainStep` for a wrapper, as of its model.
macro_rules! as_its_model {
    () => {
        type Input = M::Input;
        type Output = M::Output;

        fn step(&self, item: M::Input) -> burn::train::TrainOutput<M::Output> {
            self.model.step(item)
        }
    };
}

/// Refuses a step of several devices' gradients, which Burn would give to the optimizer without asking the wrapper.
macro_rules! one_device_only {
    ($wrapper:literal) => {
        /// # Panics
        /// Always: several devices' gradients would bypass this. Train on one device, or by a strategy that adds them up on one.
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
