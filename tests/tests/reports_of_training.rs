//! Tests, on this library, of faults in training that users of spiking and recurrent layers have
//! reported in public. Each test names the report.

use burn::data::dataloader::DataLoader;
use burn::data::dataset::Dataset;
use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{AdamConfig, ModuleOptimizer, SgdConfig};
use burn::store::ModuleRecord;
use burn::tensor::{DType, Device, Tensor, TensorCreationOptions, TensorData};
use burn::train::{TrainOutput, TrainStep};
use burn_spiking::train::stream::{ChunkOutput, StreamStep};
use burn_spiking::{
    Averaged, Chunk, FollowScore, GradientScale, Scaling, ScoreSchedule, Skipping, SpikingNetwork,
    SpikingNetworkConfig, SpikingRnnConfig, SpikingState, Streamed,
};
use burn_spiking_tasks::{DelayedXor, EpochLoader, StreamLoader, StreamSizes, TrialBatch, TrialBatcher};
use burn_spiking_tests::{Nothing, devices, normal, numbers};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

#[derive(Module, Debug)]
struct Model {
    network: SpikingNetwork,
}

impl StreamStep for Model {
    type Input = Tensor<3>;
    type Output = Nothing;

    fn fresh_state(&self, input: &Tensor<3>) -> SpikingState {
        self.network.layer.resting_state(input.dims()[0])
    }

    fn stream_step(&self, input: Tensor<3>, state: SpikingState) -> ChunkOutput<Nothing> {
        let (run, state) = self.network.forward(input, Some(state));
        let gradients = (run.output - 0.3).square().mean().backward();
        ChunkOutput { train: TrainOutput::new(self, gradients, Nothing), state, score: None }
    }
}

impl TrainStep for Model {
    type Input = Tensor<3>;
    type Output = Nothing;

    fn step(&self, input: Tensor<3>) -> TrainOutput<Nothing> {
        let state = self.fresh_state(&input);
        self.stream_step(input, state).train
    }
}

fn device() -> Device {
    devices()[0].clone().autodiff()
}

/// Replaces a module's numbers by numbers of its own stream, for Burn's stream is shared by tests
/// that run at the same time.
struct Drawn(ChaCha8Rng);

impl ModuleMapper for Drawn {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|old| {
            let data = (0..old.shape().num_elements()).map(|_| normal(&mut self.0)).collect();
            let options = (&old.device(), old.dtype());
            Tensor::from_data(TensorData::new::<f64, _>(data, old.shape()), options).require_grad()
        })
    }
}

/// Five neurons, of which some fire in every trial.
fn model(options: impl Into<TensorCreationOptions>) -> Model {
    let network = SpikingNetworkConfig::new(SpikingRnnConfig::new(2, 5), 1).init(options).unwrap();
    Model { network }.map(&mut Drawn(ChaCha8Rng::seed_from_u64(7)))
}

type Trained = Streamed<Skipping<Scaling<Averaged<Model>>>>;

/// A model in every wrapper: averaged, scaled, skipping and streamed.
fn trained(streams: usize) -> Trained {
    let averaged = Averaged::new(model(&device()), 0.9).unwrap();
    let scaling = Scaling::new(averaged, GradientScale::MedianClip { multiple: 1.5, window: 4 }).unwrap();
    Streamed::new(Skipping::new(scaling), [streams, 1, 5], &device())
}

fn inner(trained: &Trained) -> &Averaged<Model> {
    &trained.model.model.model
}

fn chunk(fresh: &[bool], seed: u64) -> Chunk<Tensor<3>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let data: Vec<f64> = (0..fresh.len() * 40).map(|_| 1.0 + normal(&mut random)).collect();
    let input = Tensor::from_data(TensorData::new(data, [fresh.len(), 20, 2]), &device());
    Chunk { input, fresh: fresh.to_vec() }
}

fn step(trained: Trained, optimizer: &mut ModuleOptimizer, chunk: Chunk<Tensor<3>>) -> Trained {
    let gradients = TrainStep::step(&trained, chunk).grads;
    trained.optimize(optimizer, ModuleLearningRate::from(0.01), gradients)
}

/// All numbers of a module, parameter by parameter.
fn parameters<M: Module>(module: &M) -> Vec<Vec<f64>> {
    #[derive(Default)]
    struct All(Vec<Vec<f64>>);
    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(numbers(param.val()));
        }
    }
    let mut all = All::default();
    module.visit(&mut all);
    all.0
}

fn through_file<M: Module>(module: &M, into: M) -> Result<M, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bpk");
    module.clone().into_record().save(&path).unwrap();
    // Burn reads loaded parameters on first use, but the folder is removed before that. So
    // `parameters` reads them here.
    let loaded = into.try_load_record(ModuleRecord::load(&path).unwrap()).map_err(|error| error.to_string())?;
    parameters(&loaded);
    Ok(loaded)
}

