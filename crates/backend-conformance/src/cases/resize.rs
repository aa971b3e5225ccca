//! `RESIZE_BILINEAR` and `RESIZE_NEAREST_NEIGHBOR`.

use image_embedder_schema::tflite::{
    BuiltinOperator, BuiltinOptionsT, ResizeBilinearOptionsT, ResizeNearestNeighborOptionsT,
};

use crate::Case;
use crate::graph::{Graph, Numbers, ZeroPoint};

/// Names of changes of size with the input's shape and the output's height and width.
const SIZES: [(&str, [usize; 4], [usize; 2]); 8] = [
    ("double", [1, 3, 4, 8], [6, 8]),
    ("half", [1, 6, 8, 7], [3, 4]),
    ("odd", [1, 5, 3, 3], [7, 8]),
    ("odd_smaller", [1, 7, 9, 17], [4, 5]),
    ("same", [1, 4, 5, 3], [4, 5]),
    ("from_one", [1, 1, 1, 16], [3, 4]),
    ("to_one", [1, 5, 4, 4], [1, 1]),
    ("batch", [2, 3, 3, 2], [5, 4]),
];

pub(crate) fn cases(seed: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for numbers in Numbers::PLAIN {
        for is_bilinear in [true, false] {
            for (places, align_corners, half_pixel_centers) in
                [("", false, false), ("_align_corners", true, false), ("_half_pixel", false, true)]
            {
                for (what, shape, [height, width]) in SIZES {
                    let operator_name =
                        if is_bilinear { "resize_bilinear" } else { "resize_nearest_neighbor" };
                    let name = format!("{operator_name}_{}_{what}{places}", numbers.name());
                    let mut graph = Graph::new(&name, seed);
                    let format = graph.input_format(numbers, ZeroPoint::Middle);
                    let input = graph.input(format.clone(), &shape);
                    let sizes = graph.integers(&[height as i32, width as i32]);
                    let output = [shape[0], height, width, shape[3]];
                    let output = graph.tensor(format, &output, input.spread);
                    let (operator, options) = if is_bilinear {
                        let options = ResizeBilinearOptionsT { align_corners, half_pixel_centers };
                        (
                            BuiltinOperator::ResizeBilinear,
                            BuiltinOptionsT::ResizeBilinearOptions(options),
                        )
                    } else {
                        let options =
                            ResizeNearestNeighborOptionsT { align_corners, half_pixel_centers };
                        (
                            BuiltinOperator::ResizeNearestNeighbor,
                            BuiltinOptionsT::ResizeNearestNeighborOptions(options),
                        )
                    };
                    graph.operator(operator, options, &[&input, &sizes], &[&output]);
                    cases.push(graph.finish("resize", &[&output]));
                }
            }
        }
    }
    cases
}
