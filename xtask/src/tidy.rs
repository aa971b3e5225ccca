//! `tidy`: the rules of this workspace that no other tool checks.

mod apart;
mod dependencies;
mod documents;
mod fixtures;
mod sources;

use std::path::Path;

use crate::failure::Failure;
use crate::workspace;

/// Runs `cargo xtask tidy`.
pub(crate) fn run() -> Result<(), Failure> {
    let violations = violations(&workspace::root())?;
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => {
            println!("the workspace is tidy");
            Ok(())
        }
        count => Err(Failure::new(format!("{count} violations of the rules of this workspace"))),
    }
}

/// Every violation in the workspace at `root`, each a line that starts with the place.
fn violations(root: &Path) -> Result<Vec<String>, Failure> {
    let members = workspace::packages(root)?;
    let manifest = workspace::read_toml(&root.join("Cargo.toml"))?;
    let mut violations = dependencies::check(&manifest, &members);
    violations.extend(apart::check(&manifest, &members));
    violations.extend(fixtures::check(root)?);
    violations.extend(sources::check(root)?);
    violations.extend(documents::check(root, &manifest, &members)?);
    Ok(violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let violations = violations(&workspace::root()).unwrap();
        assert!(violations.is_empty(), "\n{}", violations.join("\n"));
    }
}