/// tracel-ai/burn#5130: after a resume, the optimizer's moments matched no parameter, and its
/// record grew with each restart.
#[test]
fn a_resumed_optimizer_knows_its_parameters() {
    let mut optimizer = AdamConfig::new().init();
    let chunks = |n: u64| chunk(&[n == 0; 3], n);
    let mut alone = trained(3);
    for n in 0..5 {
        alone = step(alone, &mut optimizer, chunks(n));
    }
    let before = optimizer.into_bytes().unwrap();
    let mut resumed = through_file(&alone, trained(3)).unwrap();
    let mut of_resumed = AdamConfig::new().init().from_bytes(before.clone()).unwrap();
    for n in 5..8 {
        alone = step(alone, &mut optimizer, chunks(n));
        resumed = step(resumed, &mut of_resumed, chunks(n));
    }
    assert_eq!(parameters(&resumed), parameters(&alone));
    let after = of_resumed.into_bytes().unwrap().len();
    // A second set of moments would double the size. Counters may take a few more bytes.
    assert!((after as f64) < 1.1 * before.len() as f64, "from {} to {after} bytes", before.len());
}

/// The same report: a moving average finds its model's parameters by their ids, so one record
/// contains both.
#[test]
fn a_mean_follows_a_model_from_a_record() {
    let (one, other) = (Averaged::new(model(&device()), 0.9).unwrap(), Averaged::new(model(&device()), 0.9).unwrap());
    let resumed = through_file(&one, other).unwrap().follow();
    assert_eq!(parameters(&resumed.model), parameters(&one.model));
}

/// jeshraghian/snntorch#421: double precision failed when a state came back in single precision.
#[test]
fn streams_run_in_double_precision() {
    let options = (&device(), DType::F64);
    let run = |streamed: Streamed<Model>| {
        let Chunk { input, fresh } = chunk(&[true, false, true], 0);
        TrainStep::step(&streamed, Chunk { input: input.cast(DType::F64), fresh });
    };
    run(Streamed::new(model(options), [3, 1, 5], options));
    let told = std::panic::catch_unwind(|| run(Streamed::new(model((&device(), DType::F64)), [3, 1, 5], &device())));
    let told = told.unwrap_err().downcast::<String>().unwrap();
    assert!(told.contains("the streams' states are F32, but the model's fresh states are F64"), "{told}");
}

/// jeshraghian/snntorch#438: a reset of one network also reset another network.
#[test]
fn two_models_do_not_touch_each_other() {
    let [one, other] = [trained(2), trained(2)];
    let run = |mut trained: Trained, seeds: [u64; 2]| {
        let mut optimizer = SgdConfig::new().init();
        for seed in seeds {
            trained = step(trained, &mut optimizer, chunk(&[seed < 20; 2], seed));
        }
        parameters(&trained)
    };
    let apart = [run(one.clone(), [10, 20]), run(other.clone(), [11, 21])];
    let mut both = [one, other];
    let mut optimizers = [SgdConfig::new().init(), SgdConfig::new().init()];
    for seeds in [[10, 11], [20, 21]] {
        let [one, other] = both;
        both = [
            step(one, &mut optimizers[0], chunk(&[seeds[0] < 20; 2], seeds[0])),
            step(other, &mut optimizers[1], chunk(&[seeds[1] < 20; 2], seeds[1])),
        ];
    }
    assert_eq!(both.map(|trained| parameters(&trained)), apart);
}

/// jeshraghian/snntorch#314: states in a record made the record useless for another batch size.
#[test]
fn a_model_leaves_its_streams() {
    let three = trained(3);
    let told = through_file(&three, trained(5)).unwrap_err();
    assert!(told.contains("[3, 5]") && told.contains("[5, 5]"), "{told}");
    // The model without its streams accepts any batch size.
    let network = through_file(&inner(&three).model, model(&device())).unwrap();
    network.step(chunk(&[true; 4], 0).input);
}

/// tracel-ai/burn#5014: a step did nothing, because no gradient had the id of a parameter.
#[test]
fn every_parameter_has_its_gradient_and_moves() {
    let before = trained(2);
    let gradients = TrainStep::step(&before, chunk(&[true; 2], 0)).grads;
    let ids = parameters(&inner(&before).model).len();
    assert_eq!(gradients.len(), ids);
    let after = before.clone().optimize(&mut SgdConfig::new().init(), 0.1.into(), gradients);
    let [before, after] = [&before, &after].map(|trained| parameters(&inner(trained).model));
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        assert_ne!(before, after, "parameter {at}");
    }
}

