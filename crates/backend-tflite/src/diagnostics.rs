//! Turns TensorFlow Lite's own words into typed errors.

use image_embedder_backend::BackendError;

use crate::NAME;

/// The error for a failure of the runtime that said `text` about `action`.
///
/// Operators that the library does not have are told apart by the wording of TensorFlow Lite's
/// `subgraph.cc` and `op_resolver.cc`.
pub(crate) fn runtime_error(action: &str, text: &str) -> BackendError {
    let operators = missing_operators(text);
    if operators.is_empty() {
        return BackendError::Runtime {
            backend: NAME.to_owned(),
            message: format!("{action} failed: {}", reason(text)),
        };
    }
    BackendError::UnsupportedOperators { backend: NAME.to_owned(), operators }
}

/// The error for a model that TensorFlow Lite refused to open, saying `text`.
pub(crate) fn invalid_model(text: &str) -> BackendError {
    BackendError::InvalidModel { reason: reason(text) }
}

/// The messages on one line, or that there were none.
fn reason(text: &str) -> String {
    let messages: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if messages.is_empty() {
        return String::from("TensorFlow Lite gave no reason");
    }
    messages.join("; ")
}

/// Every operator that the messages call missing, once.
fn missing_operators(text: &str) -> Vec<String> {
    let mut operators = Vec::new();
    for line in text.lines() {
        let Some(operator) = missing_operator(line, text) else {
            continue;
        };
        if !operators.contains(&operator) {
            operators.push(operator);
        }
    }
    operators
}

fn missing_operator(line: &str, text: &str) -> Option<String> {
    if let Some((_, rest)) = line.split_once("Encountered unresolved custom op: ") {
        // A period ends the sentence; it may also be part of the name.
        let name = rest.trim_end().strip_suffix('.').unwrap_or(rest.trim_end());
        let name = name.split(". See instructions").next().unwrap_or(name);
        return Some(format!("custom operator {name}"));
    }
    if let Some((_, rest)) = line.split_once("Didn't find op for builtin opcode '") {
        let (name, rest) = rest.split_once('\'')?;
        let version = rest.strip_prefix(" version '").and_then(|rest| rest.split_once('\''));
        return Some(match version {
            Some((version, _)) => format!("{name} version {version}"),
            None => name.to_owned(),
        });
    }
    if let Some((_, rest)) = line.split_once("Op builtin_code out of range: ") {
        let code: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
        return Some(format!("builtin operator code {code}"));
    }
    // Operators of TensorFlow itself prepare to the same message; the node's line has the name.
    let flex = text.contains("TensorFlow ops are not supported by this interpreter")
        || text.contains("not supported by this interpreter. Make sure you apply/link the Flex");
    if flex && let Some((_, rest)) = line.split_once("Node number ") {
        let (_, rest) = rest.split_once('(')?;
        let (name, _) = rest.split_once(") failed to prepare")?;
        return Some(format!("TensorFlow operator {name}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operators(text: &str) -> Vec<String> {
        match runtime_error("preparing the model", text) {
            BackendError::UnsupportedOperators { operators, .. } => operators,
            other => panic!("expected unsupported operators, found {other:?}"),
        }
    }

    #[test]
    fn custom_operators_are_named_once() {
        let text = "Encountered unresolved custom op: edgetpu-custom-op.\nSee instructions: \
                    https://www.tensorflow.org/lite/guide/ops_custom\nNode number 0 \
                    (edgetpu-custom-op) failed to prepare.\nEncountered unresolved custom op: \
                    edgetpu-custom-op.\nEncountered unresolved custom op: My.Op.";
        assert_eq!(operators(text), ["custom operator edgetpu-custom-op", "custom operator My.Op"]);
    }

    #[test]
    fn builtin_operators_are_named_with_their_version() {
        let text = "Didn't find op for builtin opcode 'CONV_2D' version '99'. An older version of \
                    this builtin might be supported. Are you using an old TFLite binary with a \
                    newer model?\nRegistration failed.";
        assert_eq!(operators(text), ["CONV_2D version 99"]);
        let text = "Op builtin_code out of range: 1234. Are you using old TFLite binary with newer \
                    model?\nRegistration failed.";
        assert_eq!(operators(text), ["builtin operator code 1234"]);
    }

    #[test]
    fn operators_of_tensorflow_are_named() {
        let text = "Select TensorFlow op(s), included in the given model, is(are) not supported by \
                    this interpreter. Make sure you apply/link the Flex delegate before inference.\n\
                    Node number 3 (FlexErf) failed to prepare.";
        assert_eq!(operators(text), ["TensorFlow operator FlexErf"]);
    }

    #[test]
    fn other_failures_keep_every_word() {
        assert_eq!(
            runtime_error("inference", "first thing\nsecond thing\n"),
            BackendError::Runtime {
                backend: "tflite".to_owned(),
                message: "inference failed: first thing; second thing".to_owned(),
            }
        );
        assert!(runtime_error("inference", "").to_string().contains("gave no reason"));
    }
}
