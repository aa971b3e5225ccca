//! One model, one peer: first whether the results agree, then who is faster.

use image_embedder_backend_conformance::Case;
use serde::Serialize;

use crate::Result;
use crate::agreement::{Likeness, Rule};
use crate::interleave::{Contender, Schedule, Turns, interleave};
use crate::model::Numbers;
use crate::peers::Entrant;
use crate::statistics::Summary;

/// Our side of a comparison.
#[allow(missing_debug_implementations, reason = "an entrant is a running model")]
#[allow(clippy::exhaustive_structs, reason = "built with struct syntax")]
pub struct Ours<'a> {
    /// The instruction-set level.
    pub level: String,
    /// The running model.
    pub entrant: Box<dyn Entrant + 'a>,
}

/// What a comparison is about.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "built with struct syntax")]
pub struct Subject {
    /// The model's name.
    pub model: String,
    /// In what the model computes.
    pub numbers: Numbers,
    /// The peer's name.
    pub peer: String,
}

/// The times of a contender.
#[derive(Clone, Debug, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "a report names every one")]
pub struct Times {
    /// Statistics of all timed runs, in milliseconds.
    pub milliseconds: Summary,
    /// Every timed run in nanoseconds, a list for each round.
    pub nanoseconds: Turns,
}

impl Times {
    /// The times of the turns.
    ///
    /// # Errors
    ///
    /// If there are none.
    pub fn new(turns: Turns) -> Result<Self> {
        let all: Vec<f64> = turns.iter().flatten().map(|time| time / 1e6).collect();
        let milliseconds = Summary::of(&all).ok_or("nothing was timed")?;
        Ok(Self { milliseconds, nanoseconds: turns })
    }
}

/// Times of ours and theirs in the same rounds, and their ratio.
#[derive(Clone, Debug, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "a report names every one")]
pub struct Race {
    /// Ours.
    pub ours: Times,
    /// The peer's.
    pub theirs: Times,
    /// The median time of the peer over ours: above 1 where we are faster.
    pub ratio: f64,
    /// Statistics of the ratios of each round, which tell how sure the ratio is.
    pub round_ratios: Summary,
}

