//! Running all cases on a backend, with the exceptions that it is known to make.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image_embedder_backend::{Backend, BackendError};

use crate::{Case, Golden, Tolerance, compare, execute};

/// Cases that a backend is known not to pass.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// The cases: a name in which `*` stands for any text and `?` for any letter.
    pub pattern: &'static str,
    /// What happens instead.
    pub expectation: Expectation,
    /// Why.
    pub reason: &'static str,
}

/// What happens in the cases of an [`Exception`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expectation {
    /// Every one is refused with [`BackendError::UnsupportedOperators`].
    Refused,
    /// Every one fails with another error.
    Fails,
    /// Every one gives other results than expected.
    Differs,
    /// Every one is within this wider tolerance, and at least one needs it.
    Within(Tolerance),
    /// At least one fails or differs. For what depends on the values.
    Varies,
}

impl Exception {
    /// An exception with the given parts.
    #[must_use]
    pub const fn new(
        pattern: &'static str,
        expectation: Expectation,
        reason: &'static str,
    ) -> Self {
        Self { pattern, expectation, reason }
    }

    /// Cases that are refused with [`BackendError::UnsupportedOperators`].
    #[must_use]
    pub const fn refused(pattern: &'static str, reason: &'static str) -> Self {
        Self::new(pattern, Expectation::Refused, reason)
    }

    /// Whether the exception is about the case of that name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut text) = (self.pattern.as_bytes(), name.as_bytes());
        // Where to go on if the text after the last star does not fit.
        let mut resume = None;
        loop {
            match (pattern, text) {
                ([b'*', rest @ ..], _) => {
                    pattern = rest;
                    resume = Some((rest, text));
                }
                ([wanted, pattern_rest @ ..], [found, text_rest @ ..])
                    if wanted == found || *wanted == b'?' =>
                {
                    (pattern, text) = (pattern_rest, text_rest);
                }
                ([], []) => return true,
                _ => match resume {
                    Some((after_star, [_, skipped @ ..])) => {
                        (pattern, text) = (after_star, skipped);
                        resume = Some((after_star, skipped));
                    }
                    _ => return false,
                },
            }
        }
    }
}

/// What came of a run of the suite.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many cases ran.
    pub ran: usize,
    /// How many of them gave the expected results.
    pub passed: usize,
    /// How many of them did what an exception says.
    pub excepted: usize,
    /// What went wrong, a case or exception each.
    pub failures: Vec<String>,
}

impl Report {
    /// Panics unless that many cases ran, that many passed and nothing failed.
    ///
    /// # Panics
    ///
    /// Panics with every failure and the counts.
    #[track_caller]
    pub fn assert(&self, ran: usize, passed: usize) {
        assert!(
            self.failures.is_empty() && self.ran == ran && self.passed == passed,
            "expected {ran} cases of which {passed} pass, found {self}"
        );
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cases: {} passed, {} excepted, {} failures",
            self.ran,
            self.passed,
            self.excepted,
            self.failures.len()
        )?;
        for failure in &self.failures {
            write!(f, "\n  {failure}")?;
        }
        Ok(())
    }
}

/// What one case did.
enum Outcome {
    Passed,
    Refused(String),
    Failed(String),
    Differs { difference: String, within: bool },
}

/// Runs all cases on a backend and compares with the expected results.
///
/// The first exception whose pattern fits a case is the one that counts for it.
#[must_use]
pub fn run(
    backend: &dyn Backend,
    cases: &[Case],
    golden: &Golden,
    tolerance: Tolerance,
    exceptions: &[Exception],
) -> Report {
    let mut report = Report::default();
    let mut matched = vec![0; exceptions.len()];
    let mut deviated = vec![0; exceptions.len()];
    for case in cases {
        report.ran += 1;
        let exception = exceptions.iter().position(|exception| exception.matches(&case.name));
        let wider = exception.and_then(|index| match exceptions[index].expectation {
            Expectation::Within(tolerance) => Some(tolerance),
            _ => None,
        });
        let outcome = outcome(backend, case, golden, tolerance, wider);
        let failure = |what: &str, text: &str| format!("{}: {what}{text}", case.name);
        let Some(index) = exception else {
            match &outcome {
                Outcome::Passed => report.passed += 1,
                Outcome::Refused(text) => report.failures.push(failure("refused: ", text)),
                Outcome::Failed(text) => report.failures.push(failure("failed: ", text)),
                Outcome::Differs { difference, .. } => {
                    report.failures.push(failure("", difference));
                }
            }
            continue;
        };
        matched[index] += 1;
        let expectation = exceptions[index].expectation;
        let (text, as_excepted) = match &outcome {
            Outcome::Passed => {
                report.passed += 1;
                if !matches!(expectation, Expectation::Within(_) | Expectation::Varies) {
                    report.failures.push(failure(
                        "passes although it is excepted: ",
                        exceptions[index].reason,
                    ));
                }
                continue;
            }
            Outcome::Refused(text) => {
                (text, matches!(expectation, Expectation::Refused | Expectation::Varies))
            }
            Outcome::Failed(text) => {
                (text, matches!(expectation, Expectation::Fails | Expectation::Varies))
            }
            Outcome::Differs { difference, within } => (
                difference,
                *within || matches!(expectation, Expectation::Differs | Expectation::Varies),
            ),
        };
        deviated[index] += 1;
        if as_excepted {
            report.excepted += 1;
        } else {
            report.failures.push(failure("is excepted for another failure than: ", text));
        }
    }
    for (exception, (matched, deviated)) in exceptions.iter().zip(matched.iter().zip(&deviated)) {
        if *matched == 0 {
            report.failures.push(format!("exception {}: fits no case", exception.pattern));
        } else if *deviated == 0 {
            report.failures.push(format!(
                "exception {}: none of its {matched} cases needs it",
                exception.pattern
            ));
        }
    }
    report
}

