//! Tests of the delayed exclusive or.

use super::*;
use crate::answers::Answers;

fn trials(task: &DelayedXor, seed: u64, len: usize) -> Vec<Trial> {
    let data = task.dataset(seed, len).unwrap();
    (0..len).map(|index| data.get(index).unwrap()).collect()
}

/// Returns the answers that follow from the input alone, one for each go cue.
fn answers_by_reading(trial: &Trial) -> Vec<Answer> {
    let mut given = Vec::new();
    let (mut since, mut before) = (Vec::new(), [0.0; 2]);
    for now in trial.input.chunks_exact(2) {
        // A nonzero input after 0 is an onset: square pulses never touch, because gaps are
        // longer than a step.
        if now[0] != 0.0 && before[0] == 0.0 {
            since.push(now[0]);
        }
        if now[1] != 0.0 && before[1] == 0.0 {
            given.push(match since.as_slice() {
                [first, second] if first * second < 0.0 => Answer::Plus,
                [_, _] => Answer::Minus,
                _ => Answer::None,
            });
            since.clear();
        }
        before = [now[0], now[1]];
    }
    given
}

#[test]
fn a_reader_of_the_input_finds_every_answer() {
    for task in [
        DelayedXor::new(1, 300.0, 3),
        DelayedXor::new(3, 90.0, 3),
        DelayedXor { dt: 0.4, ..DelayedXor::new(2, 60.0, 3) },
    ] {
        for trial in trials(&task, 5, 60) {
            let wanted: Vec<_> = trial.rounds.iter().map(|round| round.answer).collect();
            assert_eq!(answers_by_reading(&trial), wanted);
        }
    }
}

#[test]
fn the_target_is_answered_rightly_and_zero_is_not() {
    let task = DelayedXor::new(2, 200.0, 3);
    let (mut right, mut silent) = (Answers::new(), Answers::new());
    for trial in trials(&task, 1, 600) {
        right.add(&trial.target, &trial.rounds);
        silent.add(&vec![0.0; trial.steps], &trial.rounds);
    }
    assert_eq!((right.accuracy(), right.leak()), (1.0, 0.0));
    // A third of the rounds has the answer none.
    assert!((silent.accuracy() - 1.0 / 3.0).abs() < 0.05, "{}", silent.accuracy());
}

#[test]
fn the_answer_window_follows_the_cue() {
    let task = DelayedXor { dt: 0.5, ..DelayedXor::new(2, 120.0, 3) };
    for trial in trials(&task, 2, 20) {
        let onsets: Vec<usize> =
            (1..trial.steps).filter(|t| trial.input[2 * t + 1] > 0.0 && trial.input[2 * t - 1] == 0.0).collect();
        for (round, onset) in trial.rounds.iter().zip(onsets) {
            assert!(round.window.start.abs_diff(onset + 40) <= 1, "{round:?}, cue at {onset}");
            assert_eq!(round.decoded.len(), 120);
            assert_eq!(round.decoded.end, round.window.end);
        }
    }
}

#[test]
fn weights_are_shared_between_answers_and_silence() {
    let task = DelayedXor { outside: 0.3, ..DelayedXor::new(2, 100.0, 3) };
    let trial = &trials(&task, 0, 1)[0];
    let within: f32 = trial.rounds.iter().flat_map(|round| &trial.weight[round.window.clone()]).sum();
    let all: f32 = trial.weight.iter().sum();
    assert!((all / trial.steps as f32 - 1.0).abs() < 1e-4, "{all}");
    assert!((within / all - 0.7).abs() < 1e-4, "{within}");
}

#[test]
fn graz_gaps_are_geometric_and_capped() {
    let task = DelayedXor::graz(3);
    task.check().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let gaps: Vec<f64> = (0..20_000).map(|_| task.gaps.draw(&mut random)[0]).collect();
    assert!(gaps.iter().all(|gap| (10.0..=100.0).contains(gap) && gap % 10.0 == 0.0));
    let share = |gap: f64| gaps.iter().filter(|&&drawn| drawn == gap).count() as f64 / 20_000.0;
    // Geom(0.1): P(1) = 0.1, P(2) = 0.09, P(at least 10) = 0.9⁹.
    for (gap, want) in [(10.0, 0.1), (20.0, 0.09), (100.0, 0.9_f64.powi(9))] {
        assert!((share(gap) - want).abs() < 0.01, "{gap}: {}", share(gap));
    }
    let trial = &trials(&task, 0, 1)[0];
    assert_eq!(trial.rounds[0].window.len(), 60);
    assert!(trial.input.iter().all(|i| i.abs() <= 1.0));
}

#[test]
fn trials_depend_on_seed_and_index_alone() {
    let task = DelayedXor::new(2, 150.0, 4);
    assert_eq!(trials(&task, 3, 4)[3], trials(&task, 3, 9)[3]);
    assert_ne!(trials(&task, 3, 4)[3], trials(&task, 4, 4)[3]);
    // A shorter time step gives the same trial.
    let fine = &trials(&DelayedXor { dt: 0.5, ..task.clone() }, 3, 4)[3];
    let coarse = &trials(&task, 3, 4)[3];
    assert_eq!(fine.v0, coarse.v0);
    for (fine, coarse) in fine.rounds.iter().zip(&coarse.rounds) {
        assert_eq!(fine.answer, coarse.answer);
        assert!(fine.window.start.abs_diff(2 * coarse.window.start) <= 1);
    }
}

#[test]
fn impossible_tasks_are_refused() {
    let task = DelayedXor::new(1, 300.0, 80);
    let cases: [(&str, DelayedXor); 9] = [
        ("dt is -1", DelayedXor { dt: -1.0, ..task.clone() }),
        ("trial_ms is 500, but must be at least 950", DelayedXor { trial_ms: 500.0, ..task.clone() }),
        ("rounds is 0", DelayedXor { rounds: 0, ..task.clone() }),
        ("neurons is 0", DelayedXor { neurons: 0, ..task.clone() }),
        ("sum of the shares is 0.5", DelayedXor { shares: [0.5, 0.0, 0.0], ..task.clone() }),
        ("outside is 1", DelayedXor { outside: 1.0, ..task.clone() }),
        ("decoded_ms is 90", DelayedXor { decoded_ms: 90.0, ..task.clone() }),
        ("longest gap is 20", DelayedXor { gaps: Gaps::Even { min_ms: 30.0, max_ms: 20.0 }, ..task.clone() }),
        ("longest gap is NaN", DelayedXor { gaps: Gaps::Even { min_ms: 30.0, max_ms: f64::NAN }, ..task }),
    ];
    for (want, task) in cases {
        let message = task.dataset(0, 1).unwrap_err().to_string();
        assert!(message.contains(want), "{message}");
    }
}

#[test]
fn parameters_survive_json() {
    for task in [DelayedXor::new(2, 300.0, 80), DelayedXor::graz(80)] {
        let json = serde_json::to_string(&task).unwrap();
        assert_eq!(serde_json::from_str::<DelayedXor>(&json).unwrap(), task);
    }
}