impl Race {
    /// The race of two contenders that took turns.
    ///
    /// # Errors
    ///
    /// If a round of one lacks times.
    pub fn new(ours: Turns, theirs: Turns) -> Result<Self> {
        let median = |turn: &Vec<f64>| Summary::of(turn).map(|turn| turn.median);
        let ratios: Option<Vec<f64>> = ours
            .iter()
            .zip(&theirs)
            .map(|(ours, theirs)| Some(median(theirs)? / median(ours)?))
            .collect();
        let round_ratios =
            ratios.and_then(|ratios| Summary::of(&ratios)).ok_or("a round has no times")?;
        let (ours, theirs) = (Times::new(ours)?, Times::new(theirs)?);
        let ratio = theirs.milliseconds.median / ours.milliseconds.median;
        Ok(Self { ours, theirs, ratio, round_ratios })
    }
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
#[allow(clippy::exhaustive_enums, reason = "every report tells all of them apart")]
#[allow(clippy::large_enum_variant, reason = "nearly all are of the large variant")]
pub enum Outcome {
    /// The results agree and were timed.
    Timed {
        /// The instruction-set level of ours.
        level: String,
        /// What the results had to have in common.
        rule: Rule,
        /// How alike they are.
        likeness: Likeness,
        /// The times.
        #[serde(flatten)]
        race: Race,
    },
    /// The results do not agree, so nothing was timed.
    Disagrees {
        /// The instruction-set level of ours.
        level: String,
        /// What the results had to have in common.
        rule: Rule,
        /// How alike they are, or why they cannot be compared.
        found: String,
    },
    /// One side does not run the model.
    NotRun {
        /// Which side, and why.
        reason: String,
    },
}

/// A comparison with what came out.
#[derive(Clone, Debug, Serialize)]
#[allow(clippy::exhaustive_structs, reason = "built with struct syntax")]
pub struct Comparison {
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject,
    /// What came out.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Checks each of ours against theirs on every case, then times those that agree, in turns, on the
/// first case. A peer that fails on a case is not compared with; one of ours that does disagrees.
///
/// # Errors
///
/// If a side fails while it is timed.
pub fn compare(
    subject: &Subject,
    mut ours: Vec<Ours<'_>>,
    mut theirs: Box<dyn Entrant + '_>,
    rule: Rule,
    cases: &[Case],
    schedule: &Schedule,
) -> Result<Vec<Comparison>> {
    let comparison = |outcome| Comparison { subject: subject.clone(), outcome };
    for case in cases {
        if let Err(error) = theirs.give(case).and_then(|()| theirs.results()) {
            let reason = format!("{}: {error}", subject.peer);
            return Ok(vec![comparison(Outcome::NotRun { reason })]);
        }
    }
    let mut comparisons = Vec::new();
    let mut alike = Vec::new();
    for mut side in ours.drain(..) {
        match likeness(side.entrant.as_mut(), theirs.as_mut(), cases) {
            Ok(likeness) if likeness.satisfies(rule) => alike.push((side, likeness)),
            Ok(likeness) => comparisons.push(comparison(Outcome::Disagrees {
                level: side.level,
                rule,
                found: likeness.to_string(),
            })),
            Err(error) => comparisons.push(comparison(Outcome::Disagrees {
                level: side.level,
                rule,
                found: error.to_string(),
            })),
        }
    }
    if alike.is_empty() {
        return Ok(comparisons);
    }
    let case = cases.first().ok_or("there is no case")?;
    theirs.give(case)?;
    let mut contenders: Vec<&mut dyn Contender> = vec![theirs.as_mut()];
    for (side, _) in &mut alike {
        side.entrant.give(case)?;
        contenders.push(side.entrant.as_mut());
    }
    let mut turns = interleave(&mut contenders, schedule)?.into_iter();
    let theirs = turns.next().ok_or("the peer was not timed")?;
    for ((side, likeness), ours) in alike.into_iter().zip(turns) {
        let race = Race::new(ours, theirs.clone())?;
        comparisons.push(comparison(Outcome::Timed { level: side.level, rule, likeness, race }));
    }
    Ok(comparisons)
}

/// How alike the results of all cases are.
fn likeness(ours: &mut dyn Entrant, theirs: &mut dyn Entrant, cases: &[Case]) -> Result<Likeness> {
    let mut all: Option<Likeness> = None;
    for case in cases {
        theirs.give(case)?;
        ours.give(case)?;
        let next = Likeness::of_outputs(&theirs.results()?, &ours.results()?)?;
        all = Some(all.map_or(next, |all| all.and(next)));
    }
    all.ok_or_else(|| "there is no case".into())
}

#[cfg(test)]
mod tests {
    use image_embedder_backend_conformance::{Elements, Tensor, cases};

    use super::*;

    /// Adds a number to its input and claims to take a time for it.
    struct Adder {
        addend: u8,
        nanoseconds: f64,
        input: Vec<u8>,
        timed: usize,
    }

    impl Adder {
        fn new(addend: u8, nanoseconds: f64) -> Self {
            Self { addend, nanoseconds, input: Vec::new(), timed: 0 }
        }
    }

    impl Contender for Adder {
        fn time(&mut self, _untimed: usize, timed: usize) -> Result<Vec<f64>> {
            assert!(!self.input.is_empty(), "timed before it had an input");
            self.timed += timed;
            Ok(vec![self.nanoseconds; timed])
        }
    }

    impl Entrant for Adder {
        fn give(&mut self, case: &Case) -> Result<()> {
            let Elements::UInt8(bytes) = &case.inputs[0].elements else { panic!("no bytes") };
            self.input.clone_from(bytes);
            Ok(())
        }

        fn results(&mut self) -> Result<Vec<Tensor>> {
            let sums = self.input.iter().map(|byte| byte.wrapping_add(self.addend)).collect();
            Ok(vec![Tensor { shape: vec![self.input.len()], elements: Elements::UInt8(sums) }])
        }
    }

    fn compared(rule: Rule, ours: &[Adder]) -> Vec<Outcome> {
        compared_with(Box::new(Adder::new(1, 3e6)), rule, ours)
    }

    /// Fails in every run.
    struct Failing;

