//! Which operators of a model tract has.

use image_embedder_backend::BackendError;
use tract_tflite::tflite::{BuiltinOperator, Model};

use crate::NAME;

/// The operators that tract-tflite 0.23.9 translates, as its registry lists them.
const SUPPORTED: &[BuiltinOperator] = &[
    BuiltinOperator::ABS,
    BuiltinOperator::ADD,
    BuiltinOperator::AVERAGE_POOL_2D,
    BuiltinOperator::BATCH_MATMUL,
    BuiltinOperator::BROADCAST_TO,
    BuiltinOperator::CEIL,
    BuiltinOperator::CONCATENATION,
    BuiltinOperator::CONV_2D,
    BuiltinOperator::COS,
    BuiltinOperator::DEPTHWISE_CONV_2D,
    BuiltinOperator::DIV,
    BuiltinOperator::EQUAL,
    BuiltinOperator::EXP,
    BuiltinOperator::EXPAND_DIMS,
    BuiltinOperator::FLOOR,
    BuiltinOperator::FULLY_CONNECTED,
    BuiltinOperator::GREATER,
    BuiltinOperator::GREATER_EQUAL,
    BuiltinOperator::HARD_SWISH,
    BuiltinOperator::LEAKY_RELU,
    BuiltinOperator::LESS,
    BuiltinOperator::LESS_EQUAL,
    BuiltinOperator::LOG,
    BuiltinOperator::LOGICAL_AND,
    BuiltinOperator::LOGICAL_NOT,
    BuiltinOperator::LOGICAL_OR,
    BuiltinOperator::LOGISTIC,
    BuiltinOperator::MAXIMUM,
    BuiltinOperator::MAX_POOL_2D,
    BuiltinOperator::MEAN,
    BuiltinOperator::MINIMUM,
    BuiltinOperator::MUL,
    BuiltinOperator::NOT_EQUAL,
    BuiltinOperator::PAD,
    BuiltinOperator::PADV2,
    BuiltinOperator::REDUCE_MAX,
    BuiltinOperator::REDUCE_MIN,
    BuiltinOperator::REDUCE_PROD,
    BuiltinOperator::RELU,
    BuiltinOperator::RELU6,
    BuiltinOperator::RESHAPE,
    BuiltinOperator::RESIZE_BILINEAR,
    BuiltinOperator::RESIZE_NEAREST_NEIGHBOR,
    BuiltinOperator::RSQRT,
    BuiltinOperator::SELECT,
    BuiltinOperator::SELECT_V2,
    BuiltinOperator::SHAPE,
    BuiltinOperator::SIN,
    BuiltinOperator::SLICE,
    BuiltinOperator::SOFTMAX,
    BuiltinOperator::SQRT,
    BuiltinOperator::SQUARE,
    BuiltinOperator::SQUEEZE,
    BuiltinOperator::STRIDED_SLICE,
    BuiltinOperator::SUB,
    BuiltinOperator::SUM,
    BuiltinOperator::TANH,
    BuiltinOperator::TRANSPOSE,
];

/// Checks that tract has every operator of the model's main graph.
///
/// tract itself would stop at the first one that it does not have.
///
/// # Errors
///
/// [`BackendError::UnsupportedOperators`] with every operator that it does not have, or
/// [`BackendError::InvalidModel`] if the graph names an operator that the model does not list.
pub(crate) fn check(model: &Model<'_>) -> Result<(), BackendError> {
    let operators = model
        .subgraphs()
        .filter(|graphs| !graphs.is_empty())
        .and_then(|graphs| graphs.get(0).operators());
    let mut unsupported: Vec<String> = Vec::new();
    for operator in operators.iter().flatten() {
        let index = operator.opcode_index() as usize;
        let codes = model.operator_codes();
        let count = codes.map_or(0, |codes| codes.len());
        let Some(code) = codes.filter(|_| index < count).map(|codes| codes.get(index)) else {
            return Err(BackendError::InvalidModel {
                reason: format!("expected an operator code below {count}, found {index}"),
            });
        };
        let deprecated = i32::from(code.deprecated_builtin_code());
        // Files of before 2020 have the code in the old field alone, which ends at a placeholder.
        let builtin = match deprecated {
            _ if deprecated == BuiltinOperator::PLACEHOLDER_FOR_GREATER_OP_CODES.0 => {
                code.builtin_code()
            }
            _ => BuiltinOperator(deprecated),
        };
        if SUPPORTED.contains(&builtin) {
            continue;
        }
        let name = match (builtin, builtin.variant_name()) {
            (BuiltinOperator::CUSTOM, _) => {
                format!("custom operator {}", code.custom_code().unwrap_or("without a name"))
            }
            (_, Some(name)) => name.to_owned(),
            (BuiltinOperator(number), None) => format!("builtin operator code {number}"),
        };
        if !unsupported.contains(&name) {
            unsupported.push(name);
        }
    }
    if unsupported.is_empty() {
        return Ok(());
    }
    Err(BackendError::UnsupportedOperators { backend: NAME.to_owned(), operators: unsupported })
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use image_embedder_test_support::model_builder::PassThrough;
    use tract_tflite::internal::Framework;

    use super::*;

    /// A model whose only operator has the given code.
    fn model_with(code: BuiltinOperator) -> Vec<u8> {
        let mut model = PassThrough::default().model();
        let [operator] = &mut model.operator_codes.as_mut().unwrap()[..] else {
            panic!("the model has one operator code");
        };
        operator.builtin_code = code.0;
        operator.deprecated_builtin_code = i8::try_from(code.0.min(127)).unwrap();
        model.to_bytes()
    }

    #[test]
    fn the_list_is_what_tract_registers() {
        let framework = tract_tflite::tflite();
        let (mut supported, mut refused) = (0, 0);
        for code in (0..=BuiltinOperator::ENUM_MAX).map(BuiltinOperator) {
            if code == BuiltinOperator::PLACEHOLDER_FOR_GREATER_OP_CODES {
                continue;
            }
            let bytes = model_with(code);
            let file = framework.proto_model_for_read(&mut &bytes[..]).unwrap();
            // An operator that is registered fails later, if at all, because its options lack.
            let translated =
                catch_unwind(AssertUnwindSafe(|| framework.model_for_proto_model(&file).err()));
            let unknown = matches!(
                &translated,
                Ok(Some(error)) if format!("{error:#}").contains("Unsupported: OperatorCode")
            );
            assert_eq!(check(&file.root()).is_err(), unknown, "{code:?}");
            if unknown {
                refused += 1;
            } else {
                supported += 1;
            }
        }
        assert_eq!(supported, SUPPORTED.len());
        assert!(refused > 100, "{refused}");
    }
}
