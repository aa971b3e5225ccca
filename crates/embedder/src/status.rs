//! The status numbers of the TensorFlow Lite Task Library.

use std::fmt;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// The status that the TensorFlow Lite Task Library attaches to an error, for those who
        /// port code that looks at it.
        ///
        /// The original carries the number as decimal text under the type URL
        /// `tflite::support::TfLiteSupportStatus`. Source: `tensorflow_lite_support/cc/common.h`,
        /// version 0.4.4.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum TfLiteSupportStatus {
            $($(#[$doc])* $name = $code,)*
        }

        impl TfLiteSupportStatus {
            /// Every status, in the order of the numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

statuses! {
    /// An error of no other number.
    Error = 1,
    /// An argument that is not valid.
    InvalidArgumentError = 2,
    /// Bytes that are not a TensorFlow Lite model.
    InvalidFlatBufferError = 3,
    /// A builtin operator that is not available.
    UnsupportedBuiltinOp = 4,
    /// A custom operator that is not available.
    UnsupportedCustomOp = 5,
    /// A file that does not exist.
    FileNotFoundError = 100,
    /// A file that may not be read.
    FilePermissionDeniedError = 101,
    /// A file that cannot be read.
    FileReadError = 102,
    /// A file that cannot be mapped to memory.
    FileMmapError = 103,
    /// Metadata with another identifier.
    MetadataInvalidSchemaVersionError = 200,
    /// An associated file that is missing.
    MetadataAssociatedFileNotFoundError = 201,
    /// An archive of associated files that cannot be read.
    MetadataAssociatedFileZipError = 202,
    /// Metadata that contradicts the model.
    MetadataInconsistencyError = 203,
    /// Process units that cannot be used.
    MetadataInvalidProcessUnitsError = 204,
    /// Labels of another number than the output has elements.
    MetadataNumLabelsMismatchError = 205,
    /// A malformed score calibration.
    MetadataMalformedScoreCalibrationError = 206,
    /// Subgraph metadata of a wrong number.
    MetadataInvalidNumSubgraphsError = 207,
    /// A float input without normalisation.
    MetadataMissingNormalizationOptionsError = 208,
    /// Content of another kind than the task needs.
    MetadataInvalidContentPropertiesError = 209,
    /// Metadata that is missing.
    MetadataNotFoundError = 210,
    /// Labels that are missing.
    MetadataMissingLabelsError = 211,
    /// A tokenizer that cannot be used.
    MetadataInvalidTokenizerError = 212,
    /// Another number of inputs than one.
    InvalidNumInputTensorsError = 300,
    /// An input of unfit dimensions.
    InvalidInputTensorDimensionsError = 301,
    /// An input of an unfit type.
    InvalidInputTensorTypeError = 302,
    /// An input of an unfit size in bytes.
    InvalidInputTensorSizeError = 303,
    /// An input that is missing.
    InputTensorNotFoundError = 304,
    /// An output of unfit dimensions.
    InvalidOutputTensorDimensionsError = 400,
    /// An output of an unfit type.
    InvalidOutputTensorTypeError = 401,
    /// An output that is missing.
    OutputTensorNotFoundError = 402,
    /// An unfit number of outputs.
    InvalidNumOutputTensorsError = 403,
    /// Image processing that failed.
    ImageProcessingError = 500,
    /// Image processing with an argument that is not valid.
    ImageProcessingInvalidArgumentError = 501,
    /// A failure of what processes images.
    ImageProcessingBackendError = 502,
}

impl TfLiteSupportStatus {
    /// The number.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The status of a number; `None` for 0, which is success, and for numbers that do not exist.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|status| status.code() == code)
    }
}

impl fmt::Display for TfLiteSupportStatus {
    /// As `kFileNotFoundError (100)`, the original's spelling.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{self:?} ({})", self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let codes: Vec<i32> = TfLiteSupportStatus::ALL.iter().map(|status| status.code()).collect();
        let expected: Vec<i32> = (1..=5)
            .chain(100..=103)
            .chain(200..=212)
            .chain(300..=304)
            .chain(400..=403)
            .chain(500..=502)
            .collect();
        assert_eq!(codes, expected);
        for code in -1..600 {
            let status = TfLiteSupportStatus::from_code(code);
            assert_eq!(
                status.map(TfLiteSupportStatus::code),
                expected.contains(&code).then_some(code)
            );
        }
        let status = TfLiteSupportStatus::MetadataMissingNormalizationOptionsError;
        assert_eq!(status.to_string(), "kMetadataMissingNormalizationOptionsError (208)");
    }
}
