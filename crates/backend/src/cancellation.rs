//! Stopping an inference from another thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Stops the inference that a session is running, from any thread.
///
/// It is cheap to clone, and may be kept longer than its session.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// use image_embedder_backend::Cancellation;
///
/// let stopped = Arc::new(AtomicBool::new(false));
/// let flag = Arc::clone(&stopped);
/// let cancellation = Cancellation::new(move || flag.store(true, Ordering::Relaxed));
/// cancellation.cancel();
/// assert!(stopped.load(Ordering::Relaxed));
/// ```
#[derive(Clone)]
pub struct Cancellation(Arc<dyn Fn() + Send + Sync>);

impl Cancellation {
    /// A handle that calls `cancel` each time it is used.
    pub fn new(cancel: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(cancel))
    }

    /// Makes the run that is under way fail with
    /// [`BackendError::Cancelled`](crate::BackendError::Cancelled), without waiting for that.
    ///
    /// Without one under way it does nothing: later runs are not affected.
    pub fn cancel(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancellation").finish_non_exhaustive()
    }
}

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const CANCELLED: u8 = 2;

/// Whether the present run of a session was cancelled, for backends that look between two steps.
///
/// ```
/// use image_embedder_backend::CancellationFlag;
///
/// let flag = CancellationFlag::default();
/// let cancellation = flag.cancellation();
/// cancellation.cancel();
/// flag.start();
/// assert!(!flag.is_cancelled(), "there was no run to cancel");
/// cancellation.cancel();
/// assert!(flag.is_cancelled());
/// assert!(flag.finish());
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancellationFlag(Arc<AtomicU8>);

impl CancellationFlag {
    /// A run begins.
    pub fn start(&self) {
        self.0.store(RUNNING, Ordering::Release);
    }

    /// Whether the run that is under way was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire) == CANCELLED
    }

    /// The run ends; returns whether it was cancelled.
    pub fn finish(&self) -> bool {
        self.0.swap(IDLE, Ordering::AcqRel) == CANCELLED
    }

    /// The handle that sets the flag while a run is under way.
    pub fn cancellation(&self) -> Cancellation {
        let flag = Arc::clone(&self.0);
        Cancellation::new(move || {
            // Fails without a run, which is then not cancelled.
            let _ = flag.compare_exchange(RUNNING, CANCELLED, Ordering::AcqRel, Ordering::Acquire);
        })
    }
}
