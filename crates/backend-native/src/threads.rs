//! The threads that the sessions of a model share.
//!
//! A model has as many threads as it was compiled for, those of its callers included. A run that
//! is alone has all of them; runs that are under way together share them, so that there are never
//! more threads at work than asked for. A run posts its task, works on it itself and never waits
//! for a thread that has not begun: a thread that wakes late finds nothing left to do.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The most threads of a model.
pub(crate) const MAX_THREADS: usize = 32;

/// How long a thread that has nothing to do looks for a task before it sleeps. The steps of a run
/// follow each other more closely than that.
const PATIENCE: Duration = Duration::from_micros(60);

/// Threads beside those that call.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    /// How many there shall be with the one that calls.
    threads: usize,
    helpers: OnceLock<Vec<JoinHandle<()>>>,
}

/// What callers and helpers share.
#[derive(Debug, Default)]
struct Shared {
    /// Runs under way.
    runs: AtomicUsize,
    /// Counts posts, so that helpers see one without taking the lock.
    posts: AtomicUsize,
    state: Mutex<State>,
    /// Told when a task is posted or the pool ends.
    posted: Condvar,
}

#[derive(Debug, Default)]
struct State {
    tasks: Vec<Posted>,
    next_id: u64,
    /// Helpers asleep.
    sleepers: usize,
    is_closed: bool,
}

/// A task that helpers may take part in.
#[derive(Debug)]
struct Posted {
    id: u64,
    task: Task,
    /// How many helpers may take part.
    places: usize,
    /// How many have begun.
    begun: usize,
    /// How many are at work on it.
    busy: usize,
    /// Whether one of them panicked.
    is_broken: bool,
}

/// A borrowed task whose lifetime is not known to the compiler.
#[derive(Clone, Copy, Debug)]
struct Task(*const (dyn Fn(usize) + Sync));

// SAFETY: the pointer is to a value that all threads may use at once (`Sync`), and `Run::share`
// keeps it alive for as long as any helper uses it.
unsafe impl Send for Task {}

impl Task {
    fn new(task: &(dyn Fn(usize) + Sync)) -> Self {
        // SAFETY: only the lifetime changes, and a reference has the layout of a pointer. It is
        // used between `Shared::begin` and `Shared::end` alone, see there.
        Self(unsafe {
            std::mem::transmute::<
                *const (dyn Fn(usize) + Sync + '_),
                *const (dyn Fn(usize) + Sync + 'static),
            >(std::ptr::from_ref(task))
        })
    }

    /// Calls the task.
    ///
    /// # Safety
    ///
    /// The task must still be borrowed by the `Run::share` that posted it.
    unsafe fn call(self, index: usize) {
        // SAFETY: as the caller promises.
        unsafe { (*self.0)(index) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics with the lock held, so the state is whole in any case.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes part in a task until there is none with a free place; whether the pool goes on.
    fn help(&self) -> bool {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return false;
            }
            let Some(posted) = state.tasks.iter_mut().find(|posted| posted.begun < posted.places)
            else {
                return true;
            };
            // Counted in under the lock in which the task was found: from here to where the
            // helper is counted out, `Run::share` does not return.
            posted.begun += 1;
            posted.busy += 1;
            let (id, task, index) = (posted.id, posted.task, posted.begun);
            drop(state);
            // SAFETY: the task is borrowed until this helper is counted out below.
            let result = catch_unwind(AssertUnwindSafe(|| unsafe { task.call(index) }));
            state = self.lock();
            if let Some(posted) = state.tasks.iter_mut().find(|posted| posted.id == id) {
                posted.busy -= 1;
                posted.is_broken |= result.is_err();
            }
        }
    }

    /// What a helper does: helps, looks for more for a while, sleeps.
    fn serve(&self) {
        loop {
            let seen = self.posts.load(Ordering::Acquire);
            if !self.help() {
                return;
            }
            if self.is_posted_soon(seen) {
                continue;
            }
            let mut state = self.lock();
            while !state.is_closed && state.tasks.iter().all(|posted| posted.begun >= posted.places)
            {
                state.sleepers += 1;
                state = self.posted.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.sleepers -= 1;
            }
        }
    }

    /// Whether there is another post before patience ends.
    fn is_posted_soon(&self, seen: usize) -> bool {
        let start = Instant::now();
        loop {
            for _ in 0..32 {
                if self.posts.load(Ordering::Acquire) != seen {
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() > PATIENCE {
                return false;
            }
        }
    }

    /// Posts a task and wakes helpers that sleep.
    fn post(&self, task: &(dyn Fn(usize) + Sync), places: usize) -> u64 {
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        let task = Task::new(task);
        state.tasks.push(Posted { id, task, places, begun: 0, busy: 0, is_broken: false });
        let sleepers = state.sleepers;
        drop(state);
        self.posts.fetch_add(1, Ordering::Release);
        if sleepers > 0 {
            self.posted.notify_all();
        }
        id
    }

    /// Lets no more helpers begin, waits for those at work and takes the task back; whether all
    /// went well.
    fn withdraw(&self, id: u64) -> bool {
        let mut tries = 0u32;
        loop {
            let mut state = self.lock();
            let Some(index) = state.tasks.iter().position(|posted| posted.id == id) else {
                return true;
            };
            let posted = &mut state.tasks[index];
            posted.places = 0;
            if posted.busy == 0 {
                return !state.tasks.swap_remove(index).is_broken;
            }
            drop(state);
            tries += 1;
            for _ in 0..16 {
                std::hint::spin_loop();
            }
            // A helper that has lost its processor gets a chance at this one.
            if tries > 200 {
                thread::yield_now();
            }
        }
    }
}

/// Takes a task back when its caller is done, even if that panics.
struct Withdrawal<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        self.shared.withdraw(self.id);
    }
}

impl Pool {
    /// A pool that will make `threads` of the thread that calls.
    pub(crate) fn new(threads: usize) -> Self {
        let threads = threads.clamp(1, MAX_THREADS);
        Self { shared: Arc::default(), threads, helpers: OnceLock::new() }
    }

    /// Starts the threads, one fewer than asked for, or fewer still where the system has no more;
    /// only the first call does anything.
    pub(crate) fn start(&self) {
        self.helpers.get_or_init(|| {
            let start = |_| {
                let shared = self.shared.clone();
                let builder = thread::Builder::new().name("image-embedder".to_owned());
                builder.spawn(move || shared.serve()).ok()
            };
            (1..self.threads).map_while(start).collect()
        });
    }

    /// Threads of a run that is alone: the caller's, until the others are started.
    pub(crate) fn threads(&self) -> usize {
        1 + self.helpers.get().map_or(0, Vec::len)
    }

    /// Makes room for the tasks of as many sessions, so that runs allocate nothing.
    pub(crate) fn make_room(&self, sessions: usize) {
        self.shared.lock().tasks.reserve(sessions);
    }

    /// Counts a run in until the result is dropped.
    pub(crate) fn begin(&self) -> Run<'_> {
        self.shared.runs.fetch_add(1, Ordering::Relaxed);
        Run { pool: self }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.posts.fetch_add(1, Ordering::Release);
        self.shared.posted.notify_all();
        for helper in self.helpers.take().unwrap_or_default() {
            // A helper catches what its tasks panic with.
            let _ = helper.join();
        }
    }
}

/// A run under way.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pool: &'a Pool,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.pool.shared.runs.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Run<'_> {
    /// How many threads this run may use now, itself included.
    pub(crate) fn threads(&self) -> usize {
        let runs = self.pool.shared.runs.load(Ordering::Relaxed);
        (self.pool.threads() / runs.max(1)).max(1)
    }

