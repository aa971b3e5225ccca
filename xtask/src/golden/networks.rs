//! Small networks of well-known architectures, converted by TensorFlow.
//!
//! TensorFlow gives the same files again on one machine; calibration may end in other last digits on
//! another, so that continuous integration does not convert them.

use std::fs;

use super::environment::{Environment, TENSORFLOW};
use super::{Golden, environments};
use crate::failure::{Context, Failure};
use crate::{pin, process, workspace};

const FOLDER: &str = "fixtures/networks";

/// Converts the networks into `fixtures/networks`, or compares them with what is there.
pub(super) fn run(golden: &Golden) -> Result<(), Failure> {
    let root = workspace::root();
    let cache = environments();
    let environment = Environment::prepare(&cache, &TENSORFLOW, &golden.python, golden.install)?;
    let folder = cache.join("networks");
    if folder.exists() {
        fs::remove_dir_all(&folder).context(|| format!("cannot empty {}", folder.display()))?;
    }
    let driver = root.join("xtask/src/golden/networks.py");
    process::run(environment.python().arg(driver).arg(&folder))?;
    let mut different = Vec::new();
    for path in workspace::files_below(&folder)? {
        let bytes = fs::read(&path).context(|| format!("cannot read {}", path.display()))?;
        let place = format!("{FOLDER}/{}", workspace::relative(&path, &folder));
        if fs::read(root.join(&place)).is_ok_and(|committed| committed == bytes) {
            continue;
        }
        if !golden.check {
            pin::publish(&bytes, &root.join(&place))?;
        }
        different.push(place);
    }
    match (golden.check, different.is_empty()) {
        (_, true) => println!("{FOLDER} is what {TENSORFLOW} converts"),
        (false, false) => println!(
            "changed: {}; freeze the conformance results anew, and cargo xtask tidy says what to \
             write into the manifest",
            different.join(", ")
        ),
        (true, false) => {
            return Err(Failure::new(format!("out of date: {}", different.join(", "))));
        }
    }
    Ok(())
}
