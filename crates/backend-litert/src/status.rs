//! What LiteRT's status numbers mean.

use image_embedder_backend::BackendError;

use crate::{NAME, sys};

/// The names of `litert_common.h`.
const NAMES: [(sys::Status, &str); 24] = [
    (1, "invalid argument"),
    (2, "memory allocation failure"),
    (3, "runtime failure"),
    (4, "missing input tensor"),
    (5, "unsupported"),
    (6, "not found"),
    (7, "timeout expired"),
    (8, "wrong version"),
    (9, "unknown"),
    (10, "already exists"),
    (100, "cancelled"),
    (500, "file error"),
    (501, "invalid flatbuffer"),
    (502, "dynamic loading failure"),
    (503, "serialization failure"),
    (504, "compilation failure"),
    (1000, "index out of bounds"),
    (1001, "invalid type"),
    (1002, "invalid graph"),
    (1003, "graph modification failure"),
    (4000, "unsupported runtime version"),
    (4001, "unsupported compiler version"),
    (5000, "no shape inference for an operator"),
    (5001, "shape inference failure"),
];

/// Turns a status into a result; `text` gives LiteRT's own words, if it has any.
pub(crate) fn check(
    action: &str,
    status: sys::Status,
    text: impl FnOnce() -> String,
) -> Result<(), BackendError> {
    if status == sys::OK {
        return Ok(());
    }
    let name = NAMES.iter().find(|(number, _)| *number == status);
    let name = name.map_or("a status that is not known here", |(_, name)| name);
    let text = text();
    let words: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let words = if words.is_empty() { String::new() } else { format!(": {}", words.join("; ")) };
    Err(failure(format!("{action} failed with status {status} ({name}){words}")))
}

/// An error in words of this crate.
pub(crate) fn failure(message: impl Into<String>) -> BackendError {
    BackendError::Runtime { backend: NAME.to_owned(), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_by_number_name_and_words() {
        assert_eq!(check("opening", 0, || panic!("nobody asks")), Ok(()));
        let text = |status, words: &str| {
            check("opening", status, || words.to_owned()).unwrap_err().to_string()
        };
        assert_eq!(
            text(504, "one\n two\n"),
            "backend litert: opening failed with status 504 (compilation failure): one; two"
        );
        assert!(text(-7, "").ends_with("status -7 (a status that is not known here)"));
    }
}
