//! The tensors that a scan runs on and gives, as a layer sees them, and their check.

use super::plan::{Adjoint, Checkpointing, ScanPlan, check_surrogate};
use super::tensors::ScanInputs;
use burn::backend::Dispatch;
use burn::tensor::Tensor;

/// The form of the drive x.
#[derive(Debug, Clone)]
// A run has only one of these, so the size of the variants does not matter.
#[allow(clippy::large_enum_variant)]
pub enum Drive {
    /// x itself, `[B, T, N]`, 1/ms.
    Whole(Tensor<3>),
    /// x = U i + I_o.
    Projected {
        /// i, `[B, T, C]`.
        input: Tensor<3>,
        /// U, `[C, N]`.
        projection: Tensor<2>,
        /// I_o, `[N]`; 0 if `None`.
        bias: Option<Tensor<1>>,
    },
}

impl Drive {
    /// x, or the input i if the drive is projected.
    pub(super) fn series(&self) -> &Tensor<3> {
        match self {
            Drive::Whole(drive) => drive,
            Drive::Projected { input, .. } => input,
        }
    }

    /// The drive x of step t, `[B, N]`.
    pub(super) fn at(&self, t: usize) -> Tensor<2> {
        match self {
            Drive::Whole(drive) => drive.clone().narrow(1, t, 1).squeeze_dim(1),
            Drive::Projected { input, projection, bias } => {
                let [batch, _, channels] = input.dims();
                let x = input.clone().narrow(1, t, 1).reshape([batch, channels]).matmul(projection.clone());
                match bias {
                    Some(bias) => x + bias.clone().unsqueeze(),
                    None => x,
                }
            }
        }
    }

    /// The number of neurons N.
    fn neurons(&self) -> usize {
        match self {
            Drive::Whole(drive) => drive.dims()[2],
            Drive::Projected { projection, .. } => projection.dims()[1],
        }
    }
}

/// The input tensors of a scan.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// x.
    pub drive: Drive,
    /// W, `[M, N, N]`: one weight plane `[pre, post]` for each of the M synapse types that have
    /// weights; `None` if no type has weights.
    pub weights: Option<Tensor<3>>,
    /// d, `[L, N]`: one row of self-weights for each of the L synapse types that connect each
    /// neuron to itself alone; `None` if there is no such type.
    pub self_weights: Option<Tensor<2>>,
    /// v_0, `[B, N]`, in [0, 1).
    pub v0: Tensor<2>,
    /// s_0, `[B, H, N]`.
    pub s0: Tensor<3>,
    /// O, `[N, O]`, if the plan has a readout.
    pub readout: Option<Tensor<2>>,
    /// m, the weights of the steps in the activity, `[B, T]`; all 1 if `None`. They have no
    /// gradient.
    pub activity_weight: Option<Tensor<2>>,
    /// τ_mem, w, α_1 … α_K, `[2 M + K]`, if the plan has constants with gradients. They replace
    /// those of the plan. Here M is 1, or N if each neuron has its own τ_mem and w.
    pub constants: Option<Tensor<1>>,
}

impl From<Arguments> for ScanInputs<Dispatch> {
    fn from(arguments: Arguments) -> Self {
        let Arguments { drive, weights, self_weights, v0, s0, readout, activity_weight, constants } = arguments;
        let (drive, projection, bias) = match drive {
            Drive::Whole(drive) => (drive, None, None),
            Drive::Projected { input, projection, bias } => (input, Some(projection), bias),
        };
        Self {
            drive: drive.into_dispatch(),
            projection: projection.map(Tensor::into_dispatch).into(),
            bias: bias.map(Tensor::into_dispatch).into(),
            weights: weights.map(Tensor::into_dispatch).into(),
            self_weights: self_weights.map(Tensor::into_dispatch).into(),
            v0: v0.into_dispatch(),
            s0: s0.into_dispatch(),
            readout: readout.map(Tensor::into_dispatch).into(),
            activity_weight: activity_weight.map(Tensor::into_dispatch).into(),
            constants: constants.map(Tensor::into_dispatch).into(),
        }
    }
}

/// The outputs of a scan.
#[derive(Debug, Clone)]
pub struct Run {
    /// The traces s_{t+1} of the synapse types that the plan records, each `[B, T, N]`.
    pub traces: Vec<Tensor<3>>,
    /// The membrane potentials v_{t+1} after the reset, `[B, T, N]`.
    pub v: Option<Tensor<3>>,
    /// The charges ΔQ_t, `[B, T, N]`. The charge of one spike sums to 1.
    pub charge: Option<Tensor<3>>,
    /// w_{t+1} of neurons with two variables, after the jump, `[B, T, N]`.
    pub w: Option<Tensor<3>>,
    /// The readout o_t, `[B, T, O]`.
    pub output: Option<Tensor<3>>,
    /// The activity A = Σ_t m_t |s_{t+1}|² of the trace that is read out, `[B]`.
    pub activity: Option<Tensor<1>>,
    /// v_T, `[B, N]`.
    pub last_v: Tensor<2>,
    /// s_T, `[B, H, N]`.
    pub last_s: Tensor<3>,
}