fn outcome(
    backend: &dyn Backend,
    case: &Case,
    golden: &Golden,
    tolerance: Tolerance,
    wider: Option<Tolerance>,
) -> Outcome {
    let expected = match golden.outputs(case) {
        Ok(expected) => expected,
        Err(text) => return Outcome::Failed(text),
    };
    let found = match catch_unwind(AssertUnwindSafe(|| execute(backend, case))) {
        Ok(Ok(found)) => found,
        Ok(Err(error @ BackendError::UnsupportedOperators { .. })) => {
            return Outcome::Refused(error.to_string());
        }
        Ok(Err(error)) => return Outcome::Failed(error.to_string()),
        Err(payload) => return Outcome::Failed(format!("panicked: {}", panic_text(&*payload))),
    };
    match compare(expected, &found, tolerance) {
        Ok(()) => Outcome::Passed,
        Err(difference) => Outcome::Differs {
            difference,
            within: wider.is_some_and(|wider| compare(expected, &found, wider).is_ok()),
        },
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use image_embedder_backend::{
        CompileOptions, DType, Dimension, Model, ModelData, Session, TensorSpec, TensorView,
        TensorViewMut,
    };

    use super::*;

    /// A backend that adds the model's first byte to its input, or does what the byte says.
    #[derive(Debug)]
    struct Adder;

    const REFUSES: u8 = 200;
    const FAILS: u8 = 201;
    const PANICS: u8 = 202;

    #[derive(Debug)]
    struct AdderModel {
        specs: [TensorSpec; 1],
        addend: u8,
    }

    struct AdderSession(AdderModel);

    impl Backend for Adder {
        fn name(&self) -> &str {
            "adder"
        }

        fn check(&self) -> Result<(), BackendError> {
            Ok(())
        }

        fn compile(
            &self,
            model: ModelData,
            _options: &CompileOptions,
        ) -> Result<Arc<dyn Model>, BackendError> {
            if model[0] == REFUSES {
                let operators = vec!["ADD".to_owned()];
                return Err(BackendError::UnsupportedOperators {
                    backend: "adder".to_owned(),
                    operators,
                });
            }
            let specs = [TensorSpec::new("t", DType::UInt8, vec![Dimension::Fixed(2)], None)];
            Ok(Arc::new(AdderModel { specs, addend: model[0] }))
        }
    }

    impl Model for AdderModel {
        fn inputs(&self) -> &[TensorSpec] {
            &self.specs
        }

        fn outputs(&self) -> &[TensorSpec] {
            &self.specs
        }

        fn session(&self) -> Result<Box<dyn Session>, BackendError> {
            let specs = self.specs.clone();
            Ok(Box::new(AdderSession(Self { specs, addend: self.addend })))
        }
    }

    impl Session for AdderSession {
        fn inputs(&self) -> &[TensorSpec] {
            &self.0.specs
        }

        fn outputs(&self) -> &[TensorSpec] {
            &self.0.specs
        }

        fn resize_input(&mut self, index: usize, _shape: &[usize]) -> Result<(), BackendError> {
            Err(BackendError::NoSuchTensor { index, count: 0 })
        }

        fn run(
            &mut self,
            inputs: &[TensorView<'_>],
            outputs: &mut [TensorViewMut<'_>],
        ) -> Result<(), BackendError> {
            let addend = self.0.addend;
            assert_ne!(addend, PANICS, "as the test wants");
            let (TensorView::UInt8(input), TensorViewMut::UInt8(output)) =
                (&inputs[0], &mut outputs[0])
            else {
                panic!("expected bytes");
            };
            if addend == FAILS {
                return Err(BackendError::NoSuchTensor { index: 9, count: 1 });
            }
            for (result, value) in output.iter_mut().zip(*input) {
                *result = value + addend;
            }
            Ok(())
        }
    }

    fn case(name: &str, byte: u8) -> Case {
        let elements = crate::Elements::UInt8(vec![1, 2]);
        let inputs = vec![crate::Tensor { shape: vec![2], elements }];
        Case { name: name.to_owned(), group: "test", model: vec![byte], inputs }
    }

    /// Runs cases whose expected results are their inputs.
    fn report(cases: &[(&str, u8)], exceptions: &[Exception]) -> Report {
        let cases: Vec<Case> = cases.iter().map(|&(name, byte)| case(name, byte)).collect();
        let golden = Golden::of_inputs(&cases);
        run(&Adder, &cases, &golden, Tolerance::EXACT, exceptions)
    }

    #[test]
    fn every_kind_of_failure_is_reported() {
        let cases = [
            ("right", 0),
            ("wrong", 1),
            ("refused", REFUSES),
            ("fails", FAILS),
            ("panics", PANICS),
        ];
        let report = report(&cases, &[]);
        assert_eq!((report.ran, report.passed, report.excepted), (5, 1, 0));
        let text = report.to_string();
        for expected in [
            "wrong: output 0: 2 of 2 elements differ",
            "refused: refused: backend adder does not support: ADD",
            "fails: failed: expected a tensor index below 1",
            "panics: failed: panicked: ",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert_eq!(report.failures.len(), 4);
    }

    #[test]
    fn exceptions_that_hold_are_no_failures() {
        let cases = [
            ("right", 0),
            ("wrong", 1),
            ("refused", REFUSES),
            ("fails", FAILS),
            ("panics", PANICS),
        ];
        let exceptions = [
            Exception::refused("ref*", "so"),
            Exception::new("fails", Expectation::Fails, "so"),
            Exception::new("pani?s", Expectation::Varies, "so"),
            Exception::new("wrong", Expectation::Within(Tolerance::new(1, 0.0)), "so"),
        ];
        report(&cases, &exceptions).assert(5, 1);
    }

    #[test]
    fn exceptions_that_do_not_hold_are_failures() {
        let text = |byte, expectation| {
            let report = report(&[("a", byte)], &[Exception::new("a", expectation, "so")]);
            assert!(!report.failures.is_empty());
            report.to_string()
        };
        let narrow = Expectation::Within(Tolerance::new(1, 0.0));
        assert!(text(0, Expectation::Differs).contains("passes although it is excepted: so"));
        assert!(text(0, Expectation::Varies).contains("none of its 1 cases needs it"));
        assert!(text(0, narrow).contains("none of its 1 cases needs it"));
        assert!(text(2, narrow).contains("is excepted for another failure"));
        assert!(text(REFUSES, Expectation::Differs).contains("is excepted for another failure"));
        assert!(text(FAILS, Expectation::Refused).contains("is excepted for another failure"));
        let report = report(&[("a", 0)], &[Exception::refused("b*", "so")]);
        assert!(report.to_string().contains("exception b*: fits no case"));
    }

    #[test]
    fn results_of_another_version_are_failures() {
        let golden = Golden::of_inputs(&[case("a", 0)]);
        let report = run(&Adder, &[case("a", 1), case("b", 0)], &golden, Tolerance::EXACT, &[]);
        let text = report.to_string();
        assert!(text.contains("a: failed: a: the results are of another version"), "{text}");
        assert!(text.contains("b: failed: b: no results"), "{text}");
    }

    #[test]
    fn patterns() {
        let matches = |pattern, name| Exception::refused(pattern, "").matches(name);
        assert!(matches("add_*_same", "add_u8_same"));
        assert!(!matches("add_*_same", "add_u8_same_constant"));
        assert!(matches("*_same*", "add_u8_same_constant"));
        assert!(matches("*a*ab", "aabaab"));
        assert!(matches("add_?8_*", "add_i8_same") && !matches("add_?8_*", "add_f32_same"));
        assert!(matches("add", "add") && !matches("add", "adds") && !matches("adds", "add"));
        assert!(matches("*", "") && !matches("?", ""));
    }
}
