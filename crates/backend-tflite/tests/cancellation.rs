//! A run that another thread stops.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use image_embedder_backend::{
    Backend, BackendError, CompileOptions, ModelData, TensorView, TensorViewMut,
};
use image_embedder_backend_tflite::{TfliteBackend, TfliteOptions};
use image_embedder_test_support::{model, tflite_library};

#[test]
fn a_run_is_stopped_and_the_session_goes_on() {
    let bytes = std::fs::read(model("efficientnet_lite0_feature_vector_uint8.tflite")).unwrap();
    let mut stopped = 0;
    for xnnpack in [false, true] {
        let mut options = TfliteOptions::default();
        options.library_path = Some(tflite_library());
        options.xnnpack = xnnpack;
        let backend = TfliteBackend::new(options);
        let model = ModelData::from(bytes.clone());
        let compiled = backend.compile(model, &CompileOptions::default()).unwrap();
        let mut session = compiled.session().unwrap();
        let cancellation = session.cancellation().unwrap();
        let input = vec![100; 224 * 224 * 3];
        let mut run = || {
            let mut output = vec![0; 1280];
            let mut outputs = [TensorViewMut::UInt8(&mut output)];
            session.run(&[TensorView::UInt8(&input)], &mut outputs).map(|()| output)
        };

        // Without a run under way it does nothing.
        cancellation.cancel();
        let expected = run().unwrap();
        assert!(expected.iter().any(|&byte| byte != expected[0]));

        let done = AtomicBool::new(false);
        let error = thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    cancellation.cancel();
                    thread::yield_now();
                }
            });
            // The other thread may sleep through any one run, but not through all.
            let error = (0..1000).find_map(|_| run().err());
            done.store(true, Ordering::Relaxed);
            error
        });
        assert_eq!(error, Some(BackendError::Cancelled { backend: "tflite".to_owned() }));
        assert_eq!(run().unwrap(), expected);
        stopped += 1;

        // It may outlive its session.
        drop(session);
        cancellation.cancel();
    }
    assert_eq!(stopped, 2);
}
