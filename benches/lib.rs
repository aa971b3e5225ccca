//! Benchmarks of this workspace, in `benches/`; each verifies its result before it measures.
//!
//! `cargo bench -p image-embedder-benches --bench preprocess` runs one of them.
#![forbid(unsafe_code)]
