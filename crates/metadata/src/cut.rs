//! Ends a model's graph at an inner tensor.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use image_embedder_schema::metadata::{
    AssociatedFileT, ContentPropertiesT, ContentT, FeaturePropertiesT, ModelMetadataT,
    ProcessUnitOptionsT, ProcessUnitT, SubGraphMetadataT, TensorMetadataT,
};
use image_embedder_schema::tflite::{
    ModelT, OperatorT, SubGraphT, TensorMapT, TensorT, read_model,
};

use crate::archive::append_files;
use crate::edit::{unpack, write};
use crate::model::metadata_buffer;
use crate::rewrite::{MAX_UNPACKED_FILE_SIZE, check_data_is_inside};
use crate::{AssociatedFiles, MetadataError};

/// Which tensor of a model's first subgraph is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "a tensor has a name and an index")]
pub enum TensorSelector<'a> {
    /// The one of that name in the model.
    Name(&'a str),
    /// The one of that index.
    Index(usize),
}

impl<'a> From<&'a str> for TensorSelector<'a> {
    fn from(name: &'a str) -> Self {
        Self::Name(name)
    }
}

impl From<usize> for TensorSelector<'_> {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

impl fmt::Display for TensorSelector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Index(index) => write!(f, "index {index}"),
        }
    }
}

/// A tensor that an image embedder could give out, see [`cut_points`].
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct CutPoint {
    /// The tensor's index in the first subgraph.
    pub index: usize,
    /// Its name in the model.
    pub name: String,
    /// Its sizes, outermost first.
    pub shape: Vec<i32>,
}

/// The tensors of a model that an operator computes and that have the shape of a feature vector,
/// `1 x N` or `1 x 1 x 1 x N`, in the order in which they are computed.
///
/// # Errors
///
/// [`MetadataError::Model`] if the bytes are not a TensorFlow Lite model.
pub fn cut_points(model: &[u8]) -> Result<Vec<CutPoint>, MetadataError> {
    let model = read_model(model).map_err(|source| MetadataError::Model { source })?;
    let Some(graph) = model.subgraphs().first() else {
        return Ok(Vec::new());
    };
    let tensors = graph.tensors();
    let operators = graph.operators();
    let computed = operators
        .iter()
        .flat_map(|operator| operator.outputs().iter())
        .filter_map(|index| usize::try_from(index).ok())
        .filter_map(|index| Some((index, tensors.get(index)?)));
    let points = computed.map(|(index, tensor)| CutPoint {
        index,
        name: tensor.name().unwrap_or_default().to_owned(),
        shape: tensor.shape().iter().collect(),
    });
    Ok(points.filter(|point| matches!(point.shape.as_slice(), [1, _] | [1, 1, 1, _])).collect())
}