    /// Calls `task(index)` on this thread with 0, and at the same time with some of the numbers
    /// below `threads` on others. Returns when all calls have.
    ///
    /// # Panics
    ///
    /// If the task does, on any thread.
    pub(crate) fn share(&self, threads: usize, task: &(dyn Fn(usize) + Sync)) {
        if threads < 2 {
            task(0);
            return;
        }
        let shared = &*self.pool.shared;
        let id = shared.post(task, threads - 1);
        let withdrawal = Withdrawal { shared, id };
        task(0);
        std::mem::forget(withdrawal);
        if !shared.withdraw(id) {
            resume_unwind(Box::new("a helper thread panicked"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(threads: usize) -> Pool {
        let pool = Pool::new(threads);
        assert_eq!(pool.threads(), 1, "no thread starts before there is work for it");
        pool.start();
        pool.start();
        assert_eq!(pool.threads(), threads);
        pool
    }

    #[test]
    fn every_thread_has_its_number_and_all_work_is_done() {
        let pool = started(4);
        let run = pool.begin();
        for count in 0..500 {
            let (next, sum) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let seen: [AtomicUsize; 4] = std::array::from_fn(|_| AtomicUsize::new(0));
            run.share(4, &|index| {
                seen[index].fetch_add(1, Ordering::Relaxed);
                loop {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    if item >= count {
                        break;
                    }
                    sum.fetch_add(item, Ordering::Relaxed);
                }
            });
            assert_eq!(sum.into_inner(), (0..count).sum());
            let [caller, others @ ..] = seen.map(AtomicUsize::into_inner);
            assert_eq!(caller, 1);
            assert!(others.iter().all(|&calls| calls <= 1), "{others:?}");
        }
    }

    #[test]
    fn helpers_take_part() {
        let pool = started(2);
        let run = pool.begin();
        let is_helped = AtomicUsize::new(0);
        // Ends only if another thread comes.
        run.share(2, &|index| {
            if index == 1 {
                is_helped.store(1, Ordering::Release);
            }
            while is_helped.load(Ordering::Acquire) == 0 {
                thread::yield_now();
            }
        });
        assert_eq!(is_helped.into_inner(), 1);
    }

    #[test]
    fn runs_share_the_threads() {
        let pool = started(4);
        let first = pool.begin();
        assert_eq!(first.threads(), 4);
        let second = pool.begin();
        assert_eq!((first.threads(), second.threads()), (2, 2));
        let others: Vec<_> = (0..5).map(|_| pool.begin()).collect();
        assert_eq!(first.threads(), 1);
        drop(others);
        drop(first);
        assert_eq!(second.threads(), 4);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = started(2);
        let run = pool.begin();
        for breaks in [0, 1] {
            let arrived = AtomicUsize::new(0);
            let result = catch_unwind(AssertUnwindSafe(|| {
                run.share(2, &|index| {
                    arrived.fetch_add(1, Ordering::AcqRel);
                    while arrived.load(Ordering::Acquire) < 2 {
                        thread::yield_now();
                    }
                    if index == breaks {
                        resume_unwind(Box::new("a test"));
                    }
                });
            }));
            assert!(result.is_err(), "thread {breaks}");
        }
        let calls = AtomicUsize::new(0);
        run.share(2, &|_| {
            calls.fetch_add(1, Ordering::Relaxed);
        });
        assert!((1..=2).contains(&calls.into_inner()));
    }

    #[test]
    fn many_callers_share_one_pool() {
        let pool = started(3);
        let total = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let run = pool.begin();
                        let left = AtomicUsize::new(10);
                        run.share(run.threads(), &|_| {
                            let take = |left: usize| left.checked_sub(1);
                            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
                            while left.fetch_update(success, failure, take).is_ok() {
                                total.fetch_add(1, Ordering::Relaxed);
                            }
                        });
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 4 * 200 * 10);
    }
}
