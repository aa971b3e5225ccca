//! The least version of a metadata parser that understands given metadata.

use image_embedder_schema::metadata::{
    AssociatedFileT, AssociatedFileType, ContentPropertiesT, ModelMetadataT, ProcessUnitOptionsT,
    ProcessUnitT, SubGraphMetadataT, TensorMetadataT,
};

/// Major, minor, patch.
type Version = (u8, u8, u8);

const BASE: Version = (1, 0, 0);
const VOCABULARY: Version = (1, 0, 1);
const SUBGRAPH_PROCESS_UNITS: Version = (1, 1, 0);
const TOKENIZERS: Version = (1, 1, 0);
const TENSOR_GROUPS: Version = (1, 2, 0);
const REGEX_TOKENIZER: Version = (1, 2, 1);
const AUDIO: Version = (1, 3, 0);
const SCANN_INDEX: Version = (1, 4, 0);
const FILE_VERSION: Version = (1, 4, 1);
const CUSTOM_METADATA: Version = (1, 5, 0);

/// The largest version that any part of the metadata asks for, `1.0.0` if none does.
///
/// Source: the rule of tflite-support 0.4.4's metadata populator, from the versions in which the
/// parts came into the metadata schema.
pub(crate) fn minimum_parser_version(metadata: &ModelMetadataT) -> String {
    let subgraphs = metadata.subgraph_metadata.iter().flatten().map(subgraph);
    let (major, minor, patch) =
        subgraphs.chain([files(metadata.associated_files.as_ref())]).max().unwrap_or(BASE);
    format!("{major}.{minor}.{patch}")
}

fn subgraph(subgraph: &SubGraphMetadataT) -> Version {
    let part = |present: bool, version| if present { version } else { BASE };
    let tensors = [&subgraph.input_tensor_metadata, &subgraph.output_tensor_metadata];
    let units = [&subgraph.input_process_units, &subgraph.output_process_units];
    let groups = [&subgraph.input_tensor_groups, &subgraph.output_tensor_groups];
    let own = [
        files(subgraph.associated_files.as_ref()),
        part(units.iter().any(|units| units.is_some()), SUBGRAPH_PROCESS_UNITS),
        part(groups.iter().any(|groups| groups.is_some()), TENSOR_GROUPS),
        part(subgraph.custom_metadata.is_some(), CUSTOM_METADATA),
    ];
    let tensors = tensors.into_iter().flatten().flatten().map(tensor);
    let units = units.into_iter().flatten().flatten().map(process_unit);
    own.into_iter().chain(tensors).chain(units).max().unwrap_or(BASE)
}

fn tensor(tensor: &TensorMetadataT) -> Version {
    let content = tensor.content.as_ref().map(|content| match content.content_properties {
        ContentPropertiesT::AudioProperties(_) => AUDIO,
        _ => BASE,
    });
    let units = tensor.process_units.iter().flatten().map(process_unit);
    units.chain(content).chain([files(tensor.associated_files.as_ref())]).max().unwrap_or(BASE)
}

/// The populator does not look at the files of tokenizers.
fn process_unit(unit: &ProcessUnitT) -> Version {
    match unit.options {
        ProcessUnitOptionsT::BertTokenizerOptions(_)
        | ProcessUnitOptionsT::SentencePieceTokenizerOptions(_) => TOKENIZERS,
        ProcessUnitOptionsT::RegexTokenizerOptions(_) => REGEX_TOKENIZER,
        _ => BASE,
    }
}

fn files(files: Option<&Vec<AssociatedFileT>>) -> Version {
    let file = |file: &AssociatedFileT| {
        let kind = match AssociatedFileType::from_raw(file.type_) {
            Some(AssociatedFileType::Vocabulary) => VOCABULARY,
            Some(AssociatedFileType::ScannIndexFile) => SCANN_INDEX,
            _ => BASE,
        };
        let version = if file.version.is_some() { FILE_VERSION } else { BASE };
        kind.max(version)
    };
    files.into_iter().flatten().map(file).max().unwrap_or(BASE)
}

#[cfg(test)]
mod tests {
    use image_embedder_schema::metadata::{
        AudioPropertiesT, BertTokenizerOptionsT, ContentT, CustomMetadataT, RegexTokenizerOptionsT,
        TensorGroupT,
    };

    use super::*;

    fn file(type_: i8, version: Option<&str>) -> AssociatedFileT {
        AssociatedFileT { type_, version: version.map(str::to_owned), ..AssociatedFileT::default() }
    }

    fn of_subgraph(subgraph: SubGraphMetadataT) -> String {
        minimum_parser_version(&ModelMetadataT {
            subgraph_metadata: Some(vec![SubGraphMetadataT::default(), subgraph]),
            ..ModelMetadataT::default()
        })
    }

    fn of_unit(options: ProcessUnitOptionsT) -> String {
        of_subgraph(SubGraphMetadataT {
            output_tensor_metadata: Some(vec![TensorMetadataT {
                process_units: Some(vec![ProcessUnitT { options }]),
                ..TensorMetadataT::default()
            }]),
            ..SubGraphMetadataT::default()
        })
    }

    #[test]
    fn the_newest_part_decides() {
        assert_eq!(minimum_parser_version(&ModelMetadataT::default()), "1.0.0");
        let files = |files: Vec<AssociatedFileT>| {
            minimum_parser_version(&ModelMetadataT {
                associated_files: Some(files),
                ..ModelMetadataT::default()
            })
        };
        assert_eq!(files(vec![file(2, None)]), "1.0.0");
        assert_eq!(files(vec![file(5, None), file(2, None)]), "1.0.1");
        assert_eq!(files(vec![file(6, None), file(5, None)]), "1.4.0");
        assert_eq!(files(vec![file(6, None), file(2, Some("1"))]), "1.4.1");

        let graph = SubGraphMetadataT::default;
        let units = Some(vec![ProcessUnitT::default()]);
        let groups = Some(vec![TensorGroupT::default()]);
        let custom_metadata = Some(vec![CustomMetadataT::default()]);
        assert_eq!(of_subgraph(graph()), "1.0.0");
        assert_eq!(
            of_subgraph(SubGraphMetadataT { input_process_units: units, ..graph() }),
            "1.1.0"
        );
        assert_eq!(
            of_subgraph(SubGraphMetadataT { output_tensor_groups: groups, ..graph() }),
            "1.2.0"
        );
        assert_eq!(of_subgraph(SubGraphMetadataT { custom_metadata, ..graph() }), "1.5.0");
    }

    #[test]
    fn parts_of_tensors_count() {
        let bert = BertTokenizerOptionsT::default();
        assert_eq!(of_unit(ProcessUnitOptionsT::BertTokenizerOptions(bert)), "1.1.0");
        let bert = BertTokenizerOptionsT { vocab_file: Some(vec![file(5, Some("1"))]) };
        assert_eq!(of_unit(ProcessUnitOptionsT::BertTokenizerOptions(bert)), "1.1.0");
        let regex = RegexTokenizerOptionsT::default();
        assert_eq!(of_unit(ProcessUnitOptionsT::RegexTokenizerOptions(regex)), "1.2.1");
        let audio = ContentPropertiesT::AudioProperties(AudioPropertiesT::default());
        let content = ContentT { content_properties: audio, range: None };
        let tensor =
            TensorMetadataT { content: Some(Box::new(content)), ..TensorMetadataT::default() };
        let graph = SubGraphMetadataT {
            input_tensor_metadata: Some(vec![tensor]),
            ..SubGraphMetadataT::default()
        };
        assert_eq!(of_subgraph(graph), "1.3.0");
    }
}
