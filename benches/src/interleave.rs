//! Measuring several contenders turn by turn, so that what disturbs the machine disturbs all alike.

use std::time::{Duration, Instant};

use crate::Result;

/// Something that can be timed.
pub trait Contender {
    /// Runs `untimed` times without a measurement, then `timed` times, and tells how long each of
    /// those took, in nanoseconds.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from running.
    fn time(&mut self, untimed: usize, timed: usize) -> Result<Vec<f64>>;
}

/// A function that is timed in this process.
#[derive(Debug)]
pub struct Timed<F>(pub F);

impl<F: FnMut() -> Result<()>> Contender for Timed<F> {
    fn time(&mut self, untimed: usize, timed: usize) -> Result<Vec<f64>> {
        for _ in 0..untimed {
            (self.0)()?;
        }
        (0..timed)
            .map(|_| {
                let start = Instant::now();
                (self.0)()?;
                Ok(start.elapsed().as_nanos() as f64)
            })
            .collect()
    }
}

/// How often contenders take turns, and what a turn is.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "built with struct syntax and a default")]
pub struct Schedule {
    /// Runs of each contender before the first round, untimed.
    pub warm_up: usize,
    /// Runs at the start of each turn that are not timed: they bring back into the caches what the
    /// other contenders drove out.
    pub untimed: usize,
    /// Timed runs in a turn.
    pub timed: usize,
    /// Turns of each contender.
    pub rounds: usize,
    /// After this time no round begins, unless fewer than `least_rounds` are done.
    pub limit: Duration,
    /// Rounds that are made however long they take.
    pub least_rounds: usize,
}

impl Schedule {
    /// Each contender once, to see that everything works.
    pub const ONCE: Self = Self {
        warm_up: 0,
        untimed: 0,
        timed: 1,
        rounds: 1,
        limit: Duration::ZERO,
        least_rounds: 1,
    };
}

impl Default for Schedule {
    /// Sixty rounds of three runs, after one that is not timed; eight seconds at most if ten rounds
    /// are done by then.
    fn default() -> Self {
        Self {
            warm_up: 3,
            untimed: 1,
            timed: 3,
            rounds: 60,
            limit: Duration::from_secs(8),
            least_rounds: 10,
        }
    }
}

/// The timed runs of one contender, in nanoseconds, a list for each round.
pub type Turns = Vec<Vec<f64>>;

/// Lets the contenders take turns and returns the times of each.
///
/// The order is turned around after each round, `A B B A A B`: who comes first has no advantage.
///
/// # Errors
///
/// The first error of a contender.
pub fn interleave(
    contenders: &mut [&mut dyn Contender],
    schedule: &Schedule,
) -> Result<Vec<Turns>> {
    let mut turns = vec![Turns::new(); contenders.len()];
    for contender in contenders.iter_mut() {
        contender.time(schedule.warm_up, 0)?;
    }
    let start = Instant::now();
    for round in 0..schedule.rounds {
        if round >= schedule.least_rounds && start.elapsed() >= schedule.limit {
            break;
        }
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            turns[index].push(contenders[index].time(schedule.untimed, schedule.timed)?);
        }
    }
    Ok(turns)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    struct Named<'a> {
        name: char,
        log: &'a RefCell<String>,
    }

    impl Contender for Named<'_> {
        fn time(&mut self, untimed: usize, timed: usize) -> Result<Vec<f64>> {
            let mut log = self.log.borrow_mut();
            for _ in 0..untimed {
                log.push(self.name.to_ascii_lowercase());
            }
            for _ in 0..timed {
                log.push(self.name);
            }
            Ok((0..timed).map(|run| run as f64).collect())
        }
    }

    fn order(schedule: &Schedule) -> (String, Vec<Turns>) {
        let log = RefCell::new(String::new());
        let (mut a, mut b) = (Named { name: 'A', log: &log }, Named { name: 'B', log: &log });
        let turns = interleave(&mut [&mut a, &mut b], schedule).unwrap();
        (log.into_inner(), turns)
    }

    #[test]
    fn contenders_take_turns_and_the_order_turns_around() {
        let schedule = Schedule {
            warm_up: 2,
            untimed: 1,
            timed: 2,
            rounds: 3,
            limit: Duration::MAX,
            least_rounds: 0,
        };
        let (log, turns) = order(&schedule);
        assert_eq!(log, "aabb aAA bBB bBB aAA aAA bBB".replace(' ', ""));
        assert_eq!(turns, vec![vec![vec![0.0, 1.0]; 3]; 2]);
    }

    #[test]
    fn the_least_number_of_rounds_is_made_however_long_it_takes() {
        let schedule = Schedule { limit: Duration::ZERO, least_rounds: 4, ..Schedule::default() };
        assert_eq!(order(&schedule).1[0].len(), 4);
        assert_eq!(order(&Schedule::ONCE).0, "AB");
    }

    #[test]
    fn an_error_ends_the_measurement() {
        let mut calls = 0;
        let mut failing = Timed(|| {
            calls += 1;
            if calls == 3 { Err("the third run fails".into()) } else { Ok(()) }
        });
        let error = interleave(&mut [&mut failing], &Schedule::default()).unwrap_err();
        assert_eq!(error.to_string(), "the third run fails");
        assert_eq!(calls, 3);
    }

    #[test]
    fn a_sleep_takes_as_long_as_it_sleeps() {
        let mut sleeping = Timed(|| {
            std::thread::sleep(Duration::from_millis(2));
            Ok(())
        });
        let times = sleeping.time(1, 2).unwrap();
        assert_eq!(times.len(), 2);
        assert!(times.iter().all(|&nanoseconds| nanoseconds >= 2e6), "{times:?}");
    }
}