/// tracel-ai/burn#701: epochs came in the same order. Also, a query of their length must not use up
/// an epoch.
#[test]
fn asking_for_the_length_uses_no_epoch_up() {
    let data = |epoch: usize| -> Arc<dyn Dataset<burn_spiking_tasks::Trial>> {
        Arc::new(DelayedXor::new(1, 40.0, 3).dataset(epoch as u64, 4).unwrap())
    };
    let loader = || EpochLoader::new(data, TrialBatcher, 2, &devices()[0]);
    let first = |loader: &EpochLoader<_, TrialBatch>| numbers(loader.iter().next().unwrap().unwrap().input);
    let (asked, not_asked) = (loader(), loader());
    (0..5).for_each(|_| assert_eq!(asked.num_items(), 4));
    let epochs = [first(&asked), first(&asked)];
    assert_eq!(epochs[0], first(&not_asked));
    assert_ne!(epochs[0], epochs[1]);
}

/// tracel-ai/burn#2337 and #5191: schedulers skipped their first value, and jumped back after their
/// last.
#[test]
fn a_schedule_has_its_first_value_and_keeps_its_last() {
    let follow = FollowScore { start: 30.0, end: 500.0, factor: 1.3, above: 0.9, below: Some(0.5), batches: 2 };
    let schedule = ScoreSchedule::new(follow).unwrap();
    assert_eq!(schedule.value(), 30.0);
    for _ in 0..1000 {
        schedule.observe(1.0);
    }
    assert_eq!(schedule.value(), 500.0);
    (0..2).for_each(|_| schedule.observe(0.0));
    let lower = schedule.value();
    assert!(lower < 500.0 && lower * 1.3 * 1.3 >= 500.0, "{lower}");
    (0..4).for_each(|_| schedule.observe(1.0));
    assert_eq!(schedule.value(), 500.0);
}

/// BindsNET/bindsnet#351: answers were compared with the labels of the next question.
#[test]
fn the_targets_themselves_are_right_answers_however_trials_are_cut() {
    use burn_spiking_tasks::Answers;
    for chunks_per_trial in [1, 2, 3] {
        let task = DelayedXor::new(3, 60.0, 3);
        let trials = move |n: usize| -> Arc<dyn Dataset<burn_spiking_tasks::Trial>> {
            Arc::new(task.dataset(n as u64, 6).unwrap())
        };
        let sizes = StreamSizes { streams: 6, chunks_per_trial, chunks_per_epoch: 6 };
        let loader = StreamLoader::new(trials, sizes, || 0.5, 0, &devices()[0]).unwrap();
        let (mut right, mut shifted, mut rounds) = (Answers::new(), Answers::new(), 0);
        for chunk in loader.iter() {
            let batch = chunk.unwrap().input;
            let [_, steps, _] = batch.target.dims();
            let target: Vec<f32> = batch.target.into_data().iter::<f32>().collect();
            for (b, of_trial) in batch.rounds.iter().enumerate() {
                right.add(&target[b * steps..(b + 1) * steps], of_trial);
                let other = (b + 1) % 6;
                shifted.add(&target[other * steps..(other + 1) * steps], of_trial);
                rounds += of_trial.len();
            }
        }
        assert_eq!(right.accuracy(), 1.0, "{chunks_per_trial} chunks");
        assert!(shifted.accuracy() < 0.9 && rounds > 30, "{} of {rounds}", shifted.accuracy());
    }
}

/// nengo/nengo#497: a time that was not a multiple of the step gave series of different lengths.
#[test]
fn times_that_are_no_multiple_of_the_step_give_series_of_one_length() {
    for (dt, gap) in [(0.3, 31.0), (0.7, 45.5), (1.3, 100.0)] {
        let task = DelayedXor { dt, ..DelayedXor::new(2, gap, 3) };
        let data = match task.dataset(0, 3) {
            Ok(data) => data,
            // An error is also correct.
            Err(error) => {
                assert!(error.to_string().contains("ms"), "{error}");
                continue;
            }
        };
        for index in 0..3 {
            let trial = data.get(index).unwrap();
            let steps = trial.steps;
            assert_eq!([trial.input.len(), trial.target.len(), trial.weight.len()], [2 * steps, steps, steps]);
            assert!(
                trial.rounds.iter().all(|round| round.window.end <= steps && round.decoded.end <= round.window.end)
            );
            let finer = trial.in_finer_steps(3);
            assert_eq!([finer.steps, finer.input.len(), finer.target.len()], [3 * steps, 6 * steps, 3 * steps]);
        }
    }
}

/// brainpy/BrainPy#748: the message listed the parts that a record lacked as parts that it had in
/// excess.
#[test]
fn a_record_of_other_parts_is_told_from_the_right_side() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.bpk");
    let with = SpikingRnnConfig::new(2, 5);
    let without = with.clone().with_bias(false);
    for (saved, own, wanted) in
        [(&with, &without, ["bias true", "bias false"]), (&without, &with, ["bias false", "bias true"])]
    {
        saved.init(&devices()[0]).unwrap().save(&path).unwrap();
        let told = own.init(&devices()[0]).unwrap().load(&path).unwrap_err().to_string();
        let [of_record, of_layer] = wanted.map(|part| told.find(part));
        assert!(of_record.is_some() && of_record < of_layer, "{told}");
    }
}
