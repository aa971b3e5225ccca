//! The TFLite Metadata flatbuffer (`metadata_schema.fbs` 1.5.0, identifier `M001`).
//!
//! Field numbers and enum values are those of the schema that tflite-support 0.4.4 ships.

use flatbuffers::FlatBufferBuilder;

use crate::{SchemaError, table};

/// The file identifier of TFLite Metadata.
pub const METADATA_IDENTIFIER: &str = "M001";

/// The name of the model's metadata entry whose buffer holds TFLite Metadata.
pub const METADATA_NAME: &str = "TFLITE_METADATA";

/// Verifies a metadata buffer and returns its root.
///
/// # Errors
///
/// - [`SchemaError::TooShort`] below 8 bytes.
/// - [`SchemaError::WrongIdentifier`] if bytes 4 to 8 are not `M001`.
/// - [`SchemaError::Malformed`] if any table, vector, string or union is out of bounds or not
///   well-formed.
pub fn read_metadata(bytes: &[u8]) -> Result<ModelMetadata<'_>, SchemaError> {
    table::read_root::<ModelMetadata<'_>>(bytes, "TFLite Metadata", METADATA_IDENTIFIER)
}

impl ModelMetadata<'_> {
    /// The paths of all values that this crate does not read and that
    /// [`unpack`](Self::unpack) therefore drops; empty if unpacking keeps everything.
    ///
    /// A path names fields and, where a field has no name here, its number in the schema, such as
    /// `subgraph_metadata[0] field 10`.
    pub fn unread(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.collect_unread(&mut String::new(), &mut found);
        found
    }
}

impl ModelMetadataT {
    /// Writes a metadata buffer.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut builder = FlatBufferBuilder::new();
        let root = self.pack(&mut builder);
        table::finish(builder, root, METADATA_IDENTIFIER)
    }
}

tables! {
    /// What a model is and who made it.
    table ModelMetadata, ModelMetadataT {
        /// The model's name.
        name: string() @ 0;
        /// What the model does.
        description: string() @ 1;
        /// The model's own version.
        version: string() @ 2;
        /// Metadata of each subgraph; only the first is used.
        subgraph_metadata: tables(SubGraphMetadata, SubGraphMetadataT) @ 3;
        /// Who made the model.
        author: string() @ 4;
        /// The licence of the model.
        license: string() @ 5;
        /// Files of the whole model.
        associated_files: tables(AssociatedFile, AssociatedFileT) @ 6;
        /// The least version of a metadata parser that understands everything here.
        min_parser_version: string() @ 7;
    }

    /// The inputs and outputs of a subgraph.
    table SubGraphMetadata, SubGraphMetadataT {
        /// The subgraph's name.
        name: string() @ 0;
        /// What it does.
        description: string() @ 1;
        /// The inputs, in model order.
        input_tensor_metadata: tables(TensorMetadata, TensorMetadataT) @ 2;
        /// The outputs, in model order.
        output_tensor_metadata: tables(TensorMetadata, TensorMetadataT) @ 3;
        /// Files of this subgraph.
        associated_files: tables(AssociatedFile, AssociatedFileT) @ 4;
        /// Processing of all inputs together.
        input_process_units: tables(ProcessUnit, ProcessUnitT) @ 5;
        /// Processing of all outputs together.
        output_process_units: tables(ProcessUnit, ProcessUnitT) @ 6;
        /// Inputs that belong together.
        input_tensor_groups: tables(TensorGroup, TensorGroupT) @ 7;
        /// Outputs that belong together.
        output_tensor_groups: tables(TensorGroup, TensorGroupT) @ 8;
        /// Data of other tools.
        custom_metadata: tables(CustomMetadata, CustomMetadataT) @ 9;
    }

    /// What a tensor holds.
    table TensorMetadata, TensorMetadataT {
        /// The tensor's name.
        name: string() @ 0;
        /// What it holds.
        description: string() @ 1;
        /// A name for each dimension.
        dimension_names: strings() @ 2;
        /// The kind of content.
        content: table(Content, ContentT) @ 3;
        /// Processing before the model or after it.
        process_units: tables(ProcessUnit, ProcessUnitT) @ 4;
        /// The range of the values.
        stats: table(Stats, StatsT) @ 5;
        /// Files of this tensor, such as labels.
        associated_files: tables(AssociatedFile, AssociatedFileT) @ 6;
    }

    /// The kind of a tensor's content.
    table Content, ContentT {
        /// The content's properties.
        content_properties: union(ContentProperties, ContentPropertiesT) @ 0;
        /// The range of dimensions that the content fills.
        range: table(ValueRange, ValueRangeT) @ 2;
    }

    /// A step of processing.
    table ProcessUnit, ProcessUnitT {
        /// What the step does.
        options: union(ProcessUnitOptions, ProcessUnitOptionsT) @ 0;
    }

    /// Normalisation of an input: `(value - mean) / std` per channel.
    table NormalizationOptions, NormalizationOptionsT {
        /// One mean, or one per channel.
        mean: scalars(f32) @ 0;
        /// One standard deviation, or one per channel.
        std: scalars(f32) @ 1;
    }

    /// Calibration of scores.
    table ScoreCalibrationOptions, ScoreCalibrationOptionsT {
        /// See [`ScoreTransformationType`].
        score_transformation: scalar(i8 = 0) @ 0;
        /// The score of a class without calibration.
        default_score: scalar(f32 = 0.0) @ 1;
    }

    /// Thresholding of scores.
    table ScoreThresholdingOptions, ScoreThresholdingOptionsT {
        /// The least score that counts.
        global_score_threshold: scalar(f32 = 0.0) @ 0;
    }

    /// A BERT tokenizer.
    table BertTokenizerOptions, BertTokenizerOptionsT {
        /// The vocabulary.
        vocab_file: tables(AssociatedFile, AssociatedFileT) @ 0;
    }

    /// A SentencePiece tokenizer.
    table SentencePieceTokenizerOptions, SentencePieceTokenizerOptionsT {
        /// The model file.
        sentence_piece_model: tables(AssociatedFile, AssociatedFileT) @ 0;
        /// The vocabulary.
        vocab_file: tables(AssociatedFile, AssociatedFileT) @ 1;
    }

    /// A tokenizer that splits at a regular expression.
    table RegexTokenizerOptions, RegexTokenizerOptionsT {
        /// The expression of delimiters.
        delim_regex_pattern: string() @ 0;
        /// The vocabulary.
        vocab_file: tables(AssociatedFile, AssociatedFileT) @ 1;
    }

    /// The range of a tensor's values.
    table Stats, StatsT {
        /// The largest value, one or one per channel.
        max: scalars(f32) @ 0;
        /// The least value, one or one per channel.
        min: scalars(f32) @ 1;
    }

    /// Tensors that belong together.
    table TensorGroup, TensorGroupT {
        /// The group's name.
        name: string() @ 0;
        /// The tensors' names.
        tensor_names: strings() @ 1;
    }

    /// Data of another tool.
    table CustomMetadata, CustomMetadataT {
        /// The data's name.
        name: string() @ 0;
        /// The data, 16-byte aligned.
        data: aligned_bytes() @ 1;
    }

    /// A file that travels in the ZIP archive behind the model.
    table AssociatedFile, AssociatedFileT {
        /// The file's name in the archive.
        name: string() @ 0;
        /// What it holds.
        description: string() @ 1;
        /// See [`AssociatedFileType`].
        type_: scalar(i8 = 0) @ 2;
        /// The language of its text.
        locale: string() @ 3;
        /// Its version.
        version: string() @ 4;
    }

    /// The content is a feature vector or anything else without properties.
    table FeatureProperties, FeaturePropertiesT {}

    /// The content is an image.
    table ImageProperties, ImagePropertiesT {
        /// See [`ColorSpaceType`].
        color_space: scalar(i8 = 0) @ 0;
        /// The size to use where the model leaves it open.
        default_size: table(ImageSize, ImageSizeT) @ 1;
    }

    /// A size in pixels.
    table ImageSize, ImageSizeT {
        /// The width.
        width: scalar(u32 = 0) @ 0;
        /// The height.
        height: scalar(u32 = 0) @ 1;
    }

    /// The content is bounding boxes.
    table BoundingBoxProperties, BoundingBoxPropertiesT {
        /// The order of the four numbers.
        index: scalars(u32) @ 0;
        /// What the four numbers are: 0 unknown, 1 boundaries, 2 upper left, 3 centre.
        type_: scalar(i8 = 0) @ 1;
        /// 0 for ratios, 1 for pixels.
        coordinate_type: scalar(i8 = 0) @ 2;
    }

    /// The content is audio.
    table AudioProperties, AudioPropertiesT {
        /// Samples per second.
        sample_rate: scalar(u32 = 0) @ 0;
        /// The number of channels.
        channels: scalar(u32 = 0) @ 1;
    }

    /// A range of whole numbers.
    table ValueRange, ValueRangeT {
        /// The least.
        min: scalar(i32 = 0) @ 0;
        /// The largest.
        max: scalar(i32 = 0) @ 1;
    }
}

