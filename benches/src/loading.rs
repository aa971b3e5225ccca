//! How long it takes from the bytes of a model to a session, and to the first result.

use std::time::Instant;

use image_embedder_backend::Backend;
use image_embedder_backend_conformance::Case;
use serde::Serialize;

use crate::Result;
use crate::comparison::Race;
use crate::interleave::{Contender, Schedule, interleave};
use crate::model::ModelFile;
use crate::peers::Entrant;
use crate::running::{Running, compile};

/// The loading times of ours and of a peer.
#[derive(Clone, Debug, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "a report names every one")]
pub struct Loading {
    /// The model's name.
    pub model: String,
    /// The peer's name.
    pub peer: String,
    /// Until there is a session that can run.
    pub ready: Race,
    /// Until there is a result: some engines put off work until they first run.
    pub first_result: Race,
}

/// Times the loading of a model in turns.
///
/// # Errors
///
/// If a side does not run the model.
pub fn measure(
    ours: &dyn Backend,
    peer: &str,
    theirs: &dyn Backend,
    model: &ModelFile,
    threads: usize,
    schedule: &Schedule,
) -> Result<Loading> {
    let compiled = compile(ours, model.bytes.clone(), threads)?;
    let cases = model.cases(compiled.inputs())?;
    let case = cases.first().ok_or("there is no case")?;
    let race = |runs| -> Result<Race> {
        let [mut our_side, mut their_side] =
            [ours, theirs].map(|backend| Loader { backend, model, case, threads, runs });
        let mut turns = interleave(&mut [&mut our_side, &mut their_side], schedule)?.into_iter();
        let (Some(ours), Some(theirs)) = (turns.next(), turns.next()) else {
            return Err("two contenders have two lists of turns".into());
        };
        Race::new(ours, theirs)
    };
    Ok(Loading {
        model: model.name.clone(),
        peer: peer.to_owned(),
        ready: race(false)?,
        first_result: race(true)?,
    })
}

/// Loads a model anew each time.
struct Loader<'a> {
    backend: &'a dyn Backend,
    model: &'a ModelFile,
    case: &'a Case,
    threads: usize,
    /// Whether it runs once too.
    runs: bool,
}

impl Loader<'_> {
    fn load(&self) -> Result<Running> {
        let compiled = compile(self.backend, self.model.bytes.clone(), self.threads)?;
        let mut running = Running::new(compiled.as_ref())?;
        running.give(self.case)?;
        if self.runs {
            running.run()?;
        }
        Ok(running)
    }
}

impl Contender for Loader<'_> {
    fn time(&mut self, untimed: usize, timed: usize) -> Result<Vec<f64>> {
        for _ in 0..untimed {
            self.load()?;
        }
        (0..timed)
            .map(|_| {
                let start = Instant::now();
                let running = self.load()?;
                let elapsed = start.elapsed();
                // Letting go of it is not part of loading it.
                drop(running);
                Ok(elapsed.as_nanos() as f64)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use image_embedder_backend_native::{NativeBackend, SimdLevel};

    use super::*;
    use crate::model::select;

    #[test]
    fn both_sides_are_loaded() {
        let model = &select(&["mobilenet_v1_0.25_224_quant".to_owned()], None).unwrap()[0];
        let (ours, theirs) =
            (NativeBackend::new(), NativeBackend::with_simd_level(SimdLevel::Scalar));
        let schedule = Schedule { rounds: 2, timed: 1, ..Schedule::default() };
        let loading = measure(&ours, "scalar", &theirs, model, 1, &schedule).unwrap();
        assert_eq!(loading.peer, "scalar");
        for race in [loading.ready, loading.first_result] {
            assert_eq!((race.ours.milliseconds.count, race.theirs.milliseconds.count), (2, 2));
        }
    }
}
