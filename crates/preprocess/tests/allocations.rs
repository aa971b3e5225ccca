//! A plan that exists allocates nothing when it runs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use image_embedder_frame::{BoundingBox, FrameBuffer, Orientation, PixelFormat};
use image_embedder_preprocess::{
    FrameGeometry, InputQuantization, LevelTable, Normalization, Plan, PreprocessMode,
    PreprocessOptions,
};

thread_local! {
    /// What this thread has asked of the allocator; other threads are the test harness's.
    static REQUESTS: Cell<Requests> = const { Cell::new(Requests { count: 0, bytes: 0 }) };
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Requests {
    count: usize,
    bytes: usize,
}

struct Counting;

impl Counting {
    fn count(bytes: usize) {
        // A thread that ends has no counter any more.
        let _ = REQUESTS.try_with(|requests| {
            let Requests { count, bytes: before } = requests.get();
            requests.set(Requests { count: count + 1, bytes: before + bytes });
        });
    }
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a call asks of the allocator.
fn requests(call: impl FnOnce()) -> Requests {
    REQUESTS.set(Requests { count: 0, bytes: 0 });
    call();
    REQUESTS.get()
}

const NONE: Requests = Requests { count: 0, bytes: 0 };

#[test]
fn requests_are_counted() {
    let asked = requests(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(100))));
    assert_eq!(asked, Requests { count: 1, bytes: 100 });
    assert_eq!(requests(|| ()), NONE);
}

/// A region of 40 x 24 pixels: copied, halved, shrunk in special ways, shrunk, enlarged.
const TARGETS: [(u32, u32); 8] =
    [(40, 24), (20, 12), (30, 18), (15, 9), (13, 8), (40, 10), (61, 50), (7, 70)];

/// Runs a plan of every geometry into every kind of output; returns the number of plans.
fn run_all(mode: PreprocessMode) -> usize {
    let mut plans = 0;
    let normalization = Normalization::uniform(127.5, 127.5).unwrap();
    let quantization = InputQuantization::new(&normalization, 1.0 / 128.0, 0).unwrap();
    let table = LevelTable::new(&normalization, f64::from);
    for format in PixelFormat::ALL {
        let (width, height) = (51, 37);
        let size = format.contiguous_size(width, height).unwrap();
        let pixels: Vec<u8> = (0..size).map(|index| (index * 7 % 251) as u8).collect();
        let frame = FrameBuffer::from_contiguous(format, &pixels, width, height).unwrap();
        for orientation in Orientation::ALL {
            if mode == PreprocessMode::MediaPipe && orientation.is_mirrored() {
                continue;
            }
            let frame = frame.with_orientation(orientation);
            let region = BoundingBox::new(3, 5, 40, 24);
            let geometry = FrameGeometry::of_region(&frame, region).unwrap();
            for (width, height) in TARGETS {
                let options = PreprocessOptions::with_mode(mode);
                let mut plan = Plan::new(geometry, width, height, &options).unwrap();
                let count = plan.output_len();
                let (mut bytes, mut floats) = (vec![0u8; count], vec![0f32; count]);
                let (mut signed, mut doubles) = (vec![0i8; count], vec![0f64; count]);
                let asked = [
                    requests(|| plan.rgb_into(&frame, &mut bytes).unwrap()),
                    requests(|| plan.rgb_into(&frame, &mut bytes).unwrap()),
                    requests(|| plan.normalized_into(&frame, &normalization, &mut floats).unwrap()),
                    requests(|| plan.int8_into(&frame, &quantization, &mut signed).unwrap()),
                    requests(|| plan.uint8_into(&frame, &quantization, &mut bytes).unwrap()),
                    requests(|| plan.table_into(&frame, &table, &mut doubles).unwrap()),
                ];
                assert_eq!(asked, [NONE; 6], "{mode}: {geometry}");
                plans += 1;
            }
        }
    }
    plans
}

#[test]
fn exact_modes_allocate_nothing() {
    for (mode, orientations) in [(PreprocessMode::TaskLibrary, 8), (PreprocessMode::MediaPipe, 4)] {
        assert_eq!(run_all(mode), 7 * orientations * TARGETS.len());
    }
}

/// The resize library lays out its filters anew each time, in some kilobytes; nothing of a frame's
/// size is allocated after the first run.
#[test]
fn quality_allocates_filters_alone() {
    let (width, height) = (1500, 1100);
    let mut plans = 0;
    for format in PixelFormat::ALL {
        let size = format.contiguous_size(width, height).unwrap();
        let pixels = vec![77; size];
        let frame = FrameBuffer::from_contiguous(format, &pixels, width, height).unwrap();
        let options = PreprocessOptions::with_mode(PreprocessMode::Quality);
        let mut plan = Plan::new(FrameGeometry::of(&frame), 64, 64, &options).unwrap();
        let mut bytes = vec![0; plan.output_len()];
        plan.rgb_into(&frame, &mut bytes).unwrap();
        let asked = requests(|| plan.rgb_into(&frame, &mut bytes).unwrap());
        assert!(asked.bytes * 8 < size, "{format}: {asked:?}");
        assert_eq!(asked, requests(|| plan.rgb_into(&frame, &mut bytes).unwrap()), "{format}");
        plans += 1;
    }
    assert_eq!(plans, 7);
}