impl Arguments {
    /// Panics if shapes, dtypes or devices do not match each other or the plan.
    pub(super) fn check(&self, plan: &ScanPlan) {
        let Arguments { drive, weights, self_weights, v0, s0, readout, activity_weight, constants } = self;
        let (series, neurons) = (drive.series(), drive.neurons());
        let [batch, steps, channels] = series.dims();
        super::device::check(&series.device()).unwrap_or_else(|error| panic!("{error}"));
        assert!(steps > 0, "the drive has 0 time steps, but a run needs at least 1");
        assert_eq!(v0.dims(), [batch, neurons], "v0 must be [batch, neurons] like the drive [batch, steps, neurons]");
        assert_eq!(
            s0.dims(),
            [batch, plan.state_rows(), neurons],
            "s0 must be [batch, synapse types and steps of delay, neurons] like the drive [batch, steps, neurons]"
        );
        let planes = plan.weight_planes();
        let dims = weights.as_ref().map_or([0, neurons, neurons], Tensor::dims);
        assert_eq!(dims, [planes, neurons, neurons], "weights must be [recurrent synapse types, neurons, neurons]");
        assert_eq!(
            self_weights.as_ref().map_or([0, neurons], Tensor::dims),
            [plan.self_weight_rows(), neurons],
            "self-weights must be [synapse types of neurons to themselves, neurons]"
        );
        if let Some(weight) = activity_weight {
            assert!(plan.readout.is_some(), "weights of the activity are given, but the plan has no readout");
            assert_eq!(weight.dims(), [batch, steps], "the activity's weights must be [batch, steps] like the drive");
        }
        assert_eq!(
            readout.is_some(),
            plan.readout.is_some(),
            "a plan with a readout, and no other, takes readout weights"
        );
        assert_eq!(
            matches!(plan.adjoint, Adjoint::MeanField { .. }),
            plan.rates.is_some(),
            "a plan with Adjoint::MeanField, and no other, has the neuron's f-I curve; make it by `ScanPlan::with_adjoint`"
        );
        if plan.surrogate().is_some() {
            check_surrogate(plan).unwrap_or_else(|error| panic!("{error}"));
        }
        if let Checkpointing::Every(every) = plan.checkpointing {
            assert!(
                every > 0,
                "Checkpointing::Every is 0, but must be at least 1; use Checkpointing::Auto to leave it to the kernel"
            );
        }
        let mut others = vec![("v0", v0.dtype(), v0.device()), ("s0", s0.dtype(), s0.device())];
        others.extend(weights.iter().map(|w| ("weights", w.dtype(), w.device())));
        others.extend(self_weights.iter().map(|d| ("self-weights", d.dtype(), d.device())));
        others.extend(activity_weight.iter().map(|m| ("activity's weights", m.dtype(), m.device())));
        if let Drive::Projected { projection, bias, .. } = drive {
            assert_eq!(
                projection.dims()[0],
                channels,
                "the projection must be [channels, neurons] for the input's channels"
            );
            others.push(("projection", projection.dtype(), projection.device()));
            if let Some(bias) = bias {
                assert_eq!(bias.dims(), [neurons], "the bias current must be [neurons]");
                others.push(("bias current", bias.dtype(), bias.device()));
            }
        }
        if let (Some(readout), Some(synapse)) = (readout, plan.readout) {
            let types = plan.synapses.len();
            assert!(synapse < types, "the readout sees synapse type {synapse}, but there are {types}, counted from 0");
            assert_eq!(readout.dims()[0], neurons, "the readout must be [neurons, outputs]");
            others.push(("readout", readout.dtype(), readout.device()));
        }
        assert!(
            plan.neuron.is_planar() || !(plan.planar_constants || plan.record_w),
            "a plan with planar_constants or record_w has neurons with two variables, but the neuron is {}",
            plan.neuron
        );
        assert_eq!(
            constants.is_some(),
            plan.constants,
            "a plan with constants that have gradients, and no other, takes them"
        );
        if let Some(constants) = constants {
            let [length] = constants.dims();
            assert!(
                [1, neurons].iter().any(|of| length == plan.neuron_constants() * of + plan.synapses.len()),
                "constants must be tau_mem and width, with planar_constants also the second constant and the jump, of all neurons or \
                 of each, and the decay of each synapse type, but there are {length} numbers"
            );
            others.push(("constants", constants.dtype(), constants.device()));
        }
        if let Some(each) = &plan.per_neuron {
            let known = plan.planar_constants || plan.neuron.has_membrane();
            let taus = if known { neurons } else { each.tau_mem.len() };
            assert_eq!(
                [each.width.len(), each.tau_mem.len()],
                [neurons, taus],
                "one width and one tau_mem for each neuron"
            );
            let planar = if plan.planar_constants { neurons } else { 0 };
            assert_eq!(
                [each.second.len(), each.jump.len()],
                [planar; 2],
                "one second constant and one jump for each neuron of a plan with planar_constants, and none for others"
            );
        }
        for (name, dtype, device) in others {
            assert_eq!(dtype, series.dtype(), "{name} and the drive differ in dtype; cast one of them");
            assert_eq!(
                device.clone().inner(),
                series.device().inner(),
                "{name} and the drive are on different devices; move one of them"
            );
        }
    }
}