/// The model that ends at an inner tensor of its first subgraph, which becomes the only output.
///
/// It turns a classifier into an embedder: end it at the tensor that its last layer reads. What
/// the tensor does not depend on is dropped: operators, tensors, their data, inputs. Metadata of
/// the model and of the inputs is kept; that of the outputs gives way to the tensor's name, with
/// the files that only the outputs referred to, such as labels. An output that is cut at keeps
/// its metadata.
///
/// ```no_run
/// use image_embedder_metadata::cut_at;
///
/// let classifier = std::fs::read("mobilenet_v1_0.25_224_quant.tflite")?;
/// let embedder = cut_at(&classifier, "MobilenetV1/Logits/AvgPool_1a/AvgPool")?;
/// std::fs::write("embedder.tflite", embedder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// - [`MetadataError::TensorNotFound`] if there is no such tensor, with names that look like it;
///   [`MetadataError::TensorAmbiguous`] if several have that name.
/// - [`MetadataError::TensorNotComputed`] if the tensor is an input or a constant, and
///   [`MetadataError::TensorWithoutInput`] if it depends on no input.
/// - [`MetadataError::Unread`] if the model or its metadata holds parts that this crate does not
///   read, such as options of rare operators or sparse tensors: none of it would be left out
///   unseen.
/// - [`MetadataError::Reference`] if an index in the model leads nowhere.
/// - [`MetadataError::ModelTooLarge`] above 256 MiB, [`MetadataError::DataOutside`] above 2 GiB.
/// - Those of [`edit_metadata`](crate::edit_metadata) for what is there.
pub fn cut_at<'a>(
    model: &[u8],
    tensor: impl Into<TensorSelector<'a>>,
) -> Result<Vec<u8>, MetadataError> {
    if model.len() > MAX_UNPACKED_FILE_SIZE {
        return Err(MetadataError::ModelTooLarge {
            size: model.len(),
            limit: MAX_UNPACKED_FILE_SIZE,
        });
    }
    let view = read_model(model).map_err(|source| MetadataError::Model { source })?;
    check_data_is_inside(&view)?;
    let found = view.unread();
    if !found.is_empty() {
        return Err(MetadataError::Unread { found });
    }
    let metadata = metadata_buffer(model)?.map(unpack).transpose()?;
    let archive = AssociatedFiles::open(model)?;
    let mut files = archive.contents()?;

    let mut tables = view.unpack();
    let cut = cut_graph(&mut tables, tensor.into())?;
    drop_unused_buffers(&mut tables)?;
    drop_unused_operator_codes(&mut tables)?;
    let bytes = tables.to_bytes();
    let Some(mut metadata) = metadata else {
        return append_files(bytes, &files);
    };
    let before = file_names(&metadata);
    cut_metadata(&mut metadata, &cut);
    let after = file_names(&metadata);
    files.retain(|file| !before.contains(&file.name) || after.contains(&file.name));
    write(&bytes, None, metadata, &files)
}

/// What became of the interface of the first subgraph.
struct Cut {
    /// The positions of the kept inputs among the old ones.
    inputs: Vec<usize>,
    input_count: usize,
    /// The position of the cut tensor among the old outputs.
    output: Option<usize>,
    name: String,
}

fn cut_graph(model: &mut ModelT, selector: TensorSelector<'_>) -> Result<Cut, MetadataError> {
    let subgraphs = model.subgraphs.get_or_insert_default();
    let Some(graph) = subgraphs.first_mut() else {
        return Err(MetadataError::Reference { kind: "subgraph", found: 0, count: 0 });
    };
    check_references(graph)?;
    let target = find(graph.tensors.as_deref().unwrap_or_default(), selector)?;
    let name = graph
        .tensors
        .iter()
        .flatten()
        .nth(target)
        .and_then(|tensor| tensor.name.clone())
        .unwrap_or_default();
    let target = i32::try_from(target).unwrap_or(i32::MAX);

    let needed = keep_needed_operators(graph, target);
    let operators = graph.operators.iter().flatten();
    let computed = operators.flat_map(|operator| operator.outputs.iter().flatten());
    if !computed.into_iter().any(|index| *index == target) {
        return Err(MetadataError::TensorNotComputed { tensor: name });
    }
    let old_inputs = graph.inputs.take().unwrap_or_default();
    let inputs: Vec<usize> = old_inputs
        .iter()
        .enumerate()
        .filter(|(_, index)| needed.contains(index))
        .map(|(position, _)| position)
        .collect();
    if inputs.is_empty() {
        return Err(MetadataError::TensorWithoutInput { tensor: name });
    }
    let kept = |(_, index): (usize, &i32)| needed.contains(index).then_some(*index);
    graph.inputs = Some(old_inputs.iter().enumerate().filter_map(kept).collect());
    let output = graph.outputs.iter().flatten().position(|index| *index == target);
    graph.outputs = Some(vec![target]);

    let indices = drop_unused_tensors(graph);
    cut_signatures(model, &indices, target, &name);
    Ok(Cut { inputs, input_count: old_inputs.len(), output, name })
}

/// The lists of tensors that an operator refers to.
fn tensor_lists(operator: &mut OperatorT) -> impl Iterator<Item = &mut i32> {
    [&mut operator.inputs, &mut operator.outputs, &mut operator.intermediates]
        .into_iter()
        .flatten()
        .flatten()
}

