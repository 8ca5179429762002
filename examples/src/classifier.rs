//! A classifier: a spiking layer, a linear readout, and cross-entropy.
//!
//! ```text
//! logits = Σ_t m_t o_t / Σ_t m_t        m_t: weight of step t in the answer
//! cost   = cross-entropy(logits, class) + λ · mean over samples, steps and neurons of |ŝ|²
//! ```

use crate::output::Folder;
use burn::backend::ExecutionError;
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::GradientsParams;
use burn::tensor::{Int, Tensor};
use burn::train::metric::{Adaptor, LossInput};
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use burn_spiking::train::metric::BadGradients;
use burn_spiking::{Firing, NetworkOutput, SpikingNetwork};
use burn_spiking_tasks::{Confusion, SampleBatch};

/// A spiking network whose outputs are the logits of classes.
#[derive(Module, Debug)]
pub struct Classifier {
    /// The spiking layer and the readout.
    pub network: SpikingNetwork,
    /// λ, the weight of the cost of activity.
    #[module(skip)]
    pub activity: f64,
}

/// The result of a batch.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The cost, `[1]`.
    pub cost: Tensor<1>,
    /// The logits, `[B, classes]`.
    pub logits: Tensor<2>,
    /// The right classes, `[B]`.
    pub class: Tensor<1, Int>,
    /// How the neurons fired, if recorded.
    pub firing: Option<Firing>,
    /// Whether the gradient was infinite or NaN, for a batch in training.
    pub bad_gradients: BadGradients,
}

impl Classifier {
    /// Runs a batch and computes its cost.
    pub fn forward(&self, batch: SampleBatch) -> Verdict {
        let (run, _) = self.network.forward(batch.input.clone(), None);
        self.verdict(batch, run, None)
    }

    /// Runs a batch, computes its cost and records how the neurons fire.
    pub fn forward_recording(&self, batch: SampleBatch) -> Verdict {
        let (run, _) = self.network.forward_recording(batch.input.clone(), None);
        let firing = Firing::of(run.trajectory());
        self.verdict(batch, run, Some(firing))
    }

    fn verdict(&self, batch: SampleBatch, run: NetworkOutput, firing: Option<Firing>) -> Verdict {
        let SampleBatch { input, weight, class } = batch;
        let share = weight.clone() / weight.sum_dim(1);
        let logits: Tensor<2> = (run.output * share.unsqueeze_dim(2)).sum_dim(1).squeeze_dim(1);
        let loss = CrossEntropyLossConfig::new().init(&logits.device()).forward(logits.clone(), class.clone());
        let [_, steps, _] = input.dims();
        let size = steps * self.network.layer.config().d_hidden;
        let cost = loss + run.activity.mean() * (self.activity / size as f64);
        Verdict { cost, logits, class, firing, bad_gradients: BadGradients::default() }
    }

    /// Writes the model; see [`Folder::write_model`].
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, folder: &Folder) -> Result<(), String> {
        folder.write_model(self, &self.network.layer)
    }
}

impl Verdict {
    /// The given classes, which have the largest logits.
    pub fn given(&self) -> Vec<usize> {
        self.logits.clone().argmax(1).into_data().iter::<i64>().map(|class| class as usize).collect()
    }

    /// Counts right and given classes.
    pub fn confusion(&self) -> Confusion {
        let mut confusion = Confusion::new();
        let right = self.class.clone().into_data();
        right.iter::<i64>().zip(self.given()).for_each(|(right, given)| confusion.add(right as usize, given));
        confusion
    }
}

impl ItemLazy for Verdict {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<LossInput> for Verdict {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.cost.clone())
    }
}

impl Adaptor<Confusion> for Verdict {
    fn adapt(&self) -> Confusion {
        self.confusion()
    }
}

impl Adaptor<Firing> for Verdict {
    fn adapt(&self) -> Firing {
        self.firing.clone().unwrap_or_default()
    }
}

impl Adaptor<BadGradients> for Verdict {
    fn adapt(&self) -> BadGradients {
        self.bad_gradients.clone()
    }
}

impl TrainStep for Classifier {
    type Input = SampleBatch;
    type Output = Verdict;

    fn step(&self, batch: SampleBatch) -> TrainOutput<Verdict> {
        let verdict = self.forward(batch);
        let grads = GradientsParams::from_grads(verdict.cost.backward(), self);
        let item = Verdict {
            cost: verdict.cost.detach(),
            logits: verdict.logits.detach(),
            bad_gradients: BadGradients::of(self, &grads),
            ..verdict
        };
        TrainOutput { grads, item }
    }
}

impl InferenceStep for Classifier {
    type Input = SampleBatch;
    type Output = Verdict;

    fn step(&self, batch: SampleBatch) -> Verdict {
        self.forward_recording(batch)
    }
}
