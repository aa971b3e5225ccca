//! Regions in pixels and fractions, and several of one frame.

use image_embedder::frame::{BoundingBox, FrameBuffer};
use image_embedder::{ErrorKind, OutOfBounds, RegionOfInterest};
use image_embedder_test_support::model_builder::PassThrough;

use crate::models::create;

#[test]
fn each_region_has_its_own_result() {
    let embedder = create(&PassThrough::default()).unwrap();
    let pixels: Vec<u8> = (0..16 * 16 * 3).map(|index| (index % 251) as u8).collect();
    let frame = FrameBuffer::from_rgb(&pixels, 16, 16).unwrap();
    let sticking_out = RegionOfInterest::pixels(-8, -8, 16, 16);
    let regions = [
        RegionOfInterest::pixels(8, 8, 8, 8),
        RegionOfInterest::normalized(0.5, 0.5, 0.5, 0.5),
        sticking_out,
        sticking_out.with_out_of_bounds(OutOfBounds::Clamp),
        BoundingBox::new(0, 0, 8, 8).into(),
    ];
    let results = embedder.embed_regions(&frame, regions);
    assert_eq!(results.len(), 5);
    let vector = |index: usize| results[index].as_ref().unwrap().feature_vector().clone();
    assert_eq!(vector(0), vector(1));
    assert_eq!(vector(3), vector(4));
    assert_ne!(vector(0), vector(3));
    assert_eq!(results[2].as_ref().unwrap_err().kind(), ErrorKind::Input);
    for (region, result) in regions.iter().zip(&results) {
        match (embedder.embed_region(&frame, region), result) {
            (Ok(alone), Ok(together)) => assert_eq!(alone, *together),
            (Err(alone), Err(together)) => assert_eq!(alone.to_string(), together.to_string()),
            (alone, together) => panic!("{alone:?} and {together:?}"),
        }
    }
    let none: [RegionOfInterest; 0] = [];
    assert!(embedder.embed_regions(&frame, none).is_empty());
}

#[test]
fn the_whole_is_no_region() {
    let embedder = create(&PassThrough::default()).unwrap();
    let pixels: Vec<u8> = (0..13 * 9 * 3).map(|index| (index % 255) as u8).collect();
    let frame = FrameBuffer::from_rgb(&pixels, 13, 9).unwrap();
    let whole = embedder.embed(&frame).unwrap();
    let regions =
        [RegionOfInterest::normalized(0.0, 0.0, 1.0, 1.0), RegionOfInterest::pixels(0, 0, 13, 9)];
    for result in embedder.embed_regions(&frame, regions) {
        assert_eq!(result.unwrap(), whole);
    }
}

#[test]
fn an_explanation_tells_what_happened() {
    let embedder = create(&PassThrough::default()).unwrap();
    let pixels: Vec<u8> = (0..16 * 16 * 3).map(|index| (index % 251) as u8).collect();
    let frame = FrameBuffer::from_rgb(&pixels, 16, 16).unwrap();
    let region = RegionOfInterest::pixels(4, 4, 8, 8);
    let explanation = embedder.explain(&frame, Some(region)).unwrap();
    assert_eq!(explanation.region, BoundingBox::new(4, 4, 8, 8));
    assert_eq!((explanation.target_size.width, explanation.target_size.height), (8, 8));
    assert_eq!(explanation.result, embedder.embed_region(&frame, region).unwrap());
    let seen: Vec<f32> = explanation.pixels.iter().map(|&byte| byte.into()).collect();
    assert_eq!(explanation.result.feature_vector().as_float(), Some(seen.as_slice()));
    let least = *explanation.pixels.iter().min().unwrap();
    let greatest = *explanation.pixels.iter().max().unwrap();
    assert_eq!(explanation.input_range, (least.into(), greatest.into()));
    let whole = embedder.explain(&frame, None).unwrap();
    assert_eq!(whole.result, embedder.embed(&frame).unwrap());
    assert!(embedder.explain(&frame, Some(RegionOfInterest::pixels(9, 9, 8, 8))).is_err());
}
