//! Where shared libraries are looked for.

use std::env;
use std::path::{Path, PathBuf};

/// The places where a backend looks for its library, in order: `explicit` alone if it is given,
/// else the file that the environment variable `variable` names if it is set and not empty, else
/// `file_name` as the system's loader finds it, beside the running program, and in the usual
/// library folders of the platform.
///
/// ```
/// use image_embedder_backend::library_places;
///
/// let places = library_places(Some("/opt/engine.so".as_ref()), "ENGINE_LIBRARY", "engine.so");
/// assert_eq!(places, ["/opt/engine.so"].map(std::path::PathBuf::from));
/// ```
pub fn library_places(explicit: Option<&Path>, variable: &str, file_name: &str) -> Vec<PathBuf> {
    if let Some(path) = explicit {
        return vec![path.to_owned()];
    }
    match env::var_os(variable).filter(|value| !value.is_empty()) {
        Some(path) => vec![PathBuf::from(path)],
        None => usual_places(file_name),
    }
}

fn usual_places(file_name: &str) -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from(file_name)];
    let beside_program = env::current_exe().ok().and_then(|program| {
        let folder = program.parent()?;
        Some(folder.join(file_name))
    });
    places.extend(beside_program);
    if cfg!(unix) {
        places.push(Path::new("/usr/local/lib").join(file_name));
        places.push(Path::new("/usr/lib").join(file_name));
    }
    if cfg!(target_vendor = "apple") {
        places.push(Path::new("/opt/homebrew/lib").join(file_name));
    }
    if cfg!(target_os = "linux") {
        places.push(Path::new("/usr/lib64").join(file_name));
        if let Some(tuple) = multiarch_tuple() {
            places.push(Path::new("/usr/lib").join(tuple).join(file_name));
        }
    }
    places
}

/// The folder name that Debian and its relatives give this architecture.
fn multiarch_tuple() -> Option<&'static str> {
    match env::consts::ARCH {
        "x86_64" => Some("x86_64-linux-gnu"),
        "aarch64" => Some("aarch64-linux-gnu"),
        "arm" => Some("arm-linux-gnueabihf"),
        "riscv64" => Some("riscv64-linux-gnu"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_places_are_absolute_but_the_loader_name() {
        let places = usual_places("lib.so");
        assert_eq!(places.first().map(PathBuf::as_path), Some(Path::new("lib.so")));
        let absolute = places.iter().skip(1).filter(|place| place.is_absolute()).count();
        assert_eq!(absolute, places.len() - 1);
        assert!(absolute >= 1, "{places:?}");
    }
}