fn check_references(graph: &mut SubGraphT) -> Result<(), MetadataError> {
    let count = graph.tensors.as_ref().map_or(0, Vec::len);
    let operators = graph.operators.iter_mut().flatten();
    let of_operators = operators.flat_map(tensor_lists).map(|index| *index);
    let of_graph = graph.inputs.iter().chain(&graph.outputs).flatten().copied();
    // -1 stands for an optional tensor that is left out.
    let wrong = of_operators
        .chain(of_graph)
        .find(|index| *index != -1 && usize::try_from(*index).map_or(true, |index| index >= count));
    match wrong {
        Some(found) => {
            Err(MetadataError::Reference { kind: "tensor", found: i64::from(found), count })
        }
        None => Ok(()),
    }
}

fn find(tensors: &[TensorT], selector: TensorSelector<'_>) -> Result<usize, MetadataError> {
    let name = match selector {
        TensorSelector::Index(index) if index < tensors.len() => return Ok(index),
        TensorSelector::Index(_) => "",
        TensorSelector::Name(name) => name,
    };
    let named = |tensor: &TensorT| tensor.name.as_deref() == Some(name);
    let found: Vec<usize> = match selector {
        TensorSelector::Index(_) => Vec::new(),
        TensorSelector::Name(_) => {
            (0..tensors.len()).filter(|index| tensors.get(*index).is_some_and(named)).collect()
        }
    };
    match found.as_slice() {
        [index] => Ok(*index),
        [] => Err(MetadataError::TensorNotFound {
            tensor: selector.to_string(),
            near: near(tensors, name),
            count: tensors.len(),
        }),
        _ => Err(MetadataError::TensorAmbiguous { tensor: selector.to_string(), found }),
    }
}

/// Up to five names that contain the one asked for or are a few letters away, best first.
fn near(tensors: &[TensorT], name: &str) -> Vec<String> {
    if name.is_empty() {
        return Vec::new();
    }
    let wanted = name.to_lowercase();
    let names = tensors.iter().filter_map(|tensor| tensor.name.as_ref());
    let mut near: Vec<(usize, &String)> = names
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            if lower.contains(&wanted) {
                return Some((0, candidate));
            }
            let last = lower.rsplit('/').next().unwrap_or_default();
            let distance = edit_distance(&wanted, &lower).min(edit_distance(&wanted, last));
            (distance <= wanted.chars().count() / 3).then_some((distance, candidate))
        })
        .collect();
    near.sort();
    near.dedup();
    near.into_iter().take(5).map(|(_, name)| name.clone()).collect()
}

