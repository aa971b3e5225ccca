//! What a second thread is worth: inside one inference, and for a second session.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use image_embedder_backend::Backend;
use serde::Serialize;

use crate::Result;
use crate::comparison::Race;
use crate::interleave::{Contender, Schedule, interleave};
use crate::model::ModelFile;
use crate::peers::Entrant;
use crate::running::{Running, compile};

/// How long each session computes in a turn, about: much longer than it takes to start both, and than
/// an operating system takes to move one of two new threads to a processor of its own.
const TURN: Duration = Duration::from_millis(100);

/// What a second thread does.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "every report tells them apart")]
pub enum Second {
    /// It helps in the same inference.
    Thread,
    /// It has a session of its own.
    Session,
}

impl Second {
    /// The name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Session => "session",
        }
    }
}

/// The time of an inference with one thread and with two, in the same rounds.
#[derive(Clone, Debug, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "a report names every one")]
pub struct Scaling {
    /// The model's name.
    pub model: String,
    /// What runs it.
    pub engine: String,
    /// What the second thread does.
    pub second: Second,
    /// Ours are two threads, theirs is one: the ratio is how many times as fast two are. The time of
    /// two sessions is that of both together, divided by all inferences of both.
    #[serde(flatten)]
    pub race: Race,
}

/// Measures both kinds of scaling of a model.
///
/// # Errors
///
/// If the backend does not run the model.
pub fn measure(
    engine: &str,
    backend: &dyn Backend,
    model: &ModelFile,
    schedule: &Schedule,
) -> Result<[Scaling; 2]> {
    let models = [1, 2].map(|threads| compile(backend, model.bytes.clone(), threads));
    let [single, double] = models;
    let (single, double) = (single?, double?);
    let cases = model.cases(single.inputs())?;
    let case = cases.first().ok_or("there is no case")?;
    let running = |model: &dyn image_embedder_backend::Model| -> Result<Running> {
        let mut running = Running::new(model)?;
        running.give(case)?;
        Ok(running)
    };
    let scaling = |second, race| Scaling {
        model: model.name.clone(),
        engine: engine.to_owned(),
        second,
        race,
    };

    let (mut one, mut two) = (running(single.as_ref())?, running(double.as_ref())?);
    let threads = race(&mut one, &mut two, schedule)?;

    let typical = Duration::from_secs_f64(threads.theirs.milliseconds.median / 1e3);
    let runs = (TURN.as_secs_f64() / typical.as_secs_f64()).ceil().clamp(1.0, 1000.0) as usize;
    // The same code measures both, so what it adds is the same.
    let mut alone = Sessions { runs, sessions: vec![running(single.as_ref())?] };
    let mut both =
        Sessions { runs, sessions: vec![running(single.as_ref())?, running(single.as_ref())?] };
    let sessions = race(&mut alone, &mut both, &Schedule { timed: 1, ..*schedule })?;
    Ok([scaling(Second::Thread, threads), scaling(Second::Session, sessions)])
}

fn race(one: &mut dyn Contender, two: &mut dyn Contender, schedule: &Schedule) -> Result<Race> {
    let mut turns = interleave(&mut [one, two], schedule)?.into_iter();
    let (Some(one), Some(two)) = (turns.next(), turns.next()) else {
        return Err("two contenders have two lists of turns".into());
    };
    Race::new(two, one)
}

/// Sessions that compute at the same time, each on a thread of its own.
struct Sessions<T> {
    /// Inferences of each session in a turn.
    runs: usize,
    sessions: Vec<T>,
}

impl<T: Contender + Send> Contender for Sessions<T> {
    /// The time of `runs` inferences in each session, divided by all of them.
    fn time(&mut self, untimed: usize, timed: usize) -> Result<Vec<f64>> {
        let (runs, count) = (self.runs, self.sessions.len());
        let turn = |sessions: &mut Vec<T>| -> Result<f64> {
            let ready = Barrier::new(count);
            let spans: Vec<Result<(Instant, Instant)>> = thread::scope(|scope| {
                let threads: Vec<_> = sessions
                    .iter_mut()
                    .map(|session| {
                        scope.spawn(|| {
                            let warm = session.time(untimed, 0);
                            ready.wait();
                            // Each thread looks at the clock itself: this one may be late.
                            let start = Instant::now();
                            warm?;
                            session.time(0, runs)?;
                            Ok((start, Instant::now()))
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().map_err(|_| "a session panicked")?)
                    .collect()
            });
            let spans = spans.into_iter().collect::<Result<Vec<_>>>()?;
            let start = spans.iter().map(|(start, _)| *start).min().ok_or("no sessions")?;
            let end = spans.iter().map(|(_, end)| *end).max().ok_or("no sessions")?;
            Ok((end - start).as_nanos() as f64 / (runs * count) as f64)
        };
        (0..timed).map(|_| turn(&mut self.sessions)).collect()
    }
}

#[cfg(test)]
mod tests {
    use image_embedder_backend_native::NativeBackend;

    use super::*;
    use crate::model::select;

    struct Sleeper;

    impl Contender for Sleeper {
        fn time(&mut self, _untimed: usize, timed: usize) -> Result<Vec<f64>> {
            thread::sleep(Duration::from_millis(5) * u32::try_from(timed)?);
            Ok(vec![5e6; timed])
        }
    }

    #[test]
    fn sessions_that_do_not_compute_scale_perfectly() {
        let mut alone = Sessions { runs: 10, sessions: vec![Sleeper] };
        let mut both = Sessions { runs: 10, sessions: vec![Sleeper, Sleeper] };
        // Sleeps take at least their time, so this holds on a busy machine too.
        assert!(alone.time(1, 1).unwrap()[0] >= 5e6);
        assert!(both.time(1, 1).unwrap()[0] >= 2.5e6);
        assert_eq!(both.time(0, 3).unwrap().len(), 3);
    }

    #[test]
    fn a_failing_session_fails_the_measurement() {
        struct Failing;
        impl Contender for Failing {
            fn time(&mut self, _untimed: usize, _timed: usize) -> Result<Vec<f64>> {
                Err("it does not run".into())
            }
        }
        let error = Sessions { runs: 1, sessions: vec![Failing, Failing] }.time(1, 1).unwrap_err();
        assert_eq!(error.to_string(), "it does not run");
    }

    #[test]
    fn both_kinds_are_measured() {
        let model = &select(&["mobilenet_v1_0.25_224_quant".to_owned()], None).unwrap()[0];
        let native = NativeBackend::new();
        let [threads, sessions] = measure("native", &native, model, &Schedule::ONCE).unwrap();
        assert_eq!((threads.second, sessions.second), (Second::Thread, Second::Session));
        for scaling in [threads, sessions] {
            assert!(scaling.race.ratio > 0.0, "{scaling:?}");
        }
    }
}
