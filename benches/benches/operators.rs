//! Operators of the native engine in the sizes of image models, at each instruction-set level.
//!
//! Throughput is in products per second; for operators without weights, in elements read.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use image_embedder_backend_conformance::{Tolerance, cases, compare, execute};
use image_embedder_backend_native::{NativeBackend, SimdLevel};
use image_embedder_benches::peers::Entrant;
use image_embedder_benches::running::{Running, compile};

fn operators(criterion: &mut Criterion) {
    let mut levels = SimdLevel::available();
    // The portable code is the oracle of the others, and measured only where there is no other.
    if levels.len() > 1 {
        levels.retain(|level| *level != SimdLevel::Scalar);
    }
    for layer in cases::layers(1) {
        let case = &layer.case;
        let oracle = NativeBackend::with_simd_level(SimdLevel::Scalar);
        let expected = execute(&oracle, case).expect("the engine has the operators");
        let mut group = criterion.benchmark_group(&case.name);
        group.throughput(Throughput::Elements(layer.operations));
        for level in &levels {
            let backend = NativeBackend::with_simd_level(*level);
            let found = execute(&backend, case).expect("the processor has the level");
            if let Err(difference) = compare(&expected, &found, Tolerance::EXACT) {
                panic!("{} at level {level}: {difference}", case.name);
            }
            let model = compile(&backend, case.model.clone(), 1).expect("it ran before");
            let mut running = Running::new(model.as_ref()).expect("it ran before");
            running.give(case).expect("it ran before");
            group.bench_function(BenchmarkId::from_parameter(level), |bencher| {
                bencher.iter(|| running.run().expect("it ran before"));
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000));
    targets = operators
}
criterion_main!(benches);