/// The number of letters to add, remove or replace between two texts (Levenshtein's distance).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (pair, y) in row.windows(2).zip(&b) {
            let &[corner, above] = pair else { break };
            left = (corner + usize::from(x != *y)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// Keeps the operators that lead to the target, and returns all tensors that they touch.
fn keep_needed_operators(graph: &mut SubGraphT, target: i32) -> HashSet<i32> {
    let mut needed = HashSet::from([target]);
    let mut kept: Vec<OperatorT> = Vec::new();
    // Operators are in the order in which they run, so one pass from the end meets every operator
    // after all that read its results.
    for mut operator in graph.operators.take().into_iter().flatten().rev() {
        let outputs = operator.outputs.as_deref().unwrap_or_default();
        if outputs.iter().any(|index| needed.contains(index)) {
            needed.extend(tensor_lists(&mut operator).map(|index| *index));
            kept.push(operator);
        }
    }
    kept.reverse();
    graph.operators = Some(kept);
    needed
}

/// Drops tensors that nothing refers to, and returns the new index of each kept one.
fn drop_unused_tensors(graph: &mut SubGraphT) -> BTreeMap<i32, i32> {
    let mut used: BTreeSet<i32> = BTreeSet::new();
    let operators = graph.operators.iter_mut().flatten();
    used.extend(operators.flat_map(tensor_lists).map(|index| *index));
    used.extend(graph.inputs.iter().chain(&graph.outputs).flatten());
    used.remove(&-1);
    let indices: BTreeMap<i32, i32> = used.iter().copied().zip(0..).collect();
    let tensors = graph.tensors.take().unwrap_or_default();
    let tensors = (0..).zip(tensors);
    let kept = tensors.filter_map(|(index, tensor)| used.contains(&index).then_some(tensor));
    graph.tensors = Some(kept.collect());

    let renumber = |index: &mut i32| {
        if let Some(new) = indices.get(index) {
            *index = *new;
        }
    };
    graph.operators.iter_mut().flatten().flat_map(tensor_lists).for_each(renumber);
    [&mut graph.inputs, &mut graph.outputs].into_iter().flatten().flatten().for_each(renumber);
    indices
}

/// Leads the entry points of the first subgraph to the kept inputs and to the target.
fn cut_signatures(model: &mut ModelT, indices: &BTreeMap<i32, i32>, target: i32, name: &str) {
    let renumber = |map: &TensorMapT| {
        let index = i32::try_from(map.tensor_index).ok()?;
        let tensor_index = u32::try_from(*indices.get(&index)?).ok()?;
        Some(TensorMapT { name: map.name.clone(), tensor_index })
    };
    let graph = model.subgraphs.iter().flatten().next();
    let kept_inputs: HashSet<u32> = graph
        .and_then(|graph| graph.inputs.as_ref())
        .into_iter()
        .flatten()
        .filter_map(|index| u32::try_from(*index).ok())
        .collect();
    let signatures = model.signature_defs.iter_mut().flatten();
    for signature in signatures.filter(|signature| signature.subgraph_index == 0) {
        let inputs = signature.inputs.iter().flatten().filter_map(renumber);
        let inputs = inputs.filter(|map| kept_inputs.contains(&map.tensor_index));
        signature.inputs = Some(inputs.collect());
        let is_target = |map: &&TensorMapT| i32::try_from(map.tensor_index) == Ok(target);
        let old = signature.outputs.iter().flatten().find(is_target);
        let name = old.map_or(Some(name.to_owned()), |map| map.name.clone());
        let tensor_index =
            indices.get(&target).and_then(|index| u32::try_from(*index).ok()).unwrap_or_default();
        signature.outputs = Some(vec![TensorMapT { name, tensor_index }]);
    }
}

/// Drops buffers that nothing refers to, except the first, which stands for no data.
fn drop_unused_buffers(model: &mut ModelT) -> Result<(), MetadataError> {
    let buffers = model.buffers.take().unwrap_or_default();
    let count = buffers.len();
    let tensors = model
        .subgraphs
        .iter_mut()
        .flatten()
        .flat_map(|graph| graph.tensors.iter_mut().flatten())
        .map(|tensor| &mut tensor.buffer);
    let entries = model.metadata.iter_mut().flatten();
    let mut references: Vec<&mut u32> =
        tensors.chain(entries.map(|entry| &mut entry.buffer)).collect();
    let superseded = model.metadata_buffer.iter_mut().flatten();
    let superseded: Vec<&mut i32> = superseded.collect();

    let mut used: BTreeSet<usize> = BTreeSet::from([0]);
    let of_superseded = superseded.iter().map(|index| i64::from(**index));
    let all = references.iter().map(|index| i64::from(**index));
    for found in all.chain(of_superseded) {
        match usize::try_from(found) {
            // A model without buffers may refer to the first all the same.
            Ok(index) if index < count.max(1) => used.insert(index),
            _ => {
                return Err(MetadataError::Reference { kind: "buffer", found, count });
            }
        };
    }
    let indices: BTreeMap<usize, u32> = used.iter().copied().zip(0..).collect();
    let new_index = |old: usize| indices.get(&old).copied().unwrap_or_default();
    for reference in &mut references {
        **reference = new_index(usize::try_from(**reference).unwrap_or_default());
    }
    for reference in superseded {
        let index = new_index(usize::try_from(*reference).unwrap_or_default());
        *reference = i32::try_from(index).unwrap_or_default();
    }
    let buffers = buffers.into_iter().enumerate();
    let kept = buffers.filter_map(|(index, buffer)| used.contains(&index).then_some(buffer));
    model.buffers = Some(kept.collect());
    Ok(())
}

fn drop_unused_operator_codes(model: &mut ModelT) -> Result<(), MetadataError> {
    let codes = model.operator_codes.take().unwrap_or_default();
    let mut operators: Vec<&mut OperatorT> = model
        .subgraphs
        .iter_mut()
        .flatten()
        .flat_map(|graph| graph.operators.iter_mut().flatten())
        .collect();
    let used: BTreeSet<u32> = operators.iter().map(|o| o.opcode_index).collect();
    let wrong = used
        .iter()
        .find(|index| usize::try_from(**index).map_or(true, |index| index >= codes.len()));
    if let Some(wrong) = wrong {
        return Err(MetadataError::Reference {
            kind: "operator code",
            found: i64::from(*wrong),
            count: codes.len(),
        });
    }
    let indices: BTreeMap<u32, u32> = used.iter().copied().zip(0..).collect();
    for operator in &mut operators {
        let new = indices.get(&operator.opcode_index).copied();
        operator.opcode_index = new.unwrap_or_default();
    }
    let codes = (0..).zip(codes);
    let kept = codes.filter_map(|(index, code)| used.contains(&index).then_some(code));
    model.operator_codes = Some(kept.collect());
    Ok(())
}

fn cut_metadata(metadata: &mut ModelMetadataT, cut: &Cut) {
    let Some(graph) = metadata.subgraph_metadata.iter_mut().flatten().next() else {
        return;
    };
    if let Some(inputs) = &mut graph.input_tensor_metadata
        && inputs.len() == cut.input_count
    {
        let mut position = 0;
        inputs.retain(|_| {
            position += 1;
            cut.inputs.contains(&(position - 1))
        });
    }
    let old = graph.output_tensor_metadata.take();
    let kept = cut.output.and_then(|position| old?.into_iter().nth(position));
    let output =
        kept.unwrap_or_else(|| TensorMetadataT {
            name: Some(cut.name.clone()),
            content: Some(Box::new(ContentT {
                content_properties: ContentPropertiesT::FeatureProperties(
                    FeaturePropertiesT::default(),
                ),
                range: None,
            })),
            ..TensorMetadataT::default()
        });
    graph.output_tensor_metadata = Some(vec![output]);
    graph.output_process_units = None;
    graph.output_tensor_groups = None;
}

/// The names of all files that metadata refers to.
fn file_names(metadata: &ModelMetadataT) -> HashSet<String> {
    let mut names = HashSet::new();
    add_names(&mut names, metadata.associated_files.as_ref());
    for graph in metadata.subgraph_metadata.iter().flatten() {
        add_graph_names(&mut names, graph);
    }
    names
}

fn add_graph_names(names: &mut HashSet<String>, graph: &SubGraphMetadataT) {
    add_names(names, graph.associated_files.as_ref());
    for units in [&graph.input_process_units, &graph.output_process_units] {
        add_unit_names(names, units.as_ref());
    }
    let inputs = graph.input_tensor_metadata.iter().flatten();
    for tensor in inputs.chain(graph.output_tensor_metadata.iter().flatten()) {
        add_names(names, tensor.associated_files.as_ref());
        add_unit_names(names, tensor.process_units.as_ref());
    }
}

fn add_unit_names(names: &mut HashSet<String>, units: Option<&Vec<ProcessUnitT>>) {
    for unit in units.into_iter().flatten() {
        match &unit.options {
            ProcessUnitOptionsT::BertTokenizerOptions(options) => {
                add_names(names, options.vocab_file.as_ref());
            }
            ProcessUnitOptionsT::SentencePieceTokenizerOptions(options) => {
                add_names(names, options.sentence_piece_model.as_ref());
                add_names(names, options.vocab_file.as_ref());
            }
            ProcessUnitOptionsT::RegexTokenizerOptions(options) => {
                add_names(names, options.vocab_file.as_ref());
            }
            _ => {}
        }
    }
}

fn add_names(names: &mut HashSet<String>, files: Option<&Vec<AssociatedFileT>>) {
    let files = files.into_iter().flatten();
    names.extend(files.filter_map(|file| file.name.clone()));
}
