//! What metadata says of the files that travel with a model.

use std::fmt;

use image_embedder_schema::metadata::{self as schema, AssociatedFileT, AssociatedFileType};

use crate::tensor::owned;

/// What metadata says of a file in the archive behind the model.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AssociatedFile {
    /// The file's name in the archive; empty if the metadata gives none.
    pub name: String,
    /// What it holds.
    pub description: Option<String>,
    /// What it is for.
    pub kind: AssociatedFileKind,
    /// The language of its text.
    pub locale: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

/// What an associated file is for.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum AssociatedFileKind {
    /// Not said.
    #[default]
    Unknown,
    /// Descriptions.
    Descriptions,
    /// Labels of the elements along an axis.
    TensorAxisLabels,
    /// Labels of the values of a tensor.
    TensorValueLabels,
    /// Calibration of the scores along an axis.
    TensorAxisScoreCalibration,
    /// A vocabulary.
    Vocabulary,
    /// An on-device ScaNN index.
    ScannIndexFile,
}

impl AssociatedFile {
    /// A file of that name and kind.
    pub fn new(name: impl Into<String>, kind: AssociatedFileKind) -> Self {
        Self { name: name.into(), kind, ..Self::default() }
    }

    pub(crate) fn to_schema(&self) -> AssociatedFileT {
        AssociatedFileT {
            name: Some(self.name.clone()),
            description: self.description.clone(),
            type_: self.kind.to_schema().raw(),
            locale: self.locale.clone(),
            version: self.version.clone(),
        }
    }
}

impl AssociatedFileKind {
    fn to_schema(self) -> AssociatedFileType {
        match self {
            Self::Unknown => AssociatedFileType::Unknown,
            Self::Descriptions => AssociatedFileType::Descriptions,
            Self::TensorAxisLabels => AssociatedFileType::TensorAxisLabels,
            Self::TensorValueLabels => AssociatedFileType::TensorValueLabels,
            Self::TensorAxisScoreCalibration => AssociatedFileType::TensorAxisScoreCalibration,
            Self::Vocabulary => AssociatedFileType::Vocabulary,
            Self::ScannIndexFile => AssociatedFileType::ScannIndexFile,
        }
    }

    fn from_raw(raw: i8) -> Self {
        match AssociatedFileType::from_raw(raw) {
            Some(AssociatedFileType::Descriptions) => Self::Descriptions,
            Some(AssociatedFileType::TensorAxisLabels) => Self::TensorAxisLabels,
            Some(AssociatedFileType::TensorValueLabels) => Self::TensorValueLabels,
            Some(AssociatedFileType::TensorAxisScoreCalibration) => {
                Self::TensorAxisScoreCalibration
            }
            Some(AssociatedFileType::Vocabulary) => Self::Vocabulary,
            Some(AssociatedFileType::ScannIndexFile) => Self::ScannIndexFile,
            _ => Self::Unknown,
        }
    }

    /// The schema's name, such as `TENSOR_AXIS_LABELS`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Descriptions => "DESCRIPTIONS",
            Self::TensorAxisLabels => "TENSOR_AXIS_LABELS",
            Self::TensorValueLabels => "TENSOR_VALUE_LABELS",
            Self::TensorAxisScoreCalibration => "TENSOR_AXIS_SCORE_CALIBRATION",
            Self::Vocabulary => "VOCABULARY",
            Self::ScannIndexFile => "SCANN_INDEX_FILE",
        }
    }
}

impl fmt::Display for AssociatedFileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Copies the entries of a list of associated files.
pub(crate) fn associated_files<'a>(
    files: impl Iterator<Item = schema::AssociatedFile<'a>>,
) -> Vec<AssociatedFile> {
    files
        .map(|file| AssociatedFile {
            name: owned(file.name()).unwrap_or_default(),
            description: owned(file.description()),
            kind: AssociatedFileKind::from_raw(file.type_()),
            locale: owned(file.locale()),
            version: owned(file.version()),
        })
        .collect()
}