    impl Contender for Failing {
        fn time(&mut self, _untimed: usize, _timed: usize) -> Result<Vec<f64>> {
            Err("out of order".into())
        }
    }

    impl Entrant for Failing {
        fn give(&mut self, _case: &Case) -> Result<()> {
            Ok(())
        }

        fn results(&mut self) -> Result<Vec<Tensor>> {
            Err("out of order".into())
        }
    }

    #[test]
    fn a_peer_that_fails_is_not_compared_with() {
        let outcomes = compared_with(Box::new(Failing), Rule::Equal, &[Adder::new(1, 1e6)]);
        let [Outcome::NotRun { reason }] = &outcomes[..] else { panic!("{outcomes:?}") };
        assert_eq!(reason, "other adder: out of order");
    }

    fn compared_with(theirs: Box<dyn Entrant>, rule: Rule, ours: &[Adder]) -> Vec<Outcome> {
        let subject = Subject {
            model: "adder".to_owned(),
            numbers: Numbers::Quantized,
            peer: "other adder".to_owned(),
        };
        let dimensions = [1, 4, 4, 3].map(image_embedder_backend::Dimension::Fixed).to_vec();
        let dtype = image_embedder_backend::DType::UInt8;
        let spec = image_embedder_backend::TensorSpec::new("image", dtype, dimensions, None);
        let picture = cases::for_model("adder", Vec::new(), &[spec], 1);
        let ours = ours
            .iter()
            .map(|adder| Ours {
                level: format!("plus {}", adder.addend),
                entrant: Box::new(Adder::new(adder.addend, adder.nanoseconds)),
            })
            .collect();
        let schedule = Schedule { rounds: 5, timed: 2, ..Schedule::default() };
        compare(&subject, ours, theirs, rule, &[picture], &schedule)
            .unwrap()
            .into_iter()
            .map(|comparison| {
                assert_eq!(comparison.subject, subject);
                comparison.outcome
            })
            .collect()
    }

    #[test]
    fn what_agrees_is_timed_and_what_does_not_is_not() {
        let outcomes = compared(Rule::Equal, &[Adder::new(2, 1e6), Adder::new(1, 2e6)]);
        assert_eq!(outcomes.len(), 2);
        let Outcome::Disagrees { level, found, .. } = &outcomes[0] else { panic!("{outcomes:?}") };
        assert_eq!(level, "plus 2");
        assert!(found.starts_with("48 of 48 differ"), "{found}");
        let Outcome::Timed { level, race, likeness, .. } = &outcomes[1] else {
            panic!("{outcomes:?}")
        };
        assert_eq!(level, "plus 1");
        assert_eq!(likeness.elements, 48);
        assert_eq!(race.ratio, 1.5);
        assert_eq!(race.ours.milliseconds.median, 2.0);
        assert_eq!(race.ours.nanoseconds, vec![vec![2e6; 2]; 5]);
        assert_eq!(race.round_ratios.count, 5);
    }

    #[test]
    fn a_rule_that_is_not_met_by_anyone_times_nothing() {
        let outcomes = compared(Rule::Cosine(0.999_999), &[Adder::new(9, 1e6)]);
        assert!(matches!(outcomes[..], [Outcome::Disagrees { .. }]), "{outcomes:?}");
        let outcomes = compared(Rule::Cosine(0.5), &[Adder::new(2, 1e6)]);
        assert!(matches!(outcomes[..], [Outcome::Timed { .. }]), "{outcomes:?}");
    }

    #[test]
    fn the_ratio_is_that_of_medians() {
        let ours = vec![vec![1.0, 1.0], vec![100.0, 1.0], vec![1.0, 1.0]];
        let theirs = vec![vec![2.0, 2.0], vec![2.0, 2.0], vec![2.0, 4.0]];
        let race = Race::new(ours, theirs).unwrap();
        assert_eq!(race.ratio, 2.0);
        assert_eq!(race.round_ratios.median, 2.0);
        assert_eq!(race.round_ratios.least, 2.0 / 50.5);
        assert!(Race::new(vec![vec![]], vec![vec![1.0]]).is_err());
        assert!(Race::new(vec![], vec![]).is_err());
    }
}