unions! {
    /// The kind of a tensor's content.
    union ContentProperties, ContentPropertiesT {
        FeatureProperties, FeaturePropertiesT = 1;
        ImageProperties, ImagePropertiesT = 2;
        BoundingBoxProperties, BoundingBoxPropertiesT = 3;
        AudioProperties, AudioPropertiesT = 4;
    }

    /// A step of processing.
    union ProcessUnitOptions, ProcessUnitOptionsT {
        NormalizationOptions, NormalizationOptionsT = 1;
        ScoreCalibrationOptions, ScoreCalibrationOptionsT = 2;
        ScoreThresholdingOptions, ScoreThresholdingOptionsT = 3;
        BertTokenizerOptions, BertTokenizerOptionsT = 4;
        SentencePieceTokenizerOptions, SentencePieceTokenizerOptionsT = 5;
        RegexTokenizerOptions, RegexTokenizerOptionsT = 6;
    }
}

enumeration! {
    /// What an associated file is for.
    enum AssociatedFileType: i8 {
        /// Unknown.
        Unknown = 0,
        /// Descriptions.
        Descriptions = 1,
        /// Labels of the elements along an axis.
        TensorAxisLabels = 2,
        /// Labels of the values of a tensor.
        TensorValueLabels = 3,
        /// Calibration of the scores along an axis.
        TensorAxisScoreCalibration = 4,
        /// A vocabulary.
        Vocabulary = 5,
        /// An on-device ScaNN index.
        ScannIndexFile = 6,
    }
}

enumeration! {
    /// The colours of an image tensor.
    enum ColorSpaceType: i8 {
        /// Unknown.
        Unknown = 0,
        /// Red, green, blue.
        Rgb = 1,
        /// One channel of brightness.
        Grayscale = 2,
    }
}

enumeration! {
    /// How a score is transformed before calibration.
    enum ScoreTransformationType: i8 {
        /// Not at all.
        Identity = 0,
        /// By the logarithm.
        Log = 1,
        /// By the inverse logistic function.
        InverseLogistic = 2,
    }
}
